//! One request to a server and its reply back, as the ledger planned it.
//!
//! Owns the order of things: borrow, bring to the session's state, send, relay, decide, give back
//! before the last write, so that a slow reader holds nothing.

use std::sync::Arc;

use bytes::BytesMut;

use super::End;
use super::heal::may_be_sent_again;
use super::inbound::Incoming;
use super::prepare::Rewritten;
use super::refuse::{Lost, Word};
use super::relay::{Broken, Reply};
use super::restore::Prefix;
use super::serve::{Session, in_time};
use crate::backend::identity;
use crate::metrics::{Direction, Side};
use crate::pool::{Borrowed, CloseReason, Want};
use crate::registry::{Attached, Doom, Stop};
use crate::session::{Disposition, Forward, Question, SessionState};
use crate::wire::{Change, Command, Completion, Expect, HEADER_LEN, MAX_PAYLOAD, Outcome};

/// What stands between a request and its reply.
pub(super) enum Trouble {
    /// The client is told; the connection is as good as before.
    Word(Word),
    /// Like `Word`, but the connection's state is unknown now.
    Doubtful(Word),
    Server,
}

/// A request that is on its way.
pub(super) struct Sent {
    /// The number of the reply's first packet, as the client waits for it.
    pub seq: u8,
    /// As the server will give it.
    pub server_seq: u8,
    /// The server took all of it.
    pub took_it: bool,
}

/// After these the server closes the connection: shutdown, killed, disconnected.
const LAST_WORDS: [u16; 4] = [1053, 1927, 3169, 4031];

impl Session {
    pub(super) async fn exchange(
        &mut self,
        forward: Forward,
        incoming: Incoming,
    ) -> Result<(), End> {
        self.start_watch(&forward, incoming);
        let held = self.borrowed.is_some();
        let mut borrowed = match self.borrowed.take() {
            Some(mut borrowed) => {
                // Closed, or with something to say that nobody asked for and that must not pass
                // for the answer to this request.
                if !borrowed.stream.looks_idle() {
                    let gone = self.not_sent(borrowed, Trouble::Server, &forward, incoming, held);
                    return Box::pin(gone).await;
                }
                borrowed
            }
            None => match self.borrow().await {
                Ok(borrowed) => borrowed,
                Err(None) => return Err(End::HungUp),
                Err(Some(word)) => {
                    return Box::pin(self.decline(&word, &forward, incoming)).await;
                }
            },
        };
        let ready = self.make_ready(&mut borrowed, &forward, incoming, held).await;
        let (prefix, rewritten) = match ready {
            Ok(ready) => ready,
            Err(trouble) => {
                return Box::pin(self.not_sent(borrowed, trouble, &forward, incoming, held)).await;
            }
        };
        borrowed.busy = true;
        let again = may_be_sent_again(&forward, incoming, self.shared.cluster.may_move());
        let sent = self.send(&mut borrowed, &prefix, rewritten, incoming, again);
        let sent = sent.await?;
        self.note_sent();
        let mut server_took_it = sent.took_it;
        if forward.expect == Expect::Nothing {
            self.ledger.on_completion(&Completion::default());
            borrowed.busy = false;
            borrowed.held = true;
            self.borrowed = Some(borrowed);
            return Ok(());
        }
        let buffer = self.inbound.lend().unwrap_or_else(|| self.shared.buffers.take());
        let mut reply = Reply::new(buffer, &sent);
        let mut relayed = self.relay(&mut borrowed, &mut reply, &prefix, &forward).await;
        if let Err(Broken::Curable(cure)) = relayed {
            let healed = self.heal(&mut borrowed, &mut reply, &forward, incoming, cure);
            (relayed, server_took_it) = Box::pin(healed).await;
        }
        self.note_answered();
        self.inbound.let_go();
        let outcome = match relayed {
            Ok(()) => self.settle(borrowed, &mut reply).await,
            Err(broken) => Box::pin(self.on_broken(borrowed, broken, &reply, server_took_it)).await,
        };
        let (received, edited) = reply.into_buffers();
        self.inbound.take_back(received, &self.shared.buffers);
        self.shared.buffers.give(edited);
        self.stop_watch();
        outcome
    }

    /// `Err(None)`: the client is gone.
    pub(super) async fn borrow(&mut self) -> Result<Borrowed, Option<Word>> {
        self.refresh_account();
        // It logged in while its user was taken out of the secrets.
        if self.presence.doomed() == Some(Doom::Revoked) && !self.ledger.in_transaction() {
            return Err(Some(Word::doomed(Doom::Revoked)));
        }
        let ready = self.shared.cluster.borrow_at_once(&self.want(), self.access);
        let mut borrowed = match ready {
            Some(borrowed) => borrowed,
            // Rare, and large: who works pays for the size of everything it might do.
            None => Box::pin(self.wait_for_one()).await?,
        };
        borrowed.on_behalf_of(&self.account);
        self.presence.attach(Attached { target: borrowed.pool().target(), id: borrowed.id });
        Ok(borrowed)
    }

