//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset.html
//!
//! Owns the small text result sets the proxy itself says, and the reading of one row. Replies that
//! pass through are the scanner's, which reads no rows.

use bytes::{BufMut, BytesMut};

use super::{
    Capabilities, ColumnType, HEADER_LEN, Header, Malformed, Reader, ServerFormat, Status, put_eof,
    put_lenenc_bytes, put_lenenc_int, put_packet,
};

/// utf8mb4_general_ci, which MySQL and MariaDB share.
const COLLATION: u16 = 45;

/// The collation of what is no text.
const BINARY: u16 = 63;

const NOT_NULL: u16 = 0x0001;
const BINARY_FLAG: u16 = 0x0080;

/// What a client makes of a column's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Integer,
    /// Everything of the definition that differs between one built-in and another.
    Exact {
        kind: ColumnType,
        length: u32,
        not_null: bool,
        unsigned: bool,
        decimals: u8,
        /// Of a text.
        collation: u16,
    },
}

impl Kind {
    /// A BIGINT, as most of what a session can be asked about itself.
    pub fn big_int(not_null: bool, unsigned: bool) -> Self {
        let kind = ColumnType::MYSQL_TYPE_LONGLONG;
        Self::Exact { kind, length: 21, not_null, unsigned, decimals: 0, collation: BINARY }
    }
}

/// What its receiver takes a result set in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub caps: Capabilities,
    /// `false`: under `CLIENT_OPTIONAL_RESULTSET_METADATA` it wants none.
    pub definitions: bool,
    /// MariaDB's `EXTENDED_METADATA`.
    pub extended: bool,
}

impl From<Capabilities> for Shape {
    fn from(caps: Capabilities) -> Self {
        Self { caps, definitions: true, extended: false }
    }
}

/// Writes a result set packet by packet, in the format its receiver negotiated.
pub struct TextResult<'a> {
    out: &'a mut BytesMut,
    seq: u8,
    caps: Capabilities,
    status: Status,
}

impl<'a> TextResult<'a> {
    pub fn begin(
        out: &'a mut BytesMut,
        seq: u8,
        caps: Capabilities,
        status: Status,
        columns: &[&str],
    ) -> Self {
        let columns: Vec<_> = columns.iter().map(|name| (*name, Kind::Text)).collect();
        Self::begin_as(out, seq, caps, status, &columns)
    }

    pub fn begin_as(
        out: &'a mut BytesMut,
        seq: u8,
        shape: impl Into<Shape>,
        status: Status,
        columns: &[(&str, Kind)],
    ) -> Self {
        let Shape { caps, definitions, extended } = shape.into();
        let mut result = Self { out, seq, caps, status };
        let mut payload = BytesMut::with_capacity(64);
        put_lenenc_int(&mut payload, columns.len() as u64);
        let optional = caps.contains(Capabilities::CLIENT_OPTIONAL_RESULTSET_METADATA);
        if optional {
            payload.put_u8(u8::from(definitions));
        }
        result.put(&payload);
        let left_out = optional && !definitions;
        for (name, kind) in columns.iter().filter(|_| !left_out) {
            payload.clear();
            put_definition(&mut payload, name, *kind, extended);
            result.put(&payload);
        }
        if !caps.contains(Capabilities::CLIENT_DEPRECATE_EOF) {
            result.seq = put_eof(result.out, result.seq, status, 0);
        }
        result
    }

    /// `None` is NULL.
    pub fn row<'v>(&mut self, values: impl IntoIterator<Item = Option<&'v [u8]>>) {
        let mut payload = BytesMut::with_capacity(64);
        for value in values {
            match value {
                Some(value) => put_lenenc_bytes(&mut payload, value),
                None => payload.put_u8(0xFB),
            }
        }
        self.put(&payload);
    }

    /// Answers the next sequence id.
    pub fn end(self) -> u8 {
        self.end_with(0)
    }

    /// The same, after a statement that left so many warnings.
    pub fn end_with(self, warnings: u16) -> u8 {
        if !self.caps.contains(Capabilities::CLIENT_DEPRECATE_EOF) {
            return put_eof(self.out, self.seq, self.status, warnings);
        }
        let mut payload = BytesMut::with_capacity(7);
        payload.put_slice(&[0xFE, 0, 0]);
        payload.put_u16_le((self.status - Status::SERVER_SESSION_STATE_CHANGED).bits());
        payload.put_u16_le(warnings);
        put_packet(self.out, self.seq, &payload)
    }

    fn put(&mut self, payload: &[u8]) {
        self.seq = put_packet(self.out, self.seq, payload);
    }
}

