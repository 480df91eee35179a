//! Every verdict, alone; with a prover at the other end they are in `auth/tests.rs`.

use Plugin::{CachingSha2Password as Sha2, NativePassword as Native};
use proptest::prelude::*;

use super::*;

const ACCEPT: Verdict = Verdict::Accept { fast_auth_ok: false };
const ACCEPT_FAST: Verdict = Verdict::Accept { fast_auth_ok: true };

fn account(password: &str, previous: Option<&str>) -> Arc<Account> {
    let previous = previous.map(Password::new);
    Arc::new(Account::new("app".into(), Password::new(password), previous, None, None))
}

fn verifier(account: impl Into<Option<Arc<Account>>>) -> Verifier {
    Verifier::new(Nonce::random(), account.into(), Sha2)
}

fn scrambled(verifier: &Verifier, plugin: Plugin, password: &str) -> Vec<u8> {
    scramble(plugin, password.as_bytes(), &verifier.nonce())
}

#[test]
fn current_and_previous_serve_with_both_plugins() {
    for (plugin, accept) in [(Native, ACCEPT), (Sha2, ACCEPT_FAST)] {
        for (password, verdict) in [("new", accept), ("old", accept), ("other", Verdict::Refuse)] {
            let mut v = verifier(account("new", Some("old")));
            let response = scrambled(&v, plugin, password);
            assert_eq!(v.answer(plugin.name().as_bytes(), &response), verdict);
            assert_eq!(v.answer(plugin.name().as_bytes(), &response), Verdict::Refuse);
        }
    }
}

#[test]
fn a_client_without_plugin_auth_is_native_and_never_switched() {
    for (response_to, verdict) in [("pw", ACCEPT), ("no", Verdict::Refuse), ("", Verdict::Refuse)] {
        let mut v = verifier(account("pw", None));
        let response = scrambled(&v, Native, response_to);
        assert_eq!(v.answer(b"", &response), verdict);
    }
    assert_eq!(verifier(account("", None)).answer(b"", b""), ACCEPT);
}

#[test]
fn foreign_plugins_are_switched_once_to_the_fallback() {
    for name in ["mysql_clear_password", "parsec", "sha256_password", "?"] {
        let mut v = verifier(account("pw", None));
        let before = v.nonce();
        let Verdict::Switch { plugin, nonce } = v.answer(name.as_bytes(), b"pw\0") else {
            panic!("{name} was not switched");
        };
        assert_eq!((plugin, nonce), (Sha2, v.nonce()));
        assert_ne!(nonce, before);
        assert_eq!(v.answer_switch(&scramble(Sha2, b"pw", &nonce)), ACCEPT_FAST);
        assert_eq!(v.answer_switch(&scramble(Sha2, b"pw", &nonce)), Verdict::Refuse);
    }
}

#[test]
fn nothing_sensible_is_switched_to_the_plugin_named() {
    for (plugin, response) in
        [(Native, b"".as_slice()), (Sha2, b""), (Sha2, b"\0"), (Sha2, &[7; 20])]
    {
        for account in [Some(account("pw", None)), None] {
            let mut v = verifier(account);
            let verdict = v.answer(plugin.name().as_bytes(), response);
            assert_eq!(verdict, Verdict::Switch { plugin, nonce: v.nonce() });
            assert_eq!(v.answer_switch(b""), Verdict::Refuse);
        }
    }
}

#[test]
fn a_signature_is_asked_of_who_names_it_or_is_known_by_a_key() {
    let key = ed25519::public_key(b"pw").unwrap();
    let (clear, hash) = (account("pw", Some("old")), hashed(PasswordHash::Ed25519(key)));
    for (known, named) in
        [(&clear, ed25519::NAME), (&hash, ed25519::NAME), (&hash, Native.name()), (&hash, "?")]
    {
        for (password, let_in) in
            [("pw", true), ("old", true), ("px", false), ("", false), ("target", false)]
        {
            let mut v = verifier(Arc::clone(known));
            let asked = v.answer(named.as_bytes(), &[7; 20]);
            let Verdict::AskSignature { challenge } = asked else { panic!("{asked:?}") };
            let question = asked.question().unwrap();
            assert_eq!((&*question.plugin, question.nonce), (ed25519::NAME, challenge.to_vec()));
            let signature = ed25519::sign(password.as_bytes(), &challenge).unwrap();
            let verdict = if let_in { ACCEPT } else { Verdict::Refuse };
            assert_eq!(v.answer_switch(&signature), verdict, "{named} {password:?}");
            assert_eq!(v.answer_switch(&signature), Verdict::Refuse);
        }
    }
    // Whom nobody knows is asked too, and a previous password that is empty is none.
    let mut v = verifier(None);
    let Verdict::AskSignature { challenge } = v.answer(ed25519::NAME.as_bytes(), b"") else {
        panic!()
    };
    let dummy = v.dummy;
    assert_eq!(v.answer_switch(&ed25519::sign(&dummy, &challenge).unwrap()), Verdict::Refuse);
    let mut v = verifier(account("pw", Some("")));
    let Verdict::AskSignature { challenge } = v.answer(ed25519::NAME.as_bytes(), b"") else {
        panic!()
    };
    assert_eq!(v.answer_switch(&ed25519::sign(b"", &challenge).unwrap()), Verdict::Refuse);
    // Who is known by the hash of another plugin cannot sign.
    let sha256 = hashed(PasswordHash::Sha256([7; 32]));
    let asked = verifier(sha256).answer(ed25519::NAME.as_bytes(), b"");
    assert!(matches!(asked, Verdict::Switch { plugin: Sha2, .. }));
}

