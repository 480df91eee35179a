//! `client_ed25519`, MariaDB's: the password is the secret from which a signing key is derived, and a
//! challenge of 32 bytes is signed with it. What a server keeps is the public key.
//!
//! Ed25519 as RFC 8032 has it, but that the secret may have any length. Never does arithmetic of its
//! own.
//!
//! <https://mariadb.com/kb/en/authentication-plugin-ed25519/>

use aws_lc_rs::rand;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use mysql_common::auth::plugins::client_ed25519::ClientEd25519;
use mysql_common::auth::plugins::{ChallengeResponsePlugin, Context};

pub(super) const NAME: &str = "client_ed25519";

pub(super) type Challenge = [u8; 32];

pub(super) type PublicKey = [u8; 32];

pub(super) fn challenge() -> Challenge {
    let mut challenge = [0; 32];
    // AWS-LC aborts rather than run out of randomness, so this never turns twice.
    while rand::fill(&mut challenge).is_err() {}
    challenge
}

/// `None`: the challenge has another length.
pub(super) fn sign(password: &[u8], challenge: &[u8]) -> Option<Vec<u8>> {
    let signed = ClientEd25519::default().run(Secret(password), challenge).ok()?;
    signed.data().map(<[u8]>::to_vec)
}

pub(super) fn public_key(password: &[u8]) -> Option<PublicKey> {
    ClientEd25519::default().password_hash(Secret(password))?.try_into().ok()
}

pub(super) fn verify(key: &PublicKey, challenge: &Challenge, signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(challenge, signature).is_ok()
}

struct Secret<'a>(&'a [u8]);

/// Of all this the plugin asks for the password only.
impl Context for Secret<'_> {
    fn pass(&self) -> &[u8] {
        self.0
    }

    fn is_ipc_transport(&self) -> bool {
        false
    }

    fn is_tls_transport(&self) -> bool {
        false
    }

    fn scramble(&self) -> &[u8] {
        &[]
    }

    fn server_key_pem(&self) -> Option<&[u8]> {
        None
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD_NO_PAD;

    use super::*;

    /// From the page above.
    #[test]
    fn the_key_of_a_password() {
        let key = STANDARD_NO_PAD.decode("ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY").unwrap();
        assert_eq!(public_key(b"secret").unwrap().as_slice(), key);
        assert_ne!(public_key(b"Secret").unwrap().as_slice(), key);
    }

    #[test]
    fn what_is_signed_is_verified_and_nothing_else() {
        let (one, other) = (challenge(), challenge());
        assert_ne!(one, other);
        for password in [b"secret".as_slice(), b"", &[b'x'; 300]] {
            let key = public_key(password).unwrap();
            let signature = sign(password, &one).unwrap();
            assert!(verify(&key, &one, &signature));
            assert!(!verify(&key, &other, &signature));
            assert!(!verify(&public_key(b"other").unwrap(), &one, &signature));
            assert!(!verify(&key, &one, &signature[..63]));
            assert!(!verify(&key, &one, b""));
        }
        assert_eq!(sign(b"secret", &[0; 20]), None);
    }
}
