//! The client side of a login: convinces a server.
//!
//! The clear password leaves only over TLS or a unix socket; where it is all that a server wants
//! (`mysql_clear_password`, as RDS does for its tokens), only to one that has been verified. On a bare
//! TCP connection full authentication encrypts it with the public key the server sends, which keeps it from
//! listeners but not from somebody who stands in for the server: only TLS that verifies does.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html>

use std::fmt;

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::{CLEAR_PASSWORD, Nonce, Plugin, ed25519, scramble};
use crate::secrets::Password;

const AUTH_MORE_DATA: u8 = 0x01;
const AUTH_SWITCH: u8 = 0xFE;
const FAST_AUTH_OK: u8 = 0x03;
const FULL_AUTH: u8 = 0x04;
const REQUEST_PUBLIC_KEY: u8 = 0x02;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("the server wants authentication plugin {0}, which is not supported")]
    UnsupportedPlugin(String),
    #[error(
        "the server wants the clear password (mysql_clear_password), which is sent over a unix socket, \
         or where tls.target.mode verifies"
    )]
    ClearPassword,
    #[error("the server's authentication packet makes no sense: {0}")]
    Unexpected(&'static str),
    #[error("the server's RSA public key cannot be used: {0}")]
    PublicKey(&'static str),
}

pub enum Proof {
    Send(Vec<u8>),
    /// Nothing to send: read on.
    Wait,
}

/// What would be sent may be the clear password.
impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(bytes) => write!(f, "Send({} bytes)", bytes.len()),
            Self::Wait => f.write_str("Wait"),
        }
    }
}

pub struct Prover {
    password: Password,
    secure: bool,
    verified: bool,
    plugin: Plugin,
    nonce: Option<Nonce>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Scrambled,
    KeyRequested,
    /// The password itself was sent, or a signature; the server has nothing more to ask.
    Told,
}

impl Prover {
    /// `secure` says that nobody can listen: TLS, or a unix socket.
    pub fn new(password: Password, secure: bool) -> Self {
        Self {
            password,
            secure,
            verified: false,
            plugin: Plugin::NativePassword,
            nonce: None,
            stage: Stage::Scrambled,
        }
    }

    /// `verified` says that the server is the one that is meant, and that nobody can listen.
    #[must_use]
    pub fn to(self, verified: bool) -> Self {
        Self { verified, ..self }
    }

    /// What to put in the login packet, from the greeting's plugin and nonce. A plugin not
    /// spoken here is answered with `mysql_native_password`: it is only the server's default,
    /// and the account may have another, for which the server then switches.
    pub fn first(&mut self, plugin: &[u8], nonce: &[u8]) -> (Plugin, Vec<u8>) {
        self.plugin = Plugin::from_name(plugin).unwrap_or(Plugin::NativePassword);
        self.nonce = Nonce::from_slice(nonce);
        self.stage = Stage::Scrambled;
        (self.plugin, self.scramble())
    }

    /// Carries on with what the server sent. OK (0x00) and ERR (0xFF) are the caller's to see.
    pub fn on_packet(&mut self, payload: &[u8]) -> Result<Proof, AuthError> {
        match payload {
            [AUTH_SWITCH] => Err(AuthError::UnsupportedPlugin("mysql_old_password".into())),
            [AUTH_SWITCH, request @ ..] => self.switch(request),
            [AUTH_MORE_DATA, data @ ..] => self.more_data(data),
            _ => Err(AuthError::Unexpected("neither a switch nor more data")),
        }
    }

    fn switch(&mut self, request: &[u8]) -> Result<Proof, AuthError> {
        let (name, data) = match request.iter().position(|&b| b == 0) {
            Some(end) => (&request[..end], &request[end + 1..]),
            None => (request, [].as_slice()),
        };
        if name == CLEAR_PASSWORD.as_bytes() {
            let told = if self.verified { Ok(self.tell()) } else { Err(AuthError::ClearPassword) };
            return told.map(Proof::Send);
        }
        if name == ed25519::NAME.as_bytes() {
            let signature = ed25519::sign(self.password.as_bytes(), data);
            self.stage = Stage::Told;
            return signature
                .map(Proof::Send)
                .ok_or(AuthError::Unexpected("a challenge is 32 bytes"));
        }
        let Some(plugin) = Plugin::from_name(name) else {
            return Err(AuthError::UnsupportedPlugin(printable(name)));
        };
        // Without data of its own the switch is about the greeting's nonce.
        if !data.is_empty() {
            let nonce = Nonce::from_slice(data);
            self.nonce = Some(nonce.ok_or(AuthError::Unexpected("a nonce is 20 bytes"))?);
        }
        self.plugin = plugin;
        self.stage = Stage::Scrambled;
        Ok(Proof::Send(self.scramble()))
    }

