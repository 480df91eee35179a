//! The session's memory: what each request asks for and what each reply leaves behind.
//!
//! Owns the state a session wants restored, its pins, its prepared statements and the answers to
//! diagnostics. It decides; it never sends, waits or borrows. Where the server's word and the
//! text disagree, it holds the connection.

use std::sync::Arc;

use bytes::Bytes;

use super::hints::{self, Dialect, Exact, Head, Hints, Reading};
use super::statement::{Prepared, Statement, Statements};
use super::{Charset, Pin, Pins, SessionState};
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

/// Hints that a statement looks at what the one before it left.
const ABOUT_THE_LAST: Hints = Hints::FOUND_ROWS.union(Hints::ROW_COUNT).union(Hints::DIAGNOSTICS);

/// A hint, and the pin it is enough for.
const BY_HINT: [(Hints, Pin); 17] = [
    (Hints::USER_VARIABLE_SET, Pin::UserVariable),
    (Hints::GET_LOCK, Pin::UserLock),
    (Hints::LOCK_INSTANCE, Pin::InstanceLock),
    (Hints::LOCK_TABLES, Pin::TableLock),
    (Hints::HANDLER, Pin::Handler),
    (Hints::ROLE, Pin::Role),
    (Hints::FOUND_ROWS_CALC, Pin::FoundRows),
    (Hints::TEXT_PREPARE, Pin::TextPrepare),
    (Hints::XA, Pin::Xa),
    (Hints::SET_TRANSACTION_ONCE, Pin::SetTransaction),
    (Hints::SESSION_TRACK, Pin::SessionTrack),
    (Hints::UNREADABLE, Pin::Unreadable),
    (Hints::CALL, Pin::Routine),
    (Hints::FUNCTION_CALL_IN_SET, Pin::Routine),
    (Hints::BINLOG, Pin::Unknown),
    (Hints::SEQUENCE, Pin::Unknown),
    (Hints::RESOURCE_GROUP.union(Hints::PROFILES), Pin::Unknown),
];

/// Variables whose value is spent or derived as statements run: telling it to another connection
/// would freeze it.
const VOLATILE: [&str; 10] = [
    "profiling",
    "timestamp",
    "insert_id",
    "last_insert_id",
    "identity",
    "rand_seed1",
    "rand_seed2",
    "pseudo_thread_id",
    "gtid_next",
    "gtid_seq_no",
];

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
}

/// Requests.
impl Ledger {
    fn on_query(&mut self, request: &Request<'_>, held: bool) -> Plan {
        if !request.whole {
            let mut scanner = hints::Scanner::new(self.dialect);
            scanner.feed(request.body);
            self.pending.scanner = Some(scanner);
            // What it will ask is not known yet.
            let (insert_id, neutral) = (self.tell_insert_id(), !held);
            return Plan::Forward(Forward { insert_id, neutral, ..Forward::plain(Expect::Query) });
        }
        let reading = hints::read(request.body, self.dialect);
        self.pending.reading = Some(reading);
        if reading.exact == Some(Exact::ConnectionId) {
            return Plan::Answer(Answer::ConnectionId);
        }
        if let Some(kill) = reading.kill {
            return Plan::Kill { id: kill.id, query_only: kill.query_only };
        }
        if !held && let Some(answer) = self.known_answer(reading) {
            self.note_own_answer(reading);
            return answer;
        }
        Plan::Forward(Forward {
            insert_id: self.insert_id_for(reading),
            neutral: !held && reading.hints.intersects(ABOUT_THE_LAST),
            ..Forward::plain(Expect::Query)
        })
    }

