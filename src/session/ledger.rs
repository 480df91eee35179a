//! The session's memory: what each request asks for and what each reply leaves behind.
//!
//! Owns the state a session wants restored, its pins, its prepared statements and the answers to
//! diagnostics. It decides; it never sends, waits or borrows. Where the server's word and the
//! text disagree, it holds the connection.

mod completion;
mod request;

use std::sync::Arc;

use bytes::Bytes;

use completion::{ends_passing_pins, never_ran};
use request::{forward, refuse, statement_id};

use super::hints::{self, Dialect, Hints, Reading};
use super::statement::Statements;
use super::{Charset, Pins, SessionState};
use crate::wire::{Capabilities, Change, Command, Completion, ErrPacket, Expect, Outcome, Status};

/// What a login decides, and COM_RESET_CONNECTION returns to.
#[derive(Clone, Debug)]
pub struct Login {
    pub schema: Option<String>,
    pub charset: Charset,
    pub capabilities: Capabilities,
    /// Status flags of a fresh server connection.
    pub status: Status,
    pub mariadb: bool,
    /// The server's own, for reading texts while the session has set none.
    pub sql_mode: String,
    /// What `pool.init_query` sets on every connection.
    pub variables: Vec<(String, String)>,
}

/// One command as it stands in the buffer: `body` is what follows the command byte, and all of
/// the payload when `whole`.
#[derive(Debug)]
pub struct Request<'a> {
    pub command: Command,
    pub body: &'a [u8],
    pub whole: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    Quit,
    Answer(Answer),
    Forward(Forward),
    /// Authenticate again; then [`Ledger::log_in`].
    ChangeUser,
    /// Reset whatever connection is held, then [`Ledger::reset`], then say OK.
    Reset,
    Kill {
        id: u64,
        query_only: bool,
    },
}

/// What the proxy says by itself.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Ok,
    /// COM_STMT_CLOSE has no reply.
    Nothing,
    /// One row, one column.
    Number(i64),
    /// The id the greeting gave.
    ConnectionId,
    /// SHOW WARNINGS or SHOW ERRORS after a statement that left none, or only its own error.
    Diagnostics {
        count_only: bool,
        errors_only: bool,
    },
    Refuse(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    UnknownCommand,
    MalformedPacket,
    UnknownStatement {
        id: u32,
    },
    TooManyStatements,
    /// The answer lives on a connection that went back after the last statement.
    DiagnosticsGone,
    /// A text to be prepared must be kept whole.
    StatementTooLarge,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Forward {
    pub expect: Expect,
    /// The client's statement id whose server-side twin must stand in the request.
    pub statement: Option<u32>,
    /// The id a prepare reply must carry.
    pub new_statement: Option<u32>,
    /// The statement may ask for LAST_INSERT_ID(): the connection must be told this one.
    pub insert_id: Option<u64>,
    /// The statement may look at the diagnostics of the one before it, which another client ran:
    /// they must be wiped first.
    pub neutral: bool,
}

impl Forward {
    pub fn plain(expect: Expect) -> Self {
        Self { expect, statement: None, new_statement: None, insert_id: None, neutral: false }
    }
}

/// What becomes of the connection after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    GiveBack,
    Hold,
    /// An error packet says neither the status nor what changed: ask the server (COM_PING), then
    /// [`Ledger::on_pong`].
    Ask,
    /// A character set was named, and the collation that came with it is not reported: ask for
    /// `@@collation_connection`, then [`Ledger::on_collation`].
    AskCollation,
}

/// Status flags that say something of the session, not of one reply.
const LASTING_STATUS: Status =
    Status::SERVER_STATUS_AUTOCOMMIT.union(Status::SERVER_STATUS_NO_BACKSLASH_ESCAPES);

/// Character sets in which a byte of a quote or a backslash may be half a character.
const UNSAFE_CHARSETS: [&str; 6] = ["big5", "cp932", "gb18030", "gbk", "sjis", "swe7"];

pub struct Ledger {
    login: Login,
    state: Arc<SessionState>,
    dialect: Dialect,
    status: Status,
    in_transaction: bool,
    /// The server reported a table lock.
    tables_locked: bool,
    pins: Pins,
    pub statements: Statements,
    last_insert_id: u64,
    /// The connection in hand knows this session's LAST_INSERT_ID().
    insert_id_told: bool,
    collation_known: bool,
    /// No OK has come since the last error.
    error_untold: bool,
    row_count: i64,
    found_rows: u64,
    /// Of the last statement, when it failed: what SHOW WARNINGS would list.
    last_error: Option<ErrPacket>,
    pending: Pending,
}