    fn more_data(&mut self, data: &[u8]) -> Result<Proof, AuthError> {
        if self.plugin != Plugin::CachingSha2Password {
            return Err(AuthError::Unexpected("more data for mysql_native_password"));
        }
        match (self.stage, data) {
            (Stage::Scrambled, [FAST_AUTH_OK]) => Ok(Proof::Wait),
            (Stage::Scrambled, [FULL_AUTH]) if self.secure => Ok(Proof::Send(self.tell())),
            (Stage::Scrambled, [FULL_AUTH]) => {
                self.stage = Stage::KeyRequested;
                Ok(Proof::Send(vec![REQUEST_PUBLIC_KEY]))
            }
            (Stage::KeyRequested, pem) => {
                self.stage = Stage::Told;
                self.encrypt(pem).map(Proof::Send)
            }
            _ => Err(AuthError::Unexpected("more data at the wrong time")),
        }
    }

    fn tell(&mut self) -> Vec<u8> {
        self.stage = Stage::Told;
        let mut clear = Vec::with_capacity(self.password.as_bytes().len() + 1);
        clear.extend_from_slice(self.password.as_bytes());
        clear.push(0);
        clear
    }

    fn scramble(&self) -> Vec<u8> {
        self.nonce
            .map_or_else(Vec::new, |nonce| scramble(self.plugin, self.password.as_bytes(), &nonce))
    }

    /// RSA-OAEP-SHA1 of the password and its NUL, xor the nonce over and over.
    fn encrypt(&self, pem: &[u8]) -> Result<Vec<u8>, AuthError> {
        let nonce = self.nonce.ok_or(AuthError::Unexpected("a public key without a nonce"))?;
        let clear = self.password.as_bytes().iter().chain(&[0]);
        let masked: Zeroizing<Vec<u8>> = Zeroizing::new(
            clear.zip(nonce.as_bytes().iter().cycle()).map(|(a, b)| a ^ b).collect(),
        );
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem)
            .map_err(|_| AuthError::PublicKey("not a PEM public key"))?;
        // Also refuses keys under 2048 bits, which MySQL has never made.
        let key = PublicEncryptingKey::from_der(der.as_ref())
            .map_err(|_| AuthError::PublicKey("not RSA of 2048 bits or more"))?;
        let key = OaepPublicEncryptingKey::new(key).map_err(|_| AuthError::PublicKey("refused"))?;
        if masked.len() > key.max_plaintext_size(&OAEP_SHA1_MGF1SHA1) {
            return Err(AuthError::PublicKey("too short for this password"));
        }
        let mut sealed = vec![0; key.ciphertext_size()];
        let len = key
            .encrypt(&OAEP_SHA1_MGF1SHA1, &masked, &mut sealed, None)
            .map_err(|_| AuthError::PublicKey("encryption failed"))?
            .len();
        sealed.truncate(len);
        Ok(sealed)
    }
}

