//! Tokens that are good, and every way not to be.

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
    for other in [json!(["web"]), json!([]), json!([["app"]]), json!({"app": "app"}), json!(1)] {
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
