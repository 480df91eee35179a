//! What an operator is answered: a table, or that it was done.

use std::borrow::Cow;

use bytes::BytesMut;

use super::like::is_like;
use crate::wire::{Capabilities, Kind, OkReply, Status, TextResult, put_ok};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Ok,
    Table(Table),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub columns: Vec<(Cow<'static, str>, Type)>,
    pub rows: Vec<Row>,
}

pub type Row = Vec<Cell>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Text,
    Number,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    Null,
    Text(String),
    Number(u64),
}

impl Cell {
    pub fn text(text: &(impl ToString + ?Sized)) -> Self {
        Self::Text(text.to_string())
    }

    pub fn number(number: impl TryInto<u64>) -> Self {
        Self::Number(number.try_into().unwrap_or(u64::MAX))
    }

    pub fn yes_or_no(is: bool) -> Self {
        Self::text(if is { "yes" } else { "no" })
    }

    /// As a client shows it; `None` is NULL.
    fn shown(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(text.into()),
            Self::Number(number) => Some(number.to_string().into()),
        }
    }

    fn is_like(&self, pattern: &str) -> bool {
        self.shown().is_some_and(|shown| is_like(&shown, pattern))
    }
}

impl<T: ToString> From<Option<T>> for Cell {
    fn from(text: Option<T>) -> Self {
        text.map_or(Self::Null, |text| Self::text(&text))
    }
}

impl Table {
    /// Only the rows of which at least one cell is like the pattern, where there is one.
    #[must_use]
    pub fn like(mut self, pattern: Option<&str>) -> Self {
        if let Some(pattern) = pattern {
            self.rows.retain(|row| row.iter().any(|cell| cell.is_like(pattern)));
        }
        self
    }
}

impl Answer {
    pub fn put(&self, out: &mut BytesMut, caps: Capabilities) {
        let status = Status::SERVER_STATUS_AUTOCOMMIT;
        match self {
            Self::Ok => {
                put_ok(out, 1, &OkReply::default(), caps);
            }
            Self::Table(table) => {
                let columns: Vec<_> = table
                    .columns
                    .iter()
                    .map(|(name, kind)| (name.as_ref(), kind.on_the_wire()))
                    .collect();
                let mut result = TextResult::begin_as(out, 1, caps, status, &columns);
                for row in &table.rows {
                    let shown: Vec<_> = row.iter().map(Cell::shown).collect();
                    result.row(shown.iter().map(|cell| cell.as_deref().map(str::as_bytes)));
                }
                result.end();
            }
        }
    }
}

impl Type {
    fn on_the_wire(self) -> Kind {
        match self {
            Self::Text => Kind::Text,
            Self::Number => Kind::big_int(false, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stays_for_any_of_its_cells() {
        let row = |a: &str, b| vec![Cell::text(a), Cell::Number(b), Cell::Null];
        let table =
            Table { columns: Vec::new(), rows: vec![row("app", 7), row("web", 70), row("x", 1)] };
        assert_eq!(table.clone().like(None), table);
        let table = table.like(Some("%7%"));
        assert_eq!(table.rows, [row("app", 7), row("web", 70)]);
        assert_eq!(table.like(Some("WEB")).rows, [row("web", 70)]);
    }

    #[test]
    fn on_the_wire() {
        let table = Table {
            columns: vec![("a".into(), Type::Text), ("n".into(), Type::Number)],
            rows: vec![vec![Cell::Null, Cell::Number(12)]],
        };
        let mut out = BytesMut::new();
        Answer::Table(table).put(&mut out, Capabilities::CLIENT_DEPRECATE_EOF);
        assert_eq!(&out[..5], b"\x01\0\0\x01\x02");
        assert!(out.ends_with(b"\x04\0\0\x04\xFB\x0212\x07\0\0\x05\xFE\0\0\x02\0\0\0"), "{out:?}");
        out.clear();
        Answer::Ok.put(&mut out, Capabilities::CLIENT_PROTOCOL_41);
        assert_eq!(&out[..], b"\x07\0\0\x01\0\0\0\x02\0\0\0");
    }
}
