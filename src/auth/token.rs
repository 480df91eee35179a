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
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
    use serde_json::json;

    use super::super::{Minting, mint};
    use super::*;

    const NOW: Duration = Duration::from_secs(1_900_000_000);
    const KINDS: [(&rcgen::SignatureAlgorithm, &str); 3] =
        [(&PKCS_RSA_SHA256, "RS256"), (&PKCS_ECDSA_P256_SHA256, "ES256"), (&PKCS_ED25519, "EdDSA")];

    fn rules() -> TokenRules {
        TokenRules {
            keys: "keys".into(),
            issuer: "https://issuer".to_owned(),
            audience: "shop-db".to_owned(),
            user_claim: "sub".to_owned(),
            leeway: Duration::from_secs(30),
        }
    }

    fn pair() -> (KeyPair, Tokens) {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let tokens = Tokens::read(&pair.public_key_pem(), &rules()).unwrap();
        (pair, tokens)
    }

    fn minted(pair: &KeyPair, key_id: Option<&str>) -> String {
        let minting = Minting {
            subject: "app",
            claim: "sub",
            issuer: "https://issuer",
            audience: "shop-db",
            key_id,
            now: NOW,
            ttl: Duration::from_secs(900),
        };
        mint(pair.serialize_pem().as_bytes(), &minting).unwrap()
    }

    /// Whatever claims, whatever header.
    fn signed(pair: &KeyPair, claims: &Value) -> String {
        let key = EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).unwrap();
        encode(&Header::new(Algorithm::EdDSA), claims, &key).unwrap()
    }

    fn whole() -> Value {
        let exp = NOW.as_secs() + 60;
        json!({"sub": "app", "iss": "https://issuer", "aud": "shop-db", "exp": exp})
    }

    fn with(claim: &str, value: Value) -> Value {
        let mut claims = whole();
        claims[claim] = value;
        claims
    }

    #[test]
    fn every_kind_of_key_signs_and_no_other_verifies() {
        let pairs = KINDS.map(|(kind, _)| KeyPair::generate_for(kind).unwrap());
        let all: String = pairs.iter().map(KeyPair::public_key_pem).collect();
        let all = Tokens::read(&all, &rules()).unwrap();
        for (pair, (kind, name)) in pairs.iter().zip(KINDS) {
            let token = minted(pair, None);
            let said = decode_header(&token).unwrap().alg;
            assert_eq!(format!("{said:?}"), name);
            assert_eq!(all.verify(token.as_bytes(), "app", NOW), Ok(()), "{name}");
            let other = KeyPair::generate_for(kind).unwrap();
            let other = Tokens::read(&other.public_key_pem(), &rules()).unwrap();
            let judged = other.verify(token.as_bytes(), "app", NOW);
            assert_eq!(judged, Err(TokenError::Signature), "{name}");
        }
        let token = minted(&pairs[0], None);
        let (_, ed25519) = pair();
        assert_eq!(ed25519.verify(token.as_bytes(), "app", NOW), Err(TokenError::Algorithm));
    }

    #[test]
    fn what_a_token_has_to_say() {
        let (pair, tokens) = pair();
        let verify = |claims: &Value| tokens.verify(signed(&pair, claims).as_bytes(), "app", NOW);
        assert_eq!(verify(&whole()), Ok(()));
        assert_eq!(verify(&with("aud", json!(["other", "shop-db"]))), Ok(()));
        assert_eq!(verify(&with("nbf", json!(NOW.as_secs()))), Ok(()));
        let later = NOW.as_secs() + 31;
        for (claim, value, why) in [
            ("sub", json!("web"), TokenError::User),
            ("sub", json!("APP"), TokenError::User),
            ("sub", json!(["app"]), TokenError::Malformed),
            ("sub", json!(null), TokenError::User),
            ("sub", json!({"app": "app"}), TokenError::Malformed),
            ("aud", json!("other-db"), TokenError::Audience),
            ("aud", json!([]), TokenError::Audience),
            ("aud", json!(null), TokenError::Incomplete),
            ("aud", json!(5), TokenError::Incomplete),
            ("iss", json!("https://issuer.evil"), TokenError::Issuer),
            ("iss", json!(null), TokenError::Incomplete),
            ("exp", json!("1900000060"), TokenError::Malformed),
            ("exp", json!(null), TokenError::Malformed),
            ("nbf", json!(later), TokenError::NotYet),
            ("nbf", json!("soon"), TokenError::Malformed),
        ] {
            assert_eq!(verify(&with(claim, value.clone())), Err(why), "{claim} {value}");
        }
        for claim in ["sub", "aud", "iss", "exp"] {
            let mut claims = whole();
            claims.as_object_mut().unwrap().remove(claim);
            let why = if claim == "sub" { TokenError::User } else { TokenError::Incomplete };
            assert_eq!(verify(&claims), Err(why), "without {claim}");
        }
    }

    #[test]
    fn another_claim_may_name_several_users() {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let rules = TokenRules { user_claim: "groups".to_owned(), ..rules() };
        let tokens = Tokens::read(&pair.public_key_pem(), &rules).unwrap();
        let verify = |groups: Value| {
            let token = signed(&pair, &with("groups", groups));
            tokens.verify(token.as_bytes(), "app", NOW)
        };
        assert_eq!(verify(json!("app")), Ok(()));
        assert_eq!(verify(json!(["web", "app"])), Ok(()));
        for other in [json!(["web"]), json!([]), json!([["app"]]), json!({"app": "app"}), json!(1)]
        {
            assert_eq!(verify(other.clone()), Err(TokenError::User), "{other}");
        }
    }

    #[test]
    fn a_token_is_good_for_its_time() {
        let (pair, tokens) = pair();
        let token = minted(&pair, None);
        let at = |seconds| tokens.verify(token.as_bytes(), "app", Duration::from_secs(seconds));
        let expires = NOW.as_secs() + 900;
        assert_eq!(at(expires + 29), Ok(()));
        assert_eq!(at(expires + 30), Err(TokenError::Expired));
    }

    /// `{"alg":"none","typ":"JWT"}`, and a signature of nothing.
    const NONE: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";

    #[test]
    fn a_token_does_not_choose_how_it_is_verified() {
        let (pair, tokens) = pair();
        let token = minted(&pair, None);
        let claims = token.split('.').nth(1).unwrap();
        for signature in ["", token.rsplit('.').next().unwrap()] {
            let none = format!("{NONE}.{claims}.{signature}");
            assert!(tokens.verify(none.as_bytes(), "app", NOW).is_err());
        }
        let pem = pair.public_key_pem();
        for secret in [pem.as_bytes(), pem.trim_end().as_bytes(), pair.public_key_raw()] {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let header = Header::new(algorithm);
                let token = encode(&header, &whole(), &EncodingKey::from_secret(secret)).unwrap();
                let judged = tokens.verify(token.as_bytes(), "app", NOW);
                assert_eq!(judged, Err(TokenError::Algorithm));
            }
        }
    }

    #[test]
    fn what_was_changed_or_is_no_token() {
        let (pair, tokens) = pair();
        let token = minted(&pair, None);
        let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
        let other = signed(&pair, &with("sub", json!("root")));
        parts[1] = other.split('.').nth(1).unwrap().to_owned();
        let forged = parts.join(".");
        assert_eq!(tokens.verify(forged.as_bytes(), "root", NOW), Err(TokenError::Signature));
        let key = EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).unwrap();
        let crit = Some(vec!["b64".to_owned()]);
        let critical = Header { crit, ..Header::new(Algorithm::EdDSA) };
        let critical = encode(&critical, &whole(), &key).unwrap();
        let long = format!("{}.{}.{}", parts[0], "A".repeat(64 * 1024), parts[2]);
        let cut = &token[..token.len() - 2];
        let padded = format!("{token}\0");
        for wrong in ["", ".", "..", "...", "a.b.c", &long, cut, &padded, &critical, "\u{0}"] {
            assert!(tokens.verify(wrong.as_bytes(), "app", NOW).is_err(), "{wrong:.40}");
        }
        assert!(tokens.verify(&[0xFF; 300], "app", NOW).is_err());
    }

    #[test]
    fn a_set_of_keys_and_their_names() {
        let (one, two) = (pair().0, pair().0);
        let jwk = |pair: &KeyPair, kid: &str, more: Value| {
            let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
            let mut jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid});
            for (name, value) in more.as_object().unwrap() {
                jwk[name] = value.clone();
            }
            jwk
        };
        let set = json!({"keys": [
            jwk(&one, "one", json!({"use": "sig"})),
            jwk(&two, "two", json!({})),
            {"kty": "from the future", "x": "y"},
        ]});
        let tokens = Tokens::read(&set.to_string(), &rules()).unwrap();
        let verify = |pair: &KeyPair, kid: Option<&str>| {
            let token = minted(pair, kid);
            tokens.verify(token.as_bytes(), "app", NOW)
        };
        assert_eq!(verify(&one, Some("one")), Ok(()));
        assert_eq!(verify(&two, Some("two")), Ok(()));
        assert_eq!(verify(&two, None), Ok(()), "each is tried");
        assert_eq!(verify(&two, Some("one")), Err(TokenError::Signature));
        assert_eq!(verify(&two, Some("three")), Err(TokenError::UnknownKey));

        let none_fit = |key: Value| {
            let set = json!({"keys": [key]}).to_string();
            Tokens::read(&set, &rules()).err()
        };
        let fit = Some(KeysError::NoneFit);
        assert_eq!(none_fit(jwk(&one, "one", json!({"use": "enc"}))), fit);
        assert_eq!(none_fit(jwk(&one, "one", json!({"alg": "ES256"}))), fit);
        assert_eq!(none_fit(jwk(&one, "one", json!({"d": "secret"}))), Some(KeysError::Private));
        let symmetric = json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"});
        assert_eq!(none_fit(symmetric), Some(KeysError::Private));
    }

    #[test]
    fn what_is_no_key_is_told_without_a_value() {
        let read = |text: &str| Tokens::read(text, &rules()).err();
        let private = pair().0.serialize_pem();
        assert_eq!(read(&private), Some(KeysError::Private));
        for text in ["", "hunter2", "{", "{}", "{\"keys\": 5}", "-----BEGIN PUBLIC KEY-----"] {
            assert_eq!(read(text), Some(KeysError::Neither), "{text}");
        }
        assert_eq!(read("{\"keys\": []}"), Some(KeysError::NoneFit));
        let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert_eq!(read(&p384.public_key_pem()), Some(KeysError::NoneFit));
    }
}
