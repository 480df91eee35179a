//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
//!
//! Owns the packet header and the 16 MiB rule. Never looks into a payload.

use bytes::{BufMut, BytesMut};

use super::Command;

pub const HEADER_LEN: usize = 4;

/// A payload of exactly this length is continued in the next packet, be it an empty one.
pub const MAX_PAYLOAD: usize = 0xFF_FF_FF;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub len: usize,
    pub seq: u8,
}

impl Header {
    pub fn bytes(self) -> [u8; HEADER_LEN] {
        let [a, b, c, ..] = (self.len as u32).to_le_bytes();
        [a, b, c, self.seq]
    }

    pub fn peek(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, seq] = bytes.first_chunk()?;
        Some(Self { len: u32::from_le_bytes([a, b, c, 0]) as usize, seq })
    }
}

/// Writes a payload of any length, split by the 16 MiB rule; answers the next sequence id.
pub fn put_packet(out: &mut BytesMut, seq: u8, payload: &[u8]) -> u8 {
    let mut seq = seq;
    let mut rest = payload;
    loop {
        let (piece, after) = rest.split_at(rest.len().min(MAX_PAYLOAD));
        out.reserve(HEADER_LEN + piece.len());
        out.put_uint_le(piece.len() as u64, 3);
        out.put_u8(seq);
        out.put_slice(piece);
        seq = seq.wrapping_add(1);
        rest = after;
        if piece.len() < MAX_PAYLOAD {
            return seq;
        }
    }
}

/// A command begins a new sequence: its first packet is number 0.
pub fn put_command(out: &mut BytesMut, command: Command, body: &[u8]) {
    if body.len() + 1 < MAX_PAYLOAD {
        out.reserve(HEADER_LEN + 1 + body.len());
        out.put_uint_le(body.len() as u64 + 1, 3);
        out.put_u8(0);
        out.put_u8(command as u8);
        out.put_slice(body);
        return;
    }
    let mut payload = Vec::with_capacity(body.len() + 1);
    payload.push(command as u8);
    payload.extend_from_slice(body);
    put_packet(out, 0, &payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peeks_only_at_a_whole_header() {
        assert_eq!(Header::peek(b"\x01\x02\x03"), None);
        assert_eq!(Header::peek(b"\x01\x02\x03\xFF"), Some(Header { len: 0x03_02_01, seq: 255 }));
    }

    #[test]
    fn small_and_empty() {
        let mut out = BytesMut::new();
        assert_eq!(put_packet(&mut out, 255, b"ab"), 0);
        assert_eq!(put_packet(&mut out, 0, b""), 1);
        assert_eq!(&out[..], b"\x02\0\0\xFFab\0\0\0\0");
    }

    #[test]
    fn an_exact_multiple_ends_in_an_empty_packet() {
        let mut out = BytesMut::new();
        assert_eq!(put_packet(&mut out, 7, &vec![b'x'; MAX_PAYLOAD]), 9);
        assert_eq!(out.len(), MAX_PAYLOAD + 2 * HEADER_LEN);
        assert_eq!(&out[..5], b"\xFF\xFF\xFF\x07x");
        assert_eq!(&out[HEADER_LEN + MAX_PAYLOAD..], b"\0\0\0\x08");
    }

    #[test]
    fn commands_count_their_own_byte() {
        let mut out = BytesMut::new();
        put_command(&mut out, Command::Query, b"DO 0");
        assert_eq!(&out[..], b"\x05\0\0\0\x03DO 0");
        out.clear();
        put_command(&mut out, Command::Query, &vec![b' '; MAX_PAYLOAD - 1]);
        assert_eq!(&out[..5], b"\xFF\xFF\xFF\0\x03");
        assert_eq!(&out[HEADER_LEN + MAX_PAYLOAD..], b"\0\0\0\x01");
    }
}
