//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_ok_packet.html#sect_protocol_basic_ok_packet_sessinfo
//!
//! Owns the session-track block of an OK packet: read for the proxy, filtered for the client. Never
//! judges what a change means.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Malformed, Reader, put_lenenc_bytes};

const VARIABLES: u8 = 0;
const SCHEMA: u8 = 1;
const STATE: u8 = 2;
const GTIDS: u8 = 3;
const CHARACTERISTICS: u8 = 4;
const TRANSACTION: u8 = 5;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Variable {
        name: String,
        value: String,
    },
    Schema(String),
    State,
    Gtids(Bytes),
    /// The statements that would repeat the transaction's start; empty when none is open.
    Characteristics(String),
    /// One letter a property, `________` outside a transaction.
    Transaction([u8; 8]),
    /// Something changed whose new value is not text: named, and to be treated as unknown state.
    Unreadable(String),
}

/// Unknown types are skipped: a newer server may report what no one here asked for.
pub fn changes(block: &[u8]) -> Result<Vec<Change>, Malformed> {
    let mut found = Vec::new();
    let mut reader = Reader::new("session track", block);
    while !reader.is_empty() {
        let kind = reader.u8()?;
        let entry = reader.lenenc_bytes()?;
        read_entry(kind, entry, &mut found)?;
    }
    Ok(found)
}

/// The variables MySQL and MariaDB report to a client that never set `session_track_system_variables`.
pub const DEFAULT_TRACKED: [&str; 5] = [
    "time_zone",
    "autocommit",
    "character_set_client",
    "character_set_results",
    "character_set_connection",
];

/// What one client asked to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackFilter {
    pub schema: bool,
    pub state: bool,
    pub gtids: bool,
    pub characteristics: bool,
    pub transaction: bool,
    pub variables: Variables,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variables {
    None,
    /// [`DEFAULT_TRACKED`].
    Default,
    All,
    /// Lower case, as servers report them.
    Named(Arc<[String]>),
}

/// What a server tells a client that changed nothing about `session_track_…`.
impl Default for TrackFilter {
    fn default() -> Self {
        Self {
            schema: true,
            state: false,
            gtids: false,
            characteristics: false,
            transaction: false,
            variables: Variables::Default,
        }
    }
}

impl TrackFilter {
    pub fn everything() -> Self {
        Self {
            schema: true,
            state: true,
            gtids: true,
            characteristics: true,
            transaction: true,
            variables: Variables::All,
        }
    }

    /// What of `block` the client shall see; `None` is all of it.
    pub(super) fn apply(&self, block: &[u8]) -> Result<Option<BytesMut>, Malformed> {
        let mut kept = BytesMut::new();
        // Nothing at all is more than nothing: a flag says that there is something.
        let mut dropped = block.is_empty();
        let mut reader = Reader::new("session track", block);
        while !reader.is_empty() {
            let kind = reader.u8()?;
            let entry = reader.lenenc_bytes()?;
            let keep = match kind {
                VARIABLES => {
                    dropped |= self.keep_variables(entry, &mut kept)?;
                    continue;
                }
                SCHEMA => self.schema,
                STATE => self.state,
                GTIDS => self.gtids,
                CHARACTERISTICS => self.characteristics,
                TRANSACTION => self.transaction,
                _ => false,
            };
            if keep {
                kept.put_u8(kind);
                put_lenenc_bytes(&mut kept, entry);
            }
            dropped |= !keep;
        }
        Ok(dropped.then_some(kept))
    }

    /// Answers whether a pair was dropped.
    fn keep_variables(&self, entry: &[u8], kept: &mut BytesMut) -> Result<bool, Malformed> {
        let mut pairs = BytesMut::new();
        let mut dropped = false;
        let mut reader = Reader::new("session track", entry);
        while !reader.is_empty() {
            let name = reader.lenenc_bytes()?;
            let value = reader.lenenc_bytes()?;
            if self.variables.holds(name) {
                put_lenenc_bytes(&mut pairs, name);
                put_lenenc_bytes(&mut pairs, value);
            } else {
                dropped = true;
            }
        }
        if !pairs.is_empty() {
            kept.put_u8(VARIABLES);
            put_lenenc_bytes(kept, &pairs);
        }
        Ok(dropped)
    }
}

impl Variables {
    fn holds(&self, name: &[u8]) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Default => DEFAULT_TRACKED.iter().any(|known| known.as_bytes() == name),
            Self::Named(names) => names.iter().any(|known| known.as_bytes() == name),
        }
    }
}

