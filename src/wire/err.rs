//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_err_packet.html
//!
//! Owns the ERR packet. Never chooses a word or a code: whoever refuses does.

use bytes::{BufMut, BytesMut};

use super::{Malformed, Reader, put_packet};

/// MariaDB reports the progress of a statement in packets that begin as an ERR of this code.
const PROGRESS: u16 = 0xFFFF;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrPacket {
    pub code: u16,
    pub state: [u8; 5],
    pub message: String,
}

impl ErrPacket {
    /// Errors from before the handshake (1040, 1129) carry no SQLSTATE; they are given `HY000`.
    /// A progress report is not an error: see [`is_progress`].
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("ERR", payload);
        reader.expect(0xFF, "0xFF")?;
        let code = reader.u16()?;
        if code == PROGRESS {
            return Err(Malformed::Unexpected { packet: "ERR", field: "code", seen: 0xFF, at: 1 });
        }
        let rest = reader.rest();
        let (state, message) = match rest.split_first_chunk::<6>() {
            Some((&[b'#', ref state @ ..], message)) => (*state, message),
            _ => (*b"HY000", rest),
        };
        Ok(Self { code, state, message: String::from_utf8_lossy(message).into_owned() })
    }
}

/// A MariaDB progress report in the place of a reply packet: passed on, and the end of nothing.
pub fn is_progress(payload: &[u8]) -> bool {
    payload.starts_with(b"\xFF\xFF\xFF")
}

/// Answers the next sequence id.
pub fn put_err(out: &mut BytesMut, seq: u8, code: u16, state: &[u8; 5], message: &str) -> u8 {
    let mut payload = BytesMut::with_capacity(9 + message.len());
    payload.put_u8(0xFF);
    payload.put_u16_le(code);
    payload.put_u8(b'#');
    payload.put_slice(state);
    payload.put_slice(message.as_bytes());
    put_packet(out, seq, &payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn with_a_state() {
        let err = ErrPacket::parse(b"\xFF\x15\x04#28000Access denied").unwrap();
        assert_eq!((err.code, &err.state), (1045, b"28000"));
        assert_eq!(err.message, "Access denied");
    }

    #[test]
    fn before_the_handshake() {
        let err = ErrPacket::parse(b"\xFF\x10\x04Too many connections").unwrap();
        assert_eq!((err.code, &err.state), (1040, b"HY000"));
        assert_eq!(err.message, "Too many connections");
    }

    #[test]
    fn progress() {
        let progress = b"\xFF\xFF\xFF\x01\x01\x02\x10\x27\x00\x06copied";
        assert!(is_progress(progress));
        assert!(ErrPacket::parse(progress).is_err());
        assert!(!is_progress(b"\xFF\x15\x04#28000"));
    }

    #[test]
    fn put() {
        let mut out = BytesMut::new();
        assert_eq!(put_err(&mut out, 2, 1053, b"08S01", "bye"), 3);
        assert_eq!(&out[..], b"\x0C\0\0\x02\xFF\x1D\x04#08S01bye");
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = ErrPacket::parse(&bytes);
            let mut with_head = vec![0xFF];
            with_head.extend(bytes);
            let _ = ErrPacket::parse(&with_head);
        }
    }
}
