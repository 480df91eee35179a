//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_prepare.html#sect_protocol_com_stmt_prepare_response_ok
//!
//! Owns the first packet of the reply to COM_STMT_PREPARE. Never keeps a statement.

use bytes::{BufMut, BytesMut};

use super::{Malformed, Reader, put_packet};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrepareOk {
    pub statement_id: u32,
    pub columns: u16,
    pub params: u16,
    pub warnings: u16,
    /// The definitions of parameters and columns follow.
    pub definitions: bool,
}

impl PrepareOk {
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("prepare OK", payload);
        reader.expect(0x00, "0x00")?;
        let statement_id = reader.u32()?;
        let columns = reader.u16()?;
        let params = reader.u16()?;
        let _filler = reader.u8()?;
        let warnings = reader.u16()?;
        // Only under CLIENT_OPTIONAL_RESULTSET_METADATA; the packet ends here without.
        let definitions = reader.is_empty() || reader.u8()? != 0;
        Ok(Self { statement_id, columns, params, warnings, definitions })
    }

    /// As without `CLIENT_OPTIONAL_RESULTSET_METADATA`. Answers the next sequence id.
    pub fn put(&self, out: &mut BytesMut, seq: u8) -> u8 {
        let mut payload = BytesMut::with_capacity(12);
        payload.put_u8(0x00);
        payload.put_u32_le(self.statement_id);
        payload.put_u16_le(self.columns);
        payload.put_u16_le(self.params);
        payload.put_u8(0);
        payload.put_u16_le(self.warnings);
        put_packet(out, seq, &payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let ok = PrepareOk {
            statement_id: 0x0102,
            columns: 3,
            params: 4,
            warnings: 5,
            definitions: true,
        };
        let mut out = BytesMut::new();
        assert_eq!(ok.put(&mut out, 1), 2);
        assert_eq!(&out[..], b"\x0C\0\0\x01\0\x02\x01\0\0\x03\0\x04\0\0\x05\0");
        assert_eq!(PrepareOk::parse(&out[4..]), Ok(ok));
        for (byte, definitions) in [(0, false), (1, true)] {
            let optional = [&out[4..], &[byte]].concat();
            assert_eq!(PrepareOk::parse(&optional), Ok(PrepareOk { definitions, ..ok }));
        }
        for len in 4..out.len() {
            assert!(PrepareOk::parse(&out[4..len]).is_err());
        }
    }
}
