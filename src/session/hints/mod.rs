//! Owns the suspicion: what a text of SQL may do to its session that the server's trackers do not
//! report. Never clears a pin, never changes a text, never judges its grammar.
//!
//! A false suspicion costs a little pooling, a missed one leaks state into another client; so
//! whatever can be read in two ways is read in both, and what cannot be followed is
//! [`Hints::UNREADABLE`]. Bytes go in as they come off the wire, in any chunks; nothing is kept of
//! them but one word.
//!
//! Out of sight, and left to the caller:
//! - what a stored function, a trigger or a view does (a lock taken in a function that a `SELECT`
//!   calls);
//! - a [`Dialect`] that is not the session's: it must be the one in force when the text is run;
//! - MariaDB in Oracle mode may call a procedure without `CALL`: the head is [`Head::Other`].

mod asked;
mod deed;
mod flags;
mod harmless;
mod head;
mod lexer;
mod names;
mod reader;
mod tokens;
mod whole;
mod words;

#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;

pub use asked::{About, Asked, asked};
pub use deed::{Act, Deed, Table, deed, sets_unscoped};
pub use flags::Hints;
pub use head::Head;
pub use whole::Kill;

use lexer::Lexer;

/// What decides how the server reads the bytes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// sql_mode has ANSI_QUOTES: `"…"` is an identifier.
    pub ansi_quotes: bool,
    /// sql_mode has NO_BACKSLASH_ESCAPES: `\` is a letter like any other.
    pub no_backslash_escapes: bool,
    /// No character of character_set_client has an ASCII byte inside it: false for gbk, gb18030,
    /// big5, sjis, cp932 and (where letters stand for some signs) swe7.
    pub ascii_safe: bool,
    /// The server is MariaDB.
    pub mariadb: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self { ansi_quotes: false, no_backslash_escapes: false, ascii_safe: true, mariadb: false }
    }
}

/// What there is to know about a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The kind of the first statement.
    pub head: Head,
    pub hints: Hints,
    /// How many statements that are not empty; too many where a stored program is created.
    pub statements: u32,
    /// Every statement is a `SET` or `USE`.
    pub only_sets: bool,
    /// No statement uses a table, as far as its words tell: on MariaDB the list of warnings outlives
    /// it.
    pub tableless: bool,
    /// The whole text is one plain `KILL`.
    pub kill: Option<Kill>,
}

/// Reads a text in chunks. Its size is fixed.
pub struct Scanner(Inner);

// A large variant and a small one: boxing it would cost the usual statement an allocation.
#[allow(clippy::large_enum_variant)]
enum Inner {
    Reads(Lexer),
    /// The character set hides quotes inside characters.
    Blind {
        empty: bool,
    },
}

impl Scanner {
    pub fn new(dialect: Dialect) -> Self {
        Self(if dialect.ascii_safe {
            Inner::Reads(Lexer::new(dialect))
        } else {
            Inner::Blind { empty: true }
        })
    }

    /// Reads on.
    pub fn feed(&mut self, chunk: &[u8]) {
        match &mut self.0 {
            Inner::Reads(lexer) => lexer.feed(chunk),
            Inner::Blind { empty } => *empty &= chunk.is_empty(),
        }
    }

    /// The text is over.
    pub fn finish(self) -> Reading {
        match self.0 {
            Inner::Reads(lexer) => lexer.finish(),
            Inner::Blind { empty } => Reading {
                head: if empty { Head::Empty } else { Head::Other },
                hints: Hints::UNREADABLE,
                statements: u32::from(!empty),
                only_sets: false,
                tableless: false,
                kill: None,
            },
        }
    }
}

/// Reads a text that is all there.
pub fn read(sql: &[u8], dialect: Dialect) -> Reading {
    let mut scanner = Scanner::new(dialect);
    scanner.feed(sql);
    scanner.finish()
}
