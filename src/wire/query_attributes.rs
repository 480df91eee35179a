//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query.html
//!
//! Owns the attributes that stand before the text of COM_QUERY under `CLIENT_QUERY_ATTRIBUTES`: how
//! many, and where they end. Never keeps one.

use super::{Malformed, Reader};

/// What stands there when there are none: so many attributes, in one set.
pub const NO_ATTRIBUTES: [u8; 2] = [0, 1];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryAttributes {
    pub count: u64,
    /// In bytes; the text begins behind them.
    pub len: usize,
}

/// `body` is what follows the command byte, or the head of it.
impl QueryAttributes {
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        const PACKET: &str = "query attributes";
        let mut reader = Reader::new(PACKET, body);
        let count = reader.lenenc_int()?;
        reader.expect(1, "one set")?;
        if count > 0 {
            // As many bits as the packet has bytes are more than it can have attributes.
            let many = usize::try_from(count).unwrap_or(usize::MAX);
            if many > body.len() {
                return Err(Malformed::Short { packet: PACKET, at: body.len() });
            }
            let nulls = reader.take(many.div_ceil(8))?;
            reader.expect(1, "types")?;
            let mut types = Vec::with_capacity(many);
            for _ in 0..many {
                let [kind, _sign] = reader.array()?;
                reader.lenenc_bytes()?;
                types.push(kind);
            }
            for (index, kind) in types.into_iter().enumerate() {
                let null = nulls.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1);
                if !null {
                    skip_value(&mut reader, kind)?;
                }
            }
        }
        Ok(Self { count, len: reader.at() })
    }
}

/// Lengths as MySQL 9.7 takes them, whatever the manual says of a type: a text that begins in
/// another place for the server than here would be one that nobody has read.
fn skip_value(reader: &mut Reader<'_>, kind: u8) -> Result<(), Malformed> {
    let at = reader.at();
    let unexpected =
        |field, seen| Malformed::Unexpected { packet: "query attributes", field, seen, at };
    let len = match kind {
        1 => 1,
        2 => 2,
        3 | 4 => 4,
        5 | 8 => 8,
        // Times have one byte of length, and are never longer than twelve.
        7 | 10..=12 => match reader.u8()? {
            len @ 0..=12 => usize::from(len),
            seen => return Err(unexpected("the length of a time", seen)),
        },
        244 => return Err(unexpected("a type", kind)),
        _ => return reader.lenenc_bytes().map(drop),
    };
    reader.take(len).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn len(body: &[u8]) -> Option<(u64, usize)> {
        QueryAttributes::parse(body).ok().map(|found| (found.count, found.len))
    }

    #[test]
    fn none() {
        assert_eq!(len(b"\0\x01SELECT 1"), Some((0, 2)));
        assert_eq!(len(b"\0\x01"), Some((0, 2)));
        for malformed in [&b""[..], b"\0", b"\0\0SELECT 1", b"\0\x02SELECT 1", b"SELECT 1"] {
            assert_eq!(len(malformed), None);
        }
    }

    #[test]
    fn of_each_length() {
        let text = b"\x01\x01\0\x01\xFD\0\x01a\x02hi".as_slice();
        assert_eq!(len(&[text, b"SELECT 1"].concat()), Some((1, text.len())));
        for (kind, value) in [
            (1, &b"1"[..]),
            (2, b"22"),
            (3, b"4444"),
            (4, b"4444"),
            (8, b"88888888"),
            (5, b"88888888"),
            (12, b"\x07\xE9\x07\x01\x01\x01\x01\x01"),
            (10, b"\0"),
            (6, b"\x01n"),
            (9, b"\x01n"),
            (246, b"\x031.5"),
            (252, b"\xFC\x01\0x"),
        ] {
            let block = [b"\x01\x01\0\x01", &[kind, 0x80][..], b"\x01a", value].concat();
            assert_eq!(len(&[&block, &b"DO 0"[..]].concat()), Some((1, block.len())), "{kind}");
        }
        assert_eq!(len(b"\x01\x01\0\x01\xF4\0\x01a\x01DO 0"), None);
        assert_eq!(len(b"\x01\x01\0\x01\x0C\0\x01a\xFCDO 0"), None);
    }

    #[test]
    fn null_has_no_value() {
        let block = b"\x02\x01\x01\x01\x06\0\x01a\xFD\0\x01b\x01x".as_slice();
        assert_eq!(len(&[block, b"DO 0"].concat()), Some((2, block.len())));
    }

    /// As MySQL 9.7 answers: malformed.
    #[test]
    fn types_must_be_there() {
        assert_eq!(len(b"\x01\x01\0\0\x02hiDO 0"), None);
        assert_eq!(len(b"\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01\0\0\0"), None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, count: u8) {
            let _ = QueryAttributes::parse(&bytes);
            let whole = [&[count % 20, 1, 0, 1][..], &bytes].concat();
            if let Ok(found) = QueryAttributes::parse(&whole) {
                prop_assert!(found.len <= whole.len());
            }
        }
    }
}
