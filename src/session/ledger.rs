//! The session's memory: what each request asks for and what each reply leaves behind.
//!
//! Owns the state a session wants restored, its pins, its prepared statements and the answers to
//! diagnostics. It decides; it never sends, waits or borrows. Where the server's word and the
//! text disagree, it holds the connection.

mod completion;
mod conditions;
mod park;
mod passport;
mod request;

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;

use bitflags::bitflags;
use bytes::Bytes;

pub use passport::Passport;

use completion::{ends_passing_pins, never_ran};
use request::{forward, refuse, statement_id};

use super::hints::{self, About, Deed, Dialect, Head, Hints, Reading};
use super::library::{Library, Statement};
use super::statement::Statements;
use super::{Charset, Defaults, Diagnostics, Holdings, Inner, Pin, Pins, SessionState, Tracking};
use crate::wire::{
    Capabilities, Command, Completion, ErrPacket, Expect, Outcome, Status, TrackFilter,
};

/// What a login decides, and COM_RESET_CONNECTION returns to.
#[derive(Clone, Debug)]
pub struct Login {
    pub schema: Option<String>,
    pub charset: Charset,
    pub capabilities: Capabilities,
    /// Status flags of a fresh server connection.
    pub status: Status,
    /// Its transactions are read-only unless it asks otherwise.
    pub read_only: bool,
    pub defaults: Arc<Defaults>,
}

impl Login {
    /// Sessions that log in alike share what they keep of it.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.charset == other.charset
            && self.capabilities == other.capabilities
            && self.status == other.status
            && self.read_only == other.read_only
            && Arc::ptr_eq(&self.defaults, &other.defaults)
    }
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
    /// One row of numbers, and how many warnings it leaves.
    ///
    /// No row at all under `sql_select_limit = 0`.
    Row {
        cells: Vec<Cell>,
        warnings: u16,
        rows: bool,
    },
    /// SHOW WARNINGS or SHOW ERRORS, from [`Ledger::diagnostics`].
    Conditions {
        errors_only: bool,
        offset: u32,
        limit: u32,
    },
    Refuse(Refusal),
}

/// One number of an answer; `None` is the id the greeting gave.
#[derive(Debug, PartialEq, Eq)]
pub struct Cell {
    pub about: About,
    pub heading: String,
    pub value: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    UnknownCommand,
    MalformedPacket,
    UnknownStatement {
        id: u32,
    },
    TooManyStatements,
    /// Those of this client take too much.
    StatementsTooLarge,
    /// Those of all clients do.
    LibraryFull,
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
    /// Its list of conditions, or its count of them, may go on with what is on the connection: that
    /// must be wiped first, should there be any.
    pub continues: bool,
    /// It gets the diagnostics of the statement before it, which ran elsewhere: they must be put in
    /// place, see [`Diagnostics::signal`].
    pub signal: bool,
    /// The statement names the client's own trackers: they must be in place while it runs.
    pub tracking: bool,
}

impl Forward {
    pub fn plain(expect: Expect) -> Self {
        Self {
            expect,
            statement: None,
            new_statement: None,
            insert_id: None,
            neutral: false,
            continues: false,
            signal: false,
            tracking: false,
        }
    }
}

/// What becomes of the connection after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    GiveBack,
    Hold,
    /// Only the server can say what is not known yet: ask [`Ledger::questions`], then hear
    /// [`Ledger::decide`] again.
    Ask,
}

bitflags! {
    /// What is to be asked before the connection goes to somebody else.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Open: u16 {
        /// An error packet says neither the status nor what changed.
        const STATUS = 1;
        /// `SQL_CALC_FOUND_ROWS`: the number is not in the reply.
        const FOUND_ROWS = 1 << 1;
        /// The OK does not tell a generated id from one that was given.
        const INSERT_ID = 1 << 2;
        /// A character set was named, and the collation that came with it is not reported.
        const COLLATION = 1 << 3;
        const ROLE = 1 << 4;
        const LOCKS = 1 << 5;
        /// The client's trackers are in place of the proxy's.
        const TRACKING = 1 << 6;
        /// A variable was set in a way that is not reported.
        const UNREPORTED = 1 << 7;
    }
}

/// Status flags that say something of the session, not of one reply.
///
/// MariaDB has one more, which MySQL leaves clear: `SERVER_STATUS_ANSI_QUOTES`.
const LASTING_STATUS: Status = Status::SERVER_STATUS_AUTOCOMMIT
    .union(Status::SERVER_STATUS_NO_BACKSLASH_ESCAPES)
    .union(Status::from_bits_retain(0x8000));

