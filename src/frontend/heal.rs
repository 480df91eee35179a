//! Errors that need not be the client's to hear: the request did not run, and would if its statement
//! were prepared once more, if the server had room for it, or if it came to the primary.
//!
//! Owns which errors prove that, and what is done about them, once. It heals nothing that may have
//! run: 1243 must name the very statement that was sent, for a procedure may say it of another, and
//! 1615 of a procedure may come from its middle.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;

use super::exchange::Trouble;
use super::inbound::Incoming;
use super::prepare::Rewritten;
use super::refuse::Word;
use super::relay::{Broken, Reply};
use super::restore::Prefix;
use super::serve::Session;
use crate::backend::BackendError;
use crate::config::Access;
use crate::metrics::Cure;
use crate::pool::Borrowed;
use crate::session::hints::{Head, Hints};
use crate::session::{Forward, Prepared};
use crate::wire::{Command, Completion, ErrPacket, Expect, HEADER_LEN, statement_id};

/// ER_UNKNOWN_STMT_HANDLER
const UNKNOWN: u16 = 1243;
/// ER_NEED_REPREPARE
const CHANGED: u16 = 1615;
/// ER_MAX_PREPARED_STMT_COUNT_REACHED
const FULL: u16 = 1461;

/// ER_OPTION_PREVENTS_STATEMENT, of which the read-only ones are meant.
const PREVENTED: u16 = 1290;
/// ER_READ_ONLY_MODE
const READ_ONLY: u16 = 1836;

/// Only what is in the buffer whole; it stays there until the reply shows that it is not needed.
/// `may_move`: another server may be the primary one day.
pub(super) fn may_be_sent_again(forward: &Forward, incoming: Incoming, may_move: bool) -> bool {
    let prepared = matches!(forward.expect, Expect::Execute | Expect::Prepare);
    incoming.whole && (prepared || (may_move && forward.expect == Expect::Query))
}

impl Session {
    /// `None`: the error is the client's.
    pub(super) async fn cure_for(
        &mut self,
        borrowed: &mut Borrowed,
        reply: &mut Reply,
        forward: &Forward,
    ) -> Result<Option<Cure>, Broken> {
        if self.inbound.kept().is_empty() || borrowed.astray {
            return Ok(None);
        }
        let Some(error) = reply.first_error(borrowed).await? else { return Ok(None) };
        if self.was_demoted(borrowed, &error) {
            return Ok(Some(Cure::Demoted));
        }
        if forward.expect == Expect::Query {
            return Ok(None);
        }
        if forward.expect == Expect::Prepare {
            return Ok((error.code == FULL).then_some(Cure::Room));
        }
        let sent = self.inbound.kept().get(HEADER_LEN..).and_then(statement_id);
        let mine = forward.statement.and_then(|id| self.ledger.statements.get(id));
        let prepared = mine.filter(|mine| can_come_again(mine, forward));
        Ok(prepared.and_then(|prepared| cure(&error, prepared, sent?)))
    }

    /// The second value: the server took all of the request.
    pub(super) async fn heal(
        &mut self,
        borrowed: &mut Borrowed,
        reply: &mut Reply,
        forward: &Forward,
        incoming: Incoming,
        cure: Cure,
    ) -> (Result<(), Broken>, bool) {
        let treated = if cure == Cure::Demoted {
            self.follow(borrowed, reply, forward, incoming).await
        } else {
            self.treat(borrowed, forward, incoming, cure).await
        };
        let (prefix, rewritten) = match treated {
            Ok(ready) => ready,
            // It may hold the state it was led to for the sake of the statement.
            Err(Trouble::Word(word)) if *borrowed.state == **self.ledger.state() => {
                reply.start_over(Some(&word));
                self.inbound.let_go();
                return (self.relay(borrowed, reply, &Prefix::default(), forward).await, false);
            }
            Err(_) => {
                let error = io::Error::other("the statement could not be prepared again");
                return (Err(Broken::Server { error }), false);
            }
        };
        self.shared.metrics.session.heals.of(cure).inc();
        borrowed.busy = true;
        reply.start_over(None);
        let sent = self.send(borrowed, &prefix, rewritten, incoming, true).await;
        // A second refusal is the client's to hear.
        self.inbound.let_go();
        let Ok(sent) = sent else { return (Err(Broken::Client), false) };
        reply.follow(&sent);
        (self.relay(borrowed, reply, &prefix, forward).await, sent.took_it)
    }

    /// Was it refused for the server's sake, as a whole, with nothing of the session's on the
    /// connection?
    fn was_demoted(&self, borrowed: &Borrowed, error: &ErrPacket) -> bool {
        let read_only = match error.code {
            READ_ONLY => true,
            PREVENTED => ["read-only", "read_only"].iter().any(|it| error.message.contains(it)),
            _ => false,
        };
        read_only
            && self.shared.cluster.may_move()
            && self.access == Access::ReadWrite
            && !borrowed.held
            && !self.ledger.in_transaction()
            && self.ledger.fails_whole()
    }

