//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_execute.html
//!
//! Owns where things lie in COM_STMT_EXECUTE, and the statement id of every command that has one.
//! Never reads a value.

use std::ops::Range;

use bytes::{BufMut, BytesMut};

use super::{Command, Malformed, Reader};

/// A view of a payload that begins with the command byte. The ranges index into that payload;
/// `values` ends where it ends, so the head of a long command can be looked at alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execute {
    pub statement_id: u32,
    /// The cursor type; 0 is none.
    pub flags: u8,
    pub iterations: u32,
    pub null_bitmap: Range<usize>,
    /// The types are here; if not, those sent before *on this server connection* hold.
    pub new_params_bound: bool,
    /// Two bytes a parameter.
    pub types: Range<usize>,
    pub values: Range<usize>,
}

impl Execute {
    pub fn parse(payload: &[u8], params: u16) -> Result<Self, Malformed> {
        let params = usize::from(params);
        let mut reader = Reader::new("COM_STMT_EXECUTE", payload);
        reader.expect(Command::StmtExecute as u8, "0x17")?;
        let statement_id = reader.u32()?;
        let flags = reader.u8()?;
        let iterations = reader.u32()?;
        let start = reader.at();
        let mut execute = Self {
            statement_id,
            flags,
            iterations,
            null_bitmap: start..start,
            new_params_bound: false,
            types: start..start,
            values: start..payload.len(),
        };
        if params == 0 {
            return Ok(execute);
        }
        reader.take(params.div_ceil(8))?;
        execute.null_bitmap = start..reader.at();
        execute.new_params_bound = reader.u8()? == 1;
        let start = reader.at();
        if execute.new_params_bound {
            reader.take(2 * params)?;
        }
        execute.types = start..reader.at();
        execute.values = reader.at()..payload.len();
        Ok(execute)
    }
}

/// Rebuilds an execute that relies on types sent before, for a server connection they were not sent
/// on. One that carries its own types is copied as it is.
pub fn with_types(
    payload: &[u8],
    params: u16,
    types: &[u8],
    out: &mut BytesMut,
) -> Result<(), Malformed> {
    let execute = Execute::parse(payload, params)?;
    if execute.new_params_bound || params == 0 {
        out.put_slice(payload);
        return Ok(());
    }
    if types.len() != 2 * usize::from(params) {
        return Err(Malformed::WrongLength { packet: "parameter types", len: types.len() });
    }
    out.reserve(payload.len() + types.len());
    out.put_slice(payload.get(..execute.null_bitmap.end).unwrap_or_default());
    out.put_u8(1);
    out.put_slice(types);
    out.put_slice(payload.get(execute.values).unwrap_or_default());
    Ok(())
}

/// Of EXECUTE, CLOSE, RESET, FETCH, SEND_LONG_DATA and BULK_EXECUTE: all have it behind the command
/// byte. `None`: another command, or one cut short.
pub fn statement_id(payload: &[u8]) -> Option<u32> {
    let &[command, a, b, c, d] = payload.first_chunk()?;
    has_statement_id(command).then_some(u32::from_le_bytes([a, b, c, d]))
}

/// Answers whether there was one to set.
pub fn set_statement_id(payload: &mut [u8], id: u32) -> bool {
    let Some([command, place @ ..]) = payload.first_chunk_mut::<5>() else { return false };
    if !has_statement_id(*command) {
        return false;
    }
    place.copy_from_slice(&id.to_le_bytes());
    true
}

fn has_statement_id(command: u8) -> bool {
    matches!(
        Command::from_byte(command),
        Some(
            Command::StmtExecute
                | Command::StmtClose
                | Command::StmtReset
                | Command::StmtFetch
                | Command::StmtSendLongData
                | Command::StmtBulkExecute
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUND: &[u8] = b"\x17\x01\0\0\0\x01\x01\0\0\0\x00\x01\x0F\0\x03foo";
    const UNBOUND: &[u8] = b"\x17\x01\0\0\0\x01\x01\0\0\0\x00\x00\x03foo";

    #[test]
    fn with_types_of_its_own() {
        let execute = Execute::parse(BOUND, 1).unwrap();
        assert_eq!((execute.statement_id, execute.flags, execute.iterations), (1, 1, 1));
        assert_eq!(execute.null_bitmap, 10..11);
        assert!(execute.new_params_bound);
        assert_eq!(&BOUND[execute.types], b"\x0F\0");
        assert_eq!(&BOUND[execute.values], b"\x03foo");
    }

    #[test]
    fn types_are_put_in() {
        let mut out = BytesMut::new();
        with_types(UNBOUND, 1, b"\x0F\0", &mut out).unwrap();
        assert_eq!(&out[..], BOUND);
        out.clear();
        with_types(BOUND, 1, b"\x03\0", &mut out).unwrap();
        assert_eq!(&out[..], BOUND);
        assert!(with_types(UNBOUND, 1, b"\x0F", &mut out).is_err());
    }

    #[test]
    fn without_parameters() {
        let payload = b"\x17\x01\0\0\0\0\x01\0\0\0";
        let execute = Execute::parse(payload, 0).unwrap();
        assert!(!execute.new_params_bound && execute.values.is_empty());
        assert!(Execute::parse(payload, 1).is_err());
        let mut out = BytesMut::new();
        with_types(payload, 0, b"", &mut out).unwrap();
        assert_eq!(&out[..], payload);
    }

    #[test]
    fn bitmaps_of_nine() {
        let payload = [&b"\x17\x01\0\0\0\0\x01\0\0\0"[..], &[0xFF, 0x01, 0]].concat();
        assert_eq!(Execute::parse(&payload, 9).unwrap().null_bitmap, 10..12);
    }

    #[test]
    fn ids() {
        let mut close = *b"\x19\x02\x01\0\0";
        assert_eq!(statement_id(&close), Some(0x0102));
        assert!(set_statement_id(&mut close, 7));
        assert_eq!(&close, b"\x19\x07\0\0\0");
        let mut query = *b"\x03SELECT 1";
        assert_eq!(statement_id(&query), None);
        assert!(!set_statement_id(&mut query, 7));
        assert_eq!(&query, b"\x03SELECT 1");
        assert!(!set_statement_id(&mut [0x19, 0, 0, 0], 7));
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, params: u16, types: Vec<u8>) {
            let whole = [&b"\x17"[..], &bytes].concat();
            for params in [params, params % 8] {
                let _ = Execute::parse(&bytes, params);
                let _ = Execute::parse(&whole, params);
                let _ = with_types(&whole, params, &types, &mut BytesMut::new());
            }
        }
    }
}
