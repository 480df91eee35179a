//! Random replies, encoded here for each format by itself and never by the scanner.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{NEW, OLD, client, drive};
use crate::wire::{Completion, Expect, ReplyScanner, ServerFormat, Status, changes};

#[derive(Debug, Clone)]
enum Part {
    Ok { affected: u8, insert_id: u8, info: String, tracked: Vec<Tracked> },
    Rows { columns: u8, rows: Vec<Vec<u8>>, tracked: Vec<Tracked> },
    Infile,
    Cursor { columns: u8 },
    Fetched { rows: Vec<Vec<u8>>, tracked: Vec<Tracked> },
    Fields { columns: u8 },
    Prepared { params: u8, columns: u8 },
    Err,
}

#[derive(Debug, Clone, Copy)]
enum Tracked {
    Schema,
    Autocommit,
    SqlMode,
    State,
    Transaction,
    /// A type from the future.
    Unknown,
}

#[derive(Debug, Clone)]
struct Reply {
    expect: Expect,
    /// The session's flags, in every status of the reply.
    base: u16,
    metadata: Metadata,
    parts: Vec<Part>,
}

/// CLIENT_OPTIONAL_RESULTSET_METADATA, and `resultset_metadata` under it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Metadata {
    NotNegotiated,
    Full,
    None,
}

/// Who the bytes are for.
#[derive(Clone, Copy, PartialEq)]
enum Trackers {
    All,
    Default,
    None,
}

impl Tracked {
    fn entry(self) -> &'static [u8] {
        match self {
            Self::Schema => b"\x01\x03\x02db",
            Self::Autocommit => b"\x00\x0F\x0Aautocommit\x03OFF",
            Self::SqlMode => b"\x00\x0A\x08sql_mode\x00",
            Self::State => b"\x02\x02\x011",
            Self::Transaction => b"\x05\x09\x08T_______",
            Self::Unknown => b"\x63\x03abc",
        }
    }

    fn block(tracked: &[Self], seen: Trackers) -> Vec<u8> {
        let told = |tracked: &&Self| match seen {
            Trackers::All => true,
            Trackers::Default => matches!(tracked, Self::Schema | Self::Autocommit),
            Trackers::None => false,
        };
        tracked.iter().filter(told).flat_map(|tracked| tracked.entry()).copied().collect()
    }
}

struct Encoder {
    bytes: Vec<u8>,
    seq: u8,
    deprecate_eof: bool,
    trackers: Trackers,
    base: u16,
    metadata: Metadata,
}