    /// Answers that live in the session because the connection that had them went back.
    fn known_answer(&self, reading: Reading) -> Option<Plan> {
        let diagnostics = |count_only, errors_only| Answer::Diagnostics { count_only, errors_only };
        let failed = i64::from(self.last_error.is_some());
        let answer = match reading.exact {
            Some(Exact::RowCount) => Answer::Number(self.row_count),
            Some(Exact::FoundRows) => Answer::Number(self.found_rows.cast_signed()),
            Some(Exact::WarningCount | Exact::ErrorCount) => Answer::Number(failed),
            Some(Exact::ShowWarnings) => diagnostics(false, false),
            Some(Exact::ShowErrors) => diagnostics(false, true),
            Some(Exact::ShowCountWarnings) => diagnostics(true, false),
            Some(Exact::ShowCountErrors) => diagnostics(true, true),
            _ if asks_what_is_gone(reading) && !self.left_no_diagnostics(reading) => {
                Answer::Refuse(Refusal::DiagnosticsGone)
            }
            _ => return None,
        };
        Some(Plan::Answer(answer))
    }

    /// What the server's diagnostics would be after its own answer.
    fn note_own_answer(&mut self, reading: Reading) {
        let shows = matches!(reading.exact, Some(Exact::ShowWarnings | Exact::ShowErrors));
        self.found_rows = u64::from(!shows || self.last_error.is_some());
        self.row_count = -1;
        // MariaDB's list outlives a statement that uses no table.
        let asks = matches!(reading.exact, Some(Exact::RowCount | Exact::FoundRows));
        if asks && !self.login.mariadb {
            self.last_error = None;
        }
    }

    /// Nothing is known of the last statement that wiped diagnostics would not say too. (Had it
    /// left warnings, its connection would still be held.)
    fn left_no_diagnostics(&self, reading: Reading) -> bool {
        let counts = Hints::FOUND_ROWS | Hints::ROW_COUNT;
        self.last_error.is_none() && !reading.hints.intersects(counts)
    }

    fn insert_id_for(&mut self, reading: Reading) -> Option<u64> {
        let asks = reading.hints.contains(Hints::LAST_INSERT_ID) || reading.head == Head::Call;
        if asks { self.tell_insert_id() } else { None }
    }

    fn tell_insert_id(&mut self) -> Option<u64> {
        let told = std::mem::replace(&mut self.insert_id_told, true);
        (!told).then_some(self.last_insert_id)
    }

    fn on_prepare(&mut self, request: &Request<'_>) -> Plan {
        if self.statements.is_full() {
            return refuse(Refusal::TooManyStatements);
        }
        if !request.whole {
            return refuse(Refusal::StatementTooLarge);
        }
        let text = Bytes::copy_from_slice(request.body);
        self.pending.reading = Some(hints::read(&text, self.dialect));
        self.pending.text = Some(text);
        Plan::Forward(Forward {
            new_statement: Some(self.statements.next_id()),
            ..Forward::plain(Expect::Prepare)
        })
    }

    fn on_execute(&mut self, request: &Request<'_>, held: bool) -> Plan {
        let Some(id) = statement_id(request.body) else { return refuse(Refusal::MalformedPacket) };
        let Some(prepared) = self.statements.get(id) else {
            return refuse(Refusal::UnknownStatement { id });
        };
        let reading = prepared.statement.reading;
        self.pending.statement = Some(id);
        self.pending.reading = Some(reading);
        if !held && asks_what_is_gone(reading) && !self.left_no_diagnostics(reading) {
            return refuse(Refusal::DiagnosticsGone);
        }
        Plan::Forward(Forward {
            statement: Some(id),
            insert_id: self.insert_id_for(reading),
            neutral: !held && reading.hints.intersects(ABOUT_THE_LAST),
            ..Forward::plain(Expect::Execute)
        })
    }

    fn on_close(&mut self, request: &Request<'_>) -> Plan {
        let removed = statement_id(request.body).and_then(|id| self.statements.remove(id));
        // A cursor or long data is on a server-side statement of its own, which goes with it.
        if removed.is_some_and(|prepared| prepared.cursor || prepared.long_data) {
            self.end_statement_pins();
        }
        Plan::Answer(Answer::Nothing)
    }

    fn on_long_data(&mut self, request: &Request<'_>) -> Plan {
        let id = statement_id(request.body);
        let Some(prepared) = id.and_then(|id| self.statements.get_mut(id)) else {
            // No reply, not even an error: the execute will tell.
            return Plan::Answer(Answer::Nothing);
        };
        prepared.long_data = true;
        self.pins.insert(Pin::LongData);
        self.pending.statement = id;
        Plan::Forward(Forward { statement: id, ..Forward::plain(Expect::Nothing) })
    }

