//! The server side of a login: is this client who it says it is?
//!
//! The vault holds the password itself, so the fast answer of `caching_sha2_password` always
//! serves: never a request for full authentication, no RSA, no clear password on the wire.
//! An unknown user costs the same time and gets the same verdicts as a wrong password.

use std::sync::Arc;

use aws_lc_rs::rand;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::{Nonce, Plugin, scramble};
use crate::secrets::{Account, ClientSecret, Password, PasswordHash};
use crate::wire::AuthSwitch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send [`Verdict::question`], then call [`Verifier::answer_switch`].
    Switch {
        plugin: Plugin,
        nonce: Nonce,
    },
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
            Self::Accept { .. } | Self::Refuse => None,
        }
    }
}

pub struct Verifier {
    nonce: Nonce,
    account: Option<Arc<Account>>,
    fallback: Plugin,
    /// Stands in for the password of a user nobody knows.
    dummy: [u8; 16],
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    First,
    Switched(Plugin),
    Done,
}

impl Verifier {
    /// `nonce` is what the client was challenged with; `account` is `None` for an unknown user;
    /// `fallback` is what a client that speaks neither plugin is asked for.
    pub fn new(nonce: Nonce, account: Option<Arc<Account>>, fallback: Plugin) -> Self {
        let mut dummy = [1; 16];
        // Without randomness the constant serves too: an unknown user is refused by `account`.
        let _ = rand::fill(&mut dummy);
        Self { nonce, account, fallback, dummy, stage: Stage::First }
    }

    /// Judges the login packet (or a COM_CHANGE_USER). `plugin` is empty when the client lacks
    /// CLIENT_PLUGIN_AUTH; such a client knows the native scramble only and cannot be switched.
    pub fn answer(&mut self, plugin: &[u8], response: &[u8]) -> Verdict {
        let Stage::First = self.stage else { return self.refuse() };
        if plugin.is_empty() {
            return self.judge(Plugin::NativePassword, response);
        }
        let Some(plugin) = Plugin::from_name(plugin) else {
            return self.switch(self.fallback);
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
            _ => self.refuse(),
        }
    }

    /// The nonce sent last. Clients keep it and answer a later COM_CHANGE_USER with it.
    pub fn nonce(&self) -> Nonce {
        self.nonce
    }

    fn judge(&mut self, plugin: Plugin, response: &[u8]) -> Verdict {
        self.stage = Stage::Done;
        if self.password_is_empty() {
            return if plugin.is_empty_response(response) {
                Verdict::Accept { fast_auth_ok: false }
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
            None => {
                self.matches(plugin, &self.dummy, response)
                    | self.matches(plugin, &self.dummy, response)
            }
        };
        if bool::from(matches) && self.account.is_some() {
            Verdict::Accept { fast_auth_ok: plugin == Plugin::CachingSha2Password }
        } else {
            self.refuse()
        }
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

    /// A hash serves one plugin.
    fn only_plugin(&self) -> Option<Plugin> {
        match &self.account.as_ref()?.password {
            ClientSecret::Clear(_) => None,
            ClientSecret::Hash(PasswordHash::Native(_)) => Some(Plugin::NativePassword),
            ClientSecret::Hash(PasswordHash::Sha256(_)) => Some(Plugin::CachingSha2Password),
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
        for name in ["mysql_clear_password", "client_ed25519", "sha256_password", "?"] {
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
    fn an_answer_to_the_old_nonce_is_refused_after_a_switch() {
        let mut v = verifier(account("pw", None));
        let old = scrambled(&v, Sha2, "pw");
        assert!(matches!(v.answer(b"client_ed25519", b""), Verdict::Switch { .. }));
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
