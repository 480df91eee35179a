//! The authentication plugins spoken, and the scramble each answers a challenge with.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_authentication_methods.html>

use mysql_common::auth::plugins::caching_sha2_password::scramble_sha256;
use mysql_common::auth::plugins::mysql_native_password::scramble_native;

use super::Nonce;

/// No challenge and no scramble: a client says what it has as it is, with a NUL at its end.
pub const CLEAR_PASSWORD: &str = "mysql_clear_password";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plugin {
    NativePassword,
    CachingSha2Password,
}

impl Plugin {
    pub fn name(self) -> &'static str {
        match self {
            Self::NativePassword => "mysql_native_password",
            Self::CachingSha2Password => "caching_sha2_password",
        }
    }

    pub fn from_name(name: &[u8]) -> Option<Self> {
        [Self::NativePassword, Self::CachingSha2Password]
            .into_iter()
            .find(|plugin| plugin.name().as_bytes() == name)
    }

    /// Bytes of a scramble of a password that is not empty.
    pub(super) fn scramble_len(self) -> usize {
        match self {
            Self::NativePassword => 20,
            Self::CachingSha2Password => 32,
        }
    }

    /// Whether `response` says "I have no password". libmysqlclient's `caching_sha2_password`
    /// says it with one NUL, everybody else with nothing.
    pub(super) fn is_empty_response(self, response: &[u8]) -> bool {
        response.is_empty() || (self == Self::CachingSha2Password && response == [0])
    }
}

/// The answer to `nonce`; empty for an empty password, which both plugins answer with nothing.
pub fn scramble(plugin: Plugin, password: &[u8], nonce: &Nonce) -> Vec<u8> {
    let nonce = nonce.as_bytes();
    match plugin {
        Plugin::NativePassword => scramble_native(nonce, password).map(|s| s.to_vec()),
        Plugin::CachingSha2Password => scramble_sha256(nonce, password).map(|s| s.to_vec()),
    }
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with another implementation of SHA-1 and SHA-256 from the formulas of the manual.
    #[test]
    fn known_answers() {
        let mut nonce = [0; 20];
        nonce.iter_mut().zip(1..).for_each(|(slot, i)| *slot = i);
        let nonce = Nonce::from_slice(&nonce).unwrap();
        let bytes = |hex: &str| -> Vec<u8> {
            hex.as_bytes()
                .chunks(2)
                .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
                .collect()
        };
        assert_eq!(
            scramble(Plugin::NativePassword, b"s3cret", &nonce),
            bytes("f66fdd3ff855d9349a0ddb50c4a1a535fb412465")
        );
        assert_eq!(
            scramble(Plugin::CachingSha2Password, b"s3cret", &nonce),
            bytes("3f3a9a7786fd9be9a006eed686b4e6b76484fdc06dc15685df5f8793574b84fc")
        );
        assert_eq!(scramble(Plugin::NativePassword, b"", &nonce), b"");
        assert_eq!(scramble(Plugin::CachingSha2Password, b"", &nonce), b"");
    }

    #[test]
    fn names() {
        for plugin in [Plugin::NativePassword, Plugin::CachingSha2Password] {
            assert_eq!(Plugin::from_name(plugin.name().as_bytes()), Some(plugin));
        }
        assert_eq!(Plugin::from_name(CLEAR_PASSWORD.as_bytes()), None);
        assert_eq!(Plugin::from_name(b""), None);
    }
}
