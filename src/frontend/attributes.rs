//! Query attributes on their way in.
//!
//! Owns where the text begins behind them, and when a session begins to need connections that take
//! them. Before that, and on a connection that was held when the first attribute came, they are
//! left out: blanked before a text, and not said again with an execute.

use super::End;
use super::inbound::Incoming;
use super::refuse::Word;
use super::serve::Session;
use crate::session::Refusal;
use crate::wire::{
    Capabilities, Command, Execute, HEADER_LEN, QueryAttributes, Written, statement_id,
};

impl Session {
    /// `Err`: the request is not understood.
    pub(super) fn look_for_attributes(&mut self, incoming: Incoming) -> Result<(), Word> {
        if !self.capabilities.contains(Capabilities::CLIENT_QUERY_ATTRIBUTES) {
            return Ok(());
        }
        let wanted = match incoming.command.and_then(Command::from_byte) {
            Some(Command::Query) => self.before_a_text(incoming)?,
            Some(Command::StmtExecute) => self.among_parameters(incoming)?,
            _ => false,
        };
        if wanted {
            self.identity.meaning.common |= Capabilities::CLIENT_QUERY_ATTRIBUTES;
        }
        Ok(())
    }

    pub(super) async fn not_understood(
        &mut self,
        word: Word,
        incoming: Incoming,
    ) -> Result<(), End> {
        let seq = self.skip(incoming).await?;
        self.say(&word, seq).await
    }

    fn before_a_text(&mut self, incoming: Incoming) -> Result<bool, Word> {
        match QueryAttributes::parse(self.inbound.body(incoming)) {
            Ok(found) => {
                self.inbound.attributes = found.len;
                Ok(found.count > 0)
            }
            Err(_) if incoming.whole => Err(Word::refusal(Refusal::MalformedPacket)),
            Err(_) => Err(Word::attributes_too_long()),
        }
    }

    fn among_parameters(&mut self, incoming: Incoming) -> Result<bool, Word> {
        let payload = self.inbound.front(incoming).get(HEADER_LEN..).unwrap_or_default();
        let prepared = statement_id(payload).and_then(|id| self.ledger.statements.get(id));
        // Of an unknown statement the ledger will tell.
        let Some(prepared) = prepared else { return Ok(false) };
        let execute = Execute::parse(payload, prepared.params, Written::Named)
            .map_err(|_| Word::refusal(Refusal::MalformedPacket))?;
        Ok(execute.attributes > 0)
    }

    /// How this client writes the parameters of a command that has some.
    pub(super) fn writes_parameters(&self, command: Option<u8>) -> Option<Written> {
        let named = self.capabilities.contains(Capabilities::CLIENT_QUERY_ATTRIBUTES);
        match command.and_then(Command::from_byte) {
            Some(Command::StmtExecute) if named => Some(Written::Named),
            Some(Command::StmtExecute) => Some(Written::Plain),
            Some(Command::StmtBulkExecute) => Some(Written::Bulk),
            _ => None,
        }
    }
}
