//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_auth_more_data.html
//!
//! Owns the envelope in which a plugin of the server talks on. Never reads what it says.

use bytes::{BufMut, BytesMut};

use super::{Malformed, Reader, put_packet};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthMore<'a> {
    pub data: &'a [u8],
}

impl<'a> AuthMore<'a> {
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("auth more data", payload);
        reader.expect(0x01, "0x01")?;
        Ok(Self { data: reader.rest() })
    }

    /// Answers the next sequence id.
    pub fn put(&self, out: &mut BytesMut, seq: u8) -> u8 {
        let mut payload = BytesMut::with_capacity(1 + self.data.len());
        payload.put_u8(0x01);
        payload.put_slice(self.data);
        put_packet(out, seq, &payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        assert_eq!(AuthMore::parse(b"\x01\x03"), Ok(AuthMore { data: b"\x03" }));
        assert!(AuthMore::parse(b"\x00").is_err());
        assert!(AuthMore::parse(b"").is_err());
        let mut out = BytesMut::new();
        assert_eq!(AuthMore { data: b"\x04" }.put(&mut out, 3), 4);
        assert_eq!(&out[..], b"\x02\0\0\x03\x01\x04");
    }
}
