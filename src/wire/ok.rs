//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_ok_packet.html
//!
//! Owns the OK packet, under either of its two first bytes. Never looks into the session-track
//! block: `session_track` does.

use bytes::{BufMut, BytesMut};

use super::{
    Capabilities, Malformed, Reader, Status, put_lenenc_bytes, put_lenenc_int, put_packet,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OkPacket<'a> {
    pub affected_rows: u64,
    pub last_insert_id: u64,
    pub status: Status,
    pub warnings: u16,
    pub info: &'a [u8],
    /// The raw session-track block; empty without `SERVER_SESSION_STATE_CHANGED`.
    pub changes: &'a [u8],
}

impl<'a> OkPacket<'a> {
    /// Reads an OK that begins with 0x00, or with 0xFE as the end of a result set does under
    /// `CLIENT_DEPRECATE_EOF`.
    pub fn parse(payload: &'a [u8], caps: Capabilities) -> Result<Self, Malformed> {
        let mut reader = Reader::new("OK", payload);
        match reader.u8()? {
            0x00 | 0xFE => {}
            seen => {
                return Err(Malformed::Unexpected { packet: "OK", field: "0x00", seen, at: 0 });
            }
        }
        let affected_rows = reader.lenenc_int()?;
        let last_insert_id = reader.lenenc_int()?;
        let status = Status::from_bits_retain(reader.u16()?);
        let warnings = reader.u16()?;
        let changed = caps.contains(Capabilities::CLIENT_SESSION_TRACK)
            && status.contains(Status::SERVER_SESSION_STATE_CHANGED);
        let (info, changes) = if changed {
            (reader.lenenc_bytes()?, reader.lenenc_bytes()?)
        } else {
            (info(&mut reader), &[][..])
        };
        Ok(Self { affected_rows, last_insert_id, status, warnings, info, changes })
    }
}

/// Servers write the info length-encoded whether or not session tracking was negotiated; the manual
/// says a bare string without it, and some proxies believed the manual.
fn info<'a>(reader: &mut Reader<'a>) -> &'a [u8] {
    let mut encoded = reader.clone();
    let rest = reader.rest();
    match encoded.lenenc_bytes() {
        Ok(info) if encoded.is_empty() => info,
        _ => rest,
    }
}

/// What the proxy itself says OK to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OkReply<'a> {
    pub affected_rows: u64,
    pub last_insert_id: u64,
    pub status: Status,
    pub warnings: u16,
    /// The schema a login has brought, for a client that asked for session tracking.
    pub schema: Option<&'a str>,
}

impl Default for OkReply<'_> {
    fn default() -> Self {
        Self {
            affected_rows: 0,
            last_insert_id: 0,
            status: Status::SERVER_STATUS_AUTOCOMMIT,
            warnings: 0,
            schema: None,
        }
    }
}

/// Answers the next sequence id.
pub fn put_ok(out: &mut BytesMut, seq: u8, reply: &OkReply<'_>, caps: Capabilities) -> u8 {
    let mut payload = BytesMut::with_capacity(32);
    payload.put_u8(0x00);
    put_lenenc_int(&mut payload, reply.affected_rows);
    put_lenenc_int(&mut payload, reply.last_insert_id);
    let schema = reply.schema.filter(|_| caps.contains(Capabilities::CLIENT_SESSION_TRACK));
    if caps.intersects(Capabilities::CLIENT_PROTOCOL_41 | Capabilities::CLIENT_TRANSACTIONS) {
        let mut status = reply.status;
        // It promises a block of changes.
        status.set(Status::SERVER_SESSION_STATE_CHANGED, schema.is_some());
        payload.put_u16_le(status.bits());
    }
    if caps.contains(Capabilities::CLIENT_PROTOCOL_41) {
        payload.put_u16_le(reply.warnings);
    }
    if let Some(schema) = schema {
        put_lenenc_bytes(&mut payload, b"");
        put_lenenc_bytes(&mut payload, &schema_change(schema));
    }
    put_packet(out, seq, &payload)
}

