//! What only the server can say once a statement is over, and must be asked before the connection
//! goes to somebody else.
//!
//! Owns the texts of the questions and the reading of the answers. It never decides when to ask.

use super::{Condition, UserValue};
use crate::wire::{Column, TextTable};

/// One question; several travel together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// COM_PING: its OK says whether a transaction is open, and what an error left unsaid.
    Status,
    Warnings,
    FoundRows,
    InsertId,
    Collation,
    Role,
    Locks(Vec<Box<str>>),
    /// Of what type each is; [`Question::UserValues`] comes behind it.
    UserTypes(Vec<Box<str>>),
    UserValues(Vec<Box<str>>),
    /// Values of system variables that a statement may have set unreported. MariaDB's
    /// `sql_select_limit`, where it may be in place, cuts a SHOW and not a SELECT with a LIMIT.
    Variables {
        names: Vec<String>,
        limited: bool,
    },
    /// Not a question: the proxy's own trackers, after a client's were in their place.
    SetUp(String),
}

/// A longer value is left where it is.
const LONGEST_VALUE: usize = 1024;

/// https://dev.mysql.com/doc/dev/mysql-server/latest/field__types_8h.html
const DOUBLE: u8 = 5;
const LONGLONG: u8 = 8;
const NEWDECIMAL: u8 = 246;
const VAR_STRING: u8 = 253;

/// The definition of a user variable that MariaDB never heard of has this length, of one that is
/// NULL one less.
const NEVER_SET: u32 = 1 << 24;

impl Question {
    /// The text to be sent; `None` is COM_PING.
    ///
    /// A `LIMIT` overrides `sql_select_limit`.
    pub fn text(&self) -> Option<String> {
        Some(match self {
            Self::Status => return None,
            Self::Warnings => "SHOW WARNINGS LIMIT 65535".into(),
            Self::FoundRows => "SELECT FOUND_ROWS() LIMIT 1".into(),
            Self::InsertId => "SELECT LAST_INSERT_ID() LIMIT 1".into(),
            Self::Collation => "SELECT @@SESSION.collation_connection LIMIT 1".into(),
            Self::Role => "SELECT CURRENT_ROLE() LIMIT 1".into(),
            Self::Locks(names) => {
                let held = |name: &str| format!("IS_USED_LOCK('{name}')<=>CONNECTION_ID()");
                select(names, held, 1)
            }
            Self::UserTypes(names) => select(names, |name| format!("@`{name}`"), 0),
            Self::UserValues(names) => {
                let parts = |name: &str| {
                    let most = LONGEST_VALUE;
                    format!("LENGTH(@`{name}`),COLLATION(@`{name}`),HEX(LEFT(@`{name}`,{most}))")
                };
                select(names, parts, 1)
            }
            Self::Variables { names, limited } => {
                let names = names.join("','");
                if *limited {
                    return Some(format!(
                        "SELECT Variable_name,Variable_value FROM \
                         information_schema.SESSION_VARIABLES \
                         WHERE Variable_name IN ('{names}') LIMIT 65535"
                    ));
                }
                format!("SHOW SESSION VARIABLES WHERE Variable_name IN ('{names}')")
            }
            Self::SetUp(text) => text.clone(),
        })
    }
}

fn select(names: &[Box<str>], expression: impl Fn(&str) -> String, limit: u8) -> String {
    let expressions: Vec<String> = names.iter().map(|name| expression(name)).collect();
    format!("SELECT {} LIMIT {limit}", expressions.join(","))
}

/// The rows of an answer, as text. What is asked here has answers in ASCII; in a wide character set
/// each of its letters comes with zeros around it.
pub fn rows(table: &TextTable) -> Vec<Vec<Option<String>>> {
    let text = |value: &Vec<u8>| {
        let letters = value.iter().copied().filter(|byte| *byte != 0).collect();
        String::from_utf8(letters).unwrap_or_default()
    };
    let row = |row: &Vec<Option<Vec<u8>>>| row.iter().map(|it| it.as_ref().map(text)).collect();
    table.rows.iter().map(row).collect()
}

