//! Packets for human eyes.
//!
//! Owns words and hexadecimal dumps. It guesses what a packet is from its first byte: a row may look
//! like an OK.

use std::fmt::Write as _;

use super::reply::Packet;
use crate::support::client::{lenenc, parse_row, refusal};

const MOST: usize = 512;

/// In one or two words.
pub fn kind(packet: &Packet) -> String {
    match packet.payload.as_slice() {
        [0xFF, low, high, ..] => format!("error {}", u16::from_le_bytes([*low, *high])),
        [0x00, ..] => "OK".to_owned(),
        [0xFE, ..] => "EOF".to_owned(),
        [3, b'd', b'e', b'f', ..] => "a column".to_owned(),
        [_] => "a column count".to_owned(),
        _ => "a row".to_owned(),
    }
}

/// Its meaning on the first line, its bytes below.
pub fn describe(packet: Option<&Packet>) -> String {
    let Some(packet) = packet else { return "  no packet\n".to_owned() };
    let bytes = &packet.payload;
    let mut text = format!("  [{}] {} bytes, {}\n", packet.sequence, bytes.len(), meaning(packet));
    for line in bytes[..bytes.len().min(MOST)].chunks(16) {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = |byte: &u8| if (32..127).contains(byte) { char::from(*byte) } else { '.' };
        let letters: String = line.iter().map(shown).collect();
        let _ = writeln!(text, "      {:47}  {letters}", hex.join(" "));
    }
    text
}

fn meaning(packet: &Packet) -> String {
    let kind = kind(packet);
    match packet.payload.as_slice() {
        [0xFF, ..] => refusal(&packet.payload).to_string(),
        [0xFE, w0, w1, s0, s1] => {
            let warnings = u16::from_le_bytes([*w0, *w1]);
            format!("EOF: {warnings} warnings, {}", flags(u16::from_le_bytes([*s0, *s1])))
        }
        [0x00 | 0xFE, ..] => ok(&packet.payload, &kind).unwrap_or(kind),
        [3, b'd', b'e', b'f', ..] => kind,
        bytes if whole_row(bytes) => format!("a row: {:?}", parse_row(bytes)),
        _ => kind,
    }
}

fn ok(packet: &[u8], kind: &str) -> Option<String> {
    let mut rest = packet.get(1..)?;
    let (affected, insert_id) = (lenenc(&mut rest)?, lenenc(&mut rest)?);
    let number = |at: usize| Some(u16::from_le_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
    let (status, warnings) = (flags(number(0)?), number(2)?);
    Some(format!(
        "{kind}: {affected} affected, insert id {insert_id}, {warnings} warnings, {status}"
    ))
}

fn whole_row(mut bytes: &[u8]) -> bool {
    while let [first, rest @ ..] = bytes {
        if *first == 0xFB {
            bytes = rest;
            continue;
        }
        let length = lenenc(&mut bytes).and_then(|length| usize::try_from(length).ok());
        let Some(rest) = length.and_then(|length| bytes.get(length..)) else { return false };
        bytes = rest;
    }
    true
}

fn flags(status: u16) -> String {
    const NAMES: [&str; 16] = [
        "in_transaction",
        "autocommit",
        "4",
        "more_results",
        "no_good_index",
        "no_index",
        "cursor",
        "last_row",
        "schema_dropped",
        "no_backslash_escapes",
        "metadata_changed",
        "slow",
        "out_params",
        "read_only_transaction",
        "state_changed",
        "ansi_quotes",
    ];
    let set = NAMES.iter().enumerate().filter(|(bit, _)| status & (1 << bit) != 0);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join("|")
}