    fn want(&self) -> Want<'_> {
        Want {
            identity: &self.identity,
            account: &self.account,
            state: self.ledger.state(),
            patience: self.shared.limits.borrow_timeout(),
        }
    }

    async fn wait_for_one(&mut self) -> Result<Borrowed, Option<Word>> {
        // Not by `want`: beside it the client is read from.
        let want = Want {
            identity: &self.identity,
            account: &self.account,
            state: self.ledger.state(),
            patience: self.shared.limits.borrow_timeout(),
        };
        self.presence.set_waiting(true);
        let (began, session) = (self.begin_wait(), self.presence.id);
        let borrowed = tokio::select! {
            biased;
            borrowed = self.shared.cluster.borrow(&want, self.access) => {
                borrowed.map_err(|error| Some(Word::borrow(&error).to(session)))
            }
            stop = self.presence.stop() => Err(Some(self.word_for(stop))),
            () = self.inbound.until_hung_up(&mut self.stream, &self.shared.buffers) => Err(None),
        };
        self.presence.set_waiting(false);
        self.note_waited(began);
        borrowed
    }

    /// What ended a wait for a connection.
    pub(super) fn word_for(&self, stop: Stop) -> Word {
        match stop {
            Stop::Doomed(doom) => Word::doomed(doom),
            Stop::Interrupted if self.presence.is_over_time() => Word::over_time(),
            Stop::Interrupted => Word::doomed(Doom::Killed),
        }
    }

    /// A rotation reaches sessions that are here already: they speak for the account as it is now.
    fn refresh_account(&mut self) {
        if self.shared.vault.number() == self.secrets {
            return;
        }
        let generation = self.shared.vault.current();
        self.secrets = generation.number;
        match generation.account(&self.account.username) {
            Some(account) => {
                self.account = Arc::clone(account);
                self.identity = identity(&generation, account, self.identity.meaning);
            }
            None => self.presence.doom(Doom::Revoked),
        }
    }

    /// No connection: the request is thrown away, the client told, the session lives.
    async fn decline(
        &mut self,
        word: &Word,
        forward: &Forward,
        incoming: Incoming,
    ) -> Result<(), End> {
        self.ledger.on_not_sent(forward);
        let seq = self.skip(incoming).await?;
        if forward.expect == Expect::Nothing {
            // Long data has no reply to carry the news, and its execute must not run without it.
            return Err(End::ServerLost);
        }
        Box::pin(self.learn_the_list()).await?;
        self.ledger.on_refused(&word.into());
        self.say(word, seq).await
    }

    /// Before the request was sent, something else went wrong.
    async fn not_sent(
        &mut self,
        borrowed: Borrowed,
        trouble: Trouble,
        forward: &Forward,
        incoming: Incoming,
        held: bool,
    ) -> Result<(), End> {
        let word = match trouble {
            Trouble::Word(word) if held => {
                self.borrowed = Some(borrowed);
                word
            }
            Trouble::Word(word) => {
                let state = Arc::clone(&borrowed.state);
                self.part_with(borrowed, Some(&state)).await;
                word
            }
            Trouble::Doubtful(word) if !held => {
                self.part_with(borrowed, None).await;
                word
            }
            Trouble::Doubtful(_) | Trouble::Server => {
                self.part_with(borrowed, None).await;
                return self.lost(held, Lost::NotStarted, forward, incoming).await;
            }
        };
        self.decline(&word, forward, incoming).await
    }

    async fn lost(
        &mut self,
        held: bool,
        how: Lost,
        forward: &Forward,
        incoming: Incoming,
    ) -> Result<(), End> {
        let how = if held && self.ledger.in_transaction() { Lost::Transaction } else { how };
        let word = Word::lost(how).to(self.presence.id);
        let pinned = self.ledger.would_lose();
        let declined = self.decline(&word, forward, incoming).await;
        self.ledger.on_lost();
        declined?;
        if pinned { Err(End::ServerLost) } else { Ok(()) }
    }

    /// Writes what must come first and the request; streams what is not in the buffer. What is to be
    /// sent `again` stays in the buffer.
    pub(super) async fn send(
        &mut self,
        borrowed: &mut Borrowed,
        prefix: &Prefix,
        rewritten: Option<Rewritten>,
        incoming: Incoming,
        again: bool,
    ) -> Result<Sent, End> {
        if !borrowed.format.query_attributes {
            self.inbound.blank_attributes();
        }
        if let Some(rewritten) = &rewritten
            && rewritten.must_be_recut(incoming)
        {
            return Box::pin(self.send_recut(borrowed, prefix, rewritten, incoming)).await;
        }
        let stream = &mut borrowed.stream;
        let front = self.inbound.front(incoming);
        let request = rewritten.as_ref().map_or(&*front, |rewritten| &rewritten.0[..]);
        let mut took_it = if prefix.is_empty() {
            stream.send(request).await.is_ok()
        } else {
            let mut out = BytesMut::with_capacity(prefix.bytes.len() + request.len());
            out.extend_from_slice(&prefix.bytes);
            out.extend_from_slice(request);
            stream.send(&out).await.is_ok()
        };
        if again {
            self.inbound.keep(incoming.here);
        } else {
            self.inbound.consume(incoming.here);
        }
        let mut left = HEADER_LEN + incoming.header.len - incoming.here;
        let mut header = incoming.header;
        loop {
            while left > 0 {
                let more = self.inbound.more(&mut self.stream, left);
                let more = in_time(&self.presence, more).await;
                let more = more.map_err(|_| End::HungUp)?;
                self.ledger.on_request_bytes(more);
                // A server that refuses the rest may still say why; the client listens only after
                // it has said all.
                took_it = took_it && stream.send(more).await.is_ok();
                let count = more.len();
                self.inbound.consume(count);
                self.shared.metrics.client.bytes.of(Direction::In).inc_by(count as u64);
                left -= count;
            }
            if header.len < MAX_PAYLOAD {
                let seq = header.seq.wrapping_add(1);
                return Ok(Sent { seq, server_seq: seq, took_it });
            }
            let next = self.inbound.header(&mut self.stream);
            let next = in_time(&self.presence, next).await.map_err(|_| End::HungUp)?;
            header = self.numbered(next, header.seq.wrapping_add(1));
            left = header.len;
            took_it = took_it && stream.send(&header.bytes()).await.is_ok();
        }
    }

    /// The reply is complete; its last bytes are still in the buffer.
    async fn settle(&mut self, mut borrowed: Borrowed, reply: &mut Reply) -> Result<(), End> {
        borrowed.busy = false;
        let completion = reply.take_completion();
        let dying = self.is_dying(&completion.outcome);
        if completion.changes.iter().any(|change| matches!(change, Change::Schema(_))) {
            borrowed.astray = false;
        }
        self.note_server_statement(&mut borrowed, &completion);
        borrowed.role_in_doubt |= self.ledger.may_change_role();
        borrowed.in_xa |= self.ledger.may_begin_xa();
        // Any other command leaves what was there before it.
        borrowed.list_left &= !self.ledger.begins_a_list();
        let mut disposition = self.ledger.on_completion(&completion);
        borrowed.list_left |= self.ledger.leaves_a_list();
        if disposition == Disposition::Ask && !dying {
            disposition = Box::pin(self.ask(&mut borrowed)).await;
        }
        borrowed.in_xa &= self.ledger.in_transaction();
        let mut lost = false;
        let released = self.ledger.is_released();
        if dying || released || borrowed.busy || reply.has_leftover() {
            tracing::debug!(
                session = self.presence.id,
                connection = borrowed.id,
                "closing a connection after its reply"
            );
            if dying {
                self.shared.cluster.suspect(borrowed.pool());
            }
            // The server's last words tell the client of its transaction; after any other reply it
            // would go on as if there still were one.
            let untold = !dying && self.ledger.in_transaction();
            lost = untold || self.ledger.would_lose();
            self.part_with(borrowed, None).await;
            self.ledger.on_lost();
        } else {
            self.keep_or_give_back(borrowed, disposition).await;
        }
        let bytes = reply.last_bytes();
        self.write(bytes).await?;
        if released {
            return Err(End::Quit);
        }
        if lost { Err(End::ServerLost) } else { Ok(()) }
    }

    /// Nothing was sent, but what held the connection may have ended.
    pub(super) async fn let_go_if_free(&mut self, mut borrowed: Borrowed) -> Result<(), End> {
        let mut disposition = self.ledger.decide();
        if disposition == Disposition::Ask {
            disposition = Box::pin(self.ask(&mut borrowed)).await;
        }
        if borrowed.busy {
            return self.lose_silently(borrowed).await;
        }
        self.keep_or_give_back(borrowed, disposition).await;
        Ok(())
    }

    async fn keep_or_give_back(&mut self, mut borrowed: Borrowed, disposition: Disposition) {
        let holds = disposition == Disposition::Hold;
        let killed = !holds && self.detach().await;
        let state = self.ledger.state();
        let astray = borrowed.astray.then(|| {
            // Another schema than the session's.
            Arc::new(state.with_schema(borrowed.state.schema()))
        });
        let state = astray.as_ref().unwrap_or(state);
        if holds {
            if !Arc::ptr_eq(&borrowed.state, state) {
                borrowed.state = Arc::clone(state);
            }
            borrowed.held = true;
            self.borrowed = Some(borrowed);
        } else {
            put_back(borrowed, Some(state).filter(|_| !killed));
        }
    }

    /// Nobody aims a KILL at the connection any more. `true`: one that was meant for this session's
    /// may still be on its way there.
    async fn detach(&mut self) -> bool {
        match self.presence.try_detach() {
            Some(killed) => killed,
            None => Box::pin(self.presence.detach()).await,
        }
    }

    /// `None`: its state is unknown, or it is dying.
    pub(super) async fn part_with(
        &mut self,
        borrowed: Borrowed,
        state: Option<&Arc<SessionState>>,
    ) {
        let killed = self.detach().await;
        put_back(borrowed, state.filter(|_| !killed));
    }

    fn is_dying(&mut self, outcome: &Outcome) -> bool {
        let Outcome::Err(error) = outcome else { return false };
        self.shared.metrics.errors.of(Side::Server).inc();
        self.watch.failed = true;
        LAST_WORDS.contains(&error.code)
    }

    /// What the proxy refuses leaves its error behind the conditions that are there already.
    pub(super) async fn learn_the_list(&mut self) -> Result<(), End> {
        if !self.ledger.is_list_to_be_joined() {
            return Ok(());
        }
        let Some(mut borrowed) = self.borrowed.take() else { return Ok(()) };
        self.ask(&mut borrowed).await;
        if borrowed.busy {
            return self.lose_silently(borrowed).await;
        }
        self.borrowed = Some(borrowed);
        Ok(())
    }

    /// There is no reply that could tell: the session ends with what was on the connection.
    async fn lose_silently(&mut self, borrowed: Borrowed) -> Result<(), End> {
        let lost = self.ledger.would_lose() || self.ledger.in_transaction();
        self.part_with(borrowed, None).await;
        self.ledger.on_lost();
        if lost { Err(End::ServerLost) } else { Ok(()) }
    }

    /// Until the ledger knows all that it must. After a failure the connection stays busy, and the
    /// questions open.
    async fn ask(&mut self, borrowed: &mut Borrowed) -> Disposition {
        borrowed.busy = true;
        loop {
            let questions = self.ledger.questions();
            if questions.is_empty() {
                // Asking on would never end; who is not sure holds.
                borrowed.busy = false;
                return Disposition::Hold;
            }
            let texts: Vec<_> = questions.iter().map(Question::text).collect();
            let asked: Vec<_> = texts
                .iter()
                .map(|text| match text {
                    Some(text) => (Command::Query, text.as_str(), Expect::Query),
                    None => (Command::Ping, "", Expect::Single),
                })
                .collect();
            let Ok(answers) = borrowed.ask(&asked).await else { return Disposition::Ask };
            let answers = questions.into_iter().zip(answers);
            let answers =
                answers.map(|(question, (done, table))| (question, done, table)).collect();
            let disposition = self.ledger.on_answers(answers, borrowed.astray);
            if disposition != Disposition::Ask {
                borrowed.busy = false;
                return disposition;
            }
        }
    }

    async fn on_broken(
        &mut self,
        borrowed: Borrowed,
        broken: Broken,
        reply: &Reply,
        server_took_it: bool,
    ) -> Result<(), End> {
        let Broken::Server { error } = broken else {
            // Dropping it kills what still runs.
            return Err(End::HungUp);
        };
        tracing::debug!(session = self.presence.id, %error, connection = borrowed.id, "the server was lost under a statement");
        self.shared.cluster.suspect(borrowed.pool());
        self.part_with(borrowed, None).await;
        let how = match (self.ledger.in_transaction(), server_took_it) {
            (true, _) => Lost::Transaction,
            (false, true) => Lost::MayHaveRun,
            (false, false) => Lost::NotStarted,
        };
        let word = Word::lost(how).to(self.presence.id);
        let pinned = self.ledger.would_lose();
        self.ledger.on_refused(&(&word).into());
        self.ledger.on_lost();
        match reply.place_for_an_error() {
            Some(seq) => self.say(&word, seq).await?,
            None => self.shared.metrics.errors.of(Side::Proxy).inc(),
        }
        // What was pinned is lost with the connection; going on without it would be silence.
        if reply.begun() || pinned { Err(End::ServerLost) } else { Ok(()) }
    }
}

/// With what it holds, if that is known; else it is closed.
fn put_back(mut borrowed: Borrowed, state: Option<&Arc<SessionState>>) {
    match state {
        Some(state) => {
            borrowed.statements.drop_private();
            borrowed.give_back(state);
        }
        None => borrowed.close(CloseReason::Doubtful),
    }
}
