//! Any reply, in any chunking, is followed to the same end: what the client sees, what is left and
//! what is complete do not depend on how the bytes came.

use bytes::BytesMut;
use tidegate::wire::{
    ClientFormat, Completion, Expect, Progress, ReplyScanner, ServerFormat, TrackFilter,
};

const EXPECTED: [Expect; 8] = [
    Expect::Query,
    Expect::Execute,
    Expect::Prepare,
    Expect::Fetch,
    Expect::Single,
    Expect::FieldList,
    Expect::Statistics,
    Expect::Nothing,
];

#[derive(Debug, PartialEq)]
struct Seen {
    client: Vec<u8>,
    left: Vec<u8>,
    /// `None`: there is no end in these bytes, or no sense.
    completion: Option<Completion>,
    malformed: bool,
}

pub fn run(bytes: &[u8]) {
    let [kind, piece, reply @ ..] = bytes else { return };
    let expect = EXPECTED[usize::from(*kind) % EXPECTED.len()];
    let from = ServerFormat {
        deprecate_eof: kind & 8 != 0,
        session_track: kind & 16 != 0,
        optional_metadata: piece & 128 != 0,
        query_attributes: false,
    };
    let to = ClientFormat {
        deprecate_eof: kind & 32 != 0,
        session_track: (kind & 64 != 0).then(TrackFilter::default),
        statement_id: (kind & 128 != 0).then_some(7),
        first_seq: 1,
    };
    let scanner = || ReplyScanner::new(expect, from, to.clone());
    let whole = drive(scanner(), reply, usize::MAX);
    let pieces = drive(scanner(), reply, usize::from(piece % 16) + 1);
    if whole.malformed {
        // How much of it passed before the nonsense was seen does depend on the pieces.
        assert!(pieces.malformed);
        return;
    }
    assert_eq!(whole, pieces);
}

fn drive(mut scanner: ReplyScanner, server: &[u8], piece: usize) -> Seen {
    let mut seen = Seen { client: vec![], left: vec![], completion: None, malformed: false };
    let mut buffer = Vec::new();
    let mut rest = server;
    loop {
        let mut out = BytesMut::new();
        let Ok(scan) = scanner.scan(&mut buffer, &mut out) else {
            seen.malformed = true;
            return seen;
        };
        assert!(scan.consumed <= buffer.len());
        if scan.edited {
            seen.client.extend_from_slice(&out);
        } else {
            seen.client.extend_from_slice(&buffer[..scan.consumed]);
        }
        buffer.drain(..scan.consumed);
        match scan.progress {
            Progress::Complete => {
                seen.completion = Some(scanner.completion());
                seen.left = [&buffer[..], rest].concat();
                return seen;
            }
            Progress::NeedClientData => continue,
            Progress::More if rest.is_empty() => return seen,
            Progress::More => {
                assert!(buffer.len() < scanner.needs(), "it has what it needs and stands still");
            }
        }
        let (now, later) = rest.split_at(rest.len().min(piece));
        buffer.extend_from_slice(now);
        rest = later;
    }
}
