//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response.html
//!
//! Owns the table that says what a reply packet is, from its first byte, its length and its place.
//! Never looks further into it.

use super::MAX_PAYLOAD;

/// Where in a reply a packet stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// First in a result of COM_QUERY.
    Query,
    /// First in a result of COM_STMT_EXECUTE.
    Execute,
    /// First in the reply to COM_STMT_PREPARE.
    Prepare,
    /// The only packet of a reply.
    Single,
    /// One of a counted number of column or parameter definitions.
    Definition,
    /// Behind the definitions, from a server that says EOF there.
    AfterDefinitions,
    /// A row, or the end of rows.
    Row,
    /// A definition, or the end of definitions: the reply to COM_FIELD_LIST.
    Field,
    /// The reply to COM_STATISTICS.
    Statistics,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    /// An OK that begins with 0xFE, or an EOF.
    Terminator,
    /// An error, or one of MariaDB's progress reports: `is_progress` tells.
    Err,
    PrepareOk,
    LocalInfile,
    ColumnCount,
    Definition,
    Row,
    Text,
    Unexpected,
}

/// Not for the packets that follow one of 0xFFFFFF bytes: those have no first byte.
#[inline]
pub fn verdict(place: Place, first: u8, len: usize, deprecate_eof: bool) -> Verdict {
    // No column count, definition or row begins with 0xFF: text rows begin with a length, binary
    // ones with 0x00.
    if first == 0xFF {
        return Verdict::Err;
    }
    let terminator = first == 0xFE && is_terminator(len, deprecate_eof);
    match place {
        Place::Query | Place::Execute => match first {
            0x00 => Verdict::Ok,
            // MariaDB prepares LOAD DATA.
            0xFB => Verdict::LocalInfile,
            0xFE if terminator => Verdict::Terminator,
            0xFE => Verdict::Unexpected,
            _ => Verdict::ColumnCount,
        },
        Place::Prepare if first == 0x00 => Verdict::PrepareOk,
        Place::Single if first == 0x00 => Verdict::Ok,
        Place::Single | Place::Row | Place::Field | Place::AfterDefinitions if terminator => {
            Verdict::Terminator
        }
        Place::Definition | Place::Field if first != 0xFE => Verdict::Definition,
        Place::Row => Verdict::Row,
        Place::Statistics => Verdict::Text,
        _ => Verdict::Unexpected,
    }
}

/// A row whose first value is 16 MiB or longer begins with 0xFE too, the mark of an 8-byte length.
/// Such a row fills its first packet, and is never shorter than that length.
fn is_terminator(len: usize, deprecate_eof: bool) -> bool {
    if deprecate_eof { len < MAX_PAYLOAD } else { len < 9 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_packets() {
        for (place, first, len, expected) in [
            (Place::Query, 0x00, 7, Verdict::Ok),
            (Place::Query, 0xFB, 12, Verdict::LocalInfile),
            (Place::Query, 0xFF, 20, Verdict::Err),
            (Place::Query, 0x01, 1, Verdict::ColumnCount),
            (Place::Query, 0xFA, 1, Verdict::ColumnCount),
            (Place::Query, 0xFC, 3, Verdict::ColumnCount),
            (Place::Query, 0xFE, 7, Verdict::Terminator),
            (Place::Execute, 0x00, 7, Verdict::Ok),
            (Place::Execute, 0xFB, 12, Verdict::LocalInfile),
            (Place::Execute, 0x02, 1, Verdict::ColumnCount),
            (Place::Prepare, 0x00, 12, Verdict::PrepareOk),
            (Place::Prepare, 0xFF, 12, Verdict::Err),
            (Place::Prepare, 0x01, 1, Verdict::Unexpected),
            (Place::Single, 0x00, 7, Verdict::Ok),
            (Place::Single, 0xFE, 5, Verdict::Terminator),
            (Place::Single, 0x03, 5, Verdict::Unexpected),
            (Place::Statistics, b'U', 70, Verdict::Text),
        ] {
            assert_eq!(verdict(place, first, len, true), expected, "{place:?} {first:#x}");
        }
    }

    #[test]
    fn rows_and_their_end() {
        for (first, len, deprecate_eof, expected) in [
            (0x00, 4, true, Verdict::Row),
            (0x05, 6, true, Verdict::Row),
            (0xFB, 1, true, Verdict::Row), // NULL
            (0xFE, 7, true, Verdict::Terminator),
            (0xFE, MAX_PAYLOAD - 1, true, Verdict::Terminator),
            (0xFE, MAX_PAYLOAD, true, Verdict::Row),
            (0xFE, 5, false, Verdict::Terminator),
            (0xFE, 9, false, Verdict::Row),
            (0xFF, 9, true, Verdict::Err),
        ] {
            assert_eq!(
                verdict(Place::Row, first, len, deprecate_eof),
                expected,
                "{first:#x} {len}"
            );
        }
    }

    #[test]
    fn definitions() {
        assert_eq!(verdict(Place::Definition, 3, 40, true), Verdict::Definition);
        assert_eq!(verdict(Place::Definition, 0xFE, 5, false), Verdict::Unexpected);
        assert_eq!(verdict(Place::Definition, 0xFF, 9, false), Verdict::Err);
        assert_eq!(verdict(Place::AfterDefinitions, 0xFE, 5, false), Verdict::Terminator);
        assert_eq!(verdict(Place::AfterDefinitions, 3, 40, false), Verdict::Unexpected);
        assert_eq!(verdict(Place::Field, 3, 40, true), Verdict::Definition);
        assert_eq!(verdict(Place::Field, 0xFE, 5, true), Verdict::Terminator);
    }
}