#[test]
fn an_answer_to_the_old_nonce_is_refused_after_a_switch() {
    let mut v = verifier(account("pw", None));
    let old = scrambled(&v, Sha2, "pw");
    assert!(matches!(v.answer(b"parsec", b""), Verdict::Switch { .. }));
    assert_eq!(v.answer_switch(&old), Verdict::Refuse);
}

fn hashed(hash: PasswordHash) -> Arc<Account> {
    let (hash, previous) = (ClientSecret::Hash(hash), Some(Password::new("old")));
    Arc::new(Account::new("app".into(), hash, previous, None, Some(Password::new("target"))))
}

#[test]
fn a_hash_serves_as_well_as_the_password() {
    let native: [u8; 20] = Sha1::digest(Sha1::digest(b"pw")).into();
    let sha256: [u8; 32] = Sha256::digest(Sha256::digest(b"pw")).into();
    for (plugin, hash, accept) in [
        (Native, PasswordHash::Native(native), ACCEPT),
        (Sha2, PasswordHash::Sha256(sha256), ACCEPT_FAST),
    ] {
        for (password, verdict) in
            [("pw", accept), ("old", accept), ("target", Verdict::Refuse), ("", Verdict::Refuse)]
        {
            let mut v = verifier(hashed(hash.clone()));
            let other = if plugin == Native { Sha2 } else { Native };
            let first = scrambled(&v, other, password);
            let verdict_of = v.answer(other.name().as_bytes(), &first);
            let Verdict::Switch { plugin: asked, .. } = verdict_of else {
                panic!("{verdict_of:?}")
            };
            assert_eq!(asked, plugin);
            let answer = scrambled(&v, plugin, password);
            assert_eq!(v.answer_switch(&answer), verdict, "{plugin:?} {password}");
        }
    }
    // The hash itself is no password, nor is it an answer.
    let mut v = verifier(hashed(PasswordHash::Native(native)));
    assert_eq!(v.answer(Native.name().as_bytes(), &native), Verdict::Refuse);
    let mut v = verifier(hashed(PasswordHash::Native(native)));
    assert_eq!(v.answer(b"", b"short"), Verdict::Refuse);
}

fn by_token(tokens: Option<Arc<Tokens>>, secure: bool) -> Verifier {
    let account = Account::new("app".into(), Password::new("target"), None, None, None);
    let account = Account { password: ClientSecret::Token("app".into()), ..account };
    let now = Duration::from_secs(1_900_000_000);
    verifier(Arc::new(account)).over(Channel { secure, now, ..Channel::default() }, tokens)
}

fn tokens() -> (Arc<Tokens>, Vec<u8>) {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let rules = crate::config::TokenRules {
        keys: "keys".into(),
        issuer: "i".to_owned(),
        audience: "a".to_owned(),
        user_claim: "sub".to_owned(),
        leeway: Duration::ZERO,
    };
    let minting = super::super::Minting {
        subject: "app",
        claim: "sub",
        issuer: "i",
        audience: "a",
        key_id: None,
        now: Duration::from_secs(1_900_000_000),
        ttl: Duration::from_secs(1),
    };
    let token = super::super::mint(pair.serialize_pem().as_bytes(), &minting).unwrap();
    (Arc::new(Tokens::read(&pair.public_key_pem(), &rules).unwrap()), token.into_bytes())
}

#[test]
fn a_token_is_asked_for_once_and_where_nobody_listens() {
    let (tokens, token) = tokens();
    let shown = [token.as_slice(), &[0]].concat();
    let named = CLEAR_PASSWORD.as_bytes();
    for plugin in [Native.name(), Sha2.name(), "client_ed25519", "?"] {
        let mut v = by_token(Some(Arc::clone(&tokens)), true);
        let verdict = v.answer(plugin.as_bytes(), &[7; 20]);
        assert_eq!(verdict, Verdict::AskToken);
        let question = verdict.question().unwrap();
        assert_eq!((&*question.plugin, question.nonce), (CLEAR_PASSWORD, vec![]));
        assert_eq!(v.answer_switch(&shown), ACCEPT);
        assert_eq!(v.answer_switch(&shown), Verdict::Refuse);
    }
    assert_eq!(by_token(Some(Arc::clone(&tokens)), true).answer(named, &shown), ACCEPT);
    for (plugin, response) in [(Sha2.name().as_bytes(), [].as_slice()), (named, &shown)] {
        let mut v = by_token(Some(Arc::clone(&tokens)), false);
        assert_eq!(v.answer(plugin, response), Verdict::Insecure);
        assert_eq!(v.answer_switch(&shown), Verdict::Refuse);
    }
    // A client that cannot be asked.
    assert_eq!(by_token(Some(tokens), true).answer(b"", &shown), Verdict::Refuse);
}

