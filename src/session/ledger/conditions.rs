//! What a reply leaves of conditions, counts and ids: MySQL's diagnostics area as the session has it.

use std::num::NonZeroU64;

use super::{Ledger, Open, Pending};
use crate::session::Diagnostics;
use crate::session::hints::{Head, Hints, Reading};
use crate::wire::{Command, Completion, ErrPacket, Outcome};

/// Of an execute, before anything of it is done.
const MALFORMED_PACKET: u16 = 1835;

impl Ledger {
    pub(super) fn note_diagnostics(&mut self, pending: &Pending, completion: &Completion) {
        let statement = matches!(
            pending.command,
            Some(
                Command::Query
                    | Command::StmtExecute
                    | Command::StmtPrepare
                    | Command::InitDb
                    | Command::FieldList
            )
        );
        if !statement {
            if let Outcome::Err(error) = &completion.outcome {
                self.note_error_on_server(pending, error);
                self.diagnostics.row_count = -1;
            } else {
                self.asked = pending.asked;
            }
            return;
        }
        self.open.remove(Open::FOUND_ROWS);
        self.note_conditions(pending, completion);
        if completion.last_insert_id != 0 {
            self.note_insert_id(pending, completion);
        }
        if pending.command == Some(Command::StmtPrepare) {
            return;
        }
        let reading = pending.reading.unwrap_or_default();
        if pending.lists {
            self.diagnostics.row_count = -1;
        } else if completion.result_set {
            self.note_found_rows(pending, reading, completion);
            self.diagnostics.row_count = -1;
        } else {
            self.diagnostics.row_count = match completion.outcome {
                Outcome::Ok => completion.affected_rows.cast_signed(),
                Outcome::Err(_) => -1,
            };
            self.note_rows_without_a_set(reading, completion);
        }
        if reading.hints.contains(Hints::FOUND_ROWS_CALC) {
            self.open.insert(Open::FOUND_ROWS);
        }
    }

    /// A statement that fails in the middle of its rows counts none. Which else do count goes by the
    /// statement, so only a SELECT's count is looked for on the connection later.
    fn note_found_rows(&mut self, pending: &Pending, reading: Reading, completion: &Completion) {
        if completion.outcome != Outcome::Ok || pending.command == Some(Command::FieldList) {
            return;
        }
        self.diagnostics.found_rows = completion.rows;
        let calculates = reading.hints.contains(Hints::FOUND_ROWS_CALC);
        self.found_rows_there = reading.head == Head::Select || calculates;
    }

    /// SELECT … INTO counts its rows, on MySQL a DO its one. Of an UPDATE MySQL counts the rows that
    /// it matched, which the session does not learn.
    fn note_rows_without_a_set(&mut self, reading: Reading, completion: &Completion) {
        let mysql = !self.is_mariadb();
        if completion.outcome != Outcome::Ok {
            return;
        }
        match reading.head {
            Head::Select => self.diagnostics.found_rows = completion.affected_rows,
            Head::Do if mysql => self.diagnostics.found_rows = 1,
            Head::Update if mysql => {}
            _ => return,
        }
        self.found_rows_there = true;
    }

    /// An error of what is no statement. On MySQL it joins the connection's list, which may be of
    /// another client's statement and so is not asked for.
    pub(super) fn note_error_beside(&mut self, error: &ErrPacket) {
        if self.is_mariadb() {
            self.diagnostics.note_error(error);
        } else {
            self.diagnostics.add_error(error);
        }
        self.diagnostics.untold = false;
        self.asked = true;
    }

    /// The same, of what the server says: where the connection was this session's before, it has the
    /// whole list.
    fn note_error_on_server(&mut self, pending: &Pending, error: &ErrPacket) {
        let whole_there = !pending.asked;
        self.note_error_beside(error);
        if whole_there {
            self.diagnostics.untold = true;
            self.asked = false;
        }
    }

    /// On MySQL it adds to the list that is there.
    fn note_field_list(&mut self, pending: &Pending, completion: &Completion) {
        let note = |diagnostics: &mut Diagnostics| match &completion.outcome {
            // Its end counts none, and yet there is one: the command is deprecated.
            Outcome::Ok => diagnostics.note_warnings(completion.warnings.max(1)),
            Outcome::Err(error) => diagnostics.note_error(error),
        };
        if pending.asked {
            self.diagnostics.add(note);
        } else {
            note(&mut self.diagnostics);
        }
    }

