//! The server side of a login: is this client who it says it is?
//!
//! The vault holds the password itself, so the fast answer of `caching_sha2_password` always
//! serves: never a request for full authentication, no RSA, no clear password on the wire.
//! An unknown user costs the same time and gets the same verdicts as a wrong password.
//! A token is another matter: it is sent as it is, so it is asked for only where nobody listens.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::certificate::{self, CertificateError};
use super::{CLEAR_PASSWORD, Nonce, Plugin, TokenError, Tokens, ed25519, scramble};
use crate::secrets::{Account, CertificateRule, ClientSecret, Password, PasswordHash};
use crate::wire::AuthSwitch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send [`Verdict::question`], then call [`Verifier::answer_switch`].
    Switch {
        plugin: Plugin,
        nonce: Nonce,
    },
    /// The same, for a signature of MariaDB's `client_ed25519`.
    AskSignature {
        challenge: [u8; 32],
    },
    /// The same, for a token.
    AskToken,
    /// A token could be overheard: nothing is asked.
    Insecure,
    /// With `fast_auth_ok`, `caching_sha2_password` wants the packet `01 03` before the OK.
    Accept {
        fast_auth_ok: bool,
    },
    Refuse,
}

impl Verdict {
    /// What the client is to be asked, where it is.
    pub fn question(&self) -> Option<AuthSwitch> {
        match self {
            Self::Switch { plugin, nonce } => Some(AuthSwitch {
                plugin: plugin.name().to_owned(),
                nonce: nonce.as_bytes().to_vec(),
            }),
            Self::AskSignature { challenge } => {
                Some(AuthSwitch { plugin: ed25519::NAME.to_owned(), nonce: challenge.to_vec() })
            }
            Self::AskToken => {
                Some(AuthSwitch { plugin: CLEAR_PASSWORD.to_owned(), nonce: Vec::new() })
            }
            Self::Insecure | Self::Accept { .. } | Self::Refuse => None,
        }
    }
}

/// Over what a client comes, and when.
#[derive(Debug, Clone, Default)]
pub struct Channel {
    /// Nobody can listen: TLS, or a unix socket.
    pub secure: bool,
    /// What TLS was shown and has verified, in DER.
    pub certificate: Option<Vec<u8>>,
    /// Whatever the account says of it.
    pub certificate_required: bool,
    /// Since 1970.
    pub now: Duration,
}

/// For the log: the client is told nothing but that it is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

pub struct Verifier {
    nonce: Nonce,
    account: Option<Arc<Account>>,
    fallback: Plugin,
    /// Stands in for the password of a user nobody knows.
    dummy: [u8; 16],
    channel: Channel,
    tokens: Option<Arc<Tokens>>,
    why: Option<Refusal>,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    First,
    Switched(Plugin),
    Signature([u8; 32]),
    Asked,
    Done,
}

impl Verifier {
    /// `nonce` is what the client was challenged with; `account` is `None` for an unknown user;
    /// `fallback` is what a client that speaks neither plugin is asked for.
    pub fn new(nonce: Nonce, account: Option<Arc<Account>>, fallback: Plugin) -> Self {
        let mut dummy = [1; 16];
        // Without randomness the constant serves too: an unknown user is refused by `account`.
        let _ = rand::fill(&mut dummy);
        Self {
            nonce,
            account,
            fallback,
            dummy,
            channel: Channel::default(),
            tokens: None,
            why: None,
            stage: Stage::First,
        }
    }

    /// Without this nobody is let in who is to show a token or a certificate.
    #[must_use]
    pub fn over(self, channel: Channel, tokens: Option<Arc<Tokens>>) -> Self {
        Self { channel, tokens, ..self }
    }

    /// Judges the login packet (or a COM_CHANGE_USER). `plugin` is empty when the client lacks
    /// CLIENT_PLUGIN_AUTH; such a client knows the native scramble only and cannot be switched.
    pub fn answer(&mut self, plugin: &[u8], response: &[u8]) -> Verdict {
        let Stage::First = self.stage else { return self.refuse() };
        if self.token_subject().is_some() {
            return self.answer_with_token(plugin, response);
        }
        if plugin.is_empty() {
            return self.judge(Plugin::NativePassword, response);
        }
        if self.is_known_by_a_key() || plugin == ed25519::NAME.as_bytes() && !self.has_a_hash() {
            let challenge = ed25519::challenge();
            self.stage = Stage::Signature(challenge);
            return Verdict::AskSignature { challenge };
        }
        let Some(plugin) = Plugin::from_name(plugin) else {
            return self.switch(self.only_plugin().unwrap_or(self.fallback));
        };
        if let Some(only) = self.only_plugin().filter(|only| *only != plugin) {
            return self.switch(only);
        }
        if response.len() == plugin.scramble_len() {
            return self.judge(plugin, response);
        }
        if plugin.is_empty_response(response) {
            if self.password_is_empty() {
                return self.judge(plugin, response);
            }
            // libmysqlclient answers with nothing when its own plugin is not the greeting's: it
            // has not seen a challenge meant for it. It speaks the plugin it named, so that one
            // is asked for rather than the fallback.
            return self.switch(plugin);
        }
        if response.last() == Some(&0) {
            // A clear password: the pure Python connector sends one when it gives up on TLS.
            return self.refuse();
        }
        self.switch(plugin)
    }

