//! The command phase: one request after the other, until the session ends.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt as _;

use super::desk::Done;
use super::inbound::{Inbound, Incoming};
use super::refuse::Word;
use super::stalled;
use super::stopwatch::Stopwatch;
use super::travel::Leave;
use super::{End, Shared};
use crate::backend::{BackendError, Identity};
use crate::config::Access;
use crate::metrics::{Direction, Side};
use crate::net::Stream;
use crate::pool::Borrowed;
use crate::registry::{Activity, Doom, Entry, Presence};
use crate::secrets::Account;
use crate::session::{Answer, Ledger, Pins, Plan, Refusal, Request};
use crate::wire::{Capabilities, Command, ErrPacket, HEADER_LEN, Header, MAX_PAYLOAD};

/// One client, logged in.
pub struct Session {
    pub(super) stream: Stream,
    pub(super) shared: Arc<Shared>,
    pub(super) presence: Presence,
    pub(super) account: Arc<Account>,
    pub(super) identity: Identity,
    /// The generation of the secrets that the two above are of; 0: they may have changed since.
    pub(super) secrets: u64,
    pub(super) capabilities: Capabilities,
    /// Of the endpoint it came in by.
    pub(super) access: Access,
    pub(super) ledger: Ledger,
    pub(super) inbound: Inbound,
    /// The connection in hand, between the statements of a transaction or while pinned.
    pub(super) borrowed: Option<Borrowed>,
    told: Told,
    /// Of its statements, by which one in some is timed.
    pub(super) turn: u8,
    pub(super) watch: Stopwatch,
}

/// What the gauges and the registry have been told of a session.
#[derive(Default)]
struct Told {
    statements: usize,
    pins: Pins,
    /// Where the state lies that the registry holds, and so no other lies.
    state: usize,
}

/// What has woken a session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awake {
    ByClient,
    ByBell,
}

/// For the last words to a client that may not be listening.
const FAREWELL: Duration = Duration::from_secs(1);

/// A client that stops in the middle of a request holds what it holds no longer than this, as
/// with the server's net_read_timeout (which is longer: there it costs nobody else).
const MID_REQUEST: Duration = Duration::from_secs(10);

/// Reads in the middle of a request end early when the session must, or the client dawdles.
pub(super) async fn in_time<T>(
    entry: &Entry,
    read: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    tokio::select! {
        biased;
        read = tokio::time::timeout(MID_REQUEST, read) => {
            read.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        }
        _ = entry.last_bell() => Err(io::ErrorKind::Interrupted.into()),
    }
}

impl Session {
    pub(super) fn new(
        stream: Stream,
        shared: Arc<Shared>,
        presence: Presence,
        account: Arc<Account>,
        identity: Identity,
        capabilities: Capabilities,
        ledger: Ledger,
    ) -> Self {
        let inbound = Inbound::default();
        // Clients of one statement each are to be timed as often as others.
        let turn = presence.id as u8;
        Self {
            stream,
            shared,
            presence,
            account,
            identity,
            secrets: 0,
            capabilities,
            access: Access::ReadWrite,
            ledger,
            inbound,
            borrowed: None,
            told: Told::default(),
            turn,
            watch: Stopwatch::default(),
        }
    }

    /// Until it ends; [`Session::finish`] is still to come. A sleeping session pays for all that
    /// this future may ever hold: an `async fn` would hold its argument twice.
    #[allow(clippy::manual_async_fn, reason = "it is smaller")]
    pub(super) fn serve(mut self: Box<Self>) -> impl Future<Output = (Box<Self>, End)> + Send {
        async move {
            let shared = Arc::clone(&self.shared);
            self.tell_state();
            loop {
                let incoming = match self.next().await {
                    Ok(incoming) => incoming,
                    Err(end) => return (self, end),
                };
                let mut desk = shared.desks.take(self.work_on(incoming));
                let (back, done) = poll_fn(|cx| desk.poll(cx)).await;
                shared.desks.give(desk);
                self = back;
                if let Err(end) = done {
                    return (self, end);
                }
                self.tell_state();
                self.count_state(self.ledger.statements.len(), self.ledger.pins());
                if let Some(doom) = self.presence.doomed().filter(|doom| self.must_leave(*doom)) {
                    let end = Box::pin(self.take_leave(doom)).await;
                    return (self, end);
                }
            }
        }
    }

