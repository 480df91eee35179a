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
use crate::wire::{Command, Expect, put_command};

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
}

impl Prefix {
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn push(&mut self, step: &Step) {
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
                put_command(&mut self.bytes, Command::Query, text.as_bytes());
                self.replies.push(Ahead::Set(fingerprint(text)));
            }
        }
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
        if !held {
            let want = Arc::clone(self.ledger.state());
            self.approach(borrowed, &want, &mut prefix).await?;
        }
        if let Some(id) = forward.insert_id {
            prefix.push(&Step::Set(format!("SET SESSION last_insert_id={id}")));
        }
        let rewritten = match forward.statement {
            Some(id) => self.point_at_statement(borrowed, id, incoming, &mut prefix).await?,
            None => None,
        };
        Ok((prefix, rewritten))
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
                self.ledger.adopt(&borrowed.state);
            }
            return Ok(());
        }
        let Some(restore) = Restore::between(&borrowed.state, want) else {
            // The pool hands out no such connection: only a new login takes a schema away.
            return Err(Trouble::Server);
        };
        for step in &restore.steps {
            match step {
                Step::Set(text) if !borrowed.pool().is_proven(fingerprint(text)) => {
                    Box::pin(self.try_first(borrowed, text)).await?;
                }
                step => prefix.push(step),
            }
        }
        Ok(())
    }

    async fn try_first(&mut self, borrowed: &mut Borrowed, text: &str) -> Result<(), Trouble> {
        borrowed.busy = true;
        let tried = borrowed.command(Command::Query, text.as_bytes(), Expect::Query).await;
        borrowed.busy = false;
        match tried {
            Ok(_) => {
                borrowed.pool().prove(fingerprint(text));
                Ok(())
            }
            Err(BackendError::Refused(error)) => Err(Trouble::Word(Word::from_server(&error))),
            Err(_) => Err(Trouble::Server),
        }
    }

    /// Sends the prefix by itself and reads its replies.
    pub(super) async fn flush(
        &mut self,
        borrowed: &mut Borrowed,
        prefix: &mut Prefix,
    ) -> Result<(), Trouble> {
        if prefix.is_empty() {
            return Ok(());
        }
        let prefix = std::mem::take(prefix);
        borrowed.busy = true;
        let expected = vec![Expect::Query; prefix.replies.len()];
        let replies = borrowed.pipeline(&prefix.bytes, &expected).await;
        let replies = replies.map_err(|_| Trouble::Server)?;
        borrowed.busy = false;
        for reply in replies {
            if let crate::wire::Outcome::Err(error) = reply.outcome {
                return Err(Trouble::Doubtful(Word::from_server(&error)));
            }
        }
        Ok(())
    }
}

fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