    /// Judges the answer to the switch; there is no third try.
    pub fn answer_switch(&mut self, payload: &[u8]) -> Verdict {
        match self.stage {
            Stage::Switched(plugin) => self.judge(plugin, payload),
            Stage::Signature(challenge) => self.judge_signature(&challenge, payload),
            Stage::Asked => self.judge_token(payload),
            Stage::First | Stage::Done => self.refuse(),
        }
    }

    /// What was wrong, where it was not a password.
    pub fn why(&self) -> Option<Refusal> {
        self.why
    }

    /// The nonce sent last. Clients keep it and answer a later COM_CHANGE_USER with it.
    pub fn nonce(&self) -> Nonce {
        self.nonce
    }

    fn answer_with_token(&mut self, plugin: &[u8], response: &[u8]) -> Verdict {
        if !self.channel.secure {
            self.stage = Stage::Done;
            return Verdict::Insecure;
        }
        if plugin.is_empty() {
            return self.refuse();
        }
        if plugin == CLEAR_PASSWORD.as_bytes() && !response.is_empty() {
            return self.judge_token(response);
        }
        self.stage = Stage::Asked;
        Verdict::AskToken
    }

    fn judge_token(&mut self, response: &[u8]) -> Verdict {
        self.stage = Stage::Done;
        let token = response.strip_suffix(&[0]).unwrap_or(response);
        let judged = match (&self.tokens, self.token_subject()) {
            (Some(tokens), Some(subject)) => tokens.verify(token, subject, self.channel.now),
            _ => Err(TokenError::NoKeys),
        };
        match judged {
            Ok(()) => self.accept(false),
            Err(why) => {
                self.why = Some(why.into());
                Verdict::Refuse
            }
        }
    }

    /// Whoever knows the password, or shows the token, may have to show a certificate too.
    fn accept(&mut self, fast_auth_ok: bool) -> Verdict {
        let asked = self.account.as_ref().and_then(|account| account.certificate.as_ref());
        let any = self.channel.certificate_required.then(CertificateRule::default);
        let Some(rule) = asked.or(any.as_ref()) else { return Verdict::Accept { fast_auth_ok } };
        let shown = self.channel.certificate.as_deref();
        match certificate::judge(shown, rule, self.channel.now) {
            Ok(()) => Verdict::Accept { fast_auth_ok },
            Err(why) => {
                self.why = Some(why.into());
                Verdict::Refuse
            }
        }
    }

    fn token_subject(&self) -> Option<&str> {
        match &self.account.as_ref()?.password {
            ClientSecret::Token(subject) => Some(subject),
            ClientSecret::Clear(_) | ClientSecret::Hash(_) => None,
        }
    }

    fn judge(&mut self, plugin: Plugin, response: &[u8]) -> Verdict {
        self.stage = Stage::Done;
        if self.password_is_empty() {
            return if plugin.is_empty_response(response) {
                self.accept(false)
            } else {
                self.refuse()
            };
        }
        // Two scrambles whatever there is to compare with, so that neither an unknown user nor
        // the absence of a previous password shows in the time this takes.
        let matches = match self.account.as_deref().map(|it| (&it.password, &it.previous_password))
        {
            Some((ClientSecret::Clear(password), previous)) => {
                let current = password.as_bytes();
                let previous = previous.as_ref().map_or(current, Password::as_bytes);
                self.matches(plugin, current, response) | self.matches(plugin, previous, response)
            }
            Some((ClientSecret::Hash(hash), previous)) => {
                let previous = previous.as_ref().map_or(self.dummy.as_slice(), Password::as_bytes);
                self.matches_hash(plugin, hash, response) | self.matches(plugin, previous, response)
            }
            Some((ClientSecret::Token(_), _)) | None => {
                self.matches(plugin, &self.dummy, response)
                    | self.matches(plugin, &self.dummy, response)
            }
        };
        let known = self.account.is_some() && self.token_subject().is_none();
        if bool::from(matches) && known {
            self.accept(plugin == Plugin::CachingSha2Password)
        } else {
            self.refuse()
        }
    }

