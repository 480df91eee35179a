//! What a request asks for: forward it, answer it, or something else.

use std::sync::Arc;

use bytes::Bytes;

use super::completion::deed_always;
use super::{Answer, Cell, Forward, Ledger, Open, Plan, Refusal, Request};
use crate::session::hints::{self, About, Asked, Head, Hints, Reading};
use crate::session::{Pin, SessionState};
use crate::wire::{Command, Expect};

/// Hints that a statement looks at what the one before it left.
const ABOUT_THE_LAST: Hints = Hints::FOUND_ROWS.union(Hints::ROW_COUNT).union(Hints::DIAGNOSTICS);

/// A longer insert is not looked through for the id it may give: the server is asked.
const LONGEST_GIVEN: usize = 4096;

const WAIT_TIMEOUT: &str = "wait_timeout";

/// https://mariadb.com/kb/en/com_stmt_execute/: the id of direct execution.
const LAST: u32 = u32::MAX;

impl Ledger {
    pub(super) fn on_query(&mut self, request: &Request<'_>, held: bool) -> Plan {
        if !request.whole {
            let mut scanner = hints::Scanner::new(self.dialect);
            scanner.feed(request.body);
            self.pending.scanner = Some(Box::new(scanner));
            self.pending.insert_id_told = true;
            // What it will ask is not known yet.
            let (insert_id, neutral) = (self.tell_insert_id(), !held || !self.found_rows_there);
            if neutral {
                self.on_wiped();
            }
            return Plan::Forward(Forward { insert_id, neutral, ..Forward::plain(Expect::Query) });
        }
        let dialect = self.dialect_of(request.body);
        let reading = hints::read(request.body, dialect);
        self.pending.reading = Some(reading);
        if let Some(kill) = reading.kill {
            return Plan::Kill { id: kill.id, query_only: kill.query_only };
        }
        if let Some(answer) = self.own_answer(request.body, reading, dialect, held) {
            return Plan::Answer(answer);
        }
        self.pending.deed = hints::deed(request.body, reading, dialect, !self.holdings.is_empty());
        let reading = self.look_into_execute(reading);
        let gone = asks_what_is_gone(reading) && self.is_gone(reading, held);
        if gone && !self.can_be_put_back(reading) {
            return refuse(Refusal::DiagnosticsGone);
        }
        if inserts(reading) && request.body.len() <= LONGEST_GIVEN {
            self.pending.given = Some(Bytes::copy_from_slice(request.body));
        }
        let tracking = reading.hints.contains(Hints::SESSION_TRACK) && self.pending.inner.is_none();
        if tracking {
            self.note_tracking(request.body);
        }
        self.note_unscoped(request.body, reading, dialect);
        self.give_way(reading, held);
        let forward = self.forward_text(Expect::Query, reading, held);
        let neutral = forward.neutral && !gone;
        self.pending.signalled = gone;
        Plan::Forward(Forward { tracking, signal: gone, neutral, ..forward })
    }

    /// In most character sets that hide quotes inside characters, none hides in ASCII.
    fn dialect_of(&self, text: &[u8]) -> hints::Dialect {
        let ascii_safe = self.dialect.ascii_safe || (!self.state.is_swe7() && text.is_ascii());
        hints::Dialect { ascii_safe, ..self.dialect }
    }

    fn forward_text(&mut self, expect: Expect, reading: Reading, held: bool) -> Forward {
        let insert_id = self.insert_id_for(reading);
        self.pending.insert_id_told = self.insert_id_told;
        // What a routine asks its text does not tell.
        let calls = reading.head == Head::Call;
        let rows = calls || reading.hints.contains(Hints::FOUND_ROWS);
        let any = calls || reading.hints.intersects(ABOUT_THE_LAST);
        let neutral = (!held && any) || (rows && !self.found_rows_there);
        if neutral {
            self.on_wiped();
        }
        Forward { insert_id, neutral, ..Forward::plain(expect) }
    }

    /// The proxy's own `wait_timeout` gives way to the server's where a statement names it: with the next
    /// connection, or on the one in hand, see [`Self::gives_way`].
    fn give_way(&mut self, reading: Reading, held: bool) {
        let Some(ours) = self.login.defaults.wait_timeout.as_deref() else { return };
        let named = reading.hints.contains(Hints::WAIT_TIMEOUT);
        if named && self.state.variable(WAIT_TIMEOUT) == Some(ours) {
            self.timeout_named = true;
            self.pending.own_timeout = held;
            self.set_state(self.state.without_variable(WAIT_TIMEOUT));
        }
    }

