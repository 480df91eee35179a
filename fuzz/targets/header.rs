//! Packet headers, whatever they announce, and packets by the 16 MiB rule.

use bytes::BytesMut;
use tidegate::wire::{
    Command, HEADER_LEN, Header, Place, Verdict, put_command, put_packet, verdict,
};

const PLACES: [Place; 9] = [
    Place::Query,
    Place::Execute,
    Place::Prepare,
    Place::Single,
    Place::Definition,
    Place::AfterDefinitions,
    Place::Row,
    Place::Field,
    Place::Statistics,
];

pub fn run(bytes: &[u8]) {
    let Some(header) = Header::peek(bytes) else {
        assert!(bytes.len() < HEADER_LEN);
        return;
    };
    assert_eq!(header.bytes(), bytes[..HEADER_LEN]);
    let payload = &bytes[HEADER_LEN..];
    let first = payload.first().copied().unwrap_or_default();
    for place in PLACES {
        for deprecate_eof in [false, true] {
            let said = verdict(place, first, header.len, deprecate_eof);
            assert_eq!(said == Verdict::Err, first == 0xFF, "{place:?}");
        }
    }
    let mut out = BytesMut::new();
    assert_eq!(put_packet(&mut out, header.seq, payload), header.seq.wrapping_add(1));
    assert_eq!(Header::peek(&out), Some(Header { len: payload.len(), seq: header.seq }));
    assert_eq!(&out[HEADER_LEN..], payload);
    if let Some(command) = Command::from_byte(first) {
        let mut out = BytesMut::new();
        put_command(&mut out, command, payload);
        assert_eq!(Header::peek(&out), Some(Header { len: payload.len() + 1, seq: 0 }));
    }
}
