//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_stmt_execute.html
//! https://mariadb.com/kb/en/com_stmt_bulk_execute/
//!
//! Owns where things lie in COM_STMT_EXECUTE and MariaDB's COM_STMT_BULK_EXECUTE, and the statement id of every command that has one.
//! Never reads a value.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{BufMut, BytesMut};

use super::{Command, Malformed, Reader, put_lenenc_int};

/// In the flags, beside the cursor type: a count of the parameters is here even if the statement
/// has none.
const COUNT_AVAILABLE: u8 = 0x08;

/// Behind the command and the statement id.
const FLAGS_AT: usize = 5;

/// Up to the iterations, which are behind the flags.
const HEAD_LEN: usize = 10;

const PACKET: &str = "COM_STMT_EXECUTE";

/// How the parameters are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    Plain,
    /// Under `CLIENT_QUERY_ATTRIBUTES`: their count goes first, and a name behind each type. More
    /// than the statement has are attributes.
    Named,
    /// COM_STMT_BULK_EXECUTE: once the types, then rows in which each value says whether it is NULL.
    Bulk,
}

/// In the flags of a bulk: the types are here.
const SENDS_TYPES: u16 = 128;

/// A view of a payload that begins with the command byte. The ranges index into that payload;
/// `values` ends where it ends, so the head of a long command can be looked at alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execute {
    pub statement_id: u32,
    /// The cursor type; 0 is none.
    pub cursor: u8,
    pub iterations: u32,
    /// Attributes there are beside the statement's parameters.
    pub attributes: usize,
    pub null_bitmap: Range<usize>,
    /// The types are here; if not, those sent before *on this server connection* hold.
    pub new_params_bound: bool,
    /// Two bytes a parameter, and its name if there are names.
    pub types: Range<usize>,
    pub values: Range<usize>,
    params: usize,
    written: Written,
}

impl Execute {
    pub fn parse(payload: &[u8], params: u16, written: Written) -> Result<Self, Malformed> {
        let params = usize::from(params);
        if written == Written::Bulk {
            return Self::parse_bulk(payload, params);
        }
        let mut reader = Reader::new(PACKET, payload);
        reader.expect(Command::StmtExecute as u8, "0x17")?;
        let statement_id = reader.u32()?;
        let flags = reader.u8()?;
        let iterations = reader.u32()?;
        let count = match written {
            Written::Named if params > 0 || flags & COUNT_AVAILABLE != 0 => {
                usize::try_from(reader.lenenc_int()?).unwrap_or(usize::MAX)
            }
            _ => params,
        };
        let start = reader.at();
        let attributes = count.checked_sub(params).ok_or(too_few(start))?;
        let mut execute = Self {
            statement_id,
            cursor: flags & !COUNT_AVAILABLE,
            iterations,
            attributes,
            null_bitmap: start..start,
            new_params_bound: false,
            types: start..start,
            values: start..payload.len(),
            params,
            written,
        };
        if count > 0 {
            execute.read_types(&mut reader, count)?;
            execute.values = reader.at()..payload.len();
        }
        Ok(execute)
    }

    fn parse_bulk(payload: &[u8], params: usize) -> Result<Self, Malformed> {
        let mut reader = Reader::new("COM_STMT_BULK_EXECUTE", payload);
        reader.expect(Command::StmtBulkExecute as u8, "0xFA")?;
        let statement_id = reader.u32()?;
        let new_params_bound = reader.u16()? & SENDS_TYPES != 0;
        let start = reader.at();
        if new_params_bound {
            reader.take(2 * params)?;
        }
        Ok(Self {
            statement_id,
            cursor: 0,
            iterations: 1,
            attributes: 0,
            null_bitmap: start..start,
            new_params_bound,
            types: start..reader.at(),
            values: reader.at()..payload.len(),
            params,
            written: Written::Bulk,
        })
    }

    fn read_types(&mut self, reader: &mut Reader<'_>, count: usize) -> Result<(), Malformed> {
        let start = reader.at();
        reader.take(count.div_ceil(8))?;
        self.null_bitmap = start..reader.at();
        self.new_params_bound = reader.u8()? == 1;
        let start = reader.at();
        if self.new_params_bound && self.written == Written::Named {
            for _ in 0..count {
                reader.take(2)?;
                reader.lenenc_bytes()?;
            }
        } else if self.new_params_bound {
            reader.take(2 * count)?;
        } else if self.attributes > 0 {
            // What an attribute is was never said before.
            return Err(too_few(start));
        }
        self.types = start..reader.at();
        Ok(())
    }

