//! The public keys that tokens are verified with, from PEM or from a JSON Web Key Set.
//!
//! Owns which keys are fit, and which algorithm each is for: RSA of 2048 bits or more RS256, P-256
//! ES256, Ed25519 EdDSA. Never reads a file, and takes no secret for a key.
//!
//! <https://www.rfc-editor.org/rfc/rfc7517>

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use x509_parser::oid_registry::{OID_EC_P256, OID_SIG_ED25519};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

const SMALLEST_RSA: usize = 2048;

/// Of a letter.
const BASE64_BITS: usize = 6;

pub(super) struct TokenKey {
    /// As a key set names it; PEM names none.
    id: Option<String>,
    pub algorithm: Algorithm,
    pub key: DecodingKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    #[error("is neither PEM nor a JSON Web Key Set")]
    Neither,
    #[error("holds a private key: only the public one belongs there")]
    Private,
    #[error("holds no public key of a kind that serves: RSA of 2048 bits or more, P-256, Ed25519")]
    NoneFit,
}

impl TokenKey {
    /// Whether a token that names this key, or none, may be signed with it.
    pub fn may_be(&self, named: Option<&str>) -> bool {
        match (&self.id, named) {
            (Some(id), Some(named)) => id == named,
            _ => true,
        }
    }
}

pub(super) fn read(text: &str) -> Result<Vec<TokenKey>, KeysError> {
    let keys = if text.trim_start().starts_with('{') { from_set(text)? } else { from_pem(text)? };
    if keys.is_empty() { Err(KeysError::NoneFit) } else { Ok(keys) }
}

fn from_pem(text: &str) -> Result<Vec<TokenKey>, KeysError> {
    if text.contains("PRIVATE KEY-----") {
        return Err(KeysError::Private);
    }
    let mut keys = Vec::new();
    for der in SubjectPublicKeyInfoDer::pem_slice_iter(text.as_bytes()) {
        let der = der.map_err(|_| KeysError::Neither)?;
        let (_, info) = SubjectPublicKeyInfo::from_der(&der).map_err(|_| KeysError::NoneFit)?;
        let (algorithm, key) = of_info(&info).ok_or(KeysError::NoneFit)?;
        keys.push(TokenKey { id: None, algorithm, key });
    }
    if keys.is_empty() { Err(KeysError::Neither) } else { Ok(keys) }
}

fn of_info(info: &SubjectPublicKeyInfo<'_>) -> Option<(Algorithm, DecodingKey)> {
    match info.parsed().ok()? {
        PublicKey::RSA(rsa) if rsa.key_size() >= SMALLEST_RSA => {
            let modulus = without_sign(rsa.modulus);
            let key = DecodingKey::from_rsa_raw_components(modulus, without_sign(rsa.exponent));
            Some((Algorithm::RS256, key))
        }
        PublicKey::EC(point) => {
            let curve = info.algorithm.parameters.as_ref()?.as_oid().ok()?;
            let key = DecodingKey::from_ec_der(point.data());
            (curve == OID_EC_P256).then_some((Algorithm::ES256, key))
        }
        PublicKey::Unknown(bytes) if info.algorithm.algorithm == OID_SIG_ED25519 => {
            Some((Algorithm::EdDSA, DecodingKey::from_ed_der(bytes)))
        }
        _ => None,
    }
}

/// DER has a zero before a number whose first bit is set.
fn without_sign(number: &[u8]) -> &[u8] {
    number.strip_prefix(&[0]).unwrap_or(number)
}

/// A set holds keys for other purposes too, which are left out.
fn from_set(text: &str) -> Result<Vec<TokenKey>, KeysError> {
    let mut set: Value = serde_json::from_str(text).map_err(|_| KeysError::Neither)?;
    let Some(Value::Array(keys)) = set.get_mut("keys").map(Value::take) else {
        return Err(KeysError::Neither);
    };
    let is_private = |key: &Value| key.get("d").is_some() || key.get("k").is_some();
    if keys.iter().any(is_private) {
        return Err(KeysError::Private);
    }
    Ok(keys.into_iter().filter_map(of_jwk).collect())
}

fn of_jwk(value: Value) -> Option<TokenKey> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) if rsa.n.len() * BASE64_BITS >= SMALLEST_RSA => {
            (Algorithm::RS256, KeyAlgorithm::RS256)
        }
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    if jwk.common.key_algorithm.is_some_and(|said| said != named) {
        return None;
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(TokenKey { id: jwk.common.key_id, algorithm, key })
}