#[test]
fn what_is_wrong_with_a_token_is_told_to_the_log() {
    let (tokens, token) = tokens();
    let named = CLEAR_PASSWORD.as_bytes();
    let mut v = by_token(Some(tokens), true);
    assert_eq!(v.answer(named, b"target\0"), Verdict::Refuse);
    assert_eq!(v.why(), Some(TokenError::Malformed.into()));
    let mut v = by_token(None, true);
    assert_eq!(v.answer(named, &token), Verdict::Refuse);
    assert_eq!(v.why(), Some(TokenError::NoKeys.into()));
    // Nor does the password of the target let anybody in.
    let mut v = by_token(None, true);
    let response = scrambled(&v, Sha2, "target");
    assert_eq!(v.answer(Sha2.name().as_bytes(), &response), Verdict::AskToken);
    assert_eq!(v.answer_switch(&response), Verdict::Refuse);
}

#[test]
fn a_certificate_is_asked_for_beside_the_password() {
    let key = rcgen::KeyPair::generate().unwrap();
    let shown = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let shown = Some(shown.der().to_vec());
    let asks = Account { certificate: Some(CertificateRule::default()), ..account_of("pw") };
    for (account, certificate_required, certificate, let_in) in [
        (asks.clone(), false, shown.clone(), true),
        (asks.clone(), false, None, false),
        (asks, true, None, false),
        (account_of("pw"), true, shown.clone(), true),
        (account_of("pw"), true, None, false),
        (account_of("pw"), false, None, true),
    ] {
        let now = Duration::from_secs(1_900_000_000);
        let channel = Channel { secure: true, certificate, certificate_required, now };
        let mut v = verifier(Arc::new(account)).over(channel, None);
        let response = scrambled(&v, Sha2, "pw");
        let verdict = v.answer(Sha2.name().as_bytes(), &response);
        assert_eq!(verdict == ACCEPT_FAST, let_in);
        let absent = Some(Refusal::from(CertificateError::Absent)).filter(|_| !let_in);
        assert_eq!(v.why(), absent);
    }
    // It takes the place of nothing.
    let channel = Channel { certificate: shown, certificate_required: true, ..Channel::default() };
    let mut v = verifier(account("pw", None)).over(channel, None);
    let response = scrambled(&v, Sha2, "other");
    assert_eq!(v.answer(Sha2.name().as_bytes(), &response), Verdict::Refuse);
}

fn account_of(password: &str) -> Account {
    Account::new("app".into(), Password::new(password), None, None, None)
}

#[test]
fn the_clear_password_is_refused() {
    for plugin in [Native, Sha2] {
        let mut v = verifier(account("s3cret", None));
        assert_eq!(v.answer(plugin.name().as_bytes(), b"s3cret\0"), Verdict::Refuse);
        let mut v = verifier(account("s3cret", None));
        assert!(matches!(v.answer(b"?", b""), Verdict::Switch { .. }));
        assert_eq!(v.answer_switch(b"s3cret\0"), Verdict::Refuse);
    }
}

#[test]
fn an_empty_password_accepts_only_nothing() {
    for (plugin, response, accepted) in [
        (Native, b"".as_slice(), true),
        (Sha2, b"", true),
        (Sha2, b"\0", true),
        (Native, &[1; 20], false),
        (Sha2, &[1; 32], false),
    ] {
        let mut v = verifier(account("", Some("old")));
        let verdict = v.answer(plugin.name().as_bytes(), response);
        assert_eq!(verdict, if accepted { ACCEPT } else { Verdict::Refuse });
    }
}

#[test]
fn an_unknown_user_is_refused_even_with_the_dummy() {
    let mut v = verifier(None);
    let response = scramble(Sha2, &v.dummy.clone(), &v.nonce());
    assert_eq!(v.answer(Sha2.name().as_bytes(), &response), Verdict::Refuse);
}

proptest! {
    #[test]
    fn random_bytes_are_never_accepted(
        known in any::<bool>(),
        name in prop_oneof![
            Just(Native.name().as_bytes().to_vec()),
            Just(Sha2.name().as_bytes().to_vec()),
            proptest::collection::vec(any::<u8>(), 0..24),
        ],
        first in proptest::collection::vec(any::<u8>(), 0..40),
        second in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut v = verifier(known.then(|| account("pw", Some(""))));
        let accepted = |v| matches!(v, Verdict::Accept { .. });
        prop_assert!(!accepted(v.answer(&name, &first)));
        prop_assert!(!accepted(v.answer_switch(&second)));
        prop_assert!(!accepted(v.answer_switch(&second)));
    }
}