    /// Parts with what it still has in hand.
    pub(super) async fn finish(mut self: Box<Self>) {
        if let Some(borrowed) = self.borrowed.take() {
            let killed = self.presence.detach().await;
            if killed { drop(borrowed) } else { borrowed.clean() }
        }
        self.count_state(0, Pins::default());
    }

    async fn work_on(mut self: Box<Self>, incoming: Incoming) -> Done {
        let done = self.on_incoming(incoming).await;
        (self, done)
    }

    /// Sleeps until a request is here, without a buffer.
    #[allow(clippy::manual_async_fn, reason = "it is smaller, see serve")]
    fn next(&mut self) -> impl Future<Output = Result<Incoming, End>> + Send {
        async move {
            let resting =
                if self.ledger.in_transaction() { Activity::InTransaction } else { Activity::Idle };
            self.presence.set_activity(resting);
            let incoming = loop {
                if let Some(incoming) = self.inbound.ready() {
                    break incoming;
                }
                self.inbound.rest(&self.shared.buffers);
                let mut slept = false;
                match poll_fn(|cx| self.poll_awake(cx, &mut slept)).await {
                    Ok(Awake::ByClient) => {}
                    Ok(Awake::ByBell) => {
                        let doom = self.presence.doomed();
                        if doom.is_none_or(|doom| doom == Doom::Draining) {
                            match self.depart() {
                                Leave::Gone => return Err(End::Moved),
                                Leave::Later => continue,
                                Leave::Stays => {}
                            }
                        }
                        if let Some(doom) = doom.filter(|doom| self.must_end(*doom)) {
                            return Err(Box::pin(self.take_leave(doom)).await);
                        }
                    }
                    Err(_) => return Err(End::HungUp),
                }
            };
            self.presence.begin_statement();
            Ok(self.renumber(incoming))
        }
    }

