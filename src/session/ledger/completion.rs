//! What a reply leaves behind: state to restore, pins, answers for later.

use std::sync::Arc;

use super::conditions::only_looks;
use super::park::MOST_USER_VARIABLES;
use super::{Ledger, Open, Pending};
use crate::session::hints::{Act, Deed, Head, Hints, Reading, deed, read};
use crate::session::statement::{Prepared, Statements};
use crate::session::{Inner, Pin, Ran, Tracking};
use crate::wire::{Change, Command, Completion, Outcome, Status};

/// A hint, and the pin it is enough for. What has a name is the holdings' to pin.
const BY_HINT: [(Hints, Pin); 6] = [
    (Hints::UNREADABLE, Pin::Unreadable),
    (Hints::CALL, Pin::Routine),
    (Hints::FUNCTION_CALL_IN_SET, Pin::Routine),
    (Hints::BINLOG, Pin::Unknown),
    (Hints::SEQUENCE, Pin::Unknown),
    (Hints::RESOURCE_GROUP.union(Hints::PROFILES), Pin::Unknown),
];

/// A `SET TRANSACTION` that the trackers did not report is not known of, and so not restored.
const ONCE: &str = "SET TRANSACTION";

/// Variables whose value is spent or derived as statements run: telling it to another connection
/// would freeze it.
const VOLATILE: [&str; 8] = [
    "profiling",
    "timestamp",
    "insert_id",
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
            pending.was_long = true;
        }
        pending
    }

    /// What the trackers do not tell. A hint only ever adds a pin; whether the statement failed
    /// does not matter, since a part of it may have run.
    pub(super) fn pin_by_hints(
        &mut self,
        pending: &Pending,
        reading: Reading,
        completion: &Completion,
    ) {
        if pending.command == Some(Command::StmtPrepare) {
            return;
        }
        for (hint, pin) in BY_HINT {
            if reading.hints.intersects(hint) {
                self.pins.insert(pin);
            }
        }
        if reading.hints.contains(Hints::LOCK_TABLES) && reading.head == Head::Lock {
            self.pins.insert(Pin::TableLock);
        }
        // Read too late to have the client's trackers put in place of the proxy's: what changes from
        // here on may go unreported.
        if reading.hints.contains(Hints::SESSION_TRACK) && !self.open.contains(Open::TRACKING) {
            self.pins.insert(Pin::Unknown);
        }
        // Of what goes unreported then only variables are asked for.
        let more = reading.hints.contains(Hints::MULTI)
            || !matches!(reading.head, Head::Set | Head::Select | Head::Show);
        if reading.hints.contains(Hints::SESSION_TRACK) && more {
            self.pins.insert(Pin::Unknown);
        }
        // Nor is its text here to be read once more.
        let unread = pending.was_long || pending.inner.is_some();
        let may_set = reading.head == Head::Set || reading.hints.contains(Hints::MULTI);
        if self.is_mariadb() && unread && may_set && reading.hints.contains(Hints::SYSTEM_VARIABLE)
        {
            self.pins.insert(Pin::Unknown);
        }
        if reading.hints.contains(Hints::RELEASE) || self.state.releases() {
            let ends = matches!(reading.head, Head::Commit | Head::Rollback);
            self.released |= ends && matches!(completion.outcome, Outcome::Ok);
        }
        let reports = matches!(reading.head, Head::Insert | Head::Update | Head::Replace)
            && completion.last_insert_id != 0;
        if reading.hints.contains(Hints::LAST_INSERT_ID_SET) && !reports {
            self.doubtful_id = None;
            self.open.insert(Open::INSERT_ID);
        }
        if reading.hints.intersects(Hints::GET_LOCK | Hints::RELEASE_LOCK) {
            self.open.insert(Open::LOCKS);
        }
    }

    /// What the statement does by name.
    pub(super) fn note_deeds(
        &mut self,
        pending: &Pending,
        reading: Reading,
        completion: &Completion,
    ) {
        if !matches!(pending.command, Some(Command::Query | Command::StmtExecute)) {
            return;
        }
        let deed = self.deed_of(pending);
        let ok = matches!(completion.outcome, Outcome::Ok);
        let rows = !completion.result_set || completion.rows > 0;
        let outer = if pending.inner.is_some() { executes(reading) } else { reading };
        self.note_deed(outer, deed.as_ref(), (ok, rows));
        if let Some(inner) = &pending.inner {
            self.note_deed(inner.reading, inner.deed.as_deref(), (ok, rows));
        }
    }

    fn deed_of(&self, pending: &Pending) -> Option<Deed> {
        let statement = pending.statement.and_then(|id| self.statements.get(id));
        let of_statement = statement.and_then(|prepared| prepared.statement.deed.as_deref());
        let mut deed = pending.deed.as_deref().or(of_statement)?.clone();
        // Behind the definition there may be another statement.
        if deed.act == Act::Defines && self.state.multi_statements() {
            deed.act = Act::Other;
        }
        Some(deed)
    }

    fn note_deed(&mut self, reading: Reading, deed: Option<&Deed>, (ok, rows): (bool, bool)) {
        if reading.hints.contains(Hints::USER_VARIABLE_SET) {
            match deed.and_then(|deed| deed.variables.as_ref()) {
                Some(names) => {
                    let kept =
                        names.iter().filter(|it| !self.login.defaults.ignores_user_variable(it));
                    self.dirty.extend(kept.cloned());
                    if self.dirty.len() > MOST_USER_VARIABLES {
                        self.dirty.clear();
                        self.pins.insert(Pin::UserVariable);
                    }
                }
                None => self.pins.insert(Pin::UserVariable),
            }
        }
        if reading.hints.contains(Hints::ROLE) {
            if deed.is_some_and(|deed| deed.act == Act::SetRole) {
                self.open.insert(Open::ROLE);
            } else {
                self.pins.insert(Pin::Role);
            }
        }
        let dialect = self.dialect;
        let state = Arc::clone(&self.state);
        let ran = Ran { reading, deed, ok, rows, schema: state.schema() };
        self.holdings.on_statement(ran, |text| {
            let reading = read(text, dialect);
            Some(Inner { reading, deed: deed_always(text, reading, dialect) })
        });
    }

    pub(super) fn note_changes(
        &mut self,
        pending: &Pending,
        reading: Reading,
        completion: &Completion,
    ) {
        // What a failed statement changed is told with the next OK, whatever that is for.
        let late = std::mem::take(&mut self.error_untold);
        if completion.changes.is_empty() {
            return;
        }
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
        let explained = !late && self.explains(pending, reading, named);
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
        let tracking = variables.iter().any(|(name, _)| Tracking::NAMES.contains(name));
        if tracking && !self.open.contains(Open::TRACKING) {
            self.pins.insert(Pin::Unknown);
        }
        let ignored = |name: &str| self.login.defaults.ignores(name);
        let volatile = |name: &str| VOLATILE.contains(&name);
        if variables.iter().any(|(name, _)| volatile(name) && !ignored(name)) {
            self.pins.insert(Pin::VolatileVariable);
        }
        for (name, value) in variables {
            if matches!(*name, "last_insert_id" | "identity") {
                self.diagnostics.last_insert_id = value.parse().unwrap_or_default();
            }
        }
        // SET NAMES and its like report the character sets, never the collation they bring.
        let has = |name| variables.iter().any(|(reported, _)| *reported == name);
        if has("character_set_connection") {
            self.open.set(Open::COLLATION, !has("collation_connection"));
        }
        let lasting = |name: &str| {
            let asked = matches!(name, "last_insert_id" | "identity");
            // `statement_id` and `last_gtid` are reported where a client asked for all.
            let settable = &self.login.defaults.tracked;
            let known = settable.is_empty() || settable.contains(name);
            known && !asked && !volatile(name) && !ignored(name) && !Tracking::NAMES.contains(&name)
        };
        let lasting: Vec<_> = variables.iter().copied().filter(|(name, _)| lasting(name)).collect();
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
        self.characteristics = (!text.is_empty()).then(|| text.into());
    }

    /// Outside a transaction they are of the next one.
    pub(super) fn note_next_transaction(&mut self) {
        let said = self.characteristics.as_deref().filter(|text| text.starts_with(ONCE));
        if said != self.state.next_transaction() {
            self.set_state(self.state.with_next_transaction(said));
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
                escapes: pending.escapes,
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

    pub(super) fn after_error(&mut self, pending: &Pending, reading: Reading) {
        self.error_untold = true;
        if !fails_alone(pending, reading) {
            // A procedure or a chain may have changed anything before it failed, and an error
            // packet does not say what.
            self.pins.insert(Pin::Unknown);
        }
        // Whether the statement used this up before it failed, MariaDB does not say later.
        if self.is_mariadb() && !self.in_transaction && self.state.next_transaction().is_some() {
            self.pins.insert(Pin::Unknown);
        }
        // Asked for when nothing else holds the connection.
        if !self.in_transaction {
            self.open.insert(Open::STATUS);
        }
    }

    /// A state change that is known in full: what was reported, and what the statement names.
    fn explains(&self, pending: &Pending, reading: Reading, named: bool) -> bool {
        let hidden = Hints::FUNCTION_CALL_IN_SET | Hints::UNREADABLE | Hints::CALL;
        if pending.command == Some(Command::InitDb) {
            return true;
        }
        let runs = matches!(pending.command, Some(Command::Query | Command::StmtExecute));
        if !runs || reading.hints.intersects(hidden) {
            return false;
        }
        if reading.only_sets {
            let by_name = Hints::USER_VARIABLE_SET | Hints::ROLE | Hints::SESSION_TRACK;
            return named || reading.hints.intersects(by_name);
        }
        let deed = self.deed_of(pending);
        let by_name = |act: &Act| {
            matches!(
                act,
                Act::CreateTemporary(_)
                    | Act::DropTables(_)
                    | Act::AlterTable { renames: false }
                    | Act::CreateIndex
                    | Act::Prepare { .. }
                    | Act::Deallocate(_)
                    | Act::SetRole
            )
        };
        let inner = pending.inner.as_ref().and_then(|inner| inner.deed.as_deref());
        deed.iter().chain(inner).any(|deed| by_name(&deed.act))
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

/// Preparing is no statement to what waits for one, and whoever only looks at the warnings leaves
/// them.
pub(super) fn ends_passing_pins(pending: &Pending, reading: Reading) -> bool {
    let statement =
        matches!(pending.command, Some(Command::Query | Command::StmtExecute | Command::InitDb));
    statement && !only_looks(pending, reading)
}

/// A text that the server could not parse did nothing, whatever it mentions. A procedure may fail
/// so in its middle, and so may a later part of a chain, or what a text-prepared statement runs.
pub(super) fn never_ran(pending: &Pending, reading: Reading, completion: &Completion) -> bool {
    let parse_error = matches!(&completion.outcome, Outcome::Err(error) if error.code == 1064);
    let hidden =
        Hints::CALL | Hints::TEXT_PREPARE | Hints::FUNCTION_CALL_IN_SET | Hints::SET_STATEMENT;
    let runs_another = matches!(reading.head, Head::Call | Head::Execute | Head::Compound)
        || reading.hints.intersects(hidden)
        || pending.inner.is_some();
    parse_error && completion.results <= 1 && !runs_another
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

/// What is known of an `EXECUTE` beside what it runs.
fn executes(reading: Reading) -> Reading {
    Reading { head: Head::Execute, hints: Hints::TEXT_PREPARE, ..reading }
}

pub(super) fn deed_always(
    text: &[u8],
    reading: Reading,
    dialect: crate::session::hints::Dialect,
) -> Option<Box<Deed>> {
    deed(text, reading, dialect, true).filter(|deed| !deed.is_nothing())
}
