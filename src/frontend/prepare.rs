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
    Completion, Execute, HEADER_LEN, Header, MAX_PAYLOAD, Written, asks_for_cursor,
    set_statement_id, statement_id,
};

/// The front of the request, rebuilt; it takes the place of the bytes in the buffer.
pub(super) struct Rewritten(pub BytesMut);

impl Rewritten {
    /// The packet it begins cannot have the length it had: the request must be cut anew, to its
    /// very end.
    pub fn must_be_recut(&self, incoming: Incoming) -> bool {
        incoming.header.len == MAX_PAYLOAD || self.payload_of(incoming) >= MAX_PAYLOAD
    }

    /// So many bytes has the first of the request's packets, with this in front.
    pub fn payload_of(&self, incoming: Incoming) -> usize {
        (incoming.header.len + self.0.len()).saturating_sub(incoming.here)
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
        let Some(prepared) = self.ledger.statements.get(id) else {
            return Err(Trouble::Word(Word::refusal(Refusal::UnknownStatement { id })));
        };
        // What is prepared on another ground than the client's is nobody else's.
        let twin = if borrowed.astray {
            Twin::Private(id)
        } else {
            twin(id, prepared, self.inbound.front(incoming))
        };
        let known = borrowed.statements.get(&prepared.statement, twin).map(|known| known.id);
        let server_id = match known {
            Some(server_id) => server_id,
            None if !self.has_room_for(borrowed, twin) => {
                return Err(Trouble::Word(Word::too_many_cursors()));
            }
            None => {
                let prepared = prepared.clone();
                Box::pin(self.prepare_here(borrowed, &prepared, twin, prefix)).await?
            }
        };
        let payload = self.inbound.front(incoming).get_mut(HEADER_LEN..).unwrap_or_default();
        let direct = statement_id(payload) == Some(u32::MAX);
        set_statement_id(payload, server_id);
        if let Some(written) = self.writes_parameters(incoming.command) {
            let bound = (written, direct);
            return self.bind_types(borrowed, (id, twin), incoming, bound);
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
        // They may be the room that the new one needs.
        borrowed.statements.put_closes(&mut prefix.bytes);
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
            // At once: the request may yet come to nothing, and what goes ahead of it with it.
            self.approach(borrowed, &now, prefix).await?;
            self.flush(borrowed, prefix, &now).await?;
        }
        let ok = match ok {
            Ok(completion) => completion.prepared.ok_or(Trouble::Server)?,
            Err(BackendError::Refused(error)) => {
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
        incoming: Incoming,
        (from, direct): (Written, bool),
    ) -> Result<Option<Rewritten>, Trouble> {
        let malformed = || Trouble::Word(Word::refusal(Refusal::MalformedPacket));
        let to = match from {
            Written::Bulk => Written::Bulk,
            _ if borrowed.format.query_attributes => Written::Named,
            _ => Written::Plain,
        };
        let Some(prepared) = self.ledger.statements.get_mut(id) else {
            return Err(Trouble::Word(Word::refusal(Refusal::UnknownStatement { id })));
        };
        let payload = self.inbound.front(incoming).get(HEADER_LEN..).unwrap_or_default();
        let execute = Execute::parse(payload, prepared.params, from).map_err(|_| malformed())?;
        let Some(there) = borrowed.statements.get(&prepared.statement, twin) else {
            return Err(Trouble::Server);
        };
        // MariaDB takes none sent earlier for "the last one prepared".
        if direct && prepared.params > 0 && !execute.new_params_bound {
            return Err(malformed());
        }
        let mut missing = None;
        if execute.new_params_bound {
            let types = execute.plain_types(payload);
            if prepared.types.as_deref() != Some(&*types) {
                let types = prepared.statement.share_types(&types);
                prepared.types = Some(Arc::clone(&types));
                there.types = Some(types);
            } else if there.types != prepared.types {
                there.types.clone_from(&prepared.types);
            }
        } else if there.types != prepared.types {
            missing = prepared.types.as_ref();
        }
        if from == to && missing.is_none() {
            return Ok(None);
        }
        let mut rebuilt = BytesMut::from(&[0; HEADER_LEN][..]);
        execute.rewrite(payload, to, missing.map(|types| &**types), &mut rebuilt);
        // Of a longer request the packets are cut anew, and this header is not sent.
        let len = incoming.header.len + rebuilt.len() - HEADER_LEN - payload.len();
        if let Some(types) = missing {
            there.types = Some(Arc::clone(types));
        }
        if let Some(place) = rebuilt.first_chunk_mut() {
            *place = Header { len, seq: 0 }.bytes();
        }
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
    let opens_cursor = asks_for_cursor(front.get(HEADER_LEN..).unwrap_or_default());
    if opens_cursor || prepared.is_open() { Twin::Private(id) } else { Twin::Shared }
}