    fn note_conditions(&mut self, pending: &Pending, completion: &Completion) {
        if pending.command == Some(Command::FieldList) && !self.is_mariadb() {
            return self.note_field_list(pending, completion);
        }
        let reading = pending.reading.unwrap_or_default();
        if matches!(completion.outcome, Outcome::Ok) && only_looks(pending, reading) {
            if pending.signalled {
                // What is on the connection was made to be looked at once.
                self.asked = true;
                return;
            }
            // The list is still there, whoever has it.
            if !self.diagnostics.is_clean() {
                self.diagnostics.untold = true;
            }
            return;
        }
        match &completion.outcome {
            // It has not begun, or is no statement.
            Outcome::Err(error)
                if error.code == MALFORMED_PACKET || pending.command == Some(Command::InitDb) =>
            {
                self.note_error_on_server(pending, error);
            }
            Outcome::Err(error) => self.diagnostics.note_error(error),
            // It is where it was, on the connection or not.
            Outcome::Ok if leaves_the_list(self.is_mariadb(), pending, reading, completion) => {
                self.asked = pending.asked;
            }
            // The last of several may have kept the list of one before it.
            Outcome::Ok if completion.results > 1 && keeps_a_list(reading, self.is_mariadb()) => {
                if self.is_mariadb() && reading.tableless && !self.diagnostics.is_clean() {
                    self.diagnostics.doubt();
                } else {
                    self.diagnostics.note_warnings(completion.warnings);
                    self.diagnostics.untold = true;
                }
            }
            Outcome::Ok => self.diagnostics.note_warnings(completion.warnings),
        }
    }

    /// The OK of an insert carries the id of its row, made by the server or given by the client.
    /// LAST_INSERT_ID() is of the former only; a given one stands in the request.
    fn note_insert_id(&mut self, pending: &Pending, completion: &Completion) {
        let id = completion.last_insert_id;
        let reports = pending
            .reading
            .is_some_and(|reading| reading.hints.contains(Hints::LAST_INSERT_ID_SET));
        let binary = pending.command == Some(Command::StmtExecute);
        let given = pending.given.as_ref().is_none_or(|given| mentions(given, id, binary));
        // A row that was there was updated, which generates nothing.
        let updated = pending.reading.is_some_and(|reading| {
            reading.hints.contains(Hints::DUPLICATE) && completion.affected_rows != 1
        });
        let given = given || updated;
        if given && !reports {
            // Where the connection has not been told this session's, it may have another's.
            self.insert_id_told = pending.insert_id_told;
            self.doubtful_id = NonZeroU64::new(id).filter(|_| !pending.insert_id_told);
            self.open.insert(Open::INSERT_ID);
            return;
        }
        self.diagnostics.last_insert_id = id;
        self.doubtful_id = None;
        self.insert_id_told = true;
        self.open.remove(Open::INSERT_ID);
    }
}

/// SHOW WARNINGS and its like, which leave the list as it is.
pub(super) fn only_looks(pending: &Pending, reading: Reading) -> bool {
    matches!(pending.command, Some(Command::Query | Command::StmtExecute))
        && reading.hints.contains(Hints::DIAGNOSTICS)
        && !reading.hints.contains(Hints::MULTI)
        && matches!(reading.head, Head::Show | Head::Get)
}

/// A command that is no statement leaves the list of conditions alone; its OK may count those of
/// whatever ran on the connection before it. MariaDB's outlives a statement, too, that uses no table
/// and has none of its own.
fn leaves_the_list(
    mariadb: bool,
    pending: &Pending,
    reading: Reading,
    completion: &Completion,
) -> bool {
    let tableless = reading.tableless && !reading.hints.contains(Hints::MULTI);
    match pending.command {
        Some(Command::InitDb) => true,
        _ if !mariadb => false,
        Some(Command::FieldList) => true,
        Some(Command::StmtPrepare) if reading.head == Head::Call => completion.warnings == 0,
        _ => tableless && completion.warnings == 0,
    }
}

/// One of several statements may look at the list, or on MariaDB use no table.
pub(super) fn keeps_a_list(reading: Reading, mariadb: bool) -> bool {
    let looks = reading.hints.contains(Hints::DIAGNOSTICS);
    reading.hints.contains(Hints::MULTI) && (looks || mariadb)
}

/// Does the id stand in an insert, as text, or as a number of the binary protocol of any width?
fn mentions(given: &[u8], id: u64, binary: bool) -> bool {
    let has = |needle: &[u8]| memchr::memmem::find(given, needle).is_some();
    let width = (1..8).find(|width| id >> (8 * width) == 0).unwrap_or(8);
    let bytes = id.to_le_bytes();
    has(id.to_string().as_bytes()) || (binary && has(bytes.get(..width).unwrap_or_default()))
}
