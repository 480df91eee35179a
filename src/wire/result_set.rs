//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset.html
//!
//! Owns the small text result sets the proxy itself says, and the reading of one row. Replies that
//! pass through are the scanner's, which reads no rows.

use bytes::{BufMut, BytesMut};

use super::{
    Capabilities, ColumnType, Malformed, Reader, Status, put_eof, put_lenenc_bytes, put_lenenc_int,
    put_packet,
};

/// utf8mb4_general_ci, which MySQL and MariaDB share.
const COLLATION: u16 = 45;

/// The collation of what is no text.
const BINARY: u16 = 63;

const NOT_NULL_BINARY: u16 = 0x0081;

/// What a client makes of a column's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Integer,
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
        if !self.caps.contains(Capabilities::CLIENT_DEPRECATE_EOF) {
            return put_eof(self.out, self.seq, self.status, 0);
        }
        let mut payload = BytesMut::with_capacity(7);
        payload.put_slice(&[0xFE, 0, 0]);
        payload.put_u16_le((self.status - Status::SERVER_SESSION_STATE_CHANGED).bits());
        payload.put_u16_le(0);
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
    let (collation, length, column, flags) = match kind {
        Kind::Text => (COLLATION, 1024, ColumnType::MYSQL_TYPE_VAR_STRING, 0),
        Kind::Integer => (BINARY, 21, ColumnType::MYSQL_TYPE_LONGLONG, NOT_NULL_BINARY),
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
    payload.put_u8(0);
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

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = text_row(&bytes);
            let _ = column_count(&bytes, false);
            let _ = column_count(&bytes, true);
        }
    }
}
