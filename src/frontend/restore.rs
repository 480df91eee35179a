//! Bringing a borrowed connection to the session's state.
//!
//! What differs travels in front of the request, in the same write. Only a `SET` that this target
//! has never taken before goes alone first: should it be refused, the request must not run under
//! whatever the connection's last user had set.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::BytesMut;

use super::exchange::Trouble;
use super::inbound::Incoming;
use super::prepare::Rewritten;
use super::refuse::Word;
use super::serve::Session;
use crate::backend::BackendError;
use crate::pool::Borrowed;
use crate::session::{Forward, Restore, SessionState, Step};
use crate::wire::{Command, Completion, Expect, Outcome, ServerFormat, put_command};

/// Commands that go ahead of a request, and what is expected back for each.
#[derive(Default)]
pub(super) struct Prefix {
    pub bytes: BytesMut,
    pub replies: Vec<Ahead>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    Use,
    Other,
    /// A proven SET, by its fingerprint.
    Set(u64),
    /// A statement that no server refuses.
    Always,
    Neutral,
    /// Its error is what it is sent for.
    Signal,
    /// A part of a reset.
    Reset(Expect),
}

impl Ahead {
    pub fn expect(self) -> Expect {
        match self {
            Self::Neutral => Expect::Query,
            Self::Reset(expect) => expect,
            _ => Expect::Single,
        }
    }
}

impl Prefix {
    pub fn push_neutral(&mut self, format: ServerFormat) {
        format.put_query(&mut self.bytes, NEUTRAL);
        self.replies.push(Ahead::Neutral);
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// It is not sent. A connection whose reset is in it counts as reset already, and is not.
    fn in_vain(&self, trouble: Trouble) -> Trouble {
        let resets = self.replies.iter().any(|ahead| matches!(ahead, Ahead::Reset(_)));
        match trouble {
            Trouble::Word(word) if resets => Trouble::Doubtful(word),
            other => other,
        }
    }

    fn push(&mut self, step: &Step, format: ServerFormat) {
        match step {
            Step::Use(schema) => {
                put_command(&mut self.bytes, Command::InitDb, schema.as_bytes());
                self.replies.push(Ahead::Use);
            }
            Step::MultiStatements(on) => {
                let option = u16::from(!on).to_le_bytes();
                put_command(&mut self.bytes, Command::SetOption, &option);
                self.replies.push(Ahead::Other);
            }
            Step::Set(text) => {
                format.put_query(&mut self.bytes, text);
                self.replies.push(Ahead::Set(fingerprint(text)));
            }
            Step::Role(text) | Step::Always(text) => self.push_always(text, format),
        }
    }

    fn push_always(&mut self, text: &str, format: ServerFormat) {
        format.put_query(&mut self.bytes, text);
        self.replies.push(Ahead::Always);
    }
}

impl Session {
    /// Afterwards the connection holds what the request needs, or will once the prefix is sent.
    pub(super) async fn make_ready(
        &mut self,
        borrowed: &mut Borrowed,
        forward: &Forward,
        incoming: Incoming,
        held: bool,
    ) -> Result<(Prefix, Option<Rewritten>), Trouble> {
        let mut prefix = Prefix::default();
        if !held && !Arc::ptr_eq(&borrowed.state, self.ledger.state()) {
            Box::pin(self.lead(borrowed, &mut prefix)).await?;
        }
        if let Some(id) = forward.insert_id {
            let step = Step::Set(format!("SET SESSION last_insert_id={id}"));
            prefix.push(&step, borrowed.format);
        }
        let rewritten = match forward.statement {
            Some(id) => {
                let rewritten = self.point_at_statement(borrowed, id, incoming, &mut prefix).await;
                rewritten.map_err(|trouble| prefix.in_vain(trouble))?
            }
            None => None,
        };
        // What was prepared just now may have left conditions, too. So may what brings the schema and
        // the variables, where no statement follows that begins a list.
        let begins = !matches!(forward.expect, Expect::FieldList | Expect::Single);
        let left = borrowed.list_left || (!begins && !prefix.is_empty());
        let refuses = held && borrowed.in_xa;
        if (forward.neutral || (forward.continues && left)) && !refuses {
            prefix.push_neutral(borrowed.format);
        }
        if let Some(text) = self.ledger.diagnostics.signal().filter(|_| forward.signal) {
            borrowed.format.put_query(&mut prefix.bytes, &text);
            prefix.replies.push(Ahead::Signal);
        }
        if forward.tracking {
            prefix.push_always(&self.ledger.tracking_statement(), borrowed.format);
        }
        if self.ledger.gives_way() {
            prefix.push_always(OWN_TIMEOUT, borrowed.format);
        }
        if forward.expect == Expect::Nothing {
            // No reply of its own will be waited for.
            let want = Arc::clone(self.ledger.state());
            Box::pin(self.flush(borrowed, &mut prefix, &want)).await?;
        }
        // Last, so that they are in no prefix that comes to nothing: they have no replies.
        borrowed.statements.put_closes(&mut prefix.bytes);
        Ok((prefix, rewritten))
    }