    fn on_statement_reset(&mut self, request: &Request<'_>) -> Plan {
        let Some(id) = statement_id(request.body) else { return refuse(Refusal::MalformedPacket) };
        let Some(prepared) = self.statements.get(id) else {
            return refuse(Refusal::UnknownStatement { id });
        };
        if !prepared.cursor && !prepared.long_data {
            return Plan::Answer(Answer::Ok);
        }
        self.pending.statement = Some(id);
        forward_statement(Expect::Single, id)
    }

    fn on_fetch(&mut self, request: &Request<'_>) -> Plan {
        let Some(id) = statement_id(request.body) else { return refuse(Refusal::MalformedPacket) };
        if self.statements.get(id).is_none() {
            return refuse(Refusal::UnknownStatement { id });
        }
        self.pending.statement = Some(id);
        forward_statement(Expect::Fetch, id)
    }
}

/// Completions.
impl Ledger {
    fn take_pending(&mut self) -> Pending {
        let mut pending = std::mem::take(&mut self.pending);
        if let Some(scanner) = pending.scanner.take() {
            pending.reading = Some(scanner.finish());
        }
        pending
    }

    fn note_diagnostics(&mut self, pending: &Pending, completion: &Completion) {
        let statement = matches!(
            pending.command,
            Some(Command::Query | Command::StmtExecute | Command::StmtPrepare | Command::InitDb)
        );
        if !statement {
            return;
        }
        self.last_error = match &completion.outcome {
            Outcome::Err(error) => Some(error.clone()),
            Outcome::Ok => None,
        };
        if completion.last_insert_id != 0 {
            self.last_insert_id = completion.last_insert_id;
            self.insert_id_told = true;
        }
        if pending.command == Some(Command::StmtPrepare) {
            return;
        }
        if completion.result_set {
            self.found_rows = completion.rows;
            self.row_count = -1;
        } else {
            self.row_count = match completion.outcome {
                Outcome::Ok => completion.affected_rows.cast_signed(),
                Outcome::Err(_) => -1,
            };
        }
        // The OK of COM_INIT_DB counts the warnings of whatever ran before it.
        if completion.warnings > 0 && pending.command != Some(Command::InitDb) {
            self.pins.insert(Pin::Warnings);
        }
    }

    /// What the trackers do not tell. A hint only ever adds a pin; whether the statement failed
    /// does not matter, since a part of it may have run.
    fn pin_by_hints(&mut self, pending: &Pending, reading: Reading) {
        if pending.command == Some(Command::StmtPrepare) {
            return;
        }
        for (hint, pin) in BY_HINT {
            if reading.hints.intersects(hint) {
                self.pins.insert(pin);
            }
        }
        // The tracker's letter is of LOCK TABLES only, and must not end what FLUSH or BACKUP holds.
        if reading.hints.contains(Hints::LOCK_TABLES) && reading.head != Head::Lock {
            self.pins.insert(Pin::InstanceLock);
        }
        if reading.hints.contains(Hints::TEMPORARY) && reading.head != Head::Drop {
            self.pins.insert(Pin::TemporaryTable);
        }
        let reports = matches!(reading.head, Head::Insert | Head::Update | Head::Replace);
        if reading.hints.contains(Hints::LAST_INSERT_ID_SET) && !reports {
            self.pins.insert(Pin::LastInsertId);
        }
    }