fn read_entry(kind: u8, entry: &[u8], found: &mut Vec<Change>) -> Result<(), Malformed> {
    let mut reader = Reader::new("session track", entry);
    match kind {
        // MySQL writes one pair an entry, MariaDB several.
        VARIABLES => {
            while !reader.is_empty() {
                let name = reader.lenenc_bytes()?;
                let value = reader.lenenc_bytes()?;
                let name = String::from_utf8_lossy(name).into_owned();
                found.push(match std::str::from_utf8(value) {
                    Ok(value) => Change::Variable { name, value: value.to_owned() },
                    Err(_) => Change::Unreadable(name),
                });
            }
        }
        SCHEMA => found.push(text(reader.lenenc_bytes()?, Change::Schema, "schema")),
        STATE => found.push(Change::State),
        GTIDS => {
            let _encoding = reader.u8()?;
            found.push(Change::Gtids(Bytes::copy_from_slice(reader.lenenc_bytes()?)));
        }
        CHARACTERISTICS => {
            let said = reader.lenenc_bytes()?;
            found.push(text(said, Change::Characteristics, "transaction characteristics"));
        }
        TRANSACTION => found.push(match reader.lenenc_bytes()?.try_into() {
            Ok(letters) => Change::Transaction(letters),
            Err(_) => Change::Unreadable("transaction state".to_owned()),
        }),
        _ => {}
    }
    Ok(())
}

fn text(bytes: &[u8], change: fn(String) -> Change, what: &str) -> Change {
    match std::str::from_utf8(bytes) {
        Ok(text) => change(text.to_owned()),
        Err(_) => Change::Unreadable(what.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIXED: &[u8] =
        b"\x00\x0F\x0Aautocommit\x03OFF\x01\x03\x02db\x02\x02\x011\x05\x09\x08T_______\
        \x04\x07\x06BEGIN;\x03\x05\x00\x03a:1\x63\x01x";

    fn variable(name: &str, value: &str) -> Change {
        Change::Variable { name: name.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn every_type() {
        assert_eq!(
            changes(MIXED).unwrap(),
            [
                variable("autocommit", "OFF"),
                Change::Schema("db".to_owned()),
                Change::State,
                Change::Transaction(*b"T_______"),
                Change::Characteristics("BEGIN;".to_owned()),
                Change::Gtids(Bytes::from_static(b"a:1")),
            ]
        );
    }

    #[test]
    fn several_pairs_in_one_entry() {
        let block = b"\x00\x0C\x01a\x011\x01b\x00\x01c\x033 3";
        assert_eq!(
            changes(&block[..12]).unwrap_err(),
            Malformed::Short { packet: "session track", at: 2 }
        );
        let block = b"\x00\x0D\x01a\x011\x01b\x00\x01c\x033 3";
        assert_eq!(
            changes(block).unwrap(),
            [variable("a", "1"), variable("b", ""), variable("c", "3 3")]
        );
    }

    #[test]
    fn what_is_not_text_is_said_to_be_unknown() {
        assert_eq!(
            changes(b"\x00\x04\x01a\x01\xFF").unwrap(),
            [Change::Unreadable("a".to_owned())]
        );
        let short = changes(b"\x05\x03\x02__").unwrap();
        assert_eq!(short, [Change::Unreadable("transaction state".to_owned())]);
    }

    #[test]
    fn the_default_filter() {
        let kept = TrackFilter::default().apply(MIXED).unwrap().unwrap();
        assert_eq!(&kept[..], b"\x00\x0F\x0Aautocommit\x03OFF\x01\x03\x02db");
        assert_eq!(TrackFilter::default().apply(&kept).unwrap(), None);
    }

    #[test]
    fn a_filter_takes_pairs_apart() {
        let filter = TrackFilter {
            variables: Variables::Named(["b".to_owned()].into()),
            ..TrackFilter::default()
        };
        let kept = filter.apply(b"\x00\x0C\x01a\x011\x01b\x012\x01c\x013").unwrap().unwrap();
        assert_eq!(&kept[..], b"\x00\x04\x01b\x012");
        let none = TrackFilter { variables: Variables::None, ..TrackFilter::default() };
        assert_eq!(none.apply(b"\x00\x04\x01a\x011").unwrap().unwrap().len(), 0);
    }

    proptest! {
        #[test]
        fn never_panics(block: Vec<u8>) {
            let _ = changes(&block);
            let _ = TrackFilter::default().apply(&block);
        }
    }
}