/// Character sets in which a byte of a quote or a backslash may be half a character.
const UNSAFE_CHARSETS: [&str; 6] = ["big5", "cp932", "gb18030", "gbk", "sjis", "swe7"];

pub struct Ledger {
    login: Arc<Login>,
    state: Arc<SessionState>,
    dialect: Dialect,
    status: Status,
    in_transaction: bool,
    read_only_transaction: bool,
    /// The server reported a table lock.
    tables_locked: bool,
    pins: Pins,
    holdings: Holdings,
    library: Arc<Library>,
    pub statements: Statements,
    pub diagnostics: Diagnostics,
    /// The diagnostics on the connection in hand are not the client's any more: the proxy has asked
    /// something in between.
    asked: bool,
    /// FOUND_ROWS() of the connection in hand is this session's.
    found_rows_there: bool,
    /// The connection in hand knows this session's LAST_INSERT_ID().
    insert_id_told: bool,
    /// Reported with the last row that was inserted; the client may have given it itself.
    doubtful_id: Option<NonZeroU64>,
    open: Open,
    /// User variables that may have been written since their values were last read.
    dirty: BTreeSet<Box<str>>,
    /// System variables named beside the client's trackers.
    unreported: BTreeSet<String>,
    tracking: Arc<Tracking>,
    /// What the server says would repeat the transaction's start.
    characteristics: Option<Box<str>>,
    /// No OK has come since the last error.
    error_untold: bool,
    released: bool,
    /// A statement has named `wait_timeout`: the proxy's own has given way, until another connection is
    /// borrowed.
    timeout_named: bool,
    pending: Pending,
}

/// The request under way.
#[derive(Default)]
struct Pending {
    command: Option<Command>,
    reading: Option<Reading>,
    /// Reads on while the rest of a long statement passes by.
    scanner: Option<Box<hints::Scanner>>,
    /// It was too long to be kept, and was read while it passed.
    was_long: bool,
    /// Of a COM_STMT_PREPARE.
    prepares: Option<Arc<Statement>>,
    /// As its text is read.
    escapes: bool,
    /// Of an insert: the id that its reply reports may stand in it.
    given: Option<Bytes>,
    statement: Option<u32>,
    option: Option<bool>,
    deed: Option<Box<Deed>>,
    /// Of a text-prepared statement that is executed.
    inner: Option<Box<Inner>>,
    /// The connection knew this session's LAST_INSERT_ID() before it.
    insert_id_told: bool,
    /// No connection was in hand when it came.
    apart: bool,
    /// The list of conditions that is the session's was not on the connection before it: the proxy
    /// had asked something, or it was another connection.
    asked: bool,
    /// The condition it asks about was put there by a SIGNAL.
    signalled: bool,
    /// SHOW WARNINGS or SHOW ERRORS, whose rows no FOUND_ROWS() counts.
    lists: bool,
    /// The `wait_timeout` of the connection in hand is still the proxy's.
    own_timeout: bool,
}

impl Ledger {
    pub fn new(login: Login, library: Arc<Library>) -> Self {
        let (login, state) = library.beginning(login, initial_state);
        let status = login.status & LASTING_STATUS;
        let dialect = dialect(&state, &login, status);
        let tracking = login.defaults.tracking.clone();
        let diagnostics = Diagnostics::default();
        Self {
            login,
            state,
            dialect,
            status,
            in_transaction: false,
            read_only_transaction: false,
            tables_locked: false,
            pins: Pins::default(),
            holdings: Holdings::default(),
            library,
            statements: Statements::default(),
            diagnostics,
            asked: false,
            found_rows_there: false,
            insert_id_told: false,
            doubtful_id: None,
            open: Open::default(),
            dirty: BTreeSet::new(),
            unreported: BTreeSet::new(),
            tracking,
            characteristics: None,
            error_untold: false,
            released: false,
            timeout_named: false,
            pending: Pending::default(),
        }
    }

    /// A new user on the same wire: nothing of the old session stays but the option of several
    /// statements.
    pub fn log_in(&mut self, login: Login) {
        let multi_statements = self.state.multi_statements();
        *self = Self::new(login, Arc::clone(&self.library));
        self.set_state(self.state.with_multi_statements(multi_statements));
    }