pub fn conditions(table: TextTable) -> Vec<Condition> {
    let condition = |row: Vec<Option<Vec<u8>>>| {
        let mut row = row.into_iter().map(Option::unwrap_or_default);
        let (level, code, message) = (row.next()?, row.next()?, row.next()?);
        let code = String::from_utf8(code).ok()?.parse().ok()?;
        Some(Condition { level: level.into(), code, message: message.into() })
    };
    table.rows.into_iter().filter_map(condition).collect()
}

/// What a user variable holds, from its definition and its three columns of
/// [`Question::UserValues`]. `Err`: it cannot be told to another connection; `Ok(None)`: it was
/// never set.
pub fn user_value(
    column: &Column,
    parts: &[Option<String>],
) -> Result<Option<UserValue>, CannotBeTold> {
    let [length, collation, hex] = parts else { return Err(CannotBeTold) };
    let collation = collation.as_deref().unwrap_or("binary");
    let Some(length) = length else {
        let never_set = column.kind == VAR_STRING || column.length == NEVER_SET;
        if never_set {
            return Ok(None);
        }
        let of_its_type = expression(column, collation, "30")?;
        return Ok(Some(UserValue::Null(of_its_type.into())));
    };
    if length.parse::<usize>().map_err(|_| CannotBeTold)? > LONGEST_VALUE {
        return Err(CannotBeTold);
    }
    let hex = hex.as_deref().unwrap_or_default();
    Ok(Some(UserValue::Value(expression(column, collation, hex)?.into())))
}

#[derive(Debug, PartialEq, Eq)]
pub struct CannotBeTold;

fn expression(column: &Column, collation: &str, hex: &str) -> Result<String, CannotBeTold> {
    let number = || {
        let text = String::from_utf8(unhex(hex)?).ok()?;
        let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
        (!text.is_empty() && text.bytes().all(plain)).then_some(text)
    };
    match column.kind {
        LONGLONG if column.unsigned => {
            Ok(format!("CAST({} AS UNSIGNED)", number().ok_or(CannotBeTold)?))
        }
        LONGLONG => number().ok_or(CannotBeTold),
        DOUBLE => {
            let text = number().ok_or(CannotBeTold)?;
            Ok(if text.contains(['e', 'E']) { text } else { format!("{text}e0") })
        }
        NEWDECIMAL => {
            let text = number().ok_or(CannotBeTold)?;
            Ok(if text.contains('.') { text } else { format!("CAST({text} AS DECIMAL(65,0))") })
        }
        _ => string(collation, hex),
    }
}

fn string(collation: &str, hex: &str) -> Result<String, CannotBeTold> {
    let bytes = unhex(hex).ok_or(CannotBeTold)?;
    if collation == "binary" {
        return Ok(format!("x'{hex}'"));
    }
    let charset = collation.split('_').next().unwrap_or_default();
    let is_name = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    // The server refuses a literal that is not well-formed in its character set.
    let well_formed = match charset {
        "utf8mb4" => std::str::from_utf8(&bytes).is_ok(),
        // Of no more than three bytes a letter.
        "utf8" | "utf8mb3" => {
            std::str::from_utf8(&bytes).is_ok() && bytes.iter().all(|byte| *byte < 0xF0)
        }
        "ascii" => bytes.is_ascii(),
        _ => SINGLE_BYTE.contains(&charset),
    };
    if !well_formed || !is_name(collation) {
        return Err(CannotBeTold);
    }
    Ok(format!("_{charset} x'{hex}' COLLATE {collation}"))
}

/// Every byte is a character in these.
const SINGLE_BYTE: [&str; 16] = [
    "latin1", "latin2", "latin5", "latin7", "cp1250", "cp1251", "cp1256", "cp1257", "cp850",
    "cp852", "cp866", "koi8r", "koi8u", "greek", "hebrew", "dec8",
];

