//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_eof_packet.html
//!
//! Owns the EOF packet. Never tells it from a row or an OK: `verdict` does.

use bytes::{BufMut, BytesMut};

use super::{HEADER_LEN, Malformed, Reader, Status};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EofPacket {
    pub warnings: u16,
    pub status: Status,
}

impl EofPacket {
    /// Under protocol 4.1. An OK that begins with 0xFE is at least 7 bytes long, so the two are
    /// told apart by their length.
    pub const LEN: usize = 5;

    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("EOF", payload);
        reader.expect(0xFE, "0xFE")?;
        let warnings = reader.u16()?;
        let status = Status::from_bits_retain(reader.u16()?);
        Ok(Self { warnings, status })
    }
}

/// Answers the next sequence id.
pub fn put_eof(out: &mut BytesMut, seq: u8, status: Status, warnings: u16) -> u8 {
    out.reserve(HEADER_LEN + EofPacket::LEN);
    out.put_uint_le(EofPacket::LEN as u64, 3);
    out.put_u8(seq);
    out.put_u8(0xFE);
    out.put_u16_le(warnings);
    out.put_u16_le((status - Status::SERVER_SESSION_STATE_CHANGED).bits());
    seq.wrapping_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let mut out = BytesMut::new();
        let next = put_eof(&mut out, 255, Status::SERVER_STATUS_AUTOCOMMIT, 1);
        assert_eq!(next, 0);
        assert_eq!(&out[..], b"\x05\0\0\xFF\xFE\x01\0\x02\0");
        let eof = EofPacket::parse(&out[4..]).unwrap();
        assert_eq!(eof, EofPacket { warnings: 1, status: Status::SERVER_STATUS_AUTOCOMMIT });
    }

    #[test]
    fn cut_short() {
        for len in 0..5 {
            assert!(EofPacket::parse(&b"\xFE\0\0\x02\0"[..len]).is_err());
        }
        assert!(EofPacket::parse(b"\x00\0\0\x02\0").is_err());
    }
}
