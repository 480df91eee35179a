//! What every server connection is told before it serves anybody: which changes to report.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;

use super::connection::refused;
use super::{BackendError, Connection};
use crate::session::{Charset, SessionState};
use crate::wire::{Command, Expect, put_command};

impl Connection {
    /// COM_RESET_CONNECTION and the setup in one write: whatever was on the connection is gone,
    /// an open transaction rolled back. Not cancel-safe.
    pub async fn reset(&mut self) -> Result<(), BackendError> {
        let mut out = BytesMut::with_capacity(8192);
        put_command(&mut out, Command::ResetConnection, b"");
        put_command(&mut out, Command::Query, self.setup_statement().as_bytes());
        self.stream.write_all(&out).await?;
        for completion in self.replies(&[Expect::Single, Expect::Query]).await? {
            refused(completion)?;
        }
        self.statements.clear();
        self.state = Arc::new(baseline(self.state.schema(), self.state.multi_statements()));
        Ok(())
    }

    pub(super) async fn set_up(&mut self) -> Result<(), BackendError> {
        let setup = self.setup_statement();
        self.command(Command::Query, setup.as_bytes(), Expect::Query).await?;
        Ok(())
    }

    /// The character set is told by name: the login's one-byte collation is only a wish, which
    /// the server's own configuration may override.
    fn setup_statement(&self) -> String {
        let mut text = String::from("SET SESSION ");
        if !self.facts.tracked.is_empty() {
            text.push_str("session_track_schema=ON,session_track_state_change=ON,");
            text.push_str("session_track_transaction_info='CHARACTERISTICS',");
            text.push_str("session_track_system_variables='");
            text.push_str(&self.facts.tracked);
            text.push_str("',");
        }
        let canonical = Charset::canonical();
        let Charset { name, collation } = canonical;
        format!(
            "{text}character_set_client={name},character_set_results={name},\
             collation_connection={collation}"
        )
    }
}

/// What a connection holds right after its setup.
pub(super) fn baseline(schema: Option<&str>, multi_statements: bool) -> SessionState {
    SessionState::new(schema, &Charset::canonical(), multi_statements)
}
