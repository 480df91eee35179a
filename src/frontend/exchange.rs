//! One request to a server and its reply back, as the ledger planned it.
//!
//! Owns the order of things: borrow, bring to the session's state, send, relay, decide, give back
//! before the last write, so that a slow reader holds nothing.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;

use super::End;
use super::inbound::Incoming;
use super::prepare::Rewritten;
use super::refuse::{Lost, Word};
use super::relay::{Broken, Reply};
use super::restore::Prefix;
use super::serve::Session;
use crate::metrics::{Direction, Side};
use crate::pool::{Borrowed, CloseReason, Want};
use crate::session::{Disposition, Forward};
use crate::wire::{Completion, Expect, HEADER_LEN, MAX_PAYLOAD, Outcome};

/// What stands between a request and its reply.
pub(super) enum Trouble {
    /// The client is told; the connection is as good as before.
    Word(Word),
    /// Like `Word`, but the connection's state is unknown now.
    Doubtful(Word),
    Server,
}

impl Session {
    pub(super) async fn exchange(
        &mut self,
        forward: Forward,
        incoming: Incoming,
    ) -> Result<(), End> {
        let held = self.borrowed.is_some();
        let mut borrowed = match self.borrowed.take() {
            Some(borrowed) => borrowed,
            None => match self.borrow().await {
                Ok(borrowed) => borrowed,
                Err(word) => return Box::pin(self.decline(&word, &forward, incoming)).await,
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
        let (seq, server_took_it) = self.send(&mut borrowed, &prefix, rewritten, incoming).await?;
        if forward.expect == Expect::Nothing {
            self.ledger.on_completion(&Completion::default());
            borrowed.busy = false;
            self.borrowed = Some(borrowed);
            return Ok(());
        }
        let mut reply = Reply::new(self.shared.buffers.take(), seq);
        let relayed = self.relay(&mut borrowed, &mut reply, &prefix, &forward).await;
        let outcome = match relayed {
            Ok(()) => self.settle(borrowed, &mut reply).await,
            Err(broken) => Box::pin(self.on_broken(borrowed, broken, &reply, server_took_it)).await,
        };
        self.shared.buffers.give(reply.into_buffer());
        outcome
    }

    async fn borrow(&mut self) -> Result<Borrowed, Word> {
        let want = Want {
            identity: self.identity.clone(),
            account: &self.account,
            state: self.ledger.state(),
            patience: self.shared.limits.borrow_timeout,
        };
        let mut borrowed =
            self.shared.cluster.borrow(&want).await.map_err(|error| Word::borrow(&error))?;
        borrowed.on_behalf_of(&self.account);
        self.presence.attach(borrowed.id);
        Ok(borrowed)
    }

    /// No connection: the request is thrown away, the client told, the session lives.
    async fn decline(
        &mut self,
        word: &Word,
        forward: &Forward,
        incoming: Incoming,
    ) -> Result<(), End> {
        let seq = self.skip(incoming).await?;
        if forward.expect == Expect::Nothing {
            // Long data has no reply to carry the news, and its execute must not run without it.
            return Err(End::ServerLost);
        }
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
                self.presence.detach().await;
                let state = Arc::clone(&borrowed.state);
                borrowed.give_back(&state);
                word
            }
            Trouble::Doubtful(word) if !held => {
                self.presence.detach().await;
                borrowed.clean();
                word
            }
            Trouble::Doubtful(_) | Trouble::Server => {
                self.presence.detach().await;
                borrowed.close(CloseReason::Dead);
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
        let pinned = !self.ledger.pins().is_empty();
        self.ledger.on_lost();
        self.decline(&Word::lost(how), forward, incoming).await?;
        if pinned { Err(End::ServerLost) } else { Ok(()) }
    }

    /// Writes what must come first and the request; streams what is not in the buffer. The second
    /// value: the server took all of it.
    async fn send(
        &mut self,
        borrowed: &mut Borrowed,
        prefix: &Prefix,
        rewritten: Option<Rewritten>,
        incoming: Incoming,
    ) -> Result<(u8, bool), End> {
        let stream = &mut borrowed.stream;
        let front = self.inbound.front(incoming);
        let request = rewritten.as_ref().map_or(&*front, |rewritten| &rewritten.0[..]);
        let mut took_it = if prefix.is_empty() {
            stream.write_all(request).await.is_ok()
        } else {
            let mut out = BytesMut::with_capacity(prefix.bytes.len() + request.len());
            out.extend_from_slice(&prefix.bytes);
            out.extend_from_slice(request);
            stream.write_all(&out).await.is_ok()
        };
        self.inbound.consume(incoming.here);
        let mut left = HEADER_LEN + incoming.header.len - incoming.here;
        let mut header = incoming.header;
        loop {
            while left > 0 {
                let more = self.inbound.more(&mut self.stream, left).await;
                let more = more.map_err(|_| End::HungUp)?;
                self.ledger.on_request_bytes(more);
                // A server that refuses the rest may still say why; the client listens only after
                // it has said all.
                took_it = took_it && stream.write_all(more).await.is_ok();
                let count = more.len();
                self.inbound.consume(count);
                self.shared.metrics.client.bytes.of(Direction::In).inc_by(count as u64);
                left -= count;
            }
            if header.len < MAX_PAYLOAD {
                return Ok((header.seq.wrapping_add(1), took_it));
            }
            header = self.inbound.header(&mut self.stream).await.map_err(|_| End::HungUp)?;
            left = header.len;
            took_it = took_it && stream.write_all(&header.bytes()).await.is_ok();
        }
    }

    /// The reply is complete; its last bytes are still in the buffer.
    async fn settle(&mut self, mut borrowed: Borrowed, reply: &mut Reply) -> Result<(), End> {
        borrowed.busy = false;
        let completion = reply.take_completion();
        if matches!(completion.outcome, Outcome::Err(_)) {
            self.shared.metrics.errors.of(Side::Server).inc();
        }
        self.note_server_statement(&mut borrowed, &completion, reply);
        let mut disposition = self.ledger.on_completion(&completion);
        if disposition == Disposition::Ask {
            disposition = Box::pin(self.ask(&mut borrowed)).await;
        }
        if reply.has_leftover() {
            tracing::warn!(connection = borrowed.id, "the server sent more than its reply");
            self.presence.detach().await;
            borrowed.close(CloseReason::Talking);
            self.ledger.on_lost();
        } else if disposition == Disposition::Hold {
            self.borrowed = Some(borrowed);
        } else {
            self.presence.detach().await;
            match reply.actual_state.take() {
                Some(state) => borrowed.give_back(&state),
                None => borrowed.give_back(self.ledger.state()),
            }
        }
        let bytes = reply.last_bytes();
        self.shared.metrics.client.bytes.of(Direction::Out).inc_by(bytes.len() as u64);
        self.stream.write_all(bytes).await.map_err(|_| End::HungUp)
    }

    /// An error packet says nothing of the transaction; COM_PING's OK does.
    async fn ask(&mut self, borrowed: &mut Borrowed) -> Disposition {
        borrowed.busy = true;
        match borrowed.command(crate::wire::Command::Ping, b"", Expect::Single).await {
            Ok(pong) => {
                borrowed.busy = false;
                self.ledger.on_status(pong.status.unwrap_or_default())
            }
            // Still busy: dropped or held, it is never given back.
            Err(_) => Disposition::Hold,
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
        tracing::debug!(%error, connection = borrowed.id, "the server was lost under a statement");
        self.presence.detach().await;
        borrowed.close(CloseReason::Doubtful);
        let how = match (self.ledger.in_transaction(), server_took_it) {
            (true, _) => Lost::Transaction,
            (false, true) => Lost::MayHaveRun,
            (false, false) => Lost::NotStarted,
        };
        let pinned = !self.ledger.pins().is_empty();
        self.ledger.on_lost();
        match reply.place_for_an_error() {
            Some(seq) => self.say(&Word::lost(how), seq).await?,
            None => self.shared.metrics.errors.of(Side::Proxy).inc(),
        }
        // What was pinned is lost with the connection; going on without it would be silence.
        if reply.begun() || pinned { Err(End::ServerLost) } else { Ok(()) }
    }
}