    /// From whatever another session has left.
    async fn lead(&mut self, borrowed: &mut Borrowed, prefix: &mut Prefix) -> Result<(), Trouble> {
        let want = Arc::clone(self.ledger.state());
        if Restore::is_stained(&borrowed.state, &want) {
            Box::pin(self.clear(borrowed, prefix)).await?;
        }
        self.approach(borrowed, &want, prefix).await
    }

    /// Appends to the prefix what leads from the connection's state to `want`.
    pub(super) async fn approach(
        &mut self,
        borrowed: &mut Borrowed,
        want: &Arc<SessionState>,
        prefix: &mut Prefix,
    ) -> Result<(), Trouble> {
        if Arc::ptr_eq(&borrowed.state, want) {
            return Ok(());
        }
        if *borrowed.state == **want {
            if Arc::ptr_eq(want, self.ledger.state()) {
                // Whichever both choose, in the end there is one, and the next look is a pointer's.
                if Arc::as_ptr(want) < Arc::as_ptr(&borrowed.state) {
                    borrowed.state = Arc::clone(want);
                } else {
                    self.ledger.adopt(&borrowed.state);
                }
            }
            return Ok(());
        }
        let untried = difference(borrowed, want)?;
        let unproven = untried.set().filter(|text| !is_proven(borrowed, text));
        let other_role = borrowed.state.role() != want.role();
        if unproven.is_some() || other_role {
            // What goes alone goes behind what is due already, a reset above all.
            let held = Arc::clone(&borrowed.state);
            Box::pin(self.flush(borrowed, prefix, &held)).await?;
        }
        if let Some(text) = unproven {
            Box::pin(self.try_alone(borrowed, text, want)).await?;
        }
        if other_role {
            Box::pin(self.enter_role(borrowed, want)).await?;
        }
        for step in &difference(borrowed, want)?.steps {
            prefix.push(step, borrowed.format);
        }
        Ok(())
    }

    /// Takes everything off the connection, in the same write as what follows where that is safe.
    async fn clear(&mut self, borrowed: &mut Borrowed, prefix: &mut Prefix) -> Result<(), Trouble> {
        if !borrowed.resets_blindly() {
            return self.reset_for(borrowed).await;
        }
        for expect in borrowed.put_reset(&mut prefix.bytes) {
            prefix.replies.push(Ahead::Reset(expect));
        }
        Ok(())
    }

    /// Alone: refused, whatever else is in hand must not run under another's rights.
    async fn enter_role(
        &mut self,
        borrowed: &mut Borrowed,
        want: &Arc<SessionState>,
    ) -> Result<(), Trouble> {
        let left = difference(borrowed, want)?;
        if let Some(text) = left.role() {
            borrowed.role_in_doubt = true;
            self.insist(borrowed, text).await?;
        }
        borrowed.state = Arc::new(borrowed.state.with_role(want.role()));
        Ok(())
    }