    /// Of the statement's own parameters, two bytes each, without names.
    pub fn plain_types<'a>(&self, payload: &'a [u8]) -> Cow<'a, [u8]> {
        let types = payload.get(self.types.clone()).unwrap_or_default();
        if self.written != Written::Named {
            return Cow::Borrowed(types);
        }
        let mut plain = Vec::with_capacity(2 * self.params);
        let mut reader = Reader::new(PACKET, types);
        while plain.len() < 2 * self.params
            && let Ok(kind) = reader.array::<2>()
        {
            plain.extend_from_slice(&kind);
            let _ = reader.lenenc_bytes();
        }
        Cow::Owned(plain)
    }

    /// Writes it for a connection that takes parameters in another way, or that the types were not
    /// sent on: `types` are put in where it has none. Attributes cannot be said in the plain way and
    /// are left out; their values stay behind those of the parameters, where servers do not look.
    /// A bulk stays one.
    pub fn rewrite(&self, payload: &[u8], to: Written, types: Option<&[u8]>, out: &mut BytesMut) {
        if self.written == to && (self.new_params_bound || types.is_none()) {
            out.put_slice(payload);
            return;
        }
        let part = |range: Range<usize>| payload.get(range).unwrap_or_default();
        let types = match types {
            Some(types) if !self.new_params_bound => Cow::Borrowed(types),
            _ => self.plain_types(payload),
        };
        out.reserve(payload.len() + 2 * types.len() + 9);
        out.put_slice(part(0..FLAGS_AT));
        match to {
            Written::Plain => out.put_u8(self.cursor),
            Written::Named => out.put_u8(self.cursor | COUNT_AVAILABLE),
            Written::Bulk => {
                out.put_u16_le(SENDS_TYPES);
                out.put_slice(&types);
                out.put_slice(part(self.values.clone()));
                return;
            }
        }
        out.put_slice(part(FLAGS_AT + 1..HEAD_LEN));
        if to == Written::Named {
            put_lenenc_int(out, self.params as u64);
        }
        if self.params > 0 {
            out.extend(part(self.null_bitmap.clone()).iter().take(self.params.div_ceil(8)));
            out.put_u8(u8::from(!types.is_empty()));
            for kind in types.chunks(2) {
                out.put_slice(kind);
                if to == Written::Named {
                    out.put_u8(0);
                }
            }
        }
        out.put_slice(part(self.values.clone()));
    }
}

fn too_few(at: usize) -> Malformed {
    Malformed::Short { packet: PACKET, at }
}

