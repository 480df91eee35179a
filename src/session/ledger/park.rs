//! Before the connection goes back: what is to be asked of the server, and what its answers mean.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Disposition, Ledger, Open, Pending};
use crate::session::hints::{Dialect, Head, Hints, Reading, sets_unscoped};
use crate::session::question::{self, Question};
use crate::session::{Pin, Pins, Tracking};
use crate::wire::{Change, Completion, Outcome, Status, TextTable};

/// More of one session are not kept: its connection is.
pub(super) const MOST_USER_VARIABLES: usize = 128;

/// Variables that come with a character set.
const CHARACTER_SETS: [&str; 4] = [
    "character_set_client",
    "character_set_connection",
    "character_set_results",
    "collation_connection",
];

impl Ledger {
    pub(super) fn has_questions(&self) -> bool {
        !self.open.is_empty() || !self.dirty.is_empty() || self.diagnostics.untold
    }

    /// Locks of known names may be gone: the server can be asked.
    pub(super) fn held_by_locks_only(&self) -> bool {
        let mut locks = Pins::default();
        locks.insert(Pin::UserLock);
        self.open.contains(Open::LOCKS) && self.pins() == locks
    }

    /// What is to be asked now, to travel together. After an error the status comes first: in a
    /// transaction nothing else is asked.
    pub fn questions(&self) -> Vec<Question> {
        let mut questions = Vec::new();
        // Before anything that would wipe the list; it leaves FOUND_ROWS() as it is.
        if self.diagnostics.untold {
            questions.push(Question::Warnings);
        }
        if self.open.contains(Open::STATUS) {
            questions.push(Question::Status);
            return questions;
        }
        let single = [
            (Open::FOUND_ROWS, Question::FoundRows),
            (Open::INSERT_ID, Question::InsertId),
            (Open::COLLATION, Question::Collation),
            (Open::ROLE, Question::Role),
        ];
        let asked = single.into_iter().filter(|(open, _)| self.open.contains(*open));
        questions.extend(asked.map(|(_, question)| question));
        if self.open.contains(Open::LOCKS) && !self.holdings.locks().is_empty() {
            questions.push(Question::Locks(self.holdings.locks().to_vec()));
        }
        if self.open.intersects(Open::TRACKING | Open::UNREPORTED) {
            const LIMIT: &str = "sql_select_limit";
            // Either may be in place by now.
            let limit = self.unreported.contains(LIMIT) || self.state.variable(LIMIT).is_some();
            let limited = limit && self.is_mariadb();
            let names = self.unreported.iter().cloned().collect();
            questions.push(Question::Variables { names, limited });
        }
        if self.open.contains(Open::TRACKING) {
            questions.push(Question::SetUp(self.login.defaults.setup.clone()));
        }
        if !self.dirty.is_empty() && !self.in_transaction {
            let names: Vec<Box<str>> = self.dirty.iter().cloned().collect();
            questions.push(Question::UserTypes(names.clone()));
            questions.push(Question::UserValues(names));
        }
        questions
    }

    /// All answers, in the order of the questions; then [`Ledger::decide`].
    ///
    /// `astray`: the connection was led to another schema in vain; its report of that comes late,
    /// and is no change of this session's.
    pub fn on_answers(
        &mut self,
        answers: Vec<(Question, Completion, TextTable)>,
        astray: bool,
    ) -> Disposition {
        (self.asked, self.found_rows_there) = (true, false);
        let mut types = TextTable::default();
        for (question, completion, table) in answers {
            if let Outcome::Err(_) = completion.outcome {
                self.on_refusal(&question);
                continue;
            }
            match question {
                Question::Status => self.on_pong(&completion, astray),
                Question::UserTypes(_) => types = table,
                Question::UserValues(names) => self.on_user_values(names, &types, &table),
                Question::Warnings => {
                    if !completion.changes.is_empty() {
                        self.note_late_changes(&completion, astray);
                    }
                    if !self.diagnostics.note_conditions(question::conditions(table)) {
                        self.pins.insert(Pin::Warnings);
                    }
                }
                Question::Variables { names, .. } => self.on_variables(&names, &table),
                other => self.on_value(&other, &table),
            }
        }
        self.decide()
    }

    fn on_pong(&mut self, pong: &Completion, astray: bool) {
        self.open.remove(Open::STATUS);
        self.note_late_changes(pong, astray);
        self.on_status(pong.status.unwrap_or(Status::empty()));
    }

    /// The first answer after an error brings the changes that the error did not.
    fn note_late_changes(&mut self, answer: &Completion, astray: bool) {
        let led_astray = |change: &Change| matches!(change, Change::Schema(_));
        if !(astray && answer.changes.iter().any(led_astray)) {
            self.note_changes(&Pending::default(), Reading::default(), answer);
        }
    }

    /// A question that the server does not answer leaves what it was about on the connection.
    fn on_refusal(&mut self, question: &Question) {
        let (open, pin) = match question {
            Question::Warnings => {
                self.diagnostics.untold = false;
                return self.pins.insert(Pin::Warnings);
            }
            Question::FoundRows => return self.open.remove(Open::FOUND_ROWS),
            Question::InsertId => return self.open.remove(Open::INSERT_ID),
            Question::UserTypes(_) | Question::UserValues(_) => {
                self.dirty.clear();
                return self.pins.insert(Pin::UserVariable);
            }
            Question::Locks(_) => (Open::LOCKS, Pin::UserLock),
            Question::Role => (Open::ROLE, Pin::Role),
            Question::Collation => (Open::COLLATION, Pin::Unknown),
            Question::Variables { .. } => (Open::UNREPORTED, Pin::Unknown),
            Question::SetUp(_) => (Open::TRACKING, Pin::Unknown),
            Question::Status => (Open::STATUS, Pin::Unknown),
        };
        self.open.remove(open);
        self.pins.insert(pin);
    }

