//! Owns the one text that is understood as a whole from its first token to its last: `KILL`. Never
//! accepts a text with one token more than the form has.

use super::words::Word;

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

/// How much of the form has been seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whole {
    Nothing,
    Kill,
    /// After `HARD` or `SOFT`.
    KillForce,
    KillKind {
        query_only: bool,
    },
    Killed(Kill),
    /// Not the form, and never again.
    Another,
}

impl Whole {
    pub(super) fn step(self, token: Step<'_>, mariadb: bool) -> Self {
        match (self, token) {
            (Self::Nothing, Step::Word(Word::Kill)) => Self::Kill,
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
        if matches!(self, Self::Killed(_)) { self } else { Self::Another }
    }
}

fn killed(digits: &[u8], query_only: bool) -> Whole {
    match std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()) {
        Some(id) => Whole::Killed(Kill { id, query_only }),
        None => Whole::Another,
    }
}