/// Is it an execute whose rows are to be fetched?
pub fn asks_for_cursor(payload: &[u8]) -> bool {
    payload.first() == Some(&(Command::StmtExecute as u8))
        && payload.get(FLAGS_AT).is_some_and(|flags| flags & !COUNT_AVAILABLE != 0)
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

    fn plain(payload: &[u8], params: u16) -> Execute {
        Execute::parse(payload, params, Written::Plain).unwrap()
    }

    fn rewritten(
        payload: &[u8],
        (params, written): (u16, Written),
        to: Written,
        types: Option<&[u8]>,
    ) -> BytesMut {
        let mut out = BytesMut::new();
        Execute::parse(payload, params, written).unwrap().rewrite(payload, to, types, &mut out);
        out
    }

    #[test]
    fn with_types_of_its_own() {
        let execute = plain(BOUND, 1);
        assert_eq!((execute.statement_id, execute.cursor, execute.iterations), (1, 1, 1));
        assert_eq!(execute.null_bitmap, 10..11);
        assert!(execute.new_params_bound);
        assert_eq!(&execute.plain_types(BOUND)[..], b"\x0F\0");
        assert_eq!(&BOUND[execute.values], b"\x03foo");
    }

    #[test]
    fn types_are_put_in() {
        let put_in =
            |payload, types| rewritten(payload, (1, Written::Plain), Written::Plain, Some(types));
        assert_eq!(&put_in(UNBOUND, b"\x0F\0")[..], BOUND);
        assert_eq!(&put_in(BOUND, b"\x03\0")[..], BOUND);
    }

    #[test]
    fn without_parameters() {
        let payload = b"\x17\x01\0\0\0\0\x01\0\0\0";
        let execute = plain(payload, 0);
        assert!(!execute.new_params_bound && execute.values.is_empty());
        assert!(Execute::parse(payload, 1, Written::Plain).is_err());
        let same = rewritten(payload, (0, Written::Plain), Written::Plain, Some(b""));
        assert_eq!(&same[..], payload);
    }

    #[test]
    fn bitmaps_of_nine() {
        let payload = [&b"\x17\x01\0\0\0\0\x01\0\0\0"[..], &[0xFF, 0x01, 0]].concat();
        assert_eq!(plain(&payload, 9).null_bitmap, 10..12);
    }

    /// As MySQL's client library writes it: one parameter, one attribute `a` behind it.
    const NAMED: &[u8] =
        b"\x17\x01\0\0\0\x08\x01\0\0\0\x02\x00\x01\x0F\0\0\xFD\0\x01a\x03foo\x02hi";

    #[test]
    fn attributes_are_told_from_parameters() {
        let execute = Execute::parse(NAMED, 1, Written::Named).unwrap();
        assert_eq!((execute.attributes, execute.cursor), (1, 0));
        assert_eq!(&execute.plain_types(NAMED)[..], b"\x0F\0");
        assert_eq!(&NAMED[execute.values], b"\x03foo\x02hi");
        assert_eq!(Execute::parse(NAMED, 2, Written::Named).unwrap().attributes, 0);
        assert!(Execute::parse(NAMED, 3, Written::Named).is_err());
        for len in 0..20 {
            assert!(Execute::parse(&NAMED[..len], 1, Written::Named).is_err(), "{len}");
        }
        // MySQL 9.7 calls it malformed too.
        let unbound = b"\x17\x01\0\0\0\x08\x01\0\0\0\x02\x00\x00\x03foo\x02hi";
        assert!(Execute::parse(unbound, 1, Written::Named).is_err());
    }

    #[test]
    fn names_go_and_come() {
        let to_plain = rewritten(NAMED, (1, Written::Named), Written::Plain, None);
        assert_eq!(&to_plain[..], b"\x17\x01\0\0\0\x00\x01\0\0\0\x00\x01\x0F\0\x03foo\x02hi");
        assert_eq!(&rewritten(NAMED, (1, Written::Named), Written::Named, None)[..], NAMED);

        let unbound = b"\x17\x01\0\0\0\x09\x01\0\0\0\x01\x00\x00\x03foo";
        let of = (1, Written::Named);
        assert_eq!(&rewritten(unbound, of, Written::Plain, None)[..], UNBOUND);
        assert_eq!(&rewritten(unbound, of, Written::Plain, Some(b"\x0F\0"))[..], BOUND);
        assert_eq!(
            &rewritten(unbound, of, Written::Named, Some(b"\x0F\0"))[..],
            b"\x17\x01\0\0\0\x09\x01\0\0\0\x01\x00\x01\x0F\0\0\x03foo"
        );
    }

    #[test]
    fn a_count_of_none() {
        let bare = b"\x17\x01\0\0\0\x00\x01\0\0\0";
        for payload in [&b"\x17\x01\0\0\0\x08\x01\0\0\0\x00"[..], bare] {
            assert_eq!(&rewritten(payload, (0, Written::Named), Written::Plain, None)[..], bare);
        }
        let one = b"\x17\x01\0\0\0\x08\x01\0\0\0\x01\0\x01\xFD\0\x01a\x02hi";
        assert_eq!(Execute::parse(one, 0, Written::Named).unwrap().attributes, 1);
        let plain = rewritten(one, (0, Written::Named), Written::Plain, None);
        assert_eq!(&plain[..], [&bare[..], b"\x02hi"].concat());
    }

    #[test]
    fn types_of_a_bulk() {
        let bound = b"\xFA\x01\0\0\0\x80\0\x03\0\xFD\0\0\x01\0\0\0\0\x02hi";
        let unbound = b"\xFA\x01\0\0\0\0\0\0\x01\0\0\0\0\x02hi";
        let types = b"\x03\0\xFD\0".as_slice();
        let of = (2, Written::Bulk);
        let execute = Execute::parse(bound, 2, Written::Bulk).unwrap();
        assert_eq!(&execute.plain_types(bound)[..], types);
        assert_eq!(&rewritten(bound, of, Written::Bulk, Some(b"\x08\0\x08\0"))[..], bound);
        assert_eq!(&rewritten(unbound, of, Written::Bulk, None)[..], unbound);
        assert_eq!(&rewritten(unbound, of, Written::Bulk, Some(types))[..], bound);
        assert!(Execute::parse(&bound[..10], 2, Written::Bulk).is_err());
        assert!(Execute::parse(bound, 2, Written::Plain).is_err());
    }

    #[test]
    fn the_count_is_no_cursor() {
        assert!(asks_for_cursor(BOUND));
        assert!(!asks_for_cursor(NAMED));
        assert!(!asks_for_cursor(b"\x19\x01\0\0\0\x01"));
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
        fn never_panics(bytes: Vec<u8>, params: u16, types: Vec<u8>, flags: u8) {
            let whole = [&b"\x17\x01\0\0\0"[..], &[flags], b"\x01\0\0\0", &bytes].concat();
            let bulk = [&b"\xFA\x01\0\0\0"[..], &[flags, 0], &bytes].concat();
            for params in [params, params % 8] {
                let _ = Execute::parse(&bytes, params, Written::Plain);
                if let Ok(execute) = Execute::parse(&bulk, params, Written::Bulk) {
                    execute.rewrite(&bulk, Written::Bulk, Some(&types), &mut BytesMut::new());
                }
                for (written, to) in [
                    (Written::Plain, Written::Plain),
                    (Written::Named, Written::Plain),
                    (Written::Named, Written::Named),
                ] {
                    let Ok(execute) = Execute::parse(&whole, params, written) else { continue };
                    let mut out = BytesMut::new();
                    execute.rewrite(&whole, to, None, &mut out);
                    let again = Execute::parse(&out, params, to).unwrap();
                    prop_assert_eq!(&out[again.values.clone()], &whole[execute.values.clone()]);
                    prop_assert_eq!(again.plain_types(&out), execute.plain_types(&whole));
                    execute.rewrite(&whole, to, Some(&types), &mut out);
                }
            }
        }
    }
}