    fn note_changes(&mut self, pending: &Pending, reading: Reading, completion: &Completion) {
        let mut variables = Vec::new();
        let mut schema = None;
        let mut reported = false;
        for change in &completion.changes {
            match change {
                Change::Variable { name, value } => variables.push((name.as_str(), value.as_str())),
                Change::Schema(name) => schema = Some(name.as_str()),
                Change::State => reported = true,
                Change::Transaction(letters) => self.note_transaction_state(*letters),
                Change::Characteristics(text) => self.note_characteristics(text),
                Change::Gtids(_) => {}
                Change::Unreadable(_) => self.pins.insert(Pin::Unknown),
            }
        }
        let named = !variables.is_empty() || schema.is_some();
        // What a failed statement changed is told with the next OK, whatever that is for.
        let late = std::mem::take(&mut self.error_untold);
        let explained = named && !late && is_plain_set(pending, reading);
        if reported && !self.pins.any_lasting() && !explained {
            self.pins.insert(Pin::Unknown);
        }
        if !variables.is_empty() {
            self.note_variables(&variables, reading);
        }
        if let Some(schema) = schema {
            self.set_state(self.state.with_schema(Some(schema)));
        }
    }

    fn note_variables(&mut self, variables: &[(&str, &str)], reading: Reading) {
        if reading.hints.contains(Hints::SET_STATEMENT) {
            // SET STATEMENT … FOR puts them back without a word.
            self.pins.insert(Pin::Unknown);
            return;
        }
        if variables.iter().any(|(name, _)| name.starts_with("session_track")) {
            self.pins.insert(Pin::SessionTrack);
        }
        if variables.iter().any(|(name, _)| VOLATILE.contains(name)) {
            self.pins.insert(Pin::VolatileVariable);
        }
        // SET NAMES and its like report the character sets, never the collation they bring.
        let has = |name| variables.iter().any(|(reported, _)| *reported == name);
        if has("character_set_connection") {
            self.collation_known = has("collation_connection");
        }
        let lasting = variables
            .iter()
            .copied()
            .filter(|(name, _)| !VOLATILE.contains(name) && !name.starts_with("session_track"));
        self.set_state(self.state.with_variables(lasting));
    }

    /// Eight letters; the last is `L` while tables are locked.
    fn note_transaction_state(&mut self, letters: [u8; 8]) {
        let locked = letters.last() == Some(&b'L');
        if locked {
            self.pins.insert(Pin::TableLock);
        } else if self.tables_locked {
            self.pins.remove(Pin::TableLock);
        }
        self.tables_locked = locked;
    }

    fn note_characteristics(&mut self, text: &str) {
        if text.is_empty() {
            self.pins.remove(Pin::SetTransaction);
        } else if text.starts_with("SET TRANSACTION") {
            self.pins.insert(Pin::SetTransaction);
        }
    }

    fn note_statement(&mut self, pending: &Pending, completion: &Completion) {
        match (pending.command, &completion.outcome) {
            (Some(Command::StmtPrepare), Outcome::Ok) => self.note_prepared(pending, completion),
            (Some(Command::StmtExecute | Command::StmtFetch | Command::StmtReset), outcome) => {
                let open = completion.cursor
                    && !completion
                        .status
                        .is_some_and(|status| status.contains(Status::SERVER_STATUS_LAST_ROW_SENT));
                self.note_cursor(pending, open, matches!(outcome, Outcome::Ok));
            }
            (Some(Command::SetOption), Outcome::Ok) => {
                if let Some(on) = pending.option {
                    self.set_state(self.state.with_multi_statements(on));
                }
            }
            _ => {}
        }
    }

    fn note_prepared(&mut self, pending: &Pending, completion: &Completion) {
        if let (Some(ok), Some(text)) = (&completion.prepared, &pending.text) {
            let reading = pending.reading.unwrap_or_default();
            let statement = Statement::new(text.clone(), Arc::clone(&self.state), reading);
            self.statements.insert(Prepared {
                statement: Arc::new(statement),
                params: ok.params,
                columns: ok.columns,
                types: None,
                long_data: false,
                cursor: false,
            });
        }
    }

    fn note_cursor(&mut self, pending: &Pending, open: bool, ok: bool) {
        let open = open && pending.command != Some(Command::StmtReset);
        let fetch_failed = !ok && pending.command == Some(Command::StmtFetch);
        if let Some(prepared) = pending.statement.and_then(|id| self.statements.get_mut(id)) {
            prepared.cursor = open || (fetch_failed && prepared.cursor);
            if pending.command != Some(Command::StmtFetch) {
                prepared.long_data = false;
            }
        }
        self.end_statement_pins();
    }