    /// COM_RESET_CONNECTION: everything returns to what it was after the login, but the schema, the
    /// role, the option of several statements and FOUND_ROWS(), which stay, and on MySQL the character set,
    /// which becomes the server's own.
    pub fn reset(&mut self) {
        let (before, found_rows) = (Arc::clone(&self.state), self.diagnostics.found_rows);
        let mut login = Login::clone(&self.login);
        if let Some(charset) = &login.defaults.charset {
            login.charset = charset.clone();
        }
        *self = Self::new(login, Arc::clone(&self.library));
        let state = self.state.with_schema(before.schema()).with_role(before.role());
        self.set_state(state.with_multi_statements(before.multi_statements()));
        self.diagnostics.found_rows = found_rows;
    }

    /// The server hangs up after the statement whose reply has just ended, as it was told to.
    pub fn is_released(&self) -> bool {
        self.released
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
        self.pins.union(self.holdings.pins())
    }

    /// Is there anything on the connection that would be lost with it, beside a transaction?
    pub fn would_lose(&self) -> bool {
        let unread = Open::COLLATION
            | Open::ROLE
            | Open::TRACKING
            | Open::UNREPORTED
            | Open::INSERT_ID
            | Open::FOUND_ROWS;
        !self.pins().is_empty() || !self.dirty.is_empty() || self.open.intersects(unread)
    }

    pub fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Must the session keep the connection it has?
    pub fn holds(&self) -> bool {
        self.in_transaction || !self.pins().is_empty()
    }

    /// What an OK that the proxy says by itself must carry.
    pub fn status(&self) -> Status {
        let mut status = self.status;
        status.set(Status::SERVER_STATUS_IN_TRANS, self.in_transaction);
        let read_only = self.in_transaction && self.read_only_transaction;
        status.set(Status::SERVER_STATUS_IN_TRANS_READONLY, read_only);
        status
    }

    pub fn is_mariadb(&self) -> bool {
        self.login.defaults.mariadb
    }

    /// What of the trackers the client is to see of the reply under way. While its own are in place,
    /// that is all there is.
    pub fn track_filter(&self) -> TrackFilter {
        let named = |reading: Reading| reading.hints.contains(Hints::SESSION_TRACK);
        if self.pending.reading.is_some_and(named) {
            return TrackFilter::everything();
        }
        self.tracking.filter(self.is_mariadb(), self.state.reports_gtids())
    }

    /// Can the text under way be shown without its values, or may it be read in two ways?
    pub fn is_readable(&self) -> bool {
        self.pending.reading.is_none_or(|reading| !reading.hints.contains(Hints::UNREADABLE))
    }

    /// Does a backslash escape what stands behind it in a string of the text under way? In that of a
    /// prepared statement as it did when it was prepared.
    pub fn escapes(&self) -> bool {
        let prepared = self.pending.statement.and_then(|id| self.statements.get(id));
        prepared.map_or(!self.dialect.no_backslash_escapes, |prepared| prepared.escapes)
    }

    /// May the statement under way come to hold its connection, as far as its words tell?
    pub fn may_pin(&self) -> bool {
        let words = Hints::USER_VARIABLE_SET
            | Hints::SYSTEM_VARIABLE
            | Hints::GET_LOCK
            | Hints::LOCK_INSTANCE
            | Hints::LOCK_TABLES
            | Hints::HANDLER
            | Hints::ROLE
            | Hints::TEMPORARY
            | Hints::TEXT_PREPARE
            | Hints::CALL
            | Hints::FUNCTION_CALL_IN_SET
            | Hints::UNREADABLE;
        let heads = |head| {
            matches!(head, Head::Set | Head::Call | Head::Lock | Head::Compound | Head::Other)
        };
        let reading = self.pending.reading;
        reading.is_some_and(|it| it.hints.intersects(words) || heads(it.head))
    }

    /// Does the session have conditions, which may be on its connection?
    pub fn leaves_a_list(&self) -> bool {
        !self.diagnostics.is_clean()
    }

    /// Is there a list on the connection in hand that an error of the proxy's own is to join, or a
    /// FOUND_ROWS() that nobody will ask for behind it? MariaDB begins a new list.
    pub fn is_list_to_be_joined(&self) -> bool {
        let list = self.diagnostics.untold && !self.is_mariadb();
        list || self.open.contains(Open::FOUND_ROWS)
    }