    /// As [`Self::judge`], two verifications whatever there is to verify against.
    fn judge_signature(&mut self, challenge: &[u8; 32], signature: &[u8]) -> Verdict {
        self.stage = Stage::Done;
        let verifies = |key: Option<[u8; 32]>| {
            key.is_some_and(|key| ed25519::verify(&key, challenge, signature))
        };
        let of = ed25519::public_key;
        let account = self.account.as_deref();
        let current = match account.map(|account| &account.password) {
            Some(ClientSecret::Clear(password)) => verifies(of(password.as_bytes())),
            Some(ClientSecret::Hash(PasswordHash::Ed25519(key))) => verifies(Some(*key)),
            _ => {
                verifies(of(&self.dummy));
                false
            }
        };
        // One that is empty is none, and beside one that is empty there is none.
        let previous = account.filter(|account| !account.password.is_empty());
        let previous = previous.and_then(|account| account.previous_password.as_ref());
        let previous = previous.map(Password::as_bytes).filter(|password| !password.is_empty());
        let by_previous = verifies(of(previous.unwrap_or(&self.dummy))) && previous.is_some();
        if current || by_previous { self.accept(false) } else { self.refuse() }
    }

    fn matches(&self, plugin: Plugin, password: &[u8], response: &[u8]) -> Choice {
        let expected = scramble(plugin, password, &self.nonce);
        // An empty previous password would make "nothing" a valid answer.
        expected.ct_eq(response) & Choice::from(u8::from(!expected.is_empty()))
    }

    /// What a client has sent is the hash of its password under a mask that only the hash of the hash
    /// and the nonce make. <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_authentication_methods_native_password_authentication.html>
    fn matches_hash(&self, plugin: Plugin, hash: &PasswordHash, response: &[u8]) -> Choice {
        let nonce = self.nonce.as_bytes();
        match (plugin, hash) {
            (Plugin::NativePassword, PasswordHash::Native(stored)) => {
                let mask = Sha1::new().chain_update(nonce).chain_update(stored).finalize();
                let sent = unmask(response, &mask);
                Sha1::digest(&*sent).ct_eq(stored) & same_length(response, &mask)
            }
            (Plugin::CachingSha2Password, PasswordHash::Sha256(stored)) => {
                let mask = Sha256::new().chain_update(stored).chain_update(nonce).finalize();
                let sent = unmask(response, &mask);
                Sha256::digest(&*sent).ct_eq(stored) & same_length(response, &mask)
            }
            _ => Choice::from(0),
        }
    }

    fn is_known_by_a_key(&self) -> bool {
        let password = self.account.as_ref().map(|account| &account.password);
        matches!(password, Some(ClientSecret::Hash(PasswordHash::Ed25519(_))))
    }

    fn has_a_hash(&self) -> bool {
        let password = self.account.as_ref().map(|account| &account.password);
        matches!(password, Some(ClientSecret::Hash(_)))
    }

    /// A hash serves one plugin.
    fn only_plugin(&self) -> Option<Plugin> {
        match &self.account.as_ref()?.password {
            ClientSecret::Hash(PasswordHash::Native(_)) => Some(Plugin::NativePassword),
            ClientSecret::Hash(PasswordHash::Sha256(_)) => Some(Plugin::CachingSha2Password),
            ClientSecret::Hash(PasswordHash::Ed25519(_))
            | ClientSecret::Clear(_)
            | ClientSecret::Token(_) => None,
        }
    }

    fn password_is_empty(&self) -> bool {
        self.account.as_ref().is_some_and(|account| account.password.is_empty())
    }

    fn switch(&mut self, plugin: Plugin) -> Verdict {
        self.nonce = Nonce::random();
        self.stage = Stage::Switched(plugin);
        Verdict::Switch { plugin, nonce: self.nonce }
    }

    fn refuse(&mut self) -> Verdict {
        self.stage = Stage::Done;
        Verdict::Refuse
    }
}

fn unmask(response: &[u8], mask: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(response.iter().zip(mask).map(|(sent, mask)| sent ^ mask).collect())
}

fn same_length(one: &[u8], other: &[u8]) -> Choice {
    Choice::from(u8::from(one.len() == other.len()))
}

#[cfg(test)]
mod tests {
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
            for (password, verdict) in
                [("new", accept), ("old", accept), ("other", Verdict::Refuse)]
            {
                let mut v = verifier(account("new", Some("old")));
                let response = scrambled(&v, plugin, password);
                assert_eq!(v.answer(plugin.name().as_bytes(), &response), verdict);
                assert_eq!(v.answer(plugin.name().as_bytes(), &response), Verdict::Refuse);
            }
        }
    }

    #[test]
    fn a_client_without_plugin_auth_is_native_and_never_switched() {
        for (response_to, verdict) in
            [("pw", ACCEPT), ("no", Verdict::Refuse), ("", Verdict::Refuse)]
        {
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
                assert_eq!(
                    (&*question.plugin, question.nonce),
                    (ed25519::NAME, challenge.to_vec())
                );
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
            for (password, verdict) in [
                ("pw", accept),
                ("old", accept),
                ("target", Verdict::Refuse),
                ("", Verdict::Refuse),
            ] {
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
        let channel =
            Channel { certificate: shown, certificate_required: true, ..Channel::default() };
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
}