impl Encoder {
    fn packet(&mut self, payload: &[u8]) {
        self.bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes()[..3]);
        self.bytes.push(self.seq);
        self.bytes.extend_from_slice(payload);
        self.seq = self.seq.wrapping_add(1);
    }

    fn eof(&mut self, flags: u16) {
        let [a, b] = (self.base | flags).to_le_bytes();
        self.packet(&[0xFE, 0, 0, a, b]);
    }

    fn ok(&mut self, head: [u8; 3], flags: u16, info: &str, tracked: &[Tracked]) {
        let block = Tracked::block(tracked, self.trackers);
        let changed = if block.is_empty() { 0 } else { 0x4000 };
        let mut payload = head.to_vec();
        payload.extend_from_slice(&(self.base | flags | changed).to_le_bytes());
        payload.extend_from_slice(&[0, 0]);
        if !info.is_empty() || !block.is_empty() {
            payload.push(info.len() as u8);
            payload.extend_from_slice(info.as_bytes());
        }
        if !block.is_empty() {
            payload.push(block.len() as u8);
            payload.extend_from_slice(&block);
        }
        self.packet(&payload);
    }

    fn end_of_rows(&mut self, flags: u16, tracked: &[Tracked]) {
        if self.deprecate_eof {
            self.ok([0xFE, 0, 0], flags, "", tracked);
        } else {
            self.eof(flags);
        }
    }

    /// Behind a count of columns, or all of a prepare reply.
    fn counted(&mut self, head: &[u8]) {
        match self.metadata {
            Metadata::NotNegotiated => self.packet(head),
            Metadata::Full => self.packet(&[head, &[1]].concat()),
            Metadata::None => self.packet(&[head, &[0]].concat()),
        }
    }

    fn definitions(&mut self, count: u8, eof: bool) {
        let here = if self.metadata == Metadata::None { 0 } else { count };
        for column in 0..here {
            self.packet(&[3, b'd', b'e', b'f', column]);
        }
        if eof && !self.deprecate_eof && count > 0 {
            self.eof(0);
        }
    }

    fn part(&mut self, part: &Part, more: u16) {
        match part {
            Part::Ok { affected, insert_id, info, tracked } => {
                self.ok([0, *affected, *insert_id], more, info, tracked);
            }
            Part::Rows { columns, rows, tracked } => {
                self.counted(&[*columns]);
                self.definitions(*columns, true);
                for row in rows {
                    self.packet(row);
                }
                self.end_of_rows(more, tracked);
            }
            Part::Infile => {
                self.packet(b"\xFBfile");
                self.seq = self.seq.wrapping_add(3);
                self.ok([0, 5, 0], more, "", &[]);
            }
            Part::Cursor { columns } => {
                self.counted(&[*columns]);
                self.definitions(*columns, false);
                self.end_of_rows(0x0040, &[]);
            }
            Part::Fetched { rows, tracked } => {
                for row in rows {
                    self.packet(row);
                }
                self.end_of_rows(0x0080, tracked);
            }
            Part::Fields { columns } => {
                for column in 0..*columns {
                    self.packet(&[3, b'd', b'e', b'f', column]);
                }
                self.end_of_rows(0, &[]);
            }
            Part::Prepared { params, columns } => {
                self.counted(&[0, 1, 0, 0, 0, *columns, 0, *params, 0, 0, 0, 0]);
                self.definitions(*params, true);
                self.definitions(*columns, true);
            }
            Part::Err => self.packet(b"\xFF\x7A\x04#42S02no"),
        }
    }
}

impl Reply {
    fn encode(&self, deprecate_eof: bool, trackers: Trackers, first_seq: u8) -> Vec<u8> {
        let (base, metadata) = (self.base, self.metadata);
        let mut encoder =
            Encoder { bytes: Vec::new(), seq: first_seq, deprecate_eof, trackers, base, metadata };
        for (at, part) in self.parts.iter().enumerate() {
            let more = if at + 1 < self.parts.len() { 0x0008 } else { 0 };
            encoder.part(part, more);
        }
        encoder.bytes
    }

    fn server(&self, from: ServerFormat) -> Vec<u8> {
        self.server_from(from, 1)
    }

    fn server_from(&self, from: ServerFormat, first_seq: u8) -> Vec<u8> {
        let trackers = if from.session_track { Trackers::All } else { Trackers::None };
        self.encode(from.deprecate_eof, trackers, first_seq)
    }

    /// A format says whether the byte is there at all; both sides agree on that.
    fn format(&self, format: ServerFormat) -> ServerFormat {
        ServerFormat { optional_metadata: self.metadata != Metadata::NotNegotiated, ..format }
    }

    fn check(&self, completion: &Completion, from: ServerFormat) {
        assert_eq!(completion.results as usize, self.parts.len());
        let mut tracked_seen = Vec::new();
        for part in &self.parts {
            match part {
                Part::Ok { tracked, .. } => tracked_seen.extend_from_slice(tracked),
                Part::Rows { tracked, .. } | Part::Fetched { tracked, .. }
                    if from.deprecate_eof =>
                {
                    tracked_seen.extend_from_slice(tracked);
                }
                _ => {}
            }
        }
        let seen = if from.session_track { Trackers::All } else { Trackers::None };
        let expected = changes(&Tracked::block(&tracked_seen, seen)).unwrap();
        assert_eq!(completion.changes, expected);
        let mut ids = self.parts.iter().filter_map(|part| match part {
            Part::Ok { insert_id, .. } => Some(u64::from(*insert_id)),
            _ => None,
        });
        assert_eq!(completion.last_insert_id, ids.rfind(|id| *id != 0).unwrap_or(0));
        match self.parts.last().unwrap() {
            Part::Rows { rows, .. } | Part::Fetched { rows, .. } => {
                assert_eq!(completion.rows as usize, rows.len());
            }
            Part::Ok { affected, .. } => {
                assert_eq!(completion.affected_rows, u64::from(*affected));
                assert!(!completion.result_set);
            }
            Part::Prepared { params, columns } => {
                let prepared = completion.prepared.unwrap();
                assert_eq!(prepared.params, u16::from(*params));
                assert_eq!(prepared.columns, u16::from(*columns));
            }
            _ => {}
        }
        let failed = matches!(self.parts.last(), Some(Part::Err));
        assert_eq!(matches!(completion.outcome, crate::wire::Outcome::Err(_)), failed);
        assert_eq!(completion.cursor, matches!(self.parts.last(), Some(Part::Cursor { .. })));
        if let Some(status) = completion.status {
            assert_eq!(status.bits() & 0x2303, self.base, "the session's own flags");
        }
    }
}