    fn end_statement_pins(&mut self) {
        if self.statements.any_cursor() {
            self.pins.insert(Pin::Cursor);
        } else {
            self.pins.remove(Pin::Cursor);
        }
        if !self.statements.any_long_data() {
            self.pins.remove(Pin::LongData);
        }
    }

    fn after_error(&mut self, pending: &Pending, reading: Reading) -> Disposition {
        self.error_untold = true;
        if !fails_alone(pending, reading) {
            // A procedure or a chain may have changed anything before it failed, and an error
            // packet does not say what.
            self.pins.insert(Pin::Unknown);
        }
        if self.holds() {
            return Disposition::Hold;
        }
        Disposition::Ask
    }

    fn set_state(&mut self, state: SessionState) {
        if state != *self.state {
            self.state = Arc::new(state);
            self.dialect = dialect(&self.state, &self.login, self.status);
        }
    }
}

impl Statements {
    /// Cursors and long data were on the connection.
    fn forget_connection(&mut self) {
        for prepared in self.values_mut() {
            prepared.cursor = false;
            prepared.long_data = false;
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

fn forward(expect: Expect) -> Plan {
    Plan::Forward(Forward::plain(expect))
}

fn forward_statement(expect: Expect, id: u32) -> Plan {
    Plan::Forward(Forward { statement: Some(id), ..Forward::plain(expect) })
}

fn refuse(refusal: Refusal) -> Plan {
    Plan::Answer(Answer::Refuse(refusal))
}

fn statement_id(body: &[u8]) -> Option<u32> {
    body.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Another client's answer must not be given for this one's.
fn asks_what_is_gone(reading: Reading) -> bool {
    let by_itself = Hints::MULTI | Hints::FOUND_ROWS_CALC;
    // A routine's body asks about its own statements, when it runs.
    let defines = matches!(reading.head, Head::Create | Head::Alter | Head::Call | Head::Compound);
    reading.hints.intersects(ABOUT_THE_LAST) && !reading.hints.intersects(by_itself) && !defines
}

/// Preparing is no statement to FOUND_ROWS(), and whoever only looks at the warnings leaves them.
fn ends_passing_pins(pending: &Pending, reading: Reading) -> bool {
    let statement =
        matches!(pending.command, Some(Command::Query | Command::StmtExecute | Command::InitDb));
    let looks = reading.hints.contains(Hints::DIAGNOSTICS)
        && !reading.hints.contains(Hints::MULTI)
        && matches!(reading.head, Head::Show | Head::Select | Head::Get);
    statement && !looks
}

/// A state change that the reported variables and schema explain in full.
fn is_plain_set(pending: &Pending, reading: Reading) -> bool {
    match pending.command {
        Some(Command::InitDb) => true,
        Some(Command::Query | Command::StmtExecute) => {
            let hidden = Hints::MULTI | Hints::FUNCTION_CALL_IN_SET | Hints::UNREADABLE;
            matches!(reading.head, Head::Set | Head::Use) && !reading.hints.intersects(hidden)
        }
        _ => false,
    }
}

/// A text that the server could not parse did nothing, whatever it mentions. A procedure may fail
/// so in its middle, and so may a later part of a chain.
fn never_ran(reading: Reading, completion: &Completion) -> bool {
    let parse_error = matches!(&completion.outcome, Outcome::Err(error) if error.code == 1064);
    parse_error && completion.results <= 1 && !matches!(reading.head, Head::Call | Head::Execute)
}

/// Statements that leave nothing of themselves behind when they fail outside a transaction.
fn fails_alone(pending: &Pending, reading: Reading) -> bool {
    match pending.command {
        Some(Command::Query | Command::StmtExecute) => {
            let hidden = Hints::MULTI | Hints::UNREADABLE | Hints::EXECUTABLE_COMMENT;
            let calls = matches!(reading.head, Head::Call | Head::Execute | Head::Load);
            !calls && !reading.hints.intersects(hidden)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests;
