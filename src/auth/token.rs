//! A signed token in place of a password: is it whole, from whom we believe, for us, in time, and of
//! this user?
//!
//! Each key serves the one algorithm of its kind, whatever a token says of itself: so neither `none`
//! nor an HMAC under a public key can ever be good. Never fetches a key, knows no clock, and keeps
//! no token.
//!
//! <https://www.rfc-editor.org/rfc/rfc7519>, <https://www.rfc-editor.org/rfc/rfc8725>

use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::token_keys::{KeysError, TokenKey, read};
use crate::config::TokenRules;

/// More than any issuer makes, and than clients with an answer of a fixed length can send.
const LONGEST: usize = 16 * 1024;

pub struct Tokens {
    keys: Vec<(TokenKey, Validation)>,
    claim: String,
    leeway: Duration,
}

/// For the log: the client is told nothing but that it is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("client.tokens names no keys")]
    NoKeys,
    #[error("it is no token")]
    Malformed,
    #[error("the token says an algorithm that none of the keys is for")]
    Algorithm,
    #[error("the token says a key that is not among ours")]
    UnknownKey,
    #[error("the token is not signed by whom we believe")]
    Signature,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not good yet")]
    NotYet,
    #[error("the token lacks iss, aud or exp")]
    Incomplete,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is for somebody else (aud)")]
    Audience,
    #[error("the token is of another user")]
    User,
}

impl Tokens {
    /// `text` holds the public keys, as PEM or as a JSON Web Key Set.
    pub fn read(text: &str, rules: &TokenRules) -> Result<Self, KeysError> {
        let keys = read(text)?.into_iter().map(|key| {
            let validation = validation(key.algorithm, rules);
            (key, validation)
        });
        Ok(Self { keys: keys.collect(), claim: rules.user_claim.clone(), leeway: rules.leeway })
    }

    /// Whether `token` lets in who is to be `subject`; `now` is since 1970.
    pub fn verify(&self, token: &[u8], subject: &str, now: Duration) -> Result<(), TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::Malformed);
        }
        let header = decode_header(token).map_err(|error| told(error.kind()))?;
        if header.crit.is_some() {
            // What has to be understood is not understood here.
            return Err(TokenError::Malformed);
        }
        let claims = self.claims(token, &header)?;
        self.in_time(&claims, now)?;
        let says = |value: &Value| value.as_str() == Some(subject);
        let is = match claims.get(&self.claim) {
            Some(Value::Array(names)) => names.iter().any(says),
            Some(name) => says(name),
            None => false,
        };
        if is { Ok(()) } else { Err(TokenError::User) }
    }

    /// Those of a token that one of the keys has signed.
    fn claims(&self, token: &[u8], header: &Header) -> Result<Map<String, Value>, TokenError> {
        let same = |key: &TokenKey| key.algorithm == header.alg;
        if !self.keys.iter().any(|(key, _)| same(key)) {
            return Err(TokenError::Algorithm);
        }
        let mut why = TokenError::UnknownKey;
        for (key, validation) in &self.keys {
            if !same(key) || !key.may_be(header.kid.as_deref()) {
                continue;
            }
            match decode(token, &key.key, validation) {
                Ok(data) => return Ok(data.claims),
                Err(error) => why = told(error.kind()),
            }
            if why != TokenError::Signature {
                break;
            }
        }
        Err(why)
    }

    fn in_time(&self, claims: &Map<String, Value>, now: Duration) -> Result<(), TokenError> {
        let at = |claim: &str| match claims.get(claim) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or(TokenError::Malformed),
        };
        let (now, leeway) = (now.as_secs_f64(), self.leeway.as_secs_f64());
        let expires = at("exp")?.ok_or(TokenError::Incomplete)?;
        if now >= expires + leeway {
            return Err(TokenError::Expired);
        }
        match at("nbf")? {
            Some(begins) if now + leeway < begins => Err(TokenError::NotYet),
            _ => Ok(()),
        }
    }
}

/// Everything but the time, which is not asked of the machine.
fn validation(algorithm: Algorithm, rules: &TokenRules) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_issuer(&[&rules.issuer]);
    validation.set_audience(&[&rules.audience]);
    validation.set_required_spec_claims(&["iss", "aud"]);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation
}

fn told(kind: &ErrorKind) -> TokenError {
    match kind {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::InvalidIssuer => TokenError::Issuer,
        ErrorKind::InvalidAudience => TokenError::Audience,
        ErrorKind::MissingRequiredClaim(_) => TokenError::Incomplete,
        _ => TokenError::Malformed,
    }
}

#[cfg(test)]
mod tests;
