//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_dt_integers.html
//!
//! Owns the basic data types: a reader over one payload that answers `Malformed` where bytes are
//! missing, and the length-encoded writers. Never looks at what the bytes mean.

use bytes::{BufMut, BytesMut};

use super::Malformed;

/// Length-encoded integers of the wire: NULL inside a row, and a byte no integer begins with.
const NULL: u8 = 0xFB;

/// Reads on through one payload; `packet` names it in errors.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    packet: &'static str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(packet: &'static str, bytes: &'a [u8]) -> Self {
        Self { packet, bytes, at: 0 }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    pub fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at = self.bytes.len();
        rest
    }

    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(len).ok_or(self.short())?;
        let taken = self.bytes.get(self.at..end).ok_or(self.short())?;
        self.at = end;
        Ok(taken)
    }

    /// `len` bytes, or as many as there are.
    pub fn take_up_to(&mut self, len: usize) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..len).unwrap_or(rest);
        self.at += taken.len();
        taken
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let short = self.short();
        self.take(N)?.try_into().map_err(|_| short)
    }

    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// A byte that must be there, as the first of a packet is.
    pub fn expect(&mut self, byte: u8, field: &'static str) -> Result<(), Malformed> {
        let at = self.at;
        match self.u8()? {
            seen if seen == byte => Ok(()),
            seen => Err(Malformed::Unexpected { packet: self.packet, field, seen, at }),
        }
    }

    pub fn lenenc_int(&mut self) -> Result<u64, Malformed> {
        let at = self.at;
        match self.u8()? {
            0xFC => self.u16().map(u64::from),
            0xFD => {
                self.array().map(|[a, b, c]: [u8; 3]| u64::from_le_bytes([a, b, c, 0, 0, 0, 0, 0]))
            }
            0xFE => self.array().map(u64::from_le_bytes),
            seen @ (NULL | 0xFF) => Err(Malformed::Unexpected {
                packet: self.packet,
                field: "length-encoded integer",
                seen,
                at,
            }),
            small => Ok(u64::from(small)),
        }
    }

    pub fn lenenc_bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.lenenc_int()?;
        let len = usize::try_from(len).map_err(|_| self.short())?;
        self.take(len)
    }

    /// A value of a text row: `None` is NULL.
    pub fn lenenc_value(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        if self.bytes.get(self.at) == Some(&NULL) {
            self.at += 1;
            return Ok(None);
        }
        self.lenenc_bytes().map(Some)
    }

    pub fn until_nul(&mut self) -> Result<&'a [u8], Malformed> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = memchr::memchr(0, rest).ok_or(self.short())?;
        let taken = self.take(len)?;
        self.at += 1;
        Ok(taken)
    }

    /// Up to a NUL, or all there is: old clients and servers forget the last NUL of a packet.
    pub fn until_nul_or_end(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = memchr::memchr(0, rest).unwrap_or(rest.len());
        self.at = self.bytes.len().min(self.at + len + 1);
        rest.get(..len).unwrap_or(rest)
    }

    pub fn text(&self, field: &'static str, bytes: &'a [u8]) -> Result<String, Malformed> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| Malformed::NotUtf8 { packet: self.packet, field })?;
        Ok(text.to_owned())
    }

    fn short(&self) -> Malformed {
        Malformed::Short { packet: self.packet, at: self.at }
    }
}

pub fn put_lenenc_int(out: &mut BytesMut, value: u64) {
    match value {
        0..0xFB => out.put_u8(value as u8),
        0xFB..0x1_0000 => {
            out.put_u8(0xFC);
            out.put_u16_le(value as u16);
        }
        0x1_0000..0x100_0000 => {
            out.put_u8(0xFD);
            out.put_uint_le(value, 3);
        }
        _ => {
            out.put_u8(0xFE);
            out.put_u64_le(value);
        }
    }
}

pub fn put_lenenc_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_lenenc_int(out, bytes.len() as u64);
    out.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn int(bytes: &[u8]) -> Result<u64, Malformed> {
        Reader::new("test", bytes).lenenc_int()
    }

    #[test]
    fn integers_of_each_width() {
        assert_eq!(int(b"\xFA"), Ok(250));
        assert_eq!(int(b"\xFC\xFB\x00"), Ok(251));
        assert_eq!(int(b"\xFD\x00\x00\x01"), Ok(65536));
        assert_eq!(int(b"\xFE\x00\x00\x00\x01\x00\x00\x00\x00"), Ok(1 << 24));
        assert!(int(b"\xFB").is_err());
        assert!(int(b"\xFF").is_err());
        assert_eq!(int(b"\xFC\x01"), Err(Malformed::Short { packet: "test", at: 1 }));
    }

    #[test]
    fn a_length_past_the_end_is_short() {
        assert!(Reader::new("test", b"\x05abc").lenenc_bytes().is_err());
        let huge = b"\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF";
        assert!(Reader::new("test", huge).lenenc_bytes().is_err());
    }

    #[test]
    fn null_terminated() {
        let mut reader = Reader::new("test", b"ab\0\0cd");
        assert_eq!(reader.until_nul(), Ok(&b"ab"[..]));
        assert_eq!(reader.until_nul(), Ok(&b""[..]));
        assert!(reader.clone().until_nul().is_err());
        assert_eq!(reader.until_nul_or_end(), b"cd");
        assert!(reader.is_empty());
        assert_eq!(reader.until_nul_or_end(), b"");
    }

    proptest! {
        #[test]
        fn what_is_put_is_read(value: u64, bytes: Vec<u8>) {
            let mut out = BytesMut::new();
            put_lenenc_int(&mut out, value);
            put_lenenc_bytes(&mut out, &bytes);
            let mut reader = Reader::new("test", &out);
            prop_assert_eq!(reader.lenenc_int(), Ok(value));
            prop_assert_eq!(reader.lenenc_bytes(), Ok(&bytes[..]));
            prop_assert!(reader.is_empty());
        }
    }
}