fn tracked() -> impl Strategy<Value = Vec<Tracked>> {
    let one = prop_oneof![
        Just(Tracked::Schema),
        Just(Tracked::Autocommit),
        Just(Tracked::SqlMode),
        Just(Tracked::State),
        Just(Tracked::Transaction),
        Just(Tracked::Unknown),
    ];
    prop_oneof![2 => Just(Vec::new()), 1 => vec(one, 1..4)]
}

/// Values as text rows begin, 0xFB for NULL among them, and bytes of any kind behind.
fn text_rows() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let head = prop_oneof![0..=0xFB_u8, Just(0xFC), Just(0xFD)];
    let row =
        (head, vec(any::<u8>(), 0..40)).prop_map(|(head, rest)| [&[head], &rest[..]].concat());
    vec(row, 0..12)
}

fn binary_rows() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 0..40).prop_map(|rest| [&[0], &rest[..]].concat()), 0..12)
}

fn ok() -> impl Strategy<Value = Part> {
    (0..250_u8, 0..250_u8, "[a-z]{0,12}", tracked()).prop_map(
        |(affected, insert_id, info, tracked)| Part::Ok { affected, insert_id, info, tracked },
    )
}

fn rows(rows: impl Strategy<Value = Vec<Vec<u8>>>) -> impl Strategy<Value = Part> {
    (1..6_u8, rows, tracked()).prop_map(|(columns, rows, tracked)| Part::Rows {
        columns,
        rows,
        tracked,
    })
}

/// Any number of results, the last of which may be an ERR or a cursor.
fn results(
    part: impl Strategy<Value = Part>,
    last: impl Strategy<Value = Part>,
) -> impl Strategy<Value = Vec<Part>> {
    (vec(part, 0..4), last).prop_map(|(mut parts, last)| {
        parts.push(last);
        parts
    })
}

fn reply() -> impl Strategy<Value = Reply> {
    let one = |part: BoxedStrategy<Part>| part.prop_map(|part| vec![part]);
    let query = || prop_oneof![ok(), rows(text_rows()), Just(Part::Infile)];
    let execute = || prop_oneof![ok(), rows(binary_rows())];
    let cursor = (1..6_u8).prop_map(|columns| Part::Cursor { columns });
    let fetched =
        (binary_rows(), tracked()).prop_map(|(rows, tracked)| Part::Fetched { rows, tracked });
    let fields = (0..6_u8).prop_map(|columns| Part::Fields { columns });
    let prepared =
        (0..4_u8, 0..4_u8).prop_map(|(params, columns)| Part::Prepared { params, columns });
    let parts = prop_oneof![
        5 => results(query(), prop_oneof![4 => query(), 1 => Just(Part::Err)])
            .prop_map(|parts| (Expect::Query, parts)),
        4 => results(execute(), prop_oneof![4 => execute(), 1 => cursor, 1 => Just(Part::Err)])
            .prop_map(|parts| (Expect::Execute, parts)),
        1 => one(fetched.boxed()).prop_map(|parts| (Expect::Fetch, parts)),
        1 => one(fields.boxed()).prop_map(|parts| (Expect::FieldList, parts)),
        2 => one(prepared.boxed()).prop_map(|parts| (Expect::Prepare, parts)),
        1 => one(ok().boxed()).prop_map(|parts| (Expect::Single, parts)),
    ];
    let base = prop_oneof![Just(0x0002), Just(0x0003), Just(0x0201), Just(0x2003)];
    let metadata = prop_oneof![2 => Just(Metadata::NotNegotiated), 1 => Just(Metadata::Full), 1 => Just(Metadata::None)];
    (parts, base, metadata).prop_map(|((expect, parts), base, metadata)| Reply {
        expect,
        base,
        metadata,
        parts,
    })
}