    /// Half a request does not keep the bell from being heard.
    fn poll_awake(&mut self, cx: &mut Context<'_>, slept: &mut bool) -> Poll<io::Result<Awake>> {
        // Whoever has slept was nearly always woken by the client: a look would cost what it spares.
        let reads = std::mem::replace(slept, true) || self.stream.poll_readable(cx)?.is_ready();
        if reads {
            match self.inbound.poll_fill(cx, &mut self.stream, &self.shared.buffers) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(read) => return Poll::Ready(read.map(|_| Awake::ByClient)),
                Poll::Pending => self.inbound.rest(&self.shared.buffers),
            }
        }
        self.presence.poll_bell(cx).map(|()| Ok(Awake::ByBell))
    }

    fn must_end(&self, doom: Doom) -> bool {
        !doom.is_patient() || !self.ledger.in_transaction()
    }

    /// Who may go over to another process looks whether it can when it is woken next.
    fn must_leave(&self, doom: Doom) -> bool {
        let may_go_over = doom == Doom::Draining && self.shared.departures.load().is_some();
        self.must_end(doom) && !may_go_over
    }

    async fn take_leave(&mut self, doom: Doom) -> End {
        let mut out = BytesMut::with_capacity(128);
        let word = Word::doomed(doom);
        self.shared.count_refusal(&word);
        word.put(&mut out, 0);
        let say = async {
            self.stream.send(&out).await?;
            self.stream.shutdown().await
        };
        let _ = tokio::time::timeout(FAREWELL, say).await;
        doom.into()
    }

    /// In the compressed protocol only the ids of the packets around count: clients number those
    /// within as they like (MariaDB's all with 0), and the servers do not look. `due` is what the
    /// uncompressed protocol asks for.
    pub(super) fn numbered(&self, header: Header, due: u8) -> Header {
        if self.stream.is_compressed() { Header { seq: due, ..header } } else { header }
    }

    fn renumber(&mut self, mut incoming: Incoming) -> Incoming {
        let header = self.numbered(incoming.header, 0);
        if header != incoming.header {
            incoming.header = header;
            if let Some(place) = self.inbound.front(incoming).get_mut(..HEADER_LEN) {
                place.copy_from_slice(&header.bytes());
            }
        }
        incoming
    }

    async fn on_incoming(&mut self, incoming: Incoming) -> Result<(), End> {
        if incoming.header.seq != 0 {
            self.say(&Word::out_of_order(), incoming.header.seq.wrapping_add(1)).await?;
            return Err(End::Malformed);
        }
        self.shared.metrics.client.bytes.of(Direction::In).inc_by(incoming.here as u64);
        let Some(command) = incoming.command.and_then(Command::from_byte) else {
            self.skip(incoming).await?;
            let word = Word::refusal(Refusal::UnknownCommand);
            Box::pin(self.learn_the_list()).await?;
            self.ledger.on_unknown(&ErrPacket::from(&word));
            return self.say(&word, 1).await;
        };
        self.shared.metrics.client.queries.at(command as usize).inc();
        if let Err(word) = self.look_for_attributes(incoming) {
            return Box::pin(self.not_understood(word, incoming)).await;
        }
        let body = self.inbound.body(incoming);
        let request = Request { command, body, whole: incoming.whole };
        let plan = self.ledger.on_request(&request, self.borrowed.is_some());
        self.carry_out(plan, incoming).await
    }

    async fn carry_out(&mut self, plan: Plan, incoming: Incoming) -> Result<(), End> {
        match plan {
            Plan::Quit => Err(End::Quit),
            Plan::Forward(forward) => self.exchange(forward, incoming).await,
            Plan::Answer(answer) => Box::pin(self.on_answer(&answer, incoming)).await,
            Plan::Reset => Box::pin(self.on_reset(incoming)).await,
            Plan::ChangeUser => {
                let entry = Arc::clone(&self.presence);
                let changing = tokio::time::timeout(MID_REQUEST, self.change_user(incoming));
                let changing = Box::pin(changing);
                tokio::select! { changed = changing => changed.unwrap_or(Err(End::HungUp)), doom = entry.last_bell() => Err(doom.into()) }
            }
            Plan::Kill { id, query_only } => Box::pin(self.on_kill(id, query_only, incoming)).await,
        }
    }

    async fn on_answer(&mut self, answer: &Answer, incoming: Incoming) -> Result<(), End> {
        let seq = self.skip(incoming).await?;
        let mut out = BytesMut::with_capacity(128);
        self.put_answer(&mut out, seq, answer);
        // What could not be told now can still be asked for alone.
        if let Answer::Refuse(refusal) = answer {
            out.clear();
            let word = Word::refusal(*refusal).named_by(
                *refusal,
                incoming.command,
                self.ledger.is_mariadb(),
            );
            self.shared.count_refusal(&word);
            word.put(&mut out, seq);
            if *refusal != Refusal::DiagnosticsGone {
                self.learn_the_list().await?;
                self.ledger.on_refused(&word.into());
            }
        }
        let released = self.release_if_free().await;
        if !out.is_empty() {
            self.write(&out).await?;
        }
        released
    }

    /// Closing a statement may have ended what held the connection.
    async fn release_if_free(&mut self) -> Result<(), End> {
        match self.borrowed.take() {
            Some(borrowed) => self.let_go_if_free(borrowed).await,
            None => Ok(()),
        }
    }

    async fn on_reset(&mut self, incoming: Incoming) -> Result<(), End> {
        self.skip(incoming).await?;
        self.release_reset().await;
        self.ledger.reset();
        self.say_ok(1).await
    }

    async fn on_kill(&mut self, id: u64, query_only: bool, incoming: Incoming) -> Result<(), End> {
        let killed = self.kill(id, query_only).await;
        self.skip(incoming).await?;
        match killed {
            Ok(()) => self.say_ok(1).await,
            Err(word) => self.say(&word, 1).await,
        }
    }

    /// Gives up the connection in hand: rolled back and cleared before anything else happens.
    pub(super) async fn release_reset(&mut self) {
        let Some(mut borrowed) = self.borrowed.take() else { return };
        borrowed.busy = true;
        let reset = tokio::time::timeout(MID_REQUEST, borrowed.reset()).await;
        match reset.unwrap_or(Err(BackendError::Timeout(MID_REQUEST))) {
            Ok(()) => {
                borrowed.busy = false;
                let state = Arc::clone(&borrowed.state);
                self.part_with(borrowed, Some(&state)).await;
            }
            Err(error) => {
                tracing::debug!(%error, "COM_RESET_CONNECTION failed");
                self.part_with(borrowed, None).await;
            }
        }
    }

    /// Nothing keeps it on a connection, as far as has been told.
    pub(super) fn is_free(&self) -> bool {
        self.told.pins.is_empty()
    }

    /// For those who look at the registry. Most requests change nothing, which is seen without a lock.
    fn tell_state(&mut self) {
        let state = self.ledger.state();
        let place = Arc::as_ptr(state).addr();
        if self.told.state != place {
            self.told.state = place;
            self.presence.set_state(state);
        }
    }

    pub(super) fn count_state(&mut self, statements: usize, pins: Pins) {
        let metrics = &self.shared.metrics;
        let counted = std::mem::replace(&mut self.told.statements, statements);
        if counted != statements {
            self.presence.set_statements(statements);
            metrics
                .session
                .statements
                .add(statements.cast_signed() as i64 - counted.cast_signed() as i64);
        }
        let before = std::mem::replace(&mut self.told.pins, pins);
        if before != pins {
            self.presence.set_pins(pins);
            for pin in pins.since(before).iter() {
                self.tell_pin(pin);
                metrics.session.pins.at(pin.index()).inc();
                metrics.session.pinned.at(pin.index()).inc();
            }
            for pin in before.since(pins).iter() {
                metrics.session.pinned.at(pin.index()).dec();
            }
        }
    }

    /// Throws the rest of a request away; returns the sequence id of its answer.
    pub(super) async fn skip(&mut self, incoming: Incoming) -> Result<u8, End> {
        self.inbound.consume(incoming.here);
        let mut left = HEADER_LEN + incoming.header.len - incoming.here;
        let mut header = incoming.header;
        loop {
            while left > 0 {
                let more = self.inbound.more(&mut self.stream, left);
                let more = in_time(&self.presence, more).await;
                let count = more.map_err(|_| End::HungUp)?.len();
                self.inbound.consume(count);
                left -= count;
            }
            if header.len < MAX_PAYLOAD {
                return Ok(header.seq.wrapping_add(1));
            }
            let next = self.inbound.header(&mut self.stream);
            header = in_time(&self.presence, next).await.map_err(|_| End::HungUp)?;
            left = header.len;
        }
    }

    pub(super) async fn say(&mut self, word: &Word, seq: u8) -> Result<(), End> {
        self.shared.metrics.errors.of(Side::Proxy).inc();
        self.log_refusal(word);
        let mut out = BytesMut::with_capacity(128);
        word.put(&mut out, seq);
        self.write(&out).await
    }

    fn log_refusal(&self, word: &Word) {
        self.shared.count_refusal(word);
        let (session, user) = (self.presence.id, &*self.account.username);
        let Word { code, message, .. } = word;
        if word.is_trouble() {
            tracing::warn!(session, user, code, "refused: {message}");
        } else {
            tracing::debug!(session, user, code, "refused: {message}");
        }
    }

    pub(super) async fn say_ok(&mut self, seq: u8) -> Result<(), End> {
        let mut out = BytesMut::with_capacity(16);
        self.put_plain_ok(&mut out, seq);
        self.write(&out).await
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.shared.metrics.client.bytes.of(Direction::Out).inc_by(bytes.len() as u64);
        let patience = || stalled::patience(self.ledger.state(), self.shared.cluster.facts());
        let sending = self.stream.send(bytes);
        let sent = stalled::in_time(&self.presence, patience, sending).await;
        sent.map_err(|_| End::HungUp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, F>(_: impl Fn(A) -> F) -> usize {
        size_of::<F>()
    }

    /// Ten thousand sleep at once: what is rare and large must stay behind a box.
    #[test]
    fn a_sleeping_session_is_small() {
        assert!(size_of::<Session>() <= 784, "{}", size_of::<Session>());
        let asleep = size(|session: Box<Session>| session.serve());
        assert!(asleep <= 96, "{asleep}");
        // All of them work at once in the worst case.
        let working = size(|session: Box<Session>| {
            session.work_on(Incoming {
                header: Header { len: 0, seq: 0 },
                command: None,
                here: 0,
                whole: true,
            })
        });
        assert!(working <= 2048, "{working}");
    }
}