/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_ok_packet.html>:
/// SESSION_TRACK_SCHEMA, and inside it the name with a length of its own.
fn schema_change(schema: &str) -> BytesMut {
    const SESSION_TRACK_SCHEMA: u8 = 1;
    let mut name = BytesMut::with_capacity(schema.len() + 9);
    put_lenenc_bytes(&mut name, schema.as_bytes());
    let mut change = BytesMut::with_capacity(name.len() + 9);
    change.put_u8(SESSION_TRACK_SCHEMA);
    put_lenenc_bytes(&mut change, &name);
    change
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACK: Capabilities =
        Capabilities::CLIENT_PROTOCOL_41.union(Capabilities::CLIENT_SESSION_TRACK);
    const PLAIN: Capabilities = Capabilities::CLIENT_PROTOCOL_41;

    #[test]
    fn plain() {
        let ok = OkPacket::parse(b"\x00\x01\xFC\x00\x01\x02\x00\x03\x00", TRACK).unwrap();
        assert_eq!(ok.affected_rows, 1);
        assert_eq!(ok.last_insert_id, 256);
        assert_eq!(ok.status, Status::SERVER_STATUS_AUTOCOMMIT);
        assert_eq!(ok.warnings, 3);
        assert_eq!((ok.info, ok.changes), (&b""[..], &b""[..]));
    }

    #[test]
    fn with_changes() {
        let ok = OkPacket::parse(b"\xFE\0\0\x02\x40\0\0\x00\x04\x01\x02\x01a", TRACK).unwrap();
        assert_eq!(ok.changes, b"\x01\x02\x01a");
        assert_eq!(ok.info, b"");
    }

    #[test]
    fn info_in_both_spellings() {
        let encoded = b"\0\0\0\x02\0\0\0\x05hello";
        assert_eq!(OkPacket::parse(encoded, PLAIN).unwrap().info, b"hello");
        assert_eq!(OkPacket::parse(encoded, TRACK).unwrap().info, b"hello");
        assert_eq!(OkPacket::parse(b"\0\0\0\x02\0\0\0hello", PLAIN).unwrap().info, b"hello");
    }

    #[test]
    fn unknown_status_bits_are_kept() {
        let ok = OkPacket::parse(b"\0\0\0\x06\x00\0\0", PLAIN).unwrap();
        assert_eq!(ok.status.bits(), 0x0006);
    }

    #[test]
    fn cut_short() {
        let whole = b"\0\0\0\x02\x40\0\0\x00\x04\x01\x02\x01a";
        for len in 0..whole.len() {
            assert!(OkPacket::parse(&whole[..len], TRACK).is_err(), "{len}");
        }
        assert!(OkPacket::parse(b"\xFF\0\0\x02\0\0\0", PLAIN).is_err());
    }

    #[test]
    fn put() {
        let mut out = BytesMut::new();
        let status = Status::SERVER_STATUS_AUTOCOMMIT | Status::SERVER_SESSION_STATE_CHANGED;
        let reply =
            OkReply { affected_rows: 2, last_insert_id: 300, status, warnings: 1, schema: None };
        assert_eq!(put_ok(&mut out, 1, &reply, TRACK), 2);
        assert_eq!(&out[..], b"\x09\0\0\x01\0\x02\xFC\x2C\x01\x02\0\x01\0");
    }

    #[test]
    fn a_schema_is_told_to_who_asked_for_it() {
        let reply = OkReply { schema: Some("app"), ..OkReply::default() };
        let mut out = BytesMut::new();
        put_ok(&mut out, 1, &reply, PLAIN);
        assert_eq!(&out[..], b"\x07\0\0\x01\0\0\0\x02\0\0\0");
        out.clear();
        put_ok(&mut out, 1, &reply, TRACK);
        assert_eq!(&out[4..], b"\0\0\0\x02\x40\0\0\x00\x06\x01\x04\x03app");
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, track: bool) {
            let _ = OkPacket::parse(&bytes, if track { TRACK } else { PLAIN });
        }

        #[test]
        fn put_is_parsed(affected_rows: u64, last_insert_id: u64, warnings: u16) {
            let reply = OkReply { affected_rows, last_insert_id, warnings, ..OkReply::default() };
            let mut out = BytesMut::new();
            put_ok(&mut out, 0, &reply, PLAIN);
            let ok = OkPacket::parse(&out[4..], PLAIN).unwrap();
            prop_assert_eq!(ok.affected_rows, affected_rows);
            prop_assert_eq!(ok.last_insert_id, last_insert_id);
            prop_assert_eq!(ok.warnings, warnings);
        }
    }
}