    /// Whoever is primary next gets the statement; who was gets its connection back.
    async fn follow(
        &mut self,
        borrowed: &mut Borrowed,
        reply: &mut Reply,
        forward: &Forward,
        incoming: Incoming,
    ) -> Result<(Prefix, Option<Rewritten>), Trouble> {
        let Ok(Some(refusal)) = reply.first_error(borrowed).await else {
            return Err(Trouble::Server);
        };
        borrowed.busy = false;
        let cluster = Arc::clone(&self.shared.cluster);
        cluster.suspect(borrowed.pool());
        // Nothing runs there that a KILL could end.
        if self.presence.detach().await {
            return Err(Trouble::Server);
        }
        let patience = self.shared.limits.borrow_timeout();
        let moved = tokio::select! {
            biased;
            // It may have asked somebody else by now, and must not have it done twice.
            () = self.inbound.until_hung_up(&mut self.stream, &self.shared.buffers) => {
                return Err(Trouble::Server);
            }
            stop = self.presence.stop() => return Err(Trouble::Word(self.word_for(stop))),
            moved = cluster.moved_from(borrowed.pool().target(), patience) => moved,
        };
        if !moved {
            return Err(Trouble::Word(Word::from_server(&refusal)));
        }
        let next = match self.borrow().await {
            Ok(next) => next,
            Err(Some(word)) => return Err(Trouble::Word(word)),
            Err(None) => return Err(Trouble::Server),
        };
        let mut before = std::mem::replace(borrowed, next);
        let state = Arc::clone(&before.state);
        before.list_left = true;
        before.statements.drop_private();
        before.give_back(&state);
        self.make_ready(borrowed, forward, incoming, false).await
    }

    /// What goes ahead of the request this time, and what it is now.
    async fn treat(
        &mut self,
        borrowed: &mut Borrowed,
        forward: &Forward,
        incoming: Incoming,
        cure: Cure,
    ) -> Result<(Prefix, Option<Rewritten>), Trouble> {
        let mut prefix = Prefix::default();
        let Some(id) = forward.statement else {
            self.make_room(borrowed).await.map_err(|_| Trouble::Server)?;
            self.wipe(borrowed, forward, &mut prefix);
            return Ok((prefix, None));
        };
        tracing::debug!(
            session = self.presence.id,
            connection = borrowed.id,
            ?cure,
            "preparing a statement again"
        );
        self.forget_twin(borrowed, id, incoming);
        borrowed.statements.put_closes(&mut prefix.bytes);
        let rewritten = self.point_at_statement(borrowed, id, incoming, &mut prefix).await?;
        self.wipe(borrowed, forward, &mut prefix);
        Ok((prefix, rewritten))
    }

    /// The refusal has left its error behind, which on MariaDB outlives much.
    fn wipe(&mut self, borrowed: &Borrowed, forward: &Forward, prefix: &mut Prefix) {
        if forward.neutral || self.ledger.is_mariadb() {
            prefix.push_neutral(borrowed.format);
            self.ledger.on_wiped();
        }
    }

    /// When the server has no room for one more, whatever can be prepared again when it is asked for
    /// makes room.
    pub(super) async fn prepare_with_room(
        &mut self,
        borrowed: &mut Borrowed,
        text: &[u8],
    ) -> Result<Completion, BackendError> {
        let first = borrowed.command(Command::StmtPrepare, text, Expect::Prepare).await;
        if !matches!(&first, Err(BackendError::Refused(error)) if error.code == FULL) {
            return first;
        }
        self.make_room(borrowed).await?;
        self.shared.metrics.session.heals.of(Cure::Room).inc();
        borrowed.command(Command::StmtPrepare, text, Expect::Prepare).await
    }

    /// This connection's statements go first; if it has none, those of the idle ones do.
    async fn make_room(&mut self, borrowed: &mut Borrowed) -> Result<(), BackendError> {
        if !borrowed.statements.has_shared() {
            borrowed.pool().shed_statements().await;
        }
        borrowed.statements.drop_shared();
        let mut closes = BytesMut::new();
        borrowed.statements.put_closes(&mut closes);
        Ok(borrowed.stream.send(&closes).await?)
    }
}

/// Long data went with the statement that is gone. What looks back would see the refusal, unless the
/// diagnostics are wiped anyway.
fn can_come_again(prepared: &Prepared, forward: &Forward) -> bool {
    !prepared.long_data && (forward.neutral || !prepared.statement.looks_back())
}

fn cure(error: &ErrPacket, prepared: &Prepared, sent: u32) -> Option<Cure> {
    let reading = prepared.statement.reading;
    match error.code {
        UNKNOWN => {
            // EXECUTE as SQL says its own name, MySQL 9.7 says mysql_stmt_precheck and MariaDB
            // 10.11 mysqld_stmt_execute, in whatever language the rest is.
            let speaker = error.message.rsplit(' ').next().unwrap_or_default();
            let names_it = error.message.contains(&format!("({sent})"));
            (names_it && speaker.contains("_stmt_")).then_some(Cure::Unknown)
        }
        CHANGED => {
            let runs_others = matches!(reading.head, Head::Call | Head::Compound | Head::Execute)
                || reading.hints.contains(Hints::CALL);
            (!runs_others && error.state == *b"HY000").then_some(Cure::Changed)
        }
        _ => None,
    }
}