    /// Is the connection in hand to be told, ahead of the request?
    pub fn gives_way(&self) -> bool {
        self.pending.own_timeout
    }

    /// Without what is the proxy's own.
    pub(super) fn own_state(&self) -> SessionState {
        match self.login.defaults.wait_timeout.as_deref() {
            Some(ours) if self.state.variable(WAIT_TIMEOUT) == Some(ours) => {
                self.state.without_variable(WAIT_TIMEOUT)
            }
            _ => SessionState::clone(&self.state),
        }
    }

    /// Unless the client has set one meanwhile.
    pub(super) fn put_back_timeout(&mut self) {
        self.timeout_named = false;
        let defaults = Arc::clone(&self.login.defaults);
        if let Some(ours) = defaults.wait_timeout.as_deref()
            && self.state.variable(WAIT_TIMEOUT).is_none()
        {
            self.set_state(self.state.with_variables([(WAIT_TIMEOUT, ours)]));
        }
    }

    /// `EXECUTE name` does what the text does that was prepared under the name, if it is known.
    fn look_into_execute(&mut self, reading: Reading) -> Reading {
        let deed = self.pending.deed.as_deref();
        let Some(hints::Act::Execute(name)) = deed.map(|deed| &deed.act) else { return reading };
        let Some(inner) = self.holdings.inner(name).cloned() else { return reading };
        let passed = reading.hints - Hints::TEXT_PREPARE;
        let reading = Reading { hints: inner.reading.hints | passed, ..inner.reading };
        self.pending.inner = Some(Box::new(inner));
        self.pending.reading = Some(reading);
        reading
    }

    /// Answers that live in the session because the connection that had them went back, or was
    /// asked something in between.
    fn own_answer(
        &mut self,
        text: &[u8],
        reading: Reading,
        dialect: hints::Dialect,
        held: bool,
    ) -> Option<Answer> {
        let about = ABOUT_THE_LAST | Hints::LAST_INSERT_ID | Hints::CONNECTION_ID;
        let hidden = Hints::EXECUTABLE_COMMENT | Hints::UNREADABLE | Hints::MULTI;
        if !reading.hints.intersects(about) || reading.hints.intersects(hidden) {
            return None;
        }
        let asked = hints::asked(text, dialect)?;
        self.pending.lists = matches!(asked, Asked::Conditions { .. });
        // Held for a list that is too long to be kept.
        let listed = self.pins.contains(Pin::Warnings) && matches!(asked, Asked::Conditions { .. });
        let rows_elsewhere = asked.is_about(About::FoundRows) && !self.found_rows_there;
        let own = !held || (self.asked && !listed) || rows_elsewhere;
        // The greeting's id is the client's whatever it holds.
        if !own && !asked.is_about(About::ConnectionId) {
            return None;
        }
        let id_in_doubt = self.open.contains(Open::INSERT_ID)
            && (asked.is_about(About::LastInsertId) || asked.is_about(About::Identity));
        if id_in_doubt {
            return None;
        }
        let answer = self.answer(&asked);
        let defaults = Arc::clone(&self.login.defaults);
        let warning = defaults.found_rows_warning.as_ref();
        self.diagnostics.note_answered(&asked, defaults.mariadb, warning);
        if self.select_limit() == Some(0) && !matches!(asked, Asked::Conditions { .. }) {
            self.diagnostics.found_rows = 0;
        }
        self.note_own_answer(&asked);
        Some(answer)
    }

    /// What was on the connection in hand is out of date now.
    fn note_own_answer(&mut self, asked: &Asked) {
        if self.diagnostics.untold && !self.asked {
            // On MariaDB the list outlives this answer, and what is in it is not known here.
            self.pins.insert(Pin::Warnings);
        }
        self.asked = true;
        if !matches!(asked, Asked::Conditions { .. }) {
            self.found_rows_there = false;
            self.open.remove(Open::FOUND_ROWS);
        }
    }

    fn select_limit(&self) -> Option<u32> {
        let limit = self.state.variable("sql_select_limit")?.parse::<u64>().ok()?;
        u32::try_from(limit).ok()
    }