    /// Whatever list was there before the request under way, after it there is the session's own.
    pub fn begins_a_list(&self) -> bool {
        let command = self.pending.command;
        matches!(command, Some(Command::Query | Command::StmtExecute | Command::StmtPrepare))
    }

    /// What puts the client's own trackers in place, for [`Forward::tracking`].
    pub fn tracking_statement(&self) -> String {
        self.tracking.statement()
    }

    /// May the statement under way begin an XA transaction?
    pub fn may_begin_xa(&self) -> bool {
        let may = Hints::XA | Hints::CALL | Hints::TEXT_PREPARE | Hints::UNREADABLE;
        let reading = self.pending.reading;
        self.pending.scanner.is_some()
            || reading.is_some_and(|reading| reading.hints.intersects(may))
    }

    /// May the statement under way change the role in a way that no reset undoes?
    pub fn may_change_role(&self) -> bool {
        let may = Hints::ROLE
            | Hints::CALL
            | Hints::FUNCTION_CALL_IN_SET
            | Hints::TEXT_PREPARE
            | Hints::UNREADABLE;
        let reading = self.pending.reading;
        let unread = self.pending.scanner.is_some();
        unread || reading.is_some_and(|reading| reading.hints.intersects(may))
    }

    /// Is the statement under way one of which nothing has run when it is refused?
    pub fn fails_whole(&self) -> bool {
        let parts = Hints::MULTI
            | Hints::CALL
            | Hints::UNREADABLE
            | Hints::EXECUTABLE_COMMENT
            | Hints::FUNCTION_CALL_IN_SET;
        self.pending.reading.is_some_and(|reading| {
            let runs_others = matches!(reading.head, Head::Call | Head::Compound | Head::Execute);
            reading.statements == 1 && !runs_others && !reading.hints.intersects(parts)
        })
    }

    /// Of a COM_STMT_PREPARE whose reply is under way.
    pub fn statement_under_way(&self) -> Option<&Arc<Statement>> {
        self.pending.prepares.as_ref()
    }

    /// Is the statement under way one that loads a file of the client's? A long one that is still
    /// passing by may be.
    pub fn may_load_file(&self) -> bool {
        self.pending.reading.is_none_or(|reading| {
            reading.hints.intersects(Hints::LOAD_LOCAL | Hints::UNREADABLE | Hints::CALL)
        })
    }

    /// `held`: the session has a connection already.
    pub fn on_request(&mut self, request: &Request<'_>, held: bool) -> Plan {
        self.pending =
            Pending { command: Some(request.command), apart: !held, ..Pending::default() };
        if !held {
            // A plan that came to nothing may have said that it is.
            self.insert_id_told = false;
            self.found_rows_there = false;
            if self.timeout_named {
                self.put_back_timeout();
            }
        }
        let plan = self.plan(request, held);
        match plan {
            Plan::Forward(forward) => {
                let whole = self.pins.contains(Pin::Warnings);
                let elsewhere = !held || (self.asked && !whole);
                let continues = elsewhere && self.continues_a_list();
                self.found_rows_there &= !continues;
                Plan::Forward(Forward { continues, ..forward })
            }
            other => other,
        }
    }