/// The request under way.
#[derive(Default)]
struct Pending {
    command: Option<Command>,
    reading: Option<Reading>,
    /// Reads on while the rest of a long statement passes by.
    scanner: Option<hints::Scanner>,
    text: Option<Bytes>,
    statement: Option<u32>,
    option: Option<bool>,
}

impl Ledger {
    pub fn new(login: Login) -> Self {
        let state = Arc::new(initial_state(&login));
        let status = login.status & LASTING_STATUS;
        let dialect = dialect(&state, &login, status);
        Self {
            login,
            state,
            dialect,
            status,
            in_transaction: false,
            tables_locked: false,
            pins: Pins::default(),
            statements: Statements::default(),
            last_insert_id: 0,
            insert_id_told: false,
            collation_known: true,
            error_untold: false,
            row_count: -1,
            found_rows: 0,
            last_error: None,
            pending: Pending::default(),
        }
    }

    /// A new user on the same wire: nothing of the old session stays.
    pub fn log_in(&mut self, login: Login) {
        *self = Self::new(login);
    }

    /// COM_RESET_CONNECTION: everything but the schema returns to what it was after the login.
    pub fn reset(&mut self) {
        let schema = self.state.schema().map(str::to_owned);
        *self = Self::new(self.login.clone());
        self.set_state(self.state.with_schema(schema.as_deref()));
    }

    pub fn state(&self) -> &Arc<SessionState> {
        &self.state
    }

    /// An equal state that a connection already holds, so that the next look is a pointer's.
    pub fn adopt(&mut self, state: &Arc<SessionState>) {
        debug_assert_eq!(**state, *self.state);
        self.state = Arc::clone(state);
    }

    pub fn pins(&self) -> Pins {
        self.pins
    }

    pub fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Must the session keep the connection it has?
    pub fn holds(&self) -> bool {
        self.in_transaction || !self.pins.is_empty()
    }

    /// What an OK that the proxy says by itself must carry.
    pub fn status(&self) -> Status {
        let mut status = self.status;
        status.set(Status::SERVER_STATUS_IN_TRANS, self.in_transaction);
        status
    }

    pub fn last_error(&self) -> Option<&ErrPacket> {
        self.last_error.as_ref()
    }

    /// The text of a COM_STMT_PREPARE whose reply is under way.
    pub fn text_under_way(&self) -> Option<Bytes> {
        self.pending.text.clone()
    }

    /// Is the statement under way one that loads a file of the client's? A long one that is still
    /// passing by may be.
    pub fn may_load_file(&self) -> bool {
        self.pending.reading.is_none_or(|reading| {
            reading.hints.intersects(Hints::LOAD_LOCAL | Hints::UNREADABLE | Hints::CALL)
        })
    }

    pub fn reading_under_way(&self) -> Reading {
        self.pending.reading.unwrap_or_default()
    }

    /// `held`: the session has a connection already.
    pub fn on_request(&mut self, request: &Request<'_>, held: bool) -> Plan {
        self.pending = Pending { command: Some(request.command), ..Pending::default() };
        match request.command {
            Command::Quit => Plan::Quit,
            Command::Query => self.on_query(request, held),
            Command::StmtPrepare => self.on_prepare(request),
            Command::StmtExecute => self.on_execute(request, held),
            Command::StmtBulkExecute if self.login.mariadb => {
                // It leaves behind what an execute does.
                self.pending.command = Some(Command::StmtExecute);
                self.on_execute(request, held)
            }
            Command::StmtClose => self.on_close(request),
            Command::StmtSendLongData => self.on_long_data(request),
            Command::StmtReset => self.on_statement_reset(request),
            Command::StmtFetch => self.on_fetch(request),
            Command::Ping if held => forward(Expect::Single),
            Command::Ping => Plan::Answer(Answer::Ok),
            Command::InitDb | Command::Debug | Command::Refresh => forward(Expect::Single),
            Command::Statistics => forward(Expect::Statistics),
            Command::FieldList => forward(Expect::FieldList),
            Command::SetOption => {
                self.pending.option = Some(request.body.first() == Some(&0));
                forward(Expect::Single)
            }
            Command::ResetConnection => Plan::Reset,
            Command::ChangeUser => Plan::ChangeUser,
            Command::ProcessKill => match statement_id(request.body) {
                Some(id) => Plan::Kill { id: id.into(), query_only: false },
                None => refuse(Refusal::MalformedPacket),
            },
            _ => refuse(Refusal::UnknownCommand),
        }
    }

