//! What a reply leaves behind: state to restore, pins, answers for later.

use super::{Disposition, Ledger, Pending};
use crate::session::Pin;
use crate::session::hints::{Head, Hints, Reading};
use crate::session::statement::{Prepared, Statements};
use crate::wire::{Change, Command, Completion, Outcome, Status};

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

impl Ledger {
    pub(super) fn take_pending(&mut self) -> Pending {
        let mut pending = std::mem::take(&mut self.pending);
        if let Some(scanner) = pending.scanner.take() {
            pending.reading = Some(scanner.finish());
        }
        pending
    }

    pub(super) fn note_diagnostics(&mut self, pending: &Pending, completion: &Completion) {
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
    pub(super) fn pin_by_hints(&mut self, pending: &Pending, reading: Reading) {
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

    pub(super) fn note_changes(
        &mut self,
        pending: &Pending,
        reading: Reading,
        completion: &Completion,
    ) {
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

    pub(super) fn note_variables(&mut self, variables: &[(&str, &str)], reading: Reading) {
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
    pub(super) fn note_transaction_state(&mut self, letters: [u8; 8]) {
        let locked = letters.last() == Some(&b'L');
        if locked {
            self.pins.insert(Pin::TableLock);
        } else if self.tables_locked {
            self.pins.remove(Pin::TableLock);
        }
        self.tables_locked = locked;
    }

    pub(super) fn note_characteristics(&mut self, text: &str) {
        if text.is_empty() {
            self.pins.remove(Pin::SetTransaction);
        } else if text.starts_with("SET TRANSACTION") {
            self.pins.insert(Pin::SetTransaction);
        }
    }

    pub(super) fn note_statement(&mut self, pending: &Pending, completion: &Completion) {
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

    pub(super) fn note_prepared(&mut self, pending: &Pending, completion: &Completion) {
        if let (Some(ok), Some(statement)) = (&completion.prepared, &pending.prepares) {
            self.statements.insert(Prepared {
                statement: statement.clone(),
                params: ok.params,
                columns: ok.columns,
                types: None,
                long_data: false,
                cursor: false,
            });
        }
    }

    pub(super) fn note_cursor(&mut self, pending: &Pending, open: bool, ok: bool) {
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

    pub(super) fn end_statement_pins(&mut self) {
        if self.statements.any_cursor() {
            self.pins.insert(Pin::Cursor);
        } else {
            self.pins.remove(Pin::Cursor);
        }
        if !self.statements.any_long_data() {
            self.pins.remove(Pin::LongData);
        }
    }

    pub(super) fn after_error(&mut self, pending: &Pending, reading: Reading) -> Disposition {
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
}

impl Statements {
    /// Cursors and long data were on the connection.
    pub(super) fn forget_connection(&mut self) {
        for prepared in self.values_mut() {
            prepared.cursor = false;
            prepared.long_data = false;
        }
    }
}

/// Preparing is no statement to FOUND_ROWS(), and whoever only looks at the warnings leaves them.
pub(super) fn ends_passing_pins(pending: &Pending, reading: Reading) -> bool {
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
pub(super) fn never_ran(reading: Reading, completion: &Completion) -> bool {
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