    fn plan(&mut self, request: &Request<'_>, held: bool) -> Plan {
        match request.command {
            Command::Quit => Plan::Quit,
            Command::Query => self.on_query(request, held),
            Command::StmtPrepare => self.on_prepare(request),
            Command::StmtExecute => self.on_execute(request, held),
            Command::StmtBulkExecute if self.is_mariadb() => {
                // It leaves behind what an execute does.
                self.pending.command = Some(Command::StmtExecute);
                self.on_execute(request, held)
            }
            Command::StmtClose => self.on_close(request),
            Command::StmtSendLongData => self.on_long_data(request, held),
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
        let mut pending = self.take_pending();
        let reading = pending.reading.unwrap_or_default();
        pending.asked = std::mem::take(&mut self.asked) || pending.apart;
        if ends_passing_pins(&pending, reading) {
            self.pins.end_passing();
        }
        self.note_diagnostics(&pending, completion);
        if never_ran(&pending, reading, completion) {
            return self.decide();
        }
        self.pin_by_hints(&pending, reading, completion);
        self.note_deeds(&pending, reading, completion);
        self.note_changes(&pending, reading, completion);
        self.note_statement(&pending, completion);
        match (&completion.outcome, completion.status) {
            (Outcome::Err(_), status) => {
                // Of the result before it, where there are several.
                if let Some(status) = status {
                    self.on_status(status);
                }
                self.after_error(&pending, reading);
            }
            (Outcome::Ok, Some(status)) => self.on_status(status),
            // A prepare says nothing of the session, and changes nothing of it.
            (Outcome::Ok, None) => {}
        }
        self.decide()
    }

    /// The server's word on the transaction.
    fn on_status(&mut self, status: Status) {
        self.open.remove(Open::STATUS);
        let lasting = status & LASTING_STATUS;
        if lasting != self.status {
            self.status = lasting;
            self.dialect = dialect(&self.state, &self.login, lasting);
        }
        self.in_transaction = status.contains(Status::SERVER_STATUS_IN_TRANS);
        self.read_only_transaction = status.contains(Status::SERVER_STATUS_IN_TRANS_READONLY);
        if !self.in_transaction {
            self.note_next_transaction();
        }
    }

    /// A plan that comes to nothing: what was to go ahead of it goes nowhere.
    pub fn on_not_sent(&mut self, forward: &Forward) {
        if forward.insert_id.is_some() {
            self.insert_id_told = false;
        }
        self.open.remove(Open::TRACKING | Open::UNREPORTED);
        self.unreported.clear();
        if self.pending.own_timeout {
            self.put_back_timeout();
        }
    }

    /// The diagnostics on the connection in hand are nobody's now.
    pub fn on_wiped(&mut self) {
        (self.asked, self.found_rows_there) = (true, false);
    }

    /// What the proxy has said to a command that it does not know, and no server either.
    pub fn on_unknown(&mut self, error: &ErrPacket) {
        self.note_error_beside(error);
        self.diagnostics.row_count = -1;
    }

    /// What the proxy itself has said to the client in place of a reply, which a server would have
    /// noted.
    pub fn on_refused(&mut self, error: &ErrPacket) {
        let statement = matches!(self.pending.command, Some(Command::Query | Command::StmtPrepare));
        if statement {
            self.diagnostics.note_error(error);
            self.diagnostics.untold = false;
            self.asked = true;
        } else {
            self.note_error_beside(error);
        }
        self.diagnostics.row_count = -1;
    }

    /// What becomes of the connection, as far as is known.
    pub fn decide(&mut self) -> Disposition {
        if self.open.contains(Open::LOCKS) && self.holdings.locks().is_empty() {
            self.open.remove(Open::LOCKS);
        }
        // What changes now would go unseen.
        let id_in_doubt = self.open.contains(Open::INSERT_ID) && self.doubtful_id.is_some();
        let in_doubt = id_in_doubt || self.diagnostics.is_in_doubt();
        if in_doubt || self.open.intersects(Open::TRACKING | Open::UNREPORTED) {
            return Disposition::Ask;
        }
        if self.in_transaction || !self.held_by_locks_only() && self.holds() {
            return Disposition::Hold;
        }
        if self.has_questions() {
            return Disposition::Ask;
        }
        if self.holds() {
            return Disposition::Hold;
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
        self.found_rows_there = false;
        self.diagnostics.lose_list();
        self.doubtful_id = None;
        self.open = Open::default();
        self.asked = true;
        self.dirty.clear();
        self.unreported.clear();
        self.characteristics = None;
        self.error_untold = false;
        self.pins = Pins::default();
        self.holdings = Holdings::default();
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
    let every_connection = login.defaults.variables.iter();
    let read_only = if login.defaults.mariadb { "tx_read_only" } else { "transaction_read_only" };
    let read_only = login.read_only.then_some((read_only, "ON"));
    let variables = every_connection.map(|(name, value)| (name.as_str(), value.as_str()));
    state.with_variables(variables.chain(read_only))
}

fn dialect(state: &SessionState, login: &Login, status: Status) -> Dialect {
    let mode = state.variable("sql_mode").unwrap_or(&login.defaults.sql_mode);
    let has = |name: &str| mode.split(',').any(|part| part.eq_ignore_ascii_case(name));
    let charset = state.variable("character_set_client").unwrap_or_default();
    Dialect {
        ansi_quotes: has("ANSI_QUOTES"),
        no_backslash_escapes: status.contains(Status::SERVER_STATUS_NO_BACKSLASH_ESCAPES),
        ascii_safe: !UNSAFE_CHARSETS.contains(&charset),
        mariadb: login.defaults.mariadb,
    }
}

#[cfg(test)]
mod tests;