    /// What another session left may not be undone by name. A reset undoes it; should the server
    /// still refuse, it is this session's own state that it refuses.
    ///
    /// With something of the session on it, it cannot be reset.
    async fn try_alone(
        &mut self,
        borrowed: &mut Borrowed,
        text: &str,
        want: &Arc<SessionState>,
    ) -> Result<(), Trouble> {
        if self.try_first(borrowed, text).await? {
            borrowed.pool().prove(fingerprint(text));
        } else if borrowed.held {
            self.insist(borrowed, text).await?;
        } else {
            self.reset_for(borrowed).await?;
            if let Some(text) = difference(borrowed, want)?.set() {
                self.insist(borrowed, text).await?;
            }
        }
        borrowed.state = Arc::new(borrowed.state.with_variables_of(want));
        Ok(())
    }

    /// `false`: refused, and nothing changed.
    async fn try_first(&mut self, borrowed: &mut Borrowed, text: &str) -> Result<bool, Trouble> {
        match self.ask_server(borrowed, text).await {
            Ok(_) => Ok(true),
            Err(BackendError::Refused(_)) => Ok(false),
            Err(_) => Err(Trouble::Server),
        }
    }

    async fn insist(&mut self, borrowed: &mut Borrowed, text: &str) -> Result<(), Trouble> {
        match self.ask_server(borrowed, text).await {
            Ok(_) => Ok(()),
            Err(BackendError::Refused(error)) => Err(Trouble::Word(Word::from_server(&error))),
            Err(_) => Err(Trouble::Server),
        }
    }

    async fn ask_server(
        &mut self,
        borrowed: &mut Borrowed,
        text: &str,
    ) -> Result<Completion, BackendError> {
        borrowed.busy = true;
        let done = borrowed.statement(text).await;
        borrowed.busy = false;
        done
    }

    async fn reset_for(&mut self, borrowed: &mut Borrowed) -> Result<(), Trouble> {
        borrowed.busy = true;
        borrowed.reset().await.map_err(|_| Trouble::Server)?;
        borrowed.busy = false;
        Ok(())
    }

    /// Sends the prefix by itself and reads its replies; the connection then holds `reached`.
    pub(super) async fn flush(
        &mut self,
        borrowed: &mut Borrowed,
        prefix: &mut Prefix,
        reached: &Arc<SessionState>,
    ) -> Result<(), Trouble> {
        if prefix.is_empty() {
            return Ok(());
        }
        let prefix = std::mem::take(prefix);
        borrowed.busy = true;
        let expected: Vec<Expect> = prefix.replies.iter().map(|ahead| ahead.expect()).collect();
        let replies = borrowed.pipeline(&prefix.bytes, &expected).await;
        let replies = replies.map_err(|_| Trouble::Server)?;
        borrowed.busy = false;
        for reply in replies {
            if let Outcome::Err(error) = reply.outcome {
                return Err(Trouble::Doubtful(Word::from_server(&error)));
            }
        }
        borrowed.state = if borrowed.astray {
            Arc::new(reached.with_schema(borrowed.state.schema()))
        } else {
            Arc::clone(reached)
        };
        Ok(())
    }
}

/// Only a new login takes a schema away: the pool hands out no connection that would need it.
fn difference(borrowed: &Borrowed, want: &SessionState) -> Result<Restore, Trouble> {
    Restore::between(&borrowed.state, want, &borrowed.facts.session_only).ok_or(Trouble::Server)
}

fn is_proven(borrowed: &Borrowed, set: &str) -> bool {
    borrowed.pool().is_proven(fingerprint(set))
}

/// Leaves FOUND_ROWS() 0, ROW_COUNT() -1 and no warnings, whatever another client had left. It uses
/// a table, since MariaDB keeps its list of warnings over statements that use none.
const NEUTRAL: &str = "SELECT 1 FROM information_schema.ENGINES WHERE FALSE";

/// As when a session that has named it gets another connection.
const OWN_TIMEOUT: &str = "SET SESSION wait_timeout=@@GLOBAL.wait_timeout";

fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