/// A name from the network, fit for a log line.
fn printable(name: &[u8]) -> String {
    name.iter().take(64).map(|&b| if b.is_ascii_graphic() { char::from(b) } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};
    use proptest::prelude::*;

    use super::*;

    fn prover(secure: bool) -> Prover {
        Prover::new(Password::new("s3cret"), secure)
    }

    fn sent(proof: Result<Proof, AuthError>) -> Vec<u8> {
        match proof.unwrap() {
            Proof::Send(bytes) => bytes,
            Proof::Wait => panic!("nothing to send"),
        }
    }

    fn switch_request(plugin: &str, data: &[u8]) -> Vec<u8> {
        [&[0xFE], plugin.as_bytes(), &[0], data].concat()
    }

    #[test]
    fn full_authentication_over_a_secure_stream() {
        let mut p = prover(true);
        p.first(b"caching_sha2_password", Nonce::random().as_bytes());
        assert_eq!(sent(p.on_packet(&[1, 4])), b"s3cret\0");
        assert!(p.on_packet(&[1, 4]).is_err());
    }

    #[test]
    fn full_authentication_over_a_bare_stream_uses_the_key_of_the_server() {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let der: PublicKeyX509Der<'_> = private.public_key().as_der().unwrap();
        let pem = pem_public_key(der.as_ref());
        let nonce = Nonce::random();
        let mut p = prover(false);
        p.first(b"caching_sha2_password", nonce.as_bytes());
        assert_eq!(sent(p.on_packet(&[1, 4])), [2]);
        let sealed = sent(p.on_packet(&[&[1], pem.as_bytes()].concat()));

        let private = OaepPrivateDecryptingKey::new(private).unwrap();
        let mut out = vec![0; private.min_output_size()];
        let open = private.decrypt(&OAEP_SHA1_MGF1SHA1, &sealed, &mut out, None).unwrap();
        let clear: Vec<u8> =
            open.iter().zip(nonce.as_bytes().iter().cycle()).map(|(a, b)| a ^ b).collect();
        assert_eq!(clear, b"s3cret\0");
    }

    /// PEM as OpenSSL writes it.
    fn pem_public_key(der: &[u8]) -> String {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut base64 = String::new();
        for chunk in der.chunks(3) {
            let bits =
                chunk.iter().fold(0u32, |n, &b| n << 8 | u32::from(b)) << (8 * (3 - chunk.len()));
            for i in 0..4 {
                let index = (bits >> (18 - 6 * i)) & 63;
                let char = char::from(ALPHABET[index as usize]);
                base64.push(if i <= chunk.len() { char } else { '=' });
            }
        }
        let lines: Vec<_> =
            base64.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).unwrap()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    #[test]
    fn bad_keys_are_refused() {
        for pem in
            [b"".as_slice(), b"x", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]
        {
            let mut p = prover(false);
            p.first(b"caching_sha2_password", &[b'n'; 20]);
            p.on_packet(&[1, 4]).unwrap();
            let answer = p.on_packet(&[&[1], pem].concat());
            assert!(matches!(answer, Err(AuthError::PublicKey(_))), "{answer:?}");
        }
    }

    #[test]
    fn a_switch_without_data_is_about_the_greetings_nonce() {
        let nonce = Nonce::random();
        for request in [b"\xFEmysql_native_password\0".as_slice(), b"\xFEmysql_native_password"] {
            let mut p = prover(false);
            p.first(b"caching_sha2_password", nonce.as_bytes());
            let expected = scramble(Plugin::NativePassword, b"s3cret", &nonce);
            assert_eq!(sent(p.on_packet(request)), expected);
        }
        let mut p = prover(false);
        p.first(b"caching_sha2_password", nonce.as_bytes());
        let short = switch_request("mysql_native_password", b"short");
        assert!(matches!(p.on_packet(&short), Err(AuthError::Unexpected(_))));
    }

    #[test]
    fn plugins_that_are_not_spoken_are_named() {
        let ask = |name| prover(true).on_packet(&switch_request(name, b"")).unwrap_err();
        assert_eq!(ask("mysql_clear_password"), AuthError::ClearPassword);
        let mut verified = prover(true).to(true);
        assert_eq!(
            sent(verified.on_packet(&switch_request("mysql_clear_password", b""))),
            b"s3cret\0"
        );
        assert!(verified.on_packet(&[1, 4]).is_err(), "it was told already");
        assert!(ask("parsec").to_string().contains("parsec"));
        assert!(ask("sha256_password").to_string().contains("sha256_password"));
        assert!(ask("a\nb").to_string().contains("a?b"));
        assert!(prover(true).on_packet(&[0xFE]).unwrap_err().to_string().contains("old_password"));
    }

    #[test]
    fn a_signature_is_made_where_it_is_asked_for() {
        let challenge = ed25519::challenge();
        let mut p = prover(false);
        p.first(b"mysql_native_password", &[b'n'; 20]);
        let signature = sent(p.on_packet(&switch_request("client_ed25519", &challenge)));
        let key = ed25519::public_key(b"s3cret").unwrap();
        assert!(ed25519::verify(&key, &challenge, &signature));
        assert!(p.on_packet(&[1, 4]).is_err());
        let short = prover(false).on_packet(&switch_request("client_ed25519", b"short"));
        assert!(matches!(short, Err(AuthError::Unexpected(_))));
    }

    #[test]
    fn a_proof_is_not_printed() {
        assert_eq!(format!("{:?}", Proof::Send(b"s3cret\0".to_vec())), "Send(7 bytes)");
    }

    proptest! {
        /// Whatever a server on a bare connection says, it does not get the clear password.
        #[test]
        fn random_packets(
            packets in proptest::collection::vec(prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..48),
                Just(vec![1, 4]),
                Just(vec![1, 3]),
                Just(b"\xFEcaching_sha2_password\0".to_vec()),
                Just(b"\xFEmysql_clear_password\0".to_vec()),
            ], 0..6)
        ) {
            let mut p = prover(false);
            p.first(b"caching_sha2_password", &[b'n'; 20]);
            for packet in packets {
                if let Ok(Proof::Send(bytes)) = p.on_packet(&packet) {
                    prop_assert!(!bytes.windows(6).any(|w| w == b"s3cret"));
                }
            }
        }
    }
}