fn unhex(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    };
    hex.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: u8, unsigned: bool) -> Column {
        Column { kind, unsigned, collation: 63, length: 21, decimals: 0 }
    }

    fn value(
        kind: u8,
        unsigned: bool,
        collation: &str,
        text: &str,
    ) -> Result<String, CannotBeTold> {
        let digit = |digit| char::from_digit(digit, 16).unwrap();
        let pair = |byte: u8| [digit(u32::from(byte >> 4)), digit(u32::from(byte & 15))];
        let hex: String = text.bytes().flat_map(pair).collect();
        let parts = [Some(text.len().to_string()), Some(collation.into()), Some(hex)];
        match user_value(&column(kind, unsigned), &parts)? {
            Some(UserValue::Value(text)) => Ok(text.into()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_type_goes_back_as_it_came() {
        assert_eq!(value(8, false, "binary", "-7"), Ok("-7".into()));
        assert_eq!(value(8, true, "binary", "5"), Ok("CAST(5 AS UNSIGNED)".into()));
        assert_eq!(value(5, false, "binary", "0.1"), Ok("0.1e0".into()));
        assert_eq!(value(5, false, "binary", "1e22"), Ok("1e22".into()));
        assert_eq!(value(246, false, "binary", "5.50"), Ok("5.50".into()));
        assert_eq!(value(246, false, "binary", "7"), Ok("CAST(7 AS DECIMAL(65,0))".into()));
        assert_eq!(value(250, false, "binary", "ab"), Ok("x'6162'".into()));
        assert_eq!(
            value(251, false, "utf8mb4_0900_ai_ci", "\u{e9}"),
            Ok("_utf8mb4 x'c3a9' COLLATE utf8mb4_0900_ai_ci".into())
        );
        assert_eq!(
            value(251, false, "latin1_bin", ""),
            Ok("_latin1 x'' COLLATE latin1_bin".into())
        );
    }

    #[test]
    fn null_keeps_its_type_and_what_was_never_set_is_nothing() {
        let null = |kind, length| {
            let column = Column { length, ..column(kind, false) };
            user_value(&column, &[None, Some("binary".into()), None])
        };
        assert_eq!(null(8, 21), Ok(Some(UserValue::Null("0".into()))));
        assert_eq!(null(250, 16_777_215), Ok(Some(UserValue::Null("x'30'".into()))));
        assert_eq!(null(253, 65_532), Ok(None));
        assert_eq!(null(251, 16_777_216), Ok(None));
    }

    #[test]
    fn what_cannot_be_told_is_said_to_be_so() {
        assert_eq!(value(251, false, "sjis_japanese_ci", "a"), Err(CannotBeTold));
        assert_eq!(value(8, false, "binary", "1; DROP"), Err(CannotBeTold));
        let broken = [Some("1".into()), Some("utf8mb4_bin".into()), Some("FF".into())];
        assert_eq!(user_value(&column(251, false), &broken), Err(CannotBeTold));
        assert_eq!(value(251, false, "utf8mb3_bin", "\u{1F600}"), Err(CannotBeTold));
        let long = [Some("1025".into()), Some("binary".into()), Some("00".into())];
        assert_eq!(user_value(&column(250, false), &long), Err(CannotBeTold));
    }

    #[test]
    fn texts() {
        let names = vec![Box::from("a"), Box::from("b c")];
        assert_eq!(
            Question::UserTypes(names.clone()).text().unwrap(),
            "SELECT @`a`,@`b c` LIMIT 0"
        );
        assert_eq!(
            Question::Locks(names).text().unwrap(),
            "SELECT IS_USED_LOCK('a')<=>CONNECTION_ID(),IS_USED_LOCK('b c')<=>CONNECTION_ID() LIMIT 1"
        );
        assert_eq!(Question::Status.text(), None);
    }

    #[test]
    fn a_wide_character_set_is_read_too() {
        let table = TextTable { rows: vec![vec![Some(b"\0a\0b".to_vec()), None]], columns: vec![] };
        assert_eq!(rows(&table), [[Some("ab".to_owned()), None]]);
    }
}
