//! What the last statement left for the next one to ask: counts, ids, warnings.
//!
//! Owns a session's own copy of the diagnostics, since the connection that had them goes to somebody
//! else. It never decides when they are asked for.

use serde::{Deserialize, Serialize};

use super::hints::{About, Asked};
use crate::wire::ErrPacket;

/// One line of `SHOW WARNINGS`, in the client's character set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    pub level: Box<[u8]>,
    pub code: u16,
    pub message: Box<[u8]>,
}

impl Condition {
    pub fn of(error: &ErrPacket) -> Self {
        let (code, message) = (error.code, error.message.as_bytes().into());
        Self { level: (*b"Error").into(), code, message }
    }

    fn is_error(&self) -> bool {
        &*self.level == b"Error"
    }

    fn len(&self) -> usize {
        self.level.len() + self.message.len()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Diagnostics {
    pub row_count: i64,
    pub found_rows: u64,
    pub last_insert_id: u64,
    conditions: Vec<Condition>,
    /// So many at the front are not on the connection, which was not told of them.
    before: u8,
    /// They are still those unless the connection has others.
    doubted: bool,
    /// As counted by the server, which lists no more than `max_error_count`.
    warnings: u64,
    errors: u64,
    /// The list is on the connection in hand and has not been asked for.
    pub untold: bool,
    /// SQLSTATE of the statement that failed, which no list shows.
    failed: Option<[u8; 5]>,
}

/// As long as a list may grow by what the proxy refuses.
const MOST_ADDED: usize = 64;

/// More than this of one statement is not kept: the connection is.
const MOST_BYTES: usize = 16 * 1024;

impl Diagnostics {
    pub fn clear_conditions(&mut self) {
        self.conditions.clear();
        (self.before, self.doubted) = (0, false);
        (self.warnings, self.errors, self.untold, self.failed) = (0, 0, false, None);
    }

    /// So many warnings were left, whose texts are on the connection.
    pub fn note_warnings(&mut self, count: u16) {
        self.clear_conditions();
        self.warnings = count.into();
        self.untold = count > 0;
    }

    /// A statement failed. It may have left warnings before that.
    pub fn note_error(&mut self, error: &ErrPacket) {
        self.clear_conditions();
        (self.warnings, self.errors, self.untold) = (1, 1, true);
        self.failed = Some(error.state);
        self.conditions.push(Condition::of(error));
    }

    /// The same, of a command that is no statement and so ends no list.
    pub fn add_error(&mut self, error: &ErrPacket) {
        if self.conditions.is_empty() || self.conditions.len() >= MOST_ADDED {
            return self.note_error(error);
        }
        self.warnings += 1;
        self.errors += 1;
        self.failed = Some(error.state);
        self.conditions.push(Condition::of(error));
    }

    /// What a command leaves that adds to the list of the one before, which ran on another
    /// connection.
    pub fn add(&mut self, note: impl FnOnce(&mut Self)) {
        let mut conditions = std::mem::take(&mut self.conditions);
        note(self);
        conditions.truncate(MOST_ADDED);
        self.before = u8::try_from(conditions.len()).unwrap_or(u8::MAX);
        conditions.append(&mut self.conditions);
        self.conditions = conditions;
    }

    /// Something may have come in place of the list, or nothing at all.
    pub fn doubt(&mut self) {
        (self.doubted, self.untold) = (true, true);
    }

    /// The connection that may have had more of it is gone.
    pub fn lose_list(&mut self) {
        (self.untold, self.doubted) = (false, false);
    }

    /// Must the connection say which list it is, before anybody asks for it?
    pub fn is_in_doubt(&self) -> bool {
        self.doubted && self.untold
    }

    /// The answer of `SHOW WARNINGS`; `false`: too much to keep.
    pub fn note_conditions(&mut self, listed: Vec<Condition>) -> bool {
        self.untold = false;
        if std::mem::take(&mut self.doubted) {
            if listed.is_empty() {
                return true;
            }
            (self.warnings, self.before) = (0, 0);
        }
        let mut conditions = std::mem::take(&mut self.conditions);
        conditions.truncate(std::mem::take(&mut self.before).into());
        conditions.extend(listed);
        if conditions.iter().map(Condition::len).sum::<usize>() > MOST_BYTES {
            return false;
        }
        self.errors = conditions.iter().filter(|condition| condition.is_error()).count() as u64;
        self.warnings = self.warnings.max(conditions.len() as u64);
        self.conditions = conditions;
        true
    }

    /// The statement that puts the one condition there is into a connection's diagnostics, for GET
    /// DIAGNOSTICS to find. `None`: there are several, or it cannot be said in a SIGNAL.
    ///
    /// <https://dev.mysql.com/doc/refman/8.4/en/signal.html>: MESSAGE_TEXT has 128 characters.
    pub fn signal(&self) -> Option<String> {
        let [condition] = self.conditions.as_slice() else { return None };
        let message = std::str::from_utf8(&condition.message).ok()?;
        if self.warnings != 1 || message.contains('\\') || message.chars().count() > 128 {
            return None;
        }
        let state = self.failed.unwrap_or_else(|| *state_of_warning(condition.code));
        let (state, code) = (std::str::from_utf8(&state).ok()?, condition.code);
        let plain = state.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !plain || state.starts_with("00") {
            return None;
        }
        let message = message.replace('\'', "''");
        Some(format!("SIGNAL SQLSTATE '{state}' SET MESSAGE_TEXT='{message}',MYSQL_ERRNO={code}"))
    }

    /// The list is known, and empty.
    pub fn lists_nothing(&self) -> bool {
        !self.untold && self.conditions.is_empty()
    }

    pub fn is_clean(&self) -> bool {
        self.warnings == 0
    }

    /// The value and its count of warnings; `None` for what is not known here.
    pub fn value(&self, about: About) -> Option<i64> {
        match about {
            About::RowCount => Some(self.row_count),
            About::FoundRows => Some(self.found_rows.cast_signed()),
            About::LastInsertId | About::Identity => Some(self.last_insert_id.cast_signed()),
            About::WarningCount => Some(self.warnings.cast_signed()),
            About::ErrorCount => Some(self.errors.cast_signed()),
            About::ConnectionId => None,
        }
    }

    pub fn count(&self, errors_only: bool) -> i64 {
        if errors_only { self.errors.cast_signed() } else { self.warnings.cast_signed() }
    }

    pub fn list(
        &self,
        errors_only: bool,
        offset: u32,
        limit: u32,
    ) -> impl Iterator<Item = &Condition> {
        let wanted = self.conditions.iter().filter(move |it| !errors_only || it.is_error());
        wanted.skip(offset as usize).take(limit as usize)
    }

    /// What a server's diagnostics are after it has answered such a question itself. `warning`: the
    /// one it gives for `FOUND_ROWS()`, if it does.
    pub fn note_answered(&mut self, asked: &Asked, mariadb: bool, warning: Option<&Condition>) {
        self.row_count = -1;
        // SHOW WARNINGS leaves FOUND_ROWS() and the list as they are.
        if matches!(asked, Asked::Conditions { .. }) {
            return;
        }
        self.found_rows = 1;
        // MariaDB's list outlives a statement that uses no table; MySQL's only a SHOW.
        if !mariadb && !matches!(asked, Asked::Count { .. }) {
            self.clear_conditions();
        }
        if let Some(warning) = warning.filter(|_| asked.is_about(About::FoundRows)) {
            self.clear_conditions();
            self.warnings = 1;
            self.conditions.push(warning.clone());
        }
    }
}

/// Of the warnings that are common; the servers have the rest under the general one.
fn state_of_warning(code: u16) -> &'static [u8; 5] {
    match code {
        1265 => b"01000",
        1264 => b"22003",
        1292 | 1525 => b"22007",
        1365 => b"22012",
        1406 => b"22001",
        1048 | 1062 | 1452 => b"23000",
        1050 => b"42S01",
        1051 | 1146 => b"42S02",
        1054 => b"42S22",
        1304 | 1305 => b"42000",
        _ => b"HY000",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(level: &str, code: u16) -> Condition {
        Condition { level: level.as_bytes().into(), code, message: (*b"m").into() }
    }

    fn codes(diagnostics: &Diagnostics, errors_only: bool, offset: u32, limit: u32) -> Vec<u16> {
        diagnostics.list(errors_only, offset, limit).map(|it| it.code).collect()
    }

    #[test]
    fn a_list_is_kept_and_cut_as_asked() {
        let mut kept = Diagnostics::default();
        kept.note_warnings(300);
        assert!(kept.untold);
        let list = vec![condition("Note", 1), condition("Error", 2), condition("Warning", 3)];
        assert!(kept.note_conditions(list));
        assert_eq!((kept.count(false), kept.count(true)), (300, 1));
        assert_eq!(codes(&kept, false, 0, u32::MAX), [1, 2, 3]);
        assert_eq!(codes(&kept, false, 1, 1), [2]);
        assert_eq!(codes(&kept, true, 0, 5), [2]);
    }

    #[test]
    fn one_condition_can_be_put_back() {
        let mut kept = Diagnostics::default();
        let error = ErrPacket { code: 1062, state: *b"23000", message: "entry 'a'".into() };
        kept.note_error(&error);
        let signal = "SIGNAL SQLSTATE '23000' SET MESSAGE_TEXT='entry ''a''',MYSQL_ERRNO=1062";
        assert_eq!(kept.signal().as_deref(), Some(signal));
        kept.note_conditions(vec![condition("Note", 1), condition("Error", 1062)]);
        assert_eq!(kept.signal(), None);
        kept.note_warnings(1);
        kept.note_conditions(vec![condition("Warning", 1292)]);
        let signal = "SIGNAL SQLSTATE '22007' SET MESSAGE_TEXT='m',MYSQL_ERRNO=1292";
        assert_eq!(kept.signal().as_deref(), Some(signal));
    }

    #[test]
    fn what_is_too_much_is_not_kept() {
        let mut kept = Diagnostics::default();
        let long = Condition { message: vec![b'x'; MOST_BYTES].into(), ..condition("Note", 1) };
        assert!(!kept.note_conditions(vec![long]));
    }

    #[test]
    fn an_answer_leaves_what_the_servers_would() {
        let count = Asked::Values(vec![(About::WarningCount, String::new())]);
        let show = Asked::Count { errors_only: false };
        let list = Asked::Conditions { errors_only: false, offset: 0, limit: 1 };
        let rows = Asked::Values(vec![(About::RowCount, String::new())]);
        for (asked, mariadb, left, listed) in [
            (&rows, false, 0, 0),
            (&rows, true, 1, 1),
            (&count, false, 0, 0),
            (&show, false, 1, 1),
            (&show, true, 1, 1),
            (&count, true, 1, 1),
            (&list, false, 1, 1),
            (&list, true, 1, 1),
        ] {
            let mut kept = Diagnostics::default();
            kept.note_warnings(1);
            kept.note_conditions(vec![condition("Note", 7)]);
            kept.note_answered(asked, mariadb, None);
            assert_eq!(kept.count(false), left, "{asked:?}, {mariadb}");
            assert_eq!(codes(&kept, false, 0, 9).len(), listed, "{asked:?}, {mariadb}");
        }
    }
}
