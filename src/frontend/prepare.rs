//! Prepared statements on the way to a server: the id that is real there, prepared there first if
//! it is not yet, and the parameter types that this connection has not heard.

use std::sync::Arc;

use bytes::BytesMut;

use super::exchange::Trouble;
use super::inbound::Incoming;
use super::refuse::Word;
use super::restore::Prefix;
use super::serve::Session;
use crate::backend::{BackendError, Twin};
use crate::metrics::PrepareWay;
use crate::pool::Borrowed;
use crate::session::{Prepared, Refusal};
use crate::wire::{
    Command, Completion, Execute, HEADER_LEN, Header, MAX_PAYLOAD, set_statement_id, with_types,
};

/// The front of the request, rebuilt; it takes the place of the bytes in the buffer.
pub(super) struct Rewritten(pub BytesMut);

impl Rewritten {
    /// `Some`: so much longer than what it replaces that the request must be cut anew, to its very
    /// end.
    pub fn overflow(&self, incoming: Incoming) -> Option<usize> {
        let grown = self.0.len().saturating_sub(incoming.here);
        (incoming.header.len + grown >= MAX_PAYLOAD).then_some(grown)
    }
}

impl Session {
    /// Puts the server's statement id into the request.
    pub(super) async fn point_at_statement(
        &mut self,
        borrowed: &mut Borrowed,
        id: u32,
        incoming: Incoming,
        prefix: &mut Prefix,
    ) -> Result<Option<Rewritten>, Trouble> {
        let Some(prepared) = self.ledger.statements.get(id).cloned() else {
            return Err(Trouble::Word(Word::refusal(Refusal::UnknownStatement { id })));
        };
        let twin = twin(id, &prepared, self.inbound.front(incoming));
        let known = borrowed.statements.get(&prepared.statement, twin).map(|known| known.id);
        let server_id = match known {
            Some(server_id) => server_id,
            None if !self.has_room_for(borrowed, twin) => {
                return Err(Trouble::Word(Word::too_many_cursors()));
            }
            None => Box::pin(self.prepare_here(borrowed, &prepared, twin, prefix)).await?,
        };
        let payload = self.inbound.front(incoming).get_mut(HEADER_LEN..).unwrap_or_default();
        set_statement_id(payload, server_id);
        if incoming.command == Some(Command::StmtExecute as u8) {
            return self.bind_types(borrowed, (id, twin), &prepared, incoming);
        }
        Ok(None)
    }

    /// It is not on the server, or not as it must be.
    pub(super) fn forget_twin(&mut self, borrowed: &mut Borrowed, id: u32, incoming: Incoming) {
        let Some(prepared) = self.ledger.statements.get(id) else { return };
        let twin = twin(id, prepared, self.inbound.front(incoming));
        borrowed.statements.forget(&prepared.statement, twin);
    }

    fn has_room_for(&self, borrowed: &mut Borrowed, twin: Twin) -> bool {
        let mine = &self.ledger.statements;
        let is_open = |id| mine.get(id).is_some_and(Prepared::is_open);
        twin == Twin::Shared || borrowed.statements.has_room_for_private(is_open)
    }

    /// Under the state the text was prepared in, which decides what it means.
    async fn prepare_here(
        &mut self,
        borrowed: &mut Borrowed,
        prepared: &Prepared,
        twin: Twin,
        prefix: &mut Prefix,
    ) -> Result<u32, Trouble> {
        let now = Arc::clone(self.ledger.state());
        self.flush(borrowed, prefix, &now).await?;
        let statement = &prepared.statement;
        let elsewhere = !statement.state.reads_like(&now);
        if elsewhere {
            let there = Arc::new(statement.state.to_read_within(&now));
            self.approach(borrowed, &there, prefix).await?;
            self.flush(borrowed, prefix, &there).await?;
        }
        borrowed.busy = true;
        let ok = self.prepare_with_room(borrowed, &statement.text).await;
        borrowed.busy = false;
        if elsewhere {
            self.approach(borrowed, &now, prefix).await?;
        }
        let ok = match ok {
            Ok(completion) => completion.prepared.ok_or(Trouble::Server)?,
            Err(BackendError::Refused(error)) => {
                self.flush(borrowed, prefix, &now).await?;
                return Err(Trouble::Word(Word::from_server(&error)));
            }
            Err(_) => return Err(Trouble::Server),
        };
        self.shared.metrics.session.prepares.of(PrepareWay::Again).inc();
        borrowed.statements.insert(statement, twin, ok.statement_id);
        Ok(ok.statement_id)
    }

    /// An execute may rely on types that were bound on another connection.
    fn bind_types(
        &mut self,
        borrowed: &mut Borrowed,
        (id, twin): (u32, Twin),
        prepared: &Prepared,
        incoming: Incoming,
    ) -> Result<Option<Rewritten>, Trouble> {
        let malformed = || Trouble::Word(Word::refusal(Refusal::MalformedPacket));
        let payload = self.inbound.front(incoming).get(HEADER_LEN..).unwrap_or_default();
        let execute = Execute::parse(payload, prepared.params).map_err(|_| malformed())?;
        let Some(there) = borrowed.statements.get(&prepared.statement, twin) else {
            return Err(Trouble::Server);
        };
        if execute.new_params_bound {
            let types = payload.get(execute.types).unwrap_or_default();
            if prepared.types.as_deref() != Some(types) {
                let types = prepared.statement.share_types(types);
                if let Some(mine) = self.ledger.statements.get_mut(id) {
                    mine.types = Some(Arc::clone(&types));
                }
                there.types = Some(types);
            } else if there.types != prepared.types {
                there.types.clone_from(&prepared.types);
            }
            return Ok(None);
        }
        let Some(types) = prepared.types.as_ref().filter(|_| there.types != prepared.types) else {
            return Ok(None);
        };
        there.types = Some(Arc::clone(types));
        let mut rebuilt = BytesMut::with_capacity(payload.len() + types.len() + HEADER_LEN);
        let len = incoming.header.len + types.len();
        rebuilt.extend_from_slice(&Header { len, seq: 0 }.bytes());
        with_types(payload, prepared.params, types, &mut rebuilt).map_err(|_| malformed())?;
        Ok(Some(Rewritten(rebuilt)))
    }

    /// A prepare by the client leaves a statement on this connection that others may use.
    pub(super) fn note_server_statement(
        &mut self,
        borrowed: &mut Borrowed,
        completion: &Completion,
    ) {
        let (Some(ok), Some(statement)) = (&completion.prepared, self.ledger.statement_under_way())
        else {
            return;
        };
        self.shared.metrics.session.prepares.of(PrepareWay::Client).inc();
        if borrowed.astray {
            // It was prepared in another schema than the one it stands for.
            borrowed.statements.reject(ok.statement_id);
        } else {
            borrowed.statements.insert(statement, Twin::Shared, ok.statement_id);
        }
    }
}

/// Which of the server-side statements the request is for.
fn twin(id: u32, prepared: &Prepared, front: &[u8]) -> Twin {
    let command = front.get(HEADER_LEN).copied().and_then(Command::from_byte);
    // https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_execute.html:
    // the flags, which name the cursor, stand behind the statement id.
    let opens_cursor = command == Some(Command::StmtExecute)
        && front.get(HEADER_LEN + 5).is_some_and(|flags| *flags != 0);
    if opens_cursor || prepared.is_open() { Twin::Private(id) } else { Twin::Shared }
}
