//! What a request asks for: forward it, answer it, or something else.

use bytes::Bytes;

use super::{Answer, Forward, Ledger, Plan, Refusal, Request};
use crate::session::Pin;
use crate::session::hints::{self, Exact, Head, Hints, Reading};
use crate::wire::Expect;

/// Hints that a statement looks at what the one before it left.
const ABOUT_THE_LAST: Hints = Hints::FOUND_ROWS.union(Hints::ROW_COUNT).union(Hints::DIAGNOSTICS);

/// https://mariadb.com/kb/en/com_stmt_execute/: the id of direct execution.
const LAST: u32 = u32::MAX;

impl Ledger {
    pub(super) fn on_query(&mut self, request: &Request<'_>, held: bool) -> Plan {
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
    pub(super) fn known_answer(&self, reading: Reading) -> Option<Plan> {
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
    pub(super) fn note_own_answer(&mut self, reading: Reading) {
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
    pub(super) fn left_no_diagnostics(&self, reading: Reading) -> bool {
        let counts = Hints::FOUND_ROWS | Hints::ROW_COUNT;
        self.last_error.is_none() && !reading.hints.intersects(counts)
    }

    pub(super) fn insert_id_for(&mut self, reading: Reading) -> Option<u64> {
        let asks = reading.hints.contains(Hints::LAST_INSERT_ID) || reading.head == Head::Call;
        if asks { self.tell_insert_id() } else { None }
    }

    pub(super) fn tell_insert_id(&mut self) -> Option<u64> {
        let told = std::mem::replace(&mut self.insert_id_told, true);
        (!told).then_some(self.last_insert_id)
    }

    /// The statement a request is about. MariaDB's clients may say "the last one prepared", before
    /// they know its id or whether there is one; what is unknown then is that name.
    fn named(&self, body: &[u8]) -> Option<u32> {
        let id = statement_id(body)?;
        let last = if self.login.mariadb && id == LAST { self.statements.last() } else { None };
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
        let text = Bytes::copy_from_slice(request.body);
        self.pending.reading = Some(hints::read(&text, self.dialect));
        self.pending.text = Some(text);
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

    pub(super) fn on_close(&mut self, request: &Request<'_>) -> Plan {
        let removed = self.named(request.body).and_then(|id| self.statements.remove(id));
        // A cursor or long data is on a server-side statement of its own, which goes with it.
        if removed.is_some_and(|prepared| prepared.cursor || prepared.long_data) {
            self.end_statement_pins();
        }
        Plan::Answer(Answer::Nothing)
    }

    pub(super) fn on_long_data(&mut self, request: &Request<'_>) -> Plan {
        let id = self.named(request.body);
        let Some(prepared) = id.and_then(|id| self.statements.get_mut(id)) else {
            // No reply, not even an error: the execute will tell.
            return Plan::Answer(Answer::Nothing);
        };
        prepared.long_data = true;
        self.pins.insert(Pin::LongData);
        self.pending.statement = id;
        Plan::Forward(Forward { statement: id, ..Forward::plain(Expect::Nothing) })
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

/// Another client's answer must not be given for this one's.
fn asks_what_is_gone(reading: Reading) -> bool {
    let by_itself = Hints::MULTI | Hints::FOUND_ROWS_CALC;
    // A routine's body asks about its own statements, when it runs.
    let defines = matches!(reading.head, Head::Create | Head::Alter | Head::Call | Head::Compound);
    reading.hints.intersects(ABOUT_THE_LAST) && !reading.hints.intersects(by_itself) && !defines
}
