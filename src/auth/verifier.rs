//! The server side of a login: is this client who it says it is?
//!
//! The vault holds the password itself, so the fast answer of `caching_sha2_password` always
//! serves: never a request for full authentication, no RSA, no clear password on the wire.
//! An unknown user costs the same time and gets the same verdicts as a wrong password. Who has a token,
//! or a hash in place of the password, may be told from one by what they are asked.
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
mod tests;
