//! What a client has to know or to show. Of a password what it leaves behind will do: enough to tell
//! whether a client knows it, not to be one.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::Password;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientSecret {
    Clear(Password),
    Hash(PasswordHash),
    /// Nothing to know: a signed token that says this of who shows it.
    Token(Arc<str>),
}

#[derive(Clone, PartialEq, Eq)]
pub enum PasswordHash {
    /// SHA1(SHA1(password)), as `mysql.user` has it for `mysql_native_password`.
    Native([u8; 20]),
    /// SHA256(SHA256(password)), as servers keep it in memory for `caching_sha2_password`.
    Sha256([u8; 32]),
    /// The public key, as MariaDB keeps it for `ed25519`.
    Ed25519([u8; 32]),
}

impl ClientSecret {
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Clear(password) if password.is_empty())
    }
}

impl From<Password> for ClientSecret {
    fn from(password: Password) -> Self {
        Self::Clear(password)
    }
}

impl PasswordHash {
    /// What is wrong is said without what was written.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(digits) = text.strip_prefix('*') {
            return hex(digits).map(Self::Native).ok_or("password_hash has * and 40 hex digits");
        }
        if let Some(digits) = text.strip_prefix("sha256:") {
            let wrong = "password_hash has sha256: and 64 hex digits";
            return hex(digits).map(Self::Sha256).ok_or(wrong);
        }
        if let Some(key) = text.strip_prefix("ed25519:") {
            let wrong = "password_hash has ed25519: and 43 letters of base64";
            let key = STANDARD_NO_PAD.decode(key).map_err(|_| wrong)?;
            return key.try_into().map(Self::Ed25519).map_err(|_| wrong);
        }
        if text.starts_with("$A$") {
            // Only the clear password can be held against it, and clients do not send theirs.
            return Err("password_hash cannot be what mysql.user has for caching_sha2_password");
        }
        Err("password_hash begins with *, sha256: or ed25519:")
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(value).ok()?;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_hash() {
        let native = PasswordHash::parse("*00112233445566778899AABBCCDDEEFF00112233").unwrap();
        let PasswordHash::Native(bytes) = &native else { panic!("{native:?}") };
        assert_eq!(bytes[..4], [0x00, 0x11, 0x22, 0x33]);
        assert_eq!(bytes[10], 0xAA);
        assert_eq!(format!("{native:?}"), "***");
        let long = format!("sha256:{}", "0f".repeat(32));
        assert_eq!(PasswordHash::parse(&long), Ok(PasswordHash::Sha256([15; 32])));
        let key = PasswordHash::parse("ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY");
        let PasswordHash::Ed25519(key) = key.unwrap() else { panic!() };
        assert_eq!(key[..4], [0x64, 0x88, 0x14, 0x44]);
        for wrong in [
            "",
            "*",
            "*0011",
            "hunter2",
            "sha256:00",
            "*00112233445566778899AABBCCDDEEFF0011223g",
            "ed25519:hunter2",
            "ed25519:ZIgUREUg5PVgQ6LskhXmO",
        ] {
            let why = PasswordHash::parse(wrong).unwrap_err();
            assert!(wrong.len() < 3 || !why.contains(wrong), "{why}");
        }
        assert!(PasswordHash::parse("$A$005$x").unwrap_err().contains("caching_sha2"));
    }
}