/// The first packet of a result set: how many columns, and whether their definitions follow, which
/// is said under `CLIENT_OPTIONAL_RESULTSET_METADATA` (`optional`) and behind the count. The manual
/// has it before the count; MySQL 9.7 does not.
pub fn column_count(payload: &[u8], optional: bool) -> Result<(u64, bool), Malformed> {
    let mut reader = Reader::new("column count", payload);
    let count = reader.lenenc_int()?;
    let definitions = !optional || reader.u8()? != 0;
    if reader.is_empty() {
        Ok((count, definitions))
    } else {
        Err(Malformed::WrongLength { packet: "column count", len: payload.len() })
    }
}

/// A small text result set, all in memory: what the proxy itself has asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextTable {
    pub columns: Vec<Column>,
    /// `None` is NULL.
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
}

/// Of a column's definition, what tells values of different types apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// <https://dev.mysql.com/doc/dev/mysql-server/latest/field__types_8h.html>
    pub kind: u8,
    pub unsigned: bool,
    /// Its collation's id.
    pub collation: u16,
    pub length: u32,
    pub decimals: u8,
}

/// UNSIGNED_FLAG of a column's definition.
const UNSIGNED: u16 = 0x0020;

impl TextTable {
    /// `reply` is one whole reply that ended well; one without rows is an empty table.
    pub fn parse(mut reply: &[u8], format: ServerFormat) -> Result<Self, Malformed> {
        let mut packets = Vec::new();
        while let Some(header) = Header::peek(reply) {
            let end = HEADER_LEN + header.len;
            let short = Malformed::Short { packet: "text result set", at: end };
            packets.push(reply.get(HEADER_LEN..end).ok_or(short)?);
            reply = reply.get(end..).unwrap_or_default();
        }
        let Some(first) = packets.first().filter(|packet| packet.first() != Some(&0)) else {
            return Ok(Self::default());
        };
        let (count, defined) = column_count(first, format.optional_metadata)?;
        let count = if defined { count as usize } else { 0 };
        let rows = 1 + count + usize::from(!format.deprecate_eof);
        let definitions = packets.get(1..=count).unwrap_or_default();
        let rows = packets.get(rows..packets.len().saturating_sub(1)).unwrap_or_default();
        let owned = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
        let row = |packet: &&[u8]| Ok(text_row(packet)?.into_iter().map(owned).collect());
        Ok(Self {
            columns: definitions
                .iter()
                .map(|packet| definition(packet))
                .collect::<Result<_, _>>()?,
            rows: rows.iter().map(row).collect::<Result<_, Malformed>>()?,
        })
    }
}

fn definition(packet: &[u8]) -> Result<Column, Malformed> {
    let mut reader = Reader::new("column definition", packet);
    for _name in 0..6 {
        reader.lenenc_bytes()?;
    }
    let _fixed = reader.u8()?;
    let (collation, length, kind) = (reader.u16()?, reader.u32()?, reader.u8()?);
    let unsigned = reader.u16()? & UNSIGNED != 0;
    Ok(Column { kind, unsigned, collation, length, decimals: reader.u8()? })
}

/// The values of a text row; `None` is NULL.
pub fn text_row(payload: &[u8]) -> Result<Vec<Option<&[u8]>>, Malformed> {
    let mut values = Vec::new();
    let mut reader = Reader::new("text row", payload);
    while !reader.is_empty() {
        values.push(reader.lenenc_value()?);
    }
    Ok(values)
}

/// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset_column_definition.html
fn put_definition(payload: &mut BytesMut, name: &str, kind: Kind, extended: bool) {
    let (collation, length, column, flags, decimals) = match kind {
        Kind::Text => (COLLATION, 1024, ColumnType::MYSQL_TYPE_VAR_STRING, 0, 0),
        Kind::Integer => (BINARY, 21, ColumnType::MYSQL_TYPE_LONGLONG, NOT_NULL | BINARY_FLAG, 0),
        Kind::Exact { kind, length, not_null, unsigned, decimals, collation } => {
            let text = kind == ColumnType::MYSQL_TYPE_VAR_STRING;
            let mut flags = if text { 0 } else { BINARY_FLAG };
            flags |= if not_null { NOT_NULL } else { 0 };
            flags |= if unsigned { UNSIGNED } else { 0 };
            (collation, length, kind, flags, decimals)
        }
    };
    for text in ["def", "", "", "", name, ""] {
        put_lenenc_bytes(payload, text.as_bytes());
    }
    if extended {
        // A string of what is more to be said of the type: nothing.
        payload.put_u8(0);
    }
    payload.put_u8(0x0C);
    payload.put_u16_le(collation);
    payload.put_u32_le(length);
    payload.put_u8(column as u8);
    payload.put_u16_le(flags);
    payload.put_u8(decimals);
    payload.put_u16_le(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ONE: &[u8] = b"\x01\0\0\x01\x01\
        \x17\0\0\x02\x03def\0\0\0\x01a\0\x0C\x2D\0\0\x04\0\0\xFD\0\0\0\0\0";

    fn result(caps: Capabilities) -> BytesMut {
        let mut out = BytesMut::new();
        let status = Status::SERVER_STATUS_AUTOCOMMIT;
        let mut result = TextResult::begin(&mut out, 1, caps, status, &["a"]);
        result.row([Some(&b"xy"[..])]);
        result.row([None]);
        result.end();
        out
    }

    #[test]
    fn with_and_without_eof() {
        let new = result(Capabilities::CLIENT_DEPRECATE_EOF);
        let rows = b"\x03\0\0\x03\x02xy\x01\0\0\x04\xFB\x07\0\0\x05\xFE\0\0\x02\0\0\0";
        assert_eq!(&new[..], [ONE, rows].concat());
        let old = result(Capabilities::empty());
        let rows = b"\x05\0\0\x03\xFE\0\0\x02\0\x03\0\0\x04\x02xy\x01\0\0\x05\xFB\
            \x05\0\0\x06\xFE\0\0\x02\0";
        assert_eq!(&old[..], [ONE, rows].concat());
    }

    #[test]
    fn definitions_may_be_unwanted() {
        let caps = Capabilities::CLIENT_OPTIONAL_RESULTSET_METADATA;
        let status = Status::SERVER_STATUS_AUTOCOMMIT;
        let columns = [("a", Kind::Text)];
        let mut out = BytesMut::new();
        let none = Shape { definitions: false, ..caps.into() };
        TextResult::begin_as(&mut out, 1, none, status, &columns).end();
        let eof = b"\x05\0\0\x02\xFE\0\0\x02\0\x05\0\0\x03\xFE\0\0\x02\0";
        assert_eq!(&out[..], [&b"\x02\0\0\x01\x01\0"[..], eof].concat());
        out.clear();
        TextResult::begin_as(&mut out, 1, caps, status, &columns);
        assert_eq!(&out[..6], b"\x02\0\0\x01\x01\x01");
    }

    #[test]
    fn definitions_with_more_to_say() {
        let mut out = BytesMut::new();
        let shape = Shape { extended: true, ..Capabilities::CLIENT_DEPRECATE_EOF.into() };
        TextResult::begin_as(&mut out, 1, shape, Status::empty(), &[("a", Kind::Text)]);
        let definition = b"\x18\0\0\x02\x03def\0\0\0\x01a\0\0\x0C\x2D\0\0\x04\0\0\xFD\0\0\0\0\0";
        assert_eq!(&out[5..], definition);
    }

    #[test]
    fn reading() {
        assert_eq!(text_row(b"\x02xy\xFB\x00").unwrap(), [Some(&b"xy"[..]), None, Some(b"")]);
        assert!(text_row(b"\x05xy").is_err());
        assert_eq!(column_count(b"\xFC\x00\x01", false), Ok((256, true)));
        assert_eq!(column_count(b"\xFC\x00\x01\x00", true), Ok((256, false)));
        assert_eq!(column_count(b"\x02\x01", true), Ok((2, true)));
        assert!(column_count(b"\x01\x01", false).is_err());
        assert!(column_count(b"\x01", true).is_err());
    }

    #[test]
    fn a_table_with_its_types() {
        let mut out = BytesMut::new();
        let (caps, status) = (Capabilities::empty(), Status::empty());
        let columns = [("a", Kind::Text), ("b", Kind::big_int(true, true))];
        let mut result = TextResult::begin_as(&mut out, 1, caps, status, &columns);
        result.row([Some(&b"x"[..]), None]);
        result.end();
        let table = TextTable::parse(&out, ServerFormat::of(caps)).unwrap();
        assert_eq!(table.rows, [[Some(b"x".to_vec()), None]]);
        assert_eq!((table.columns[0].kind, table.columns[0].unsigned), (253, false));
        assert_eq!((table.columns[1].kind, table.columns[1].unsigned), (8, true));
        assert!(
            TextTable::parse(b"\x07\0\0\x01\0\0\0\x02\0\0\0", ServerFormat::of(caps))
                .unwrap()
                .rows
                .is_empty()
        );
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = TextTable::parse(&bytes, ServerFormat::of(Capabilities::CLIENT_DEPRECATE_EOF));
            let _ = text_row(&bytes);
            let _ = column_count(&bytes, false);
            let _ = column_count(&bytes, true);
        }
    }
}