fn formats() -> impl Strategy<Value = ServerFormat> {
    (any::<bool>(), any::<bool>()).prop_map(|(deprecate_eof, session_track)| ServerFormat {
        deprecate_eof,
        session_track,
        ..NEW
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_chunking_gives_one_answer(
        reply in reply(),
        from in formats(),
        deprecate_eof: bool,
        session_track: bool,
        first_seq: u8,
        pieces in vec(1..30_usize, 1..40),
    ) {
        let from = reply.format(from);
        let server = reply.server_from(from, first_seq);
        let mut to = client(deprecate_eof, session_track);
        to.first_seq = first_seq;
        let scanner = || {
            ReplyScanner::new(reply.expect, from, to.clone())
                .with_status(Status::from_bits_retain(reply.base))
        };
        let whole = drive(&mut scanner(), &server, &[]).unwrap();
        let pieces = drive(&mut scanner(), &server, &pieces).unwrap();
        prop_assert_eq!(&whole.client, &pieces.client);
        prop_assert_eq!(&whole.completion, &pieces.completion);
        reply.check(&whole.completion, from);
    }

    #[test]
    fn nothing_is_edited_between_equals(reply in reply(), deprecate_eof: bool) {
        let from = reply.format(ServerFormat { deprecate_eof, ..OLD });
        let server = reply.server(from);
        for session_track in [false, true] {
            let to = client(deprecate_eof, session_track);
            let seen = drive(&mut ReplyScanner::new(reply.expect, from, to), &server, &[]).unwrap();
            prop_assert!(!seen.edited);
            prop_assert_eq!(&seen.client, &server);
        }
    }

    #[test]
    fn translation_gives_what_a_server_would_have_said(
        reply in reply(),
        from in prop_oneof![Just(NEW), Just(OLD)],
        deprecate_eof: bool,
        session_track: bool,
        first_seq: u8,
    ) {
        // A server without DEPRECATE_EOF has no trackers to give at the end of rows.
        let from = reply.format(from);
        let mut source = reply.clone();
        for part in &mut source.parts {
            if let Part::Rows { tracked, .. } | Part::Fetched { tracked, .. } = part
                && !from.deprecate_eof
            {
                tracked.clear();
            }
        }
        let trackers = match (from.session_track, session_track) {
            (true, true) => Trackers::Default,
            _ => Trackers::None,
        };
        let mut to = client(deprecate_eof, session_track);
        to.first_seq = first_seq;
        let mut scanner = ReplyScanner::new(source.expect, from, to)
            .with_status(Status::from_bits_retain(source.base));
        let seen = drive(&mut scanner, &source.server_from(from, first_seq), &[]).unwrap();
        prop_assert_eq!(seen.client, source.encode(deprecate_eof, trackers, first_seq));
    }

    #[test]
    fn never_panics(
        mut bytes in vec(prop_oneof![3 => 0..6_u8, 2 => Just(0xFE), 1 => any::<u8>()], 0..200),
        reply in reply(),
        at: prop::sample::Index,
        byte: u8,
        from in formats(),
        deprecate_eof: bool,
    ) {
        let mut bent = reply.server(from);
        let at = at.index(bent.len());
        bent[at] = byte;
        for expect in [
            Expect::Query, Expect::Execute, Expect::Prepare, Expect::Fetch, Expect::Single,
            Expect::FieldList, Expect::Statistics, Expect::Nothing,
        ] {
            for input in [&mut bytes, &mut bent] {
                let mut scanner = ReplyScanner::new(expect, from, client(deprecate_eof, true));
                let mut out = bytes::BytesMut::new();
                let mut pos = 0;
                while let Ok(scan) = scanner.scan(&mut input[pos..], &mut out) {
                    pos += scan.consumed;
                    if scan.consumed == 0 || pos == input.len() {
                        break;
                    }
                }
            }
        }
    }
}