    /// One row, most of one column.
    fn on_value(&mut self, question: &Question, table: &TextTable) {
        let mut rows = question::rows(table);
        let row = if rows.is_empty() { Vec::new() } else { rows.swap_remove(0) };
        let first = row.first().cloned().flatten();
        let number = first.as_deref().and_then(|text| text.parse().ok());
        match (question, first, number) {
            (Question::FoundRows, _, Some(rows)) => {
                self.open.remove(Open::FOUND_ROWS);
                self.diagnostics.found_rows = rows;
            }
            (Question::InsertId, _, Some(id)) => {
                self.open.remove(Open::INSERT_ID);
                self.on_insert_id(id);
            }
            (Question::Collation, Some(collation), _) => {
                self.open.remove(Open::COLLATION);
                let collation = [("collation_connection", collation.as_str())];
                self.set_state(self.state.with_variables(collation));
            }
            (Question::Role, role, _) if !row.is_empty() => {
                self.open.remove(Open::ROLE);
                self.on_role(role.as_deref());
            }
            (Question::Locks(_), _, _) if !row.is_empty() => {
                self.open.remove(Open::LOCKS);
                let held: Vec<bool> = row.iter().map(|it| it.as_deref() != Some("0")).collect();
                self.holdings.keep_locks(&held);
            }
            (Question::SetUp(_), _, _) => self.open.remove(Open::TRACKING),
            _ => self.on_refusal(question),
        }
    }

    /// The connection's own id may be another session's, unless it was told this one's before.
    fn on_insert_id(&mut self, id: u64) {
        let doubtful = self.doubtful_id.take();
        if doubtful.is_none_or(|doubtful| doubtful.get() == id) {
            self.diagnostics.last_insert_id = id;
            self.insert_id_told = true;
        }
    }

    fn on_role(&mut self, role: Option<&str>) {
        let role = match role {
            None => "NONE".to_owned(),
            Some(role) if self.is_mariadb() => format!("`{role}`"),
            Some(role) => role.to_owned(),
        };
        self.set_state(self.state.with_role(Some(&role)));
    }

    fn on_user_values(&mut self, names: Vec<Box<str>>, types: &TextTable, table: &TextTable) {
        self.dirty = BTreeSet::new();
        let row = question::rows(table).into_iter().next().unwrap_or_default();
        let mut changes = Vec::with_capacity(names.len());
        let mut parts = row.chunks(3);
        for (index, name) in names.into_iter().enumerate() {
            let (Some(column), Some(parts)) = (types.columns.get(index), parts.next()) else {
                self.pins.insert(Pin::UserVariable);
                return;
            };
            match question::user_value(column, parts) {
                Ok(value) => changes.push((name, value)),
                Err(_) => self.pins.insert(Pin::UserVariable),
            }
        }
        if self.state.user_variables().count() + changes.len() > MOST_USER_VARIABLES {
            self.pins.insert(Pin::UserVariable);
        } else if !changes.is_empty() {
            self.set_state(self.state.with_user_variables(changes));
        }
    }

    /// The values of what was set while the client's trackers were in place.
    fn on_variables(&mut self, names: &[String], table: &TextTable) {
        // sql_select_limit cuts this list, too.
        if table.rows.len() < names.len() {
            self.pins.insert(Pin::Unknown);
        }
        self.unreported.clear();
        self.open.remove(Open::UNREPORTED);
        let mut variables = Vec::new();
        let text = |value: &Option<Vec<u8>>| value.as_ref().is_none_or(|it| it.is_ascii());
        if !table.rows.iter().flatten().all(text) {
            self.pins.insert(Pin::Unknown);
        }
        for row in question::rows(table) {
            let [Some(name), Some(value)] = row.as_slice() else { continue };
            let name = name.to_ascii_lowercase();
            if !Arc::make_mut(&mut self.tracking).set(&name, value)
                && !self.login.defaults.ignores(&name)
            {
                variables.push((name, value.clone()));
            }
        }
        let pairs = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.set_state(self.state.with_variables(pairs));
    }

    /// The system variables that a text names, all of which it may have set.
    pub(super) fn note_unreported(&mut self, text: &[u8]) {
        let letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let words = text.split(|byte| !letter(byte)).filter(|word| !word.is_empty());
        let tracked = &self.login.defaults.tracked;
        let named = words
            .map(|word| String::from_utf8_lossy(word).to_ascii_lowercase())
            .filter(|word| tracked.contains(word.as_str()));
        self.unreported.extend(named);
        self.unreported.extend(CHARACTER_SETS.map(str::to_owned));
    }

    /// The client's own trackers take the place of the proxy's while the text runs.
    pub(super) fn note_tracking(&mut self, text: &[u8]) {
        self.open.insert(Open::TRACKING);
        self.note_unreported(text);
        self.unreported.extend(Tracking::NAMES.map(str::to_owned));
    }

    /// On MariaDB, a `SET @@name`.
    pub(super) fn note_unscoped(&mut self, text: &[u8], reading: Reading, dialect: Dialect) {
        let hidden = Hints::MULTI | Hints::EXECUTABLE_COMMENT | Hints::SET_STATEMENT;
        let may_set =
            matches!(reading.head, Head::Set | Head::Compound) || reading.hints.intersects(hidden);
        if self.is_mariadb()
            && may_set
            && reading.hints.contains(Hints::SYSTEM_VARIABLE)
            && sets_unscoped(text, reading, dialect)
        {
            self.open.insert(Open::UNREPORTED);
            self.note_unreported(text);
        }
    }
}
