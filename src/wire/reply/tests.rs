//! Replies of every shape: as literals, and at random against an encoder of their own.

mod model;
mod shapes;

use bytes::BytesMut;

use crate::wire::{
    ClientFormat, Completion, Expect, Malformed, Progress, ReplyScanner, ServerFormat, TrackFilter,
};

const NEW: ServerFormat = ServerFormat {
    deprecate_eof: true,
    session_track: true,
    optional_metadata: false,
    query_attributes: false,
};
const OLD: ServerFormat = ServerFormat { deprecate_eof: false, session_track: false, ..NEW };

fn client(deprecate_eof: bool, session_track: bool) -> ClientFormat {
    ClientFormat {
        deprecate_eof,
        session_track: session_track.then(TrackFilter::default),
        statement_id: None,
        first_seq: 1,
    }
}

struct Seen {
    client: Vec<u8>,
    completion: Completion,
    edited: bool,
    /// How often the scanner asked for the client's data.
    asked: u32,
}

/// Feeds `server` in pieces of the given lengths, the last of them for ever. What stands behind the
/// reply must not be touched.
fn drive(scanner: &mut ReplyScanner, server: &[u8], pieces: &[usize]) -> Result<Seen, Malformed> {
    const BEHIND: &[u8] = b"\x01\0\0\x01\xFF the next reply";
    let all = [server, BEHIND].concat();
    let mut lengths = pieces.iter().copied();
    let mut piece = usize::MAX;
    let (mut buffer, mut client) = (Vec::new(), Vec::new());
    let (mut fed, mut edited, mut asked) = (0, false, 0);
    loop {
        let mut out = BytesMut::new();
        let scan = scanner.scan(&mut buffer, &mut out)?;
        edited |= scan.edited;
        if scan.edited {
            client.extend_from_slice(&out);
        } else {
            assert!(out.is_empty());
            client.extend_from_slice(&buffer[..scan.consumed]);
        }
        buffer.drain(..scan.consumed);
        match scan.progress {
            Progress::Complete => break,
            Progress::NeedClientData => {
                asked += 1;
                // The client's packets take the numbers up to the server's next.
                let rest = [&buffer[..], &all[fed..]].concat();
                let next = rest[3].wrapping_add(scanner.seq_shift());
                scanner.client_sent(next.wrapping_sub(1));
            }
            Progress::More => {
                assert!(buffer.len() < scanner.needs(), "it has what it needs and stands still");
                assert!(fed < all.len(), "the reply ended and the scanner waits");
                piece = lengths.next().unwrap_or(piece).max(1);
                let end = all.len().min(fed.saturating_add(piece));
                buffer.extend_from_slice(&all[fed..end]);
                fed = end;
            }
        }
    }
    assert!(server.len() <= fed || server.is_empty());
    let left = [&buffer[..], &all[fed..]].concat();
    assert_eq!(left, BEHIND, "consumed to the end of the reply and no further");
    Ok(Seen { client, completion: scanner.completion(), edited, asked })
}

/// In one piece, then byte by byte, which must give the same.
fn scan(expect: Expect, from: ServerFormat, to: &ClientFormat, server: &[u8]) -> Seen {
    let whole = drive(&mut ReplyScanner::new(expect, from, to.clone()), server, &[]).unwrap();
    let bytes = drive(&mut ReplyScanner::new(expect, from, to.clone()), server, &[1]).unwrap();
    assert_eq!(whole.client, bytes.client);
    assert_eq!(whole.completion, bytes.completion);
    assert_eq!(whole.asked, bytes.asked);
    whole
}