    fn answer(&self, asked: &Asked) -> Answer {
        let rows = self.select_limit() != Some(0);
        let cell = |about, heading: &str, value| Cell { about, heading: heading.into(), value };
        match asked {
            Asked::Values(values) => {
                let warns = asked.is_about(About::FoundRows)
                    && self.login.defaults.found_rows_warning.is_some();
                let cells = values
                    .iter()
                    .map(|(about, heading)| cell(*about, heading, self.diagnostics.value(*about)));
                Answer::Row { cells: cells.collect(), warnings: u16::from(warns), rows }
            }
            Asked::Count { errors_only } => {
                let (about, heading) = if *errors_only {
                    (About::ErrorCount, "@@session.error_count")
                } else {
                    (About::WarningCount, "@@session.warning_count")
                };
                let count = self.diagnostics.count(*errors_only);
                let cells = vec![cell(about, heading, Some(count))];
                Answer::Row { cells, warnings: 0, rows }
            }
            // Not cut by sql_select_limit, on either server.
            &Asked::Conditions { errors_only, offset, limit } => {
                Answer::Conditions { errors_only, offset, limit }
            }
        }
    }

    /// On MariaDB a statement that uses no table keeps the list that is there, and counts it all.
    /// Which those are is told by no word that a text has or lacks, so any may be one.
    pub(super) fn continues_a_list(&self) -> bool {
        match self.pending.command {
            Some(Command::FieldList | Command::InitDb) => true,
            Some(Command::Query | Command::StmtExecute | Command::StmtPrepare) => self.is_mariadb(),
            _ => false,
        }
    }

    /// GET DIAGNOSTICS finds what a SIGNAL leaves, but for the count of rows of what went well.
    fn can_be_put_back(&self, reading: Reading) -> bool {
        let counts = reading.hints.contains(Hints::ROW_COUNT) && self.diagnostics.row_count != -1;
        reading.head == Head::Get && !counts && self.diagnostics.signal().is_some()
    }

    /// What the statement asks about is not on the connection it will get.
    fn is_gone(&self, reading: Reading, held: bool) -> bool {
        let counts = Hints::FOUND_ROWS | Hints::ROW_COUNT;
        // Under max_error_count = 0 an error is counted and not listed.
        let unlisted = reading.head == Head::Get && self.diagnostics.lists_nothing();
        let clean = self.diagnostics.is_clean() || unlisted;
        let nothing_left = clean && !reading.hints.intersects(counts);
        let listed = held && self.pins.contains(Pin::Warnings);
        let rows_elsewhere = reading.hints.contains(Hints::FOUND_ROWS) && !self.found_rows_there;
        rows_elsewhere || ((!held || self.asked) && !nothing_left && !listed)
    }

    pub(super) fn insert_id_for(&mut self, reading: Reading) -> Option<u64> {
        let asks = reading.hints.intersects(Hints::LAST_INSERT_ID | Hints::LAST_INSERT_ID_SET)
            || reading.head == Head::Call;
        if asks { self.tell_insert_id() } else { None }
    }

    pub(super) fn tell_insert_id(&mut self) -> Option<u64> {
        let told = std::mem::replace(&mut self.insert_id_told, true);
        (!told).then_some(self.diagnostics.last_insert_id)
    }

    /// The statement a request is about. MariaDB's clients may say "the last one prepared", before
    /// they know its id or whether there is one; what is unknown then is that name.
    fn named(&self, body: &[u8]) -> Option<u32> {
        let id = statement_id(body)?;
        let last = if self.is_mariadb() && id == LAST { self.statements.last() } else { None };
        Some(last.unwrap_or(id))
    }

    pub(super) fn on_prepare(&mut self, request: &Request<'_>) -> Plan {
        self.statements.forget_last();
        if self.statements.is_full() {
            return refuse(Refusal::TooManyStatements);
        }
        if !request.whole {
            return refuse(Refusal::StatementTooLarge);
        }
        if !self.statements.has_room_for(request.body.len()) {
            return refuse(Refusal::StatementsTooLarge);
        }
        let dialect = self.dialect_of(request.body);
        let reading = hints::read(request.body, dialect);
        let deed = || deed_always(request.body, reading, dialect);
        let Some(statement) = self.library.intern(request.body, &self.state, reading, deed) else {
            return refuse(Refusal::LibraryFull);
        };
        self.pending.reading = Some(reading);
        self.pending.prepares = Some(statement);
        self.pending.escapes = !dialect.no_backslash_escapes;
        Plan::Forward(Forward {
            new_statement: Some(self.statements.next_id()),
            ..Forward::plain(Expect::Prepare)
        })
    }