    /// More bytes of a request that was not whole.
    pub fn on_request_bytes(&mut self, chunk: &[u8]) {
        if let Some(scanner) = &mut self.pending.scanner {
            scanner.feed(chunk);
        }
    }

    /// The reply is complete.
    pub fn on_completion(&mut self, completion: &Completion) -> Disposition {
        let pending = self.take_pending();
        let reading = pending.reading.unwrap_or_default();
        if ends_passing_pins(&pending, reading) {
            self.pins.end_passing();
        }
        self.note_diagnostics(&pending, completion);
        if never_ran(reading, completion) {
            return self.unless_held();
        }
        self.pin_by_hints(&pending, reading);
        self.note_changes(&pending, reading, completion);
        self.note_statement(&pending, completion);
        match completion.status {
            Some(status) if matches!(completion.outcome, Outcome::Ok) => self.on_status(status),
            _ => self.after_error(&pending, reading),
        }
    }

    /// The answer to [`Disposition::Ask`], which brings the changes that the error did not.
    ///
    /// `astray`: the connection was led to another schema in vain; its report of that comes late,
    /// and is no change of this session's.
    pub fn on_pong(&mut self, pong: &Completion, astray: bool) -> Disposition {
        let led_astray = |change: &Change| matches!(change, Change::Schema(_));
        if !(astray && pong.changes.iter().any(led_astray)) {
            self.note_changes(&Pending::default(), Reading::default(), pong);
        }
        self.on_status(pong.status.unwrap_or_default())
    }

    /// The answer to [`Disposition::AskCollation`].
    pub fn on_collation(&mut self, collation: &str) -> Disposition {
        self.collation_known = true;
        self.set_state(self.state.with_variables([("collation_connection", collation)]));
        self.unless_held()
    }

    /// The server's word on the transaction.
    fn on_status(&mut self, status: Status) -> Disposition {
        let lasting = status & LASTING_STATUS;
        if lasting != self.status {
            self.status = lasting;
            self.dialect = dialect(&self.state, &self.login, lasting);
        }
        self.in_transaction = status.contains(Status::SERVER_STATUS_IN_TRANS);
        self.unless_held()
    }

    fn unless_held(&mut self) -> Disposition {
        if self.holds() {
            return Disposition::Hold;
        }
        if !self.collation_known {
            return Disposition::AskCollation;
        }
        self.insert_id_told = false;
        Disposition::GiveBack
    }

    /// The connection went away with everything that was on it.
    pub fn on_lost(&mut self) {
        self.pending = Pending::default();
        self.in_transaction = false;
        self.tables_locked = false;
        self.insert_id_told = false;
        self.collation_known = true;
        self.error_untold = false;
        self.pins = Pins::default();
        self.statements.forget_connection();
    }

    fn set_state(&mut self, state: SessionState) {
        if state != *self.state {
            self.state = Arc::new(state);
            self.dialect = dialect(&self.state, &self.login, self.status);
        }
    }
}

fn initial_state(login: &Login) -> SessionState {
    let multi = login.capabilities.contains(Capabilities::CLIENT_MULTI_STATEMENTS);
    let state = SessionState::new(login.schema.as_deref(), &login.charset, multi);
    let every_connection = login.variables.iter();
    state.with_variables(every_connection.map(|(name, value)| (name.as_str(), value.as_str())))
}

fn dialect(state: &SessionState, login: &Login, status: Status) -> Dialect {
    let mode = state.variable("sql_mode").unwrap_or(&login.sql_mode);
    let has = |name: &str| mode.split(',').any(|part| part.eq_ignore_ascii_case(name));
    let charset = state.variable("character_set_client").unwrap_or_default();
    Dialect {
        ansi_quotes: has("ANSI_QUOTES"),
        no_backslash_escapes: status.contains(Status::SERVER_STATUS_NO_BACKSLASH_ESCAPES),
        ascii_safe: !UNSAFE_CHARSETS.contains(&charset),
        mariadb: login.mariadb,
    }
}

#[cfg(test)]
mod tests;
