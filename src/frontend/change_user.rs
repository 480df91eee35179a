//! COM_CHANGE_USER: a new login on the same wire, answered without a server.

use std::time::Instant;

use bytes::BytesMut;
use zeroize::Zeroize;

use super::greet::{
    fit_for_clients, hold_back, host, identity, ledger_login, log_refusal, verifier,
};
use super::inbound::Incoming;
use super::refuse::Word;
use super::serve::Session;
use super::{End, gate};
use crate::auth::{Nonce, Verdict, Verifier};
use crate::metrics::LoginOutcome;
use crate::net::LOGIN_PACKET;
use crate::wire::{AuthMore, ChangeUser, HEADER_LEN, Meaning};

/// Names no plugin: the verifier then asks for its own, with a challenge of its own. The nonce
/// of the greeting is not used twice.
const NO_PLUGIN: &[u8] = b"?";

impl Session {
    /// A refused client is told so and closed, as the server does it.
    pub(super) async fn change_user(&mut self, incoming: Incoming) -> Result<(), End> {
        let payload = self.inbound.front(incoming).get(HEADER_LEN..).unwrap_or_default().to_vec();
        self.inbound.consume(incoming.here);
        if !incoming.whole {
            return self.refuse_and_end(&Word::packet_too_large(), 1, End::Malformed).await;
        }
        let Ok(request) = ChangeUser::parse(&payload, self.capabilities) else {
            return self.refuse_and_end(&Word::bad_handshake(), 1, End::Malformed).await;
        };
        if let Err(word) = fit_for_clients(&self.shared, request.collation) {
            return self.refuse_and_end(&word, 1, End::LoginRefused).await;
        }
        let peer = self.presence.peer.clone();
        if self.shared.throttle.is_blocked(&peer, &request.user, Instant::now()) {
            return self.blocked(&request.user, 1).await;
        }
        let account = gate::account(&self.shared, &request.user, &peer);
        let (shared, nonce) = (&self.shared, Nonce::random());
        let mut verifier = verifier(shared, nonce, account.clone(), (&self.stream, &peer));
        let (verdict, mut seq) = self.judge(&mut verifier, &request).await?;
        // Others may have guessed meanwhile: what was right is not told either.
        if self.shared.throttle.is_blocked(&peer, &request.user, Instant::now()) {
            return self.blocked(&request.user, seq).await;
        }
        if verdict == Verdict::Insecure {
            self.shared.metrics.client.logins.of(LoginOutcome::TlsRequired).inc();
            hold_back(&self.shared, &peer, &request.user).await;
            let word = Word::token_needs_tls(&request.user);
            return self.refuse_and_end(&word, seq, End::TlsRequired).await;
        }
        let (Verdict::Accept { fast_auth_ok }, Some(account)) = (verdict, account) else {
            log_refusal(self.presence.id, &peer, &request.user, &verifier);
            self.shared.metrics.client.logins.of(LoginOutcome::Denied).inc();
            hold_back(&self.shared, &self.presence.peer, &request.user).await;
            let word = Word::bad_login(&request.user, "%", !request.auth_response.is_empty());
            return self.refuse_and_end(&word, seq, End::LoginRefused).await;
        };
        self.release_reset().await;
        let most = self.shared.limits.of_user(&account);
        if !self.presence.log_in(&account, most) {
            return self.one_too_many(&Word::user_limit(&account.username, most), seq).await;
        }
        self.shared.metrics.client.logins.of(LoginOutcome::Accepted).inc();
        let meaning = Meaning::of(self.capabilities, self.identity.meaning.extended);
        (self.identity, self.secrets) = (identity(&self.shared, &account, meaning), 0);
        self.presence.set_attributes(&request.attributes);
        self.account = account;
        let schema = request.schema.as_deref().filter(|schema| !schema.is_empty());
        let means = (self.capabilities, self.access);
        let login = ledger_login(&self.shared, schema, request.collation, means);
        self.ledger.log_in(login);
        let mut out = BytesMut::with_capacity(32);
        if fast_auth_ok {
            seq = AuthMore { data: &[3] }.put(&mut out, seq);
        }
        self.put_login_ok(&mut out, seq);
        self.stream.send(&out).await.map_err(|_| End::HungUp)
    }

    /// The verdict, and the sequence id of what is said next.
    async fn judge(
        &mut self,
        verifier: &mut Verifier,
        request: &ChangeUser,
    ) -> Result<(Verdict, u8), End> {
        let verdict = verifier.answer(NO_PLUGIN, &request.auth_response);
        let Some(question) = verdict.question() else { return Ok((verdict, 1)) };
        let mut out = BytesMut::with_capacity(64);
        question.put(&mut out, 1);
        self.stream.send(&out).await.map_err(|_| End::HungUp)?;
        let answer = self.inbound.packet(&mut self.stream, LOGIN_PACKET).await;
        let (answered, mut payload) = answer.map_err(|_| End::HungUp)?;
        let verdict = verifier.answer_switch(&payload);
        payload.zeroize();
        Ok((verdict, answered.wrapping_add(1)))
    }

    async fn blocked(&mut self, user: &str, seq: u8) -> Result<(), End> {
        self.shared.metrics.client.logins.of(LoginOutcome::Blocked).inc();
        let word = Word::blocked(user, host(&self.presence.peer));
        self.refuse_and_end(&word, seq, End::Blocked).await
    }

    async fn one_too_many(&mut self, word: &Word, seq: u8) -> Result<(), End> {
        self.shared.metrics.client.logins.of(LoginOutcome::UserLimit).inc();
        self.refuse_and_end(word, seq, End::UserLimit).await
    }

    async fn refuse_and_end(&mut self, word: &Word, seq: u8, end: End) -> Result<(), End> {
        self.shared.count_refusal(word);
        let mut out = BytesMut::with_capacity(128);
        word.put(&mut out, seq);
        let _ = self.stream.send(&out).await;
        Err(end)
    }
}
