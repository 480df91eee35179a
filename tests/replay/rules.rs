//! Which differences between straight and through Tidegate are none.
//!
//! Owns [`RULES`], every tolerance there is. A rule is applied to each side by itself, before
//! comparing, and takes away no more than its reason covers.

use super::{
    reply::{Packet, Role},
    step::Step,
};
use crate::support::client::lenenc;

/// What one side's ids are, so that they can be told by their order.
pub struct Ids<'a> {
    pub connection: u32,
    pub statements: &'a [u32],
}

pub struct Rule {
    pub name: &'static str,
    /// One that begins with `bug:` goes when the bug does.
    pub why: &'static str,
    pub apply: fn(&Step, &Ids<'_>, &mut Vec<Packet>),
}

pub const RULES: &[Rule] = &[
    Rule {
        name: "statement_id",
        why: "COM_STMT_PREPARE: Tidegate gives ids of its own; they are told by their order",
        apply: |step, ids, packets| {
            if let (Step::Prepare { .. }, Some(first)) = (step, packets.first_mut())
                && first.payload.first() == Some(&0)
            {
                let id = u32::from_le_bytes(first.payload[1..5].try_into().unwrap());
                let place = ids.statements.iter().rposition(|known| *known == id);
                let place = u32::try_from(place.expect("an id that was read")).unwrap();
                first.payload[1..5].copy_from_slice(&place.to_le_bytes());
            }
        },
    },
    Rule {
        name: "statement_id_in_error",
        why: "the same ids, in the words of error 1243",
        apply: |_, ids, packets| {
            for packet in packets.iter_mut() {
                // In a list of warnings its length stands before it.
                let found = memchr::memmem::find(&packet.payload, b"Unknown prepared statement");
                if let Some(at) = found.filter(|_| !is_error(packet, 1243)) {
                    packet.payload.truncate(at - 1);
                }
            }
            for packet in packets.iter_mut().filter(|packet| is_error(packet, 1243)) {
                let mut text = String::from_utf8_lossy(&packet.payload[3..]).into_owned();
                for (place, id) in ids.statements.iter().enumerate() {
                    text = text.replace(&format!("({id})"), &format!("(#{place})"));
                }
                packet.payload.truncate(3);
                packet.payload.extend_from_slice(text.as_bytes());
            }
        },
    },
    Rule {
        name: "value_in_an_error",
        why: "how MySQL spells a parameter's value in error 1366 goes by how the statement was \
              executed before, which another connection has not seen",
        apply: |step, _, packets| {
            const VALUE: &str = " value: '";
            let executed = matches!(step, Step::Execute { .. });
            for packet in packets.iter_mut().filter(|it| executed && is_error(it, 3988)) {
                // The same refusal, of a parameter that the statement has had in another type.
                packet.payload =
                    [&[0xff][..], &1366_u16.to_le_bytes(), b"#HY000Incorrect integer"].concat();
            }
            for packet in packets.iter_mut().filter(|it| executed && is_error(it, 1366)) {
                let found = memchr::memmem::find(&packet.payload, VALUE.as_bytes());
                packet.payload.truncate(found.unwrap_or(packet.payload.len()));
            }
        },
    },
    Rule {
        name: "column_of_a_parameter",
        why: "a NULL whose type was sent with an earlier execute has in MySQL's columns the type that \
              the parameter had then, which another connection has not seen",
        apply: |step, _, packets| {
            const NAME: &[u8] = b"\x01?\x00";
            let again = matches!(step, Step::Execute { types: false, .. });
            for packet in packets.iter_mut().filter(|_| again) {
                if packet.payload.starts_with(b"\x03def")
                    && let Some(at) = memchr::memmem::find(&packet.payload, NAME)
                {
                    packet.payload.truncate(at + NAME.len());
                }
            }
        },
    },
    Rule {
        name: "row_of_an_argument",
        why: "in what it says of an argument of CALL, MariaDB counts rows from the statement that ran \
              there before",
        apply: |step, _, packets| {
            const ROW: &str = " at row ";
            let calls = matches!(step, Step::Query(sql) if sql.starts_with("CALL "));
            for packet in packets.iter_mut().filter(|it| calls && is_error(it, 1366)) {
                let found = memchr::memmem::find(&packet.payload, ROW.as_bytes());
                packet.payload.truncate(found.unwrap_or(packet.payload.len()));
            }
        },
    },
    Rule {
        name: "malformed_packet",
        why: "MySQL ends the words of error 1835 with a full stop, MariaDB does not; Tidegate does",
        apply: |_, _, packets| {
            for packet in packets.iter_mut().filter(|packet| is_error(packet, 1835)) {
                if packet.payload.last() == Some(&b'.') {
                    packet.payload.pop();
                }
            }
        },
    },
    Rule {
        name: "statement_without_cursor",
        why: "bug: error 1421 through Tidegate has the server's own id of the statement",
        apply: |_, _, packets| {
            for packet in packets {
                let found = memchr::memmem::find(&packet.payload, b"The statement (");
                // In a list of warnings its length stands before it.
                packet.payload.truncate(found.map_or(packet.payload.len(), |at| at - 1));
            }
        },
    },
    Rule {
        name: "connection_id",
        why: "SELECT CONNECTION_ID() gives the id of the greeting, which is Tidegate's",
        apply: |step, ids, packets| {
            if is_query(step, "SELECT CONNECTION_ID()") {
                let id = ids.connection.to_string();
                for packet in packets {
                    if packet.payload.get(1..) == Some(id.as_bytes()) {
                        packet.payload = b"the id of the greeting".to_vec();
                    }
                }
            }
        },
    },
    Rule {
        name: "eof_after_columns",
        why: "no server sends Tidegate the EOF between columns and rows; what only the execution \
              shows (in_transaction, more_results, no_index, no_good_index, metadata_changed, \
              out_params, warnings of the parser) is not in Tidegate's. bug: nor are ansi_quotes and read_only_transaction of MariaDB",
        apply: |_, _, packets| {
            const SHOWN_LATER: [u8; 2] = [1 | 8 | 16 | 32, 4 | 16 | 32 | 128];
            for packet in packets.iter_mut().filter(|packet| packet.role == Role::AfterColumns) {
                no_warnings(&mut packet.payload);
                packet.payload[3] &= !SHOWN_LATER[0];
                packet.payload[4] &= !SHOWN_LATER[1];
            }
        },
    },
    Rule {
        name: "metadata_changed",
        why: "an execute whose columns changed says so where the statement was prepared before the \
              change; another connection prepares it after",
        apply: |step, _, packets| {
            const METADATA_CHANGED: u8 = 4;
            let executed = matches!(step, Step::Execute { .. });
            for packet in packets.iter_mut().filter(|_| executed) {
                if let Some(at) = status_of_end(&packet.payload) {
                    packet.payload[at + 1] &= !METADATA_CHANGED;
                }
            }
        },
    },
    Rule {
        name: "end_of_out_params",
        why: "of OUT parameters, servers say out_params and more_results in the EOF after the \
              columns and not in that after the row; with one EOF, as Tidegate speaks to them, in \
              that one",
        apply: |step, _, packets| {
            let executed = matches!(step, Step::Execute { .. });
            for packet in packets.iter_mut().filter(|_| executed) {
                if let Some(at) = status_of_end(&packet.payload)
                    && packet.payload[at + 1] & OUT_PARAMS != 0
                {
                    packet.payload[at + 1] &= !OUT_PARAMS;
                    packet.payload[at] &= !MORE_RESULTS;
                }
            }
        },
    },
    Rule {
        name: "collation_of_a_column",
        why: "bug: Tidegate sets the character set of a login, not its collation, as \
              character_set_results; columns name the collation. On MariaDB so does SET NAMES … \
              COLLATE with character_set_client, which a parameter's column shows",
        apply: |_, _, packets| {
            for packet in packets.iter_mut().filter(|packet| packet.role == Role::Column) {
                name_default_collation(&mut packet.payload);
            }
        },
    },
    Rule {
        name: "warnings_of_the_last_statement",
        why: "an OK of COM_INIT_DB and COM_PING counts the conditions of the statement before it, \
              which may have been another client's",
        apply: |step, _, packets| {
            if let (Step::InitDb(_) | Step::Ping | Step::SetOption(_), Some(first)) =
                (step, packets.first_mut())
            {
                no_warnings(&mut first.payload);
            }
        },
    },
    Rule {
        name: "tracked_changes",
        why: "the order of the changes in an OK is the server's whim; bug: the state of \
              the transaction, which MySQL reports by default, is never reported, and what is left \
              out leaves the flag state_changed. An EOF has the flag and never the change",
        apply: |_, _, packets| {
            for packet in packets {
                sort_changes(&mut packet.payload);
                if let [0xfe, _, _, _, flags] = packet.payload.as_mut_slice() {
                    *flags &= !STATE_CHANGED;
                }
            }
        },
    },
    Rule {
        name: "statistics",
        why: "COM_STATISTICS counts what a server did since it started",
        apply: |step, _, packets| {
            if *step == Step::Statistics {
                for packet in packets {
                    packet.payload.truncate(b"Uptime:".len());
                }
            }
        },
    },
];

/// In the first byte of the status.
const MORE_RESULTS: u8 = 8;
/// In the second.
const OUT_PARAMS: u8 = 16;
const STATE_CHANGED: u8 = 0x40;
/// Of a tracked change: the state of the transaction.
const TRANSACTION_STATE: u8 = 5;

fn is_query(step: &Step, text: &str) -> bool {
    matches!(step, Step::Query(sql) if sql == text)
}

fn is_error(packet: &Packet, code: u16) -> bool {
    packet.payload.first() == Some(&0xFF)
        && packet.payload.get(1..3) == Some(&code.to_le_bytes()[..])
}

/// In an EOF, or in an OK that says nothing of rows.
fn no_warnings(payload: &mut [u8]) {
    let at = match payload {
        [0xFE, _, _, _, _] => 1,
        [0xFE | 0, 0, 0, ..] => 5,
        _ => return,
    };
    if let Some(count) = payload.get_mut(at..at + 2) {
        count.fill(0);
    }
}

/// Where a column's definition goes on after its names.
fn fixed_part(payload: &[u8]) -> Option<usize> {
    let mut rest = payload;
    for _ in 0..6 {
        let length = usize::try_from(lenenc(&mut rest)?).ok()?;
        rest = rest.get(length..)?;
    }
    Some(payload.len() - rest.len())
}

/// The default collation in place of another of utf8mb4.
fn name_default_collation(payload: &mut [u8]) {
    const UTF8MB4: [u16; 4] = [45, 46, 224, 255];
    const OF_A_BINARY_COLLATION: u8 = 0x80;
    let Some(at) = fixed_part(payload) else { return };
    if let Some([low, high]) = payload.get(at + 1..at + 3)
        && UTF8MB4.contains(&u16::from_le_bytes([*low, *high]))
    {
        payload[at + 1..at + 3].copy_from_slice(&UTF8MB4[0].to_le_bytes());
        if let Some(flags) = payload.get_mut(at + 8) {
            *flags &= !OF_A_BINARY_COLLATION;
        }
    }
}

/// Of an OK that reports changes.
fn sort_changes(payload: &mut Vec<u8>) {
    let Some((at, mut entries)) = changes(payload) else { return };
    entries.retain(|entry| entry.first() != Some(&TRANSACTION_STATE));
    entries.sort();
    let block = entries.concat();
    payload.truncate(at);
    if !block.is_empty() {
        payload.push(u8::try_from(block.len() % 251).unwrap());
        payload.extend_from_slice(&block);
        return;
    }
    if let Some(status) = status_place(payload) {
        payload[status + 1] &= !STATE_CHANGED;
    }
    // No words of the server, which are said all the same where changes follow.
    if payload.last() == Some(&0) && payload.len() > status_place(payload).unwrap_or(0) + 4 {
        payload.pop();
    }
}

/// Where the status is in an EOF, or in the OK that stands for one.
fn status_of_end(payload: &[u8]) -> Option<usize> {
    match payload {
        [0xFE, _, _, _, _] => Some(3),
        [0xFE, ..] => status_place(payload),
        _ => None,
    }
}

fn status_place(payload: &[u8]) -> Option<usize> {
    let mut rest = match payload {
        [0 | 0xFE, rest @ ..] if payload.len() >= 7 => rest,
        _ => return None,
    };
    lenenc(&mut rest)?;
    lenenc(&mut rest)?;
    Some(payload.len() - rest.len())
}

/// Where they begin, and each with its type and length.
fn changes(payload: &[u8]) -> Option<(usize, Vec<Vec<u8>>)> {
    let status = status_place(payload)?;
    if payload.get(status + 1)? & STATE_CHANGED == 0 {
        return None;
    }
    let mut rest = payload.get(status + 4..)?;
    if rest.is_empty() {
        return Some((payload.len(), Vec::new()));
    }
    let words = usize::try_from(lenenc(&mut rest)?).ok()?;
    rest = rest.get(words..)?;
    let at = payload.len() - rest.len();
    if rest.is_empty() {
        return Some((at, Vec::new()));
    }
    let length = usize::try_from(lenenc(&mut rest)?).ok()?;
    if length != rest.len() {
        return None;
    }
    let mut entries = Vec::new();
    while let [_, tail @ ..] = rest {
        let mut after = tail;
        let length = usize::try_from(lenenc(&mut after)?).ok()?;
        after = after.get(length..)?;
        entries.push(rest[..rest.len() - after.len()].to_vec());
        rest = after;
    }
    Some((at, entries))
}