    pub(super) fn on_execute(&mut self, request: &Request<'_>, held: bool) -> Plan {
        let Some(id) = self.named(request.body) else { return refuse(Refusal::MalformedPacket) };
        let Some(prepared) = self.statements.get(id) else {
            return refuse(Refusal::UnknownStatement { id });
        };
        let reading = prepared.statement.reading;
        self.pending.statement = Some(id);
        self.pending.reading = Some(reading);
        if asks_what_is_gone(reading) && self.is_gone(reading, held) {
            return refuse(Refusal::DiagnosticsGone);
        }
        if inserts(reading) && request.whole && request.body.len() <= LONGEST_GIVEN {
            self.pending.given = Some(Bytes::copy_from_slice(request.body));
        }
        let tracking = reading.hints.contains(Hints::SESSION_TRACK);
        if reading.hints.intersects(Hints::SESSION_TRACK | Hints::SYSTEM_VARIABLE) {
            let statement = self.statements.get(id).map(|it| Arc::clone(&it.statement));
            let text = statement.as_ref().map_or(&[][..], |statement| &statement.text);
            if tracking {
                self.note_tracking(text);
            }
            self.note_unscoped(text, reading, self.dialect_of(text));
        }
        self.give_way(reading, held);
        let forward = self.forward_text(Expect::Execute, reading, held);
        Plan::Forward(Forward { statement: Some(id), tracking, ..forward })
    }

    pub(super) fn on_close(&mut self, request: &Request<'_>) -> Plan {
        let removed = self.named(request.body).and_then(|id| self.statements.remove(id));
        // A cursor or long data is on a server-side statement of its own, which goes with it.
        if removed.is_some_and(|prepared| prepared.cursor || prepared.long_data) {
            self.end_statement_pins();
        }
        Plan::Answer(Answer::Nothing)
    }

    pub(super) fn on_long_data(&mut self, request: &Request<'_>, held: bool) -> Plan {
        let id = self.named(request.body);
        let Some(prepared) = id.and_then(|id| self.statements.get_mut(id)) else {
            // No reply, not even an error: the execute will tell.
            return Plan::Answer(Answer::Nothing);
        };
        prepared.long_data = true;
        self.pins.insert(Pin::LongData);
        self.pending.statement = id;
        // It holds the connection, whose diagnostics are another's.
        let neutral = !held;
        Plan::Forward(Forward { statement: id, neutral, ..Forward::plain(Expect::Nothing) })
    }

    pub(super) fn on_statement_reset(&mut self, request: &Request<'_>) -> Plan {
        let Some(id) = self.named(request.body) else { return refuse(Refusal::MalformedPacket) };
        let Some(prepared) = self.statements.get(id) else {
            return refuse(Refusal::UnknownStatement { id });
        };
        if !prepared.cursor && !prepared.long_data {
            return Plan::Answer(Answer::Ok);
        }
        self.pending.statement = Some(id);
        forward_statement(Expect::Single, id)
    }

    pub(super) fn on_fetch(&mut self, request: &Request<'_>) -> Plan {
        let Some(id) = self.named(request.body) else { return refuse(Refusal::MalformedPacket) };
        if self.statements.get(id).is_none() {
            return refuse(Refusal::UnknownStatement { id });
        }
        self.pending.statement = Some(id);
        forward_statement(Expect::Fetch, id)
    }
}

pub(super) fn forward(expect: Expect) -> Plan {
    Plan::Forward(Forward::plain(expect))
}

fn forward_statement(expect: Expect, id: u32) -> Plan {
    Plan::Forward(Forward { statement: Some(id), ..Forward::plain(expect) })
}

pub(super) fn refuse(refusal: Refusal) -> Plan {
    Plan::Answer(Answer::Refuse(refusal))
}

pub(super) fn statement_id(body: &[u8]) -> Option<u32> {
    body.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// Statements whose OK carries an id.
fn inserts(reading: Reading) -> bool {
    matches!(reading.head, Head::Insert | Head::Replace)
}

/// Another client's answer must not be given for this one's.
fn asks_what_is_gone(reading: Reading) -> bool {
    let by_itself = Hints::MULTI | Hints::FOUND_ROWS_CALC;
    // A routine's body asks about its own statements, when it runs.
    let defines = matches!(reading.head, Head::Create | Head::Alter | Head::Call | Head::Compound);
    reading.hints.intersects(ABOUT_THE_LAST) && !reading.hints.intersects(by_itself) && !defines
}
