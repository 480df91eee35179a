//! What every server connection is told before it serves anybody: which changes to report.

use std::sync::Arc;

use bytes::BytesMut;

use super::connection::refused;
use super::{BackendError, Connection, Facts};
use crate::session::{Charset, NEUTRAL_SCHEMA, SessionState};
use crate::wire::{Change, Command, Expect, put_command};

impl Connection {
    /// COM_RESET_CONNECTION and the setup in one write: whatever was on the connection is gone,
    /// an open transaction rolled back. Not cancel-safe.
    pub async fn reset(&mut self) -> Result<(), BackendError> {
        if self.in_xa {
            return Err(BackendError::Xa);
        }
        if self.role_in_doubt && !self.has_first_role().await? {
            return Err(BackendError::Role);
        }
        self.role_in_doubt = false;
        self.statements.clear();
        self.set_up_after(Some(Command::ResetConnection)).await?;
        let multi_statements = self.state.multi_statements();
        self.state = Arc::new(self.facts.baseline(self.state.schema(), multi_statements));
        Ok(())
    }

    /// Would a reset take away everything there may be, without a look?
    pub fn resets_blindly(&self) -> bool {
        !self.role_in_doubt && !self.in_xa
    }

    /// The same, to travel ahead of a request: the commands, and what is expected back for each. The
    /// connection is on neutral ground then, where it had a schema, and none of them is ever refused.
    pub fn put_reset(&mut self, out: &mut BytesMut) -> Vec<Expect> {
        self.statements.clear();
        let mut expected = Vec::with_capacity(4);
        put_command(out, Command::ResetConnection, b"");
        expected.push(Expect::Single);
        let neutral = self.state.schema().map(|_| NEUTRAL_SCHEMA);
        if let Some(schema) = neutral {
            put_command(out, Command::InitDb, schema.as_bytes());
            expected.push(Expect::Single);
        }
        self.put_setup(out, &mut expected);
        self.state = Arc::new(self.facts.baseline(neutral, self.state.multi_statements()));
        expected
    }

    fn put_setup(&self, out: &mut BytesMut, expected: &mut Vec<Expect>) {
        self.format.put_query(out, &self.setup_statement());
        expected.push(Expect::Query);
        if !self.init_query.is_empty() {
            self.format.put_query(out, &self.init_query);
            expected.push(Expect::Query);
        }
    }

    pub(super) async fn set_up(&mut self) -> Result<(), BackendError> {
        self.set_up_after(None).await?;
        let multi_statements = self.state.multi_statements();
        self.state = Arc::new(self.facts.baseline(self.state.schema(), multi_statements));
        Ok(())
    }

    /// The variables that the init query reports to have set.
    pub(super) async fn set_up_after(
        &mut self,
        first: Option<Command>,
    ) -> Result<Vec<(String, String)>, BackendError> {
        let mut out = BytesMut::with_capacity(8192);
        let mut expected = Vec::with_capacity(4);
        if let Some(first) = first {
            put_command(&mut out, first, b"");
            expected.push(Expect::Single);
            // A reset keeps the schema and forgets its collation.
            if let Some(schema) = self.state.schema() {
                put_command(&mut out, Command::InitDb, schema.as_bytes());
                expected.push(Expect::Single);
            }
        }
        self.put_setup(&mut out, &mut expected);
        self.stream.send(&out).await?;
        let mut last = Vec::new();
        for completion in self.replies(&expected).await? {
            last = refused(completion)?.changes;
        }
        if self.init_query.is_empty() {
            return Ok(Vec::new());
        }
        let variable = |change| match change {
            Change::Variable { name, value } => Some((name, value)),
            _ => None,
        };
        Ok(last.into_iter().filter_map(variable).collect())
    }

    /// No reset gives back the role that the login gave.
    async fn has_first_role(&mut self) -> Result<bool, BackendError> {
        let role = self.role().await?;
        Ok(role == self.facts.role)
    }

    pub(super) async fn role(&mut self) -> Result<Option<String>, BackendError> {
        let rows = self.query("SELECT CURRENT_ROLE() LIMIT 1").await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()?))
    }

    /// The character set is told by name: the login's one-byte collation is only a wish, which
    /// the server's own configuration may override.
    fn setup_statement(&self) -> String {
        let canonical = Charset::canonical();
        let Charset { name, collation } = canonical;
        let wait_timeout = self.facts.our_wait_timeout;
        let wait_timeout = wait_timeout.map(|it| format!(",wait_timeout={it}")).unwrap_or_default();
        format!(
            "{},character_set_client={name},character_set_results={name},\
             collation_connection={collation}{wait_timeout}",
            self.tracking_statement()
        )
    }

    /// Has the server report what the proxy needs to see.
    pub(super) fn tracking_statement(&self) -> String {
        format!(
            "SET SESSION session_track_schema=ON,session_track_state_change=ON,\
             session_track_transaction_info='CHARACTERISTICS',session_track_system_variables='{}'",
            self.facts.tracked
        )
    }
}

impl Facts {
    /// What a connection holds right after its setup.
    pub fn baseline(&self, schema: Option<&str>, multi_statements: bool) -> SessionState {
        let plain = SessionState::new(schema, &Charset::canonical(), multi_statements);
        let set = self.defaults.variables.iter();
        plain.with_variables(set.map(|(name, value)| (name.as_str(), value.as_str())))
    }
}
