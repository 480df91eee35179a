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
use crate::session::{Prepared, Refusal, Statement};
use crate::wire::{
    Command, Completion, Execute, Expect, HEADER_LEN, Header, MAX_PAYLOAD, Written,
    asks_for_cursor, set_statement_id, statement_id,
};

/// The front of the request, rebuilt; it takes the place of the bytes in the buffer.
pub(super) struct Rewritten(pub BytesMut);

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
            None => Box::pin(self.prepare_here(borrowed, &prepared, twin, prefix)).await?,
        };
        let payload = self.inbound.front(incoming).get_mut(HEADER_LEN..).unwrap_or_default();
        let direct = statement_id(payload) == Some(u32::MAX);
        set_statement_id(payload, server_id);
        if let Some(written) = self.writes_parameters(incoming.command) {
            let bound = (written, direct);
            return self.bind_types(borrowed, (id, twin), &prepared, incoming, bound);
        }
        Ok(None)
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
        let ok = borrowed.command(Command::StmtPrepare, &statement.text, Expect::Prepare).await;
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
        (from, direct): (Written, bool),
    ) -> Result<Option<Rewritten>, Trouble> {
        let malformed = || Trouble::Word(Word::refusal(Refusal::MalformedPacket));
        let to = match from {
            Written::Bulk => Written::Bulk,
            _ if borrowed.format.query_attributes => Written::Named,
            _ => Written::Plain,
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
                let types: Arc<[u8]> = (&*types).into();
                if let Some(mine) = self.ledger.statements.get_mut(id) {
                    mine.types = Some(Arc::clone(&types));
                }
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
        // One that fills its packet keeps its length, see `recut`; one that grows past that would
        // have to be cut anew to its end.
        let len = match incoming.header.len {
            MAX_PAYLOAD if rebuilt.len() - HEADER_LEN <= payload.len() => MAX_PAYLOAD,
            len => len + rebuilt.len() - HEADER_LEN - payload.len(),
        };
        if len >= MAX_PAYLOAD && len != incoming.header.len {
            return Err(Trouble::Word(Word::types_too_late()));
        }
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
        let (Some(ok), Some(text)) = (&completion.prepared, self.ledger.text_under_way()) else {
            return;
        };
        self.shared.metrics.session.prepares.of(PrepareWay::Client).inc();
        let reading = self.ledger.reading_under_way();
        let statement = Statement::new(text, Arc::clone(self.ledger.state()), reading);
        borrowed.statements.insert(&Arc::new(statement), Twin::Shared, ok.statement_id);
    }
}

/// Which of the server-side statements the request is for.
fn twin(id: u32, prepared: &Prepared, front: &[u8]) -> Twin {
    let opens_cursor = asks_for_cursor(front.get(HEADER_LEN..).unwrap_or_default());
    if opens_cursor || prepared.cursor || prepared.long_data {
        Twin::Private(id)
    } else {
        Twin::Shared
    }
}
