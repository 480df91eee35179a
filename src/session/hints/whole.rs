//! Owns the few texts that are understood as a whole, because the proxy can answer them itself.
//! Never accepts a text with one token more than the form has.

use super::words::Word;

/// A text that is nothing but one small question about the session.
///
/// Scoped spellings (`@@session.warning_count`) and `LIMIT` are left out: they are hints only. The
/// column's heading is the expression as the client spelt it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exact {
    /// `SELECT ROW_COUNT()`
    RowCount,
    /// `SELECT FOUND_ROWS()`
    FoundRows,
    /// `SELECT LAST_INSERT_ID()`
    LastInsertId,
    /// `SHOW WARNINGS`
    ShowWarnings,
    /// `SHOW ERRORS`
    ShowErrors,
    /// `SHOW COUNT(*) WARNINGS`
    ShowCountWarnings,
    /// `SHOW COUNT(*) ERRORS`
    ShowCountErrors,
    /// `SELECT CONNECTION_ID()`
    ConnectionId,
    /// `SELECT @@warning_count`
    WarningCount,
    /// `SELECT @@error_count`
    ErrorCount,
}

/// A text that is one plain `KILL` with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kill {
    /// The connection to kill, as the client knows it.
    pub id: u64,
    /// `KILL QUERY`: the statement only, not the connection.
    pub query_only: bool,
}

/// One token, as far as this machine and its caller need to tell tokens apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Word(Word),
    /// Digits and nothing else.
    Number(&'a [u8]),
    Sign(u8),
    UserVariable,
    /// `@@`
    SystemVariable,
    /// A quoted identifier.
    Name,
    Literal,
}

/// How much of one of the forms has been seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    Nothing,
    Select,
    Function(Exact),
    Opened(Exact),
    SystemVariable,
    Show,
    Count,
    CountOpened,
    CountStar,
    CountClosed,
    Kill,
    /// After `HARD` or `SOFT`.
    KillForce,
    KillKind {
        query_only: bool,
    },
    Asked(Exact),
    Killed(Kill),
    /// Not one of the forms, and never again.
    Another,
}

impl Whole {
    pub(super) fn step(self, token: Step<'_>, mariadb: bool) -> Self {
        match (self, token) {
            (Self::Nothing, Step::Word(Word::Select)) => Self::Select,
            (Self::Nothing, Step::Word(Word::Show)) => Self::Show,
            (Self::Nothing, Step::Word(Word::Kill)) => Self::Kill,
            (Self::Select, Step::SystemVariable) => Self::SystemVariable,
            (Self::Select, Step::Word(word)) => function(word),
            (Self::Function(exact), Step::Sign(b'(')) => Self::Opened(exact),
            (Self::Opened(exact), Step::Sign(b')')) => Self::Asked(exact),
            (Self::SystemVariable, Step::Word(Word::WarningCount)) => {
                Self::Asked(Exact::WarningCount)
            }
            (Self::SystemVariable, Step::Word(Word::ErrorCount)) => Self::Asked(Exact::ErrorCount),
            (Self::Show, Step::Word(Word::Warnings)) => Self::Asked(Exact::ShowWarnings),
            (Self::Show, Step::Word(Word::Errors)) => Self::Asked(Exact::ShowErrors),
            (Self::Show, Step::Word(Word::Count)) => Self::Count,
            (Self::Count, Step::Sign(b'(')) => Self::CountOpened,
            (Self::CountOpened, Step::Sign(b'*')) => Self::CountStar,
            (Self::CountStar, Step::Sign(b')')) => Self::CountClosed,
            (Self::CountClosed, Step::Word(Word::Warnings)) => {
                Self::Asked(Exact::ShowCountWarnings)
            }
            (Self::CountClosed, Step::Word(Word::Errors)) => Self::Asked(Exact::ShowCountErrors),
            _ => self.kill(token, mariadb),
        }
    }

    fn kill(self, token: Step<'_>, mariadb: bool) -> Self {
        match (self, token) {
            (Self::Kill, Step::Word(Word::Hard | Word::Soft)) if mariadb => Self::KillForce,
            (Self::Kill | Self::KillForce, Step::Word(Word::Connection)) => {
                Self::KillKind { query_only: false }
            }
            (Self::Kill | Self::KillForce, Step::Word(Word::Query)) => {
                Self::KillKind { query_only: true }
            }
            (Self::Kill | Self::KillForce, Step::Number(digits)) => killed(digits, false),
            (Self::KillKind { query_only }, Step::Number(digits)) => killed(digits, query_only),
            _ => Self::Another,
        }
    }

    /// A semicolon: the form must be complete, and `step` lets nothing follow it.
    pub(super) fn end(self) -> Self {
        match self {
            Self::Asked(_) | Self::Killed(_) => self,
            _ => Self::Another,
        }
    }
}

fn function(word: Word) -> Whole {
    match word {
        Word::RowCount => Whole::Function(Exact::RowCount),
        Word::FoundRows => Whole::Function(Exact::FoundRows),
        Word::LastInsertId => Whole::Function(Exact::LastInsertId),
        Word::ConnectionId => Whole::Function(Exact::ConnectionId),
        _ => Whole::Another,
    }
}

fn killed(digits: &[u8], query_only: bool) -> Whole {
    match std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()) {
        Some(id) => Whole::Killed(Kill { id, query_only }),
        None => Whole::Another,
    }
}
