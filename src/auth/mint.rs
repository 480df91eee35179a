//! Tokens made: for tests, and for small set-ups without an issuer of their own.
//!
//! Never reads a file, and knows no clock.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, Copy)]
pub struct Minting<'a> {
    /// What `claim` says.
    pub subject: &'a str,
    pub claim: &'a str,
    pub issuer: &'a str,
    pub audience: &'a str,
    /// Which key of a set it is signed with.
    pub key_id: Option<&'a str>,
    /// Since 1970.
    pub now: Duration,
    pub ttl: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum MintError {
    #[error("is no private key in PEM (PKCS#8) of a kind that serves: RSA, P-256, Ed25519")]
    Key,
    #[error("cannot sign: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// `key` is a private key in PEM; its kind says the algorithm.
pub fn mint(key: &[u8], minting: &Minting<'_>) -> Result<String, MintError> {
    let (algorithm, key) = read(key)?;
    let header = Header { kid: minting.key_id.map(str::to_owned), ..Header::new(algorithm) };
    let issued = minting.now.as_secs();
    let mut claims = Map::new();
    claims.insert(minting.claim.to_owned(), Value::from(minting.subject));
    claims.insert("iss".to_owned(), Value::from(minting.issuer));
    claims.insert("aud".to_owned(), Value::from(minting.audience));
    claims.insert("iat".to_owned(), json!(issued));
    claims.insert("exp".to_owned(), json!(issued.saturating_add(minting.ttl.as_secs())));
    Ok(encode(&header, &claims, &key)?)
}

fn read(pem: &[u8]) -> Result<(Algorithm, EncodingKey), MintError> {
    let ed = || Some((Algorithm::EdDSA, EncodingKey::from_ed_pem(pem).ok()?));
    let ec = || Some((Algorithm::ES256, EncodingKey::from_ec_pem(pem).ok()?));
    let rsa = || Some((Algorithm::RS256, EncodingKey::from_rsa_pem(pem).ok()?));
    ed().or_else(ec).or_else(rsa).ok_or(MintError::Key)
}
