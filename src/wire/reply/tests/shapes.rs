//! Each shape of reply as a literal.

use bytes::BytesMut;

use super::{NEW, OLD, client, drive, scan};
use crate::wire::{
    Change, Completion, ErrPacket, Expect, HEADER_LEN, MAX_PAYLOAD, Malformed, Outcome, PrepareOk,
    Progress, ReplyScanner, ServerFormat, Status, WHOLE_LIMIT, put_packet,
};

const OPTIONAL: ServerFormat = ServerFormat { optional_metadata: true, ..NEW };

const AUTOCOMMIT: Status = Status::SERVER_STATUS_AUTOCOMMIT;

/// Rows of one column, two rows: as servers say it with and without DEPRECATE_EOF.
const ROWS_NEW: &[u8] = b"\x01\0\0\x01\x01\x05\0\0\x02\x03def1\x02\0\0\x03\x01a\x01\0\0\x04\xFB\
    \x07\0\0\x05\xFE\0\0\x02\0\x01\0";
const ROWS_OLD: &[u8] = b"\x01\0\0\x01\x01\x05\0\0\x02\x03def1\x05\0\0\x03\xFE\0\0\x02\0\
    \x02\0\0\x04\x01a\x01\0\0\x05\xFB\x05\0\0\x06\xFE\x01\0\x02\0";

fn rows_completion() -> Completion {
    Completion {
        status: Some(AUTOCOMMIT),
        warnings: 1,
        rows: 2,
        results: 1,
        result_set: true,
        ..Completion::default()
    }
}

#[test]
fn rows_pass_unedited_between_equals() {
    let seen = scan(Expect::Query, NEW, &client(true, true), ROWS_NEW);
    assert_eq!((&seen.client[..], seen.edited), (ROWS_NEW, false));
    assert_eq!(seen.completion, rows_completion());
    let seen = scan(Expect::Query, OLD, &client(false, false), ROWS_OLD);
    assert_eq!((&seen.client[..], seen.edited), (ROWS_OLD, false));
    assert_eq!(seen.completion, rows_completion());
}

#[test]
fn rows_are_translated_both_ways() {
    let seen = scan(Expect::Query, NEW, &client(false, false), ROWS_NEW);
    assert_eq!((&seen.client[..], seen.completion), (ROWS_OLD, rows_completion()));
    let seen = scan(Expect::Query, OLD, &client(true, true), ROWS_OLD);
    assert_eq!((&seen.client[..], seen.completion), (ROWS_NEW, rows_completion()));
}

#[test]
fn binary_rows() {
    let server = b"\x01\0\0\x01\x01\x05\0\0\x02\x03def1\x06\0\0\x03\0\0\x01\0\0\0\
        \x07\0\0\x04\xFE\0\0\x02\0\0\0";
    let seen = scan(Expect::Execute, NEW, &client(true, true), server);
    assert_eq!((seen.completion.rows, seen.completion.results), (1, 1));
    assert!(!seen.edited);
}

#[test]
fn no_rows() {
    let new = b"\x01\0\0\x01\x01\x05\0\0\x02\x03def1\x07\0\0\x03\xFE\0\0\x02\0\0\0";
    let old = b"\x01\0\0\x01\x01\x05\0\0\x02\x03def1\x05\0\0\x03\xFE\0\0\x02\0\
        \x05\0\0\x04\xFE\0\0\x02\0";
    assert_eq!(scan(Expect::Query, NEW, &client(false, false), new).client, old);
    assert_eq!(scan(Expect::Execute, NEW, &client(false, false), new).client, old);
    assert_eq!(scan(Expect::Query, OLD, &client(true, false), old).client, new);
}

/// One that comes before all of the request was read has the number of the packet it was read up to,
/// and is as well known when its first byte comes later than its header.
#[test]
fn an_early_error_in_pieces() {
    let server = b"\x07\0\0\x05\xFF\x81\x04too!";
    for pieces in [&[][..], &[4, 1], &[1; 11]] {
        let mut scanner = ReplyScanner::new(Expect::Query, NEW, client(true, true));
        let seen = drive(&mut scanner, server, pieces).unwrap();
        assert!(matches!(seen.completion.outcome, Outcome::Err(ErrPacket { code: 1153, .. })));
    }
    let other = b"\x07\0\0\x05\0\0\0\x02\0\0\0";
    let mut scanner = ReplyScanner::new(Expect::Query, NEW, client(true, true));
    assert!(drive(&mut scanner, other, &[4]).is_err());
}

#[test]
fn ok() {
    let server = b"\x08\0\0\x01\0\x03\x2A\x02\0\x02\0\0";
    let seen = scan(Expect::Query, NEW, &client(false, false), server);
    assert_eq!((&seen.client[..], seen.edited), (&server[..], false));
    assert_eq!((seen.completion.affected_rows, seen.completion.last_insert_id), (3, 42));
    assert_eq!((seen.completion.warnings, seen.completion.results), (2, 1));
    assert!(!seen.completion.result_set);
}

#[test]
fn err_in_each_place() {
    let err = ErrPacket { code: 1146, state: *b"42S02", message: "no".to_owned() };
    let said = b"\xFF\x7A\x04#42S02no";
    let mut alone = BytesMut::new();
    put_packet(&mut alone, 1, said);
    for expect in [Expect::Query, Expect::Execute, Expect::Prepare, Expect::Single, Expect::Fetch] {
        let seen = scan(expect, NEW, &client(false, false), &alone);
        assert_eq!(seen.completion.outcome, Outcome::Err(err.clone()), "{expect:?}");
        assert_eq!((seen.completion.status, seen.edited), (None, false));
    }

    let head = b"\x01\0\0\x01\x01\x05\0\0\x02\x03def1\x02\0\0\x03\x01a";
    let mut among_rows = BytesMut::from(&head[..]);
    put_packet(&mut among_rows, 4, said);
    let seen = scan(Expect::Query, NEW, &client(true, true), &among_rows);
    assert_eq!(seen.completion.outcome, Outcome::Err(err.clone()));
    assert_eq!((seen.completion.status, seen.completion.rows), (None, 1));

    let mut second = BytesMut::from(&b"\x07\0\0\x01\0\0\0\x0A\0\0\0"[..]);
    put_packet(&mut second, 2, said);
    let seen = scan(Expect::Query, NEW, &client(true, true), &second);
    assert_eq!(seen.completion.outcome, Outcome::Err(err));
    assert_eq!(seen.completion.status.unwrap().bits(), 0x000A);
    assert_eq!(seen.completion.results, 2);
}

#[test]
fn several_results_and_the_last_ok_of_a_procedure() {
    let server =
        b"\x01\0\0\x01\x01\x05\0\0\x02\x03def1\x02\0\0\x03\x01a\x07\0\0\x04\xFE\0\0\x0A\0\0\0\
        \x07\0\0\x05\0\x01\0\x02\0\0\0";
    let old = b"\x01\0\0\x01\x01\x05\0\0\x02\x03def1\x05\0\0\x03\xFE\0\0\x02\0\x02\0\0\x04\x01a\
        \x05\0\0\x05\xFE\0\0\x0A\0\x07\0\0\x06\0\x01\0\x02\0\0\0";
    let seen = scan(Expect::Query, NEW, &client(false, false), server);
    assert_eq!(seen.client, old);
    assert_eq!((seen.completion.results, seen.completion.rows), (2, 1));
    assert_eq!((seen.completion.affected_rows, seen.completion.status), (1, Some(AUTOCOMMIT)));
    assert_eq!(scan(Expect::Query, OLD, &client(true, false), old).client, server);
}

const PREPARED_NEW: &[u8] = b"\x0C\0\0\x01\0\x09\0\0\0\x01\0\x02\0\0\0\0\
    \x05\0\0\x02\x03def?\x05\0\0\x03\x03def?\x05\0\0\x04\x03def1";
const PREPARED_OLD: &[u8] = b"\x0C\0\0\x01\0\x09\0\0\0\x01\0\x02\0\0\0\0\
    \x05\0\0\x02\x03def?\x05\0\0\x03\x03def?\x05\0\0\x04\xFE\0\0\x02\0\
    \x05\0\0\x05\x03def1\x05\0\0\x06\xFE\0\0\x02\0";

#[test]
fn prepared_with_parameters_and_columns() {
    let prepared =
        PrepareOk { statement_id: 9, columns: 1, params: 2, warnings: 0, definitions: true };
    let seen = scan(Expect::Prepare, NEW, &client(true, false), PREPARED_NEW);
    assert_eq!((&seen.client[..], seen.edited), (PREPARED_NEW, false));
    assert_eq!((seen.completion.prepared, seen.completion.status), (Some(prepared), None));
    assert_eq!(
        scan(Expect::Prepare, NEW, &client(false, false), PREPARED_NEW).client,
        PREPARED_OLD
    );
    assert_eq!(scan(Expect::Prepare, OLD, &client(true, false), PREPARED_OLD).client, PREPARED_NEW);
    assert!(!scan(Expect::Prepare, OLD, &client(false, false), PREPARED_OLD).edited);
}

#[test]
fn prepared_without() {
    for counts in [b"\0\0\0\0", b"\x01\0\0\0", b"\0\0\x01\0"] {
        let head = [&b"\x0C\0\0\x01\0\x09\0\0\0"[..], counts, b"\0\0\0"].concat();
        let one = counts != b"\0\0\0\0";
        let definition: &[u8] = if one { b"\x05\0\0\x02\x03def1" } else { b"" };
        let eof: &[u8] = if one { b"\x05\0\0\x03\xFE\0\0\x02\0" } else { b"" };
        let new = [&head, definition].concat();
        let old = [&head, definition, eof].concat();
        assert_eq!(scan(Expect::Prepare, NEW, &client(false, false), &new).client, old);
        assert_eq!(scan(Expect::Prepare, OLD, &client(true, false), &old).client, new);
    }
}

/// As MySQL 9.7 says them under `resultset_metadata = NONE`, and to a client without DEPRECATE_EOF:
/// the EOFs stay.
#[test]
fn definitions_left_out() {
    let old = ServerFormat { optional_metadata: true, ..OLD };
    for (expect, new, with_eofs) in [
        (
            Expect::Query,
            &b"\x02\0\0\x01\x02\0\x04\0\0\x02\x011\x012\x07\0\0\x03\xFE\0\0\x02\0\0\0"[..],
            &b"\x02\0\0\x01\x02\0\x05\0\0\x02\xFE\0\0\x02\0\x04\0\0\x03\x011\x012\
                \x05\0\0\x04\xFE\0\0\x02\0"[..],
        ),
        (
            Expect::Execute,
            b"\x02\0\0\x01\x02\0\x07\0\0\x02\xFE\0\0\x42\0\0\0",
            b"\x02\0\0\x01\x02\0\x05\0\0\x02\xFE\0\0\x42\0",
        ),
        (
            Expect::Prepare,
            b"\x0D\0\0\x01\0\x01\0\0\0\x02\0\x01\0\0\0\0\0",
            b"\x0D\0\0\x01\0\x01\0\0\0\x02\0\x01\0\0\0\0\0\
                \x05\0\0\x02\xFE\0\0\x02\0\x05\0\0\x03\xFE\0\0\x02\0",
        ),
    ] {
        assert_eq!(scan(expect, OPTIONAL, &client(true, true), new).client, new);
        assert_eq!(scan(expect, OPTIONAL, &client(false, false), new).client, with_eofs);
        assert_eq!(scan(expect, old, &client(false, false), with_eofs).client, with_eofs);
        assert_eq!(scan(expect, old, &client(true, false), with_eofs).client, new);
    }
    let seen = scan(
        Expect::Query,
        OPTIONAL,
        &client(true, true),
        b"\x02\0\0\x01\x01\x01\x05\0\0\x02\x03def1\x02\0\0\x03\x01a\x07\0\0\x04\xFE\0\0\x02\0\0\0",
    );
    assert_eq!((seen.completion.rows, seen.edited), (1, false));
}

#[test]
fn prepared_under_another_id() {
    let mut to = client(true, false);
    to.statement_id = Some(0x0102_0304);
    let seen = scan(Expect::Prepare, NEW, &to, PREPARED_NEW);
    assert!(!seen.edited);
    assert_eq!(&seen.client[..9], b"\x0C\0\0\x01\0\x04\x03\x02\x01");
    assert_eq!(&seen.client[9..], &PREPARED_NEW[9..]);
    assert_eq!(seen.completion.prepared.unwrap().statement_id, 9);
}

#[test]
fn a_cursor_is_said_once() {
    let new = b"\x01\0\0\x01\x01\x05\0\0\x02\x03def1\x07\0\0\x03\xFE\0\0\x42\0\0\0";
    let old = b"\x01\0\0\x01\x01\x05\0\0\x02\x03def1\x05\0\0\x03\xFE\0\0\x42\0";
    let seen = scan(Expect::Execute, NEW, &client(false, false), new);
    assert_eq!(seen.client, old);
    assert!(seen.completion.status.unwrap().contains(Status::SERVER_STATUS_CURSOR_EXISTS));
    assert_eq!(scan(Expect::Execute, OLD, &client(true, false), old).client, new);
    assert!(!scan(Expect::Execute, OLD, &client(false, false), old).edited);
}

/// As MySQL 9.7 and MariaDB 10.11 answer COM_STMT_EXECUTE of `CALL p()`, where p opens a cursor: 0x40
/// is in every status, and no cursor is the client's.
#[test]
fn a_cursor_left_over_by_a_procedure() {
    let new = b"\x01\0\0\x01\x01\x05\0\0\x02\x03def1\x07\0\0\x03\xFE\0\0\x6A\0\0\0\
        \x01\0\0\x04\x01\x05\0\0\x05\x03def1\x06\0\0\x06\0\0\x01\0\0\0\x07\0\0\x07\xFE\0\0\x6A\0\0\0\
        \x07\0\0\x08\0\0\0\x62\0\0\0";
    let old =
        b"\x01\0\0\x01\x01\x05\0\0\x02\x03def1\x05\0\0\x03\xFE\0\0\x6A\0\x05\0\0\x04\xFE\0\0\x6A\0\
        \x01\0\0\x05\x01\x05\0\0\x06\x03def1\x05\0\0\x07\xFE\0\0\x6A\0\
        \x06\0\0\x08\0\0\x01\0\0\0\x05\0\0\x09\xFE\0\0\x6A\0\x07\0\0\x0A\0\0\0\x62\0\0\0";
    let seen = scan(Expect::Execute, OLD, &client(false, false), old);
    assert_eq!((seen.completion.results, seen.completion.cursor), (3, false));
    assert_eq!(scan(Expect::Execute, OLD, &client(true, false), old).client, new);
    let seen = scan(Expect::Execute, NEW, &client(false, false), new);
    assert_eq!((seen.client.len(), seen.completion.results), (old.len(), 3));
    assert!(!seen.completion.cursor);
}

#[test]
fn fetched_rows() {
    let new = b"\x03\0\0\x01\0\0a\x03\0\0\x02\0\0b\x07\0\0\x03\xFE\0\0\x82\0\0\0";
    let old = b"\x03\0\0\x01\0\0a\x03\0\0\x02\0\0b\x05\0\0\x03\xFE\0\0\x82\0";
    let seen = scan(Expect::Fetch, NEW, &client(false, false), new);
    assert_eq!((&seen.client[..], seen.completion.rows), (&old[..], 2));
    assert!(!seen.completion.cursor);
    let seen = scan(Expect::Fetch, NEW, &client(true, true), b"\x07\0\0\x01\xFE\0\0\x42\0\0\0");
    assert!(seen.completion.cursor);
    assert_eq!(scan(Expect::Fetch, OLD, &client(true, false), old).client, new);
}

#[test]
fn the_first_number_of_a_request_that_grew_by_a_packet() {
    let server = b"\x07\0\0\x03\0\0\0\x02\0\0\0";
    let mut to = client(true, true);
    to.first_seq = 2;
    let mut scanner = ReplyScanner::new(Expect::Execute, NEW, to.clone()).with_server_seq(3);
    let seen = drive(&mut scanner, server, &[]).unwrap();
    assert_eq!(&seen.client[..], b"\x07\0\0\x02\0\0\0\x02\0\0\0");
    let mut scanner = ReplyScanner::new(Expect::Execute, NEW, to);
    assert!(drive(&mut scanner, server, &[]).is_err());
}

#[test]
fn local_infile() {
    let server = b"\x05\0\0\x01\xFBfile\x08\0\0\x04\0\x02\0\x02\0\0\0\0";
    for expect in [Expect::Query, Expect::Execute] {
        let seen = scan(expect, NEW, &client(true, true), server);
        assert_eq!((&seen.client[..], seen.asked), (&server[..], 1));
        assert_eq!(seen.completion.affected_rows, 2);
    }
    // Only there: elsewhere the byte is NULL, or nothing.
    let mut scanner = ReplyScanner::new(Expect::Single, NEW, client(true, true));
    assert!(drive(&mut scanner, server, &[]).is_err());
}

#[test]
fn local_infile_behind_an_inserted_packet() {
    let mut server = BytesMut::from(ROWS_NEW);
    let more = server.len() - 4;
    server[more] |= 0x08;
    server.extend_from_slice(b"\x05\0\0\x06\xFBfile");
    let mut scanner = ReplyScanner::new(Expect::Query, NEW, client(false, false));
    let mut out = BytesMut::new();
    let scan = scanner.scan(&mut server, &mut out).unwrap();
    assert_eq!((scan.consumed, scan.progress), (server.len(), Progress::NeedClientData));
    assert!(out.ends_with(b"\x05\0\0\x07\xFBfile"));
    assert_eq!((scanner.seq_shift(), scanner.next_seq()), (1, 8));
    // The client sends one packet and the empty one; to the server they are 7 and 8.
    scanner.client_sent(9);
    let mut end = *b"\x07\0\0\x09\0\0\0\x02\0\0\0";
    assert_eq!(scanner.next_seq(), 10);
    assert_eq!(scanner.scan(&mut end, &mut out).unwrap().progress, Progress::Complete);
    assert_eq!((end[3], scanner.next_seq()), (10, 11));
}

#[test]
fn single_packets() {
    for said in [&b"\x05\0\0\x01\xFE\0\0\x02\0"[..], b"\x07\0\0\x01\0\0\0\x02\0\0\0"] {
        let seen = scan(Expect::Single, NEW, &client(true, true), said);
        assert_eq!((seen.edited, seen.completion.status), (false, Some(AUTOCOMMIT)));
    }
    let seen = scan(Expect::Single, NEW, &client(false, false), b"\x07\0\0\x01\xFE\0\0\x02\0\0\0");
    assert_eq!(seen.client, b"\x05\0\0\x01\xFE\0\0\x02\0");
    let seen = scan(Expect::Statistics, NEW, &client(false, false), b"\x09\0\0\x01Uptime: 1");
    assert_eq!((seen.edited, seen.completion.status), (false, None));
    let seen = scan(Expect::Nothing, NEW, &client(false, false), b"");
    assert_eq!(seen.completion, Completion::default());
}

#[test]
fn field_list() {
    let old = b"\x06\0\0\x01\x03def1\xFB\x06\0\0\x02\x03def2\xFB\x05\0\0\x03\xFE\0\0\x02\0";
    for (from, to) in
        [(OLD, client(false, false)), (NEW, client(true, true)), (NEW, client(false, false))]
    {
        let seen = scan(Expect::FieldList, from, &to, old);
        assert_eq!((&seen.client[..], seen.edited), (&old[..], false));
    }
}

#[test]
fn trackers_nobody_asked_for() {
    let server =
        b"\x18\0\0\x01\0\0\0\x02\x40\0\0\x00\x0F\x01\x03\x02db\x02\x02\x011\x00\x04\x01x\x011";
    let seen = scan(Expect::Query, NEW, &client(true, false), &server[..server.len()]);
    assert_eq!(seen.client, b"\x07\0\0\x01\0\0\0\x02\0\0\0");
    assert_eq!(
        seen.completion.changes,
        [
            Change::Schema("db".to_owned()),
            Change::State,
            Change::Variable { name: "x".to_owned(), value: "1".to_owned() },
        ]
    );
    let seen = scan(Expect::Query, NEW, &client(true, true), server);
    assert_eq!(seen.client, b"\x0E\0\0\x01\0\0\0\x02\x40\0\0\x00\x05\x01\x03\x02db");
}

#[test]
fn info_outlives_the_trackers() {
    let server = b"\x0F\0\0\x01\0\x01\0\x02\x40\0\0\x02hi\x04\x02\x02\x011";
    let seen = scan(Expect::Query, NEW, &client(false, false), server);
    assert_eq!(seen.client, b"\x0A\0\0\x01\0\x01\0\x02\0\0\0\x02hi");
}

#[test]
fn progress_is_not_the_end() {
    let server = b"\x08\0\0\x01\xFF\xFF\xFF\x01\x01\x02\x10\x27\x07\0\0\x02\0\0\0\x02\0\0\0";
    let seen = scan(Expect::Query, NEW, &client(true, true), server);
    assert_eq!((&seen.client[..], seen.completion.outcome), (&server[..], Outcome::Ok));
}

#[test]
fn sequence_ids_wrap() {
    let mut server = BytesMut::from(&b"\x01\0\0\x01\x01\x05\0\0\x02\x03def1"[..]);
    let mut old = server.clone();
    let mut seq = 3_u8;
    old.extend_from_slice(b"\x05\0\0\x03\xFE\0\0\x02\0");
    for _ in 0..600 {
        put_packet(&mut old, seq.wrapping_add(1), b"\x01z");
        seq = put_packet(&mut server, seq, b"\x01z");
    }
    put_packet(&mut old, seq.wrapping_add(1), b"\xFE\0\0\x02\0");
    put_packet(&mut server, seq, b"\xFE\0\0\x02\0\0\0");
    let seen = scan(Expect::Query, NEW, &client(false, false), &server);
    assert_eq!(seen.client, old);
}

/// A row of 16 MiB begins with 0xFE, and its continuations with anything.
#[test]
fn a_row_of_many_packets_in_small_pieces() {
    for value_len in [MAX_PAYLOAD - 9, MAX_PAYLOAD, 2 * MAX_PAYLOAD - 9, 2 * MAX_PAYLOAD + 5] {
        let mut row = vec![0xFE];
        row.extend_from_slice(&(value_len as u64).to_le_bytes());
        row.resize(9 + value_len, 0xFF);
        let mut server = BytesMut::from(&b"\x01\0\0\x01\x01\x05\0\0\x02\x03def1"[..]);
        let mut old = server.clone();
        old.extend_from_slice(b"\x05\0\0\x03\xFE\0\0\x02\0");
        let seq = put_packet(&mut server, 3, &row);
        put_packet(&mut old, 4, &row);
        put_packet(&mut server, seq, b"\xFE\0\0\x02\0\0\0");
        put_packet(&mut old, seq + 1, b"\xFE\0\0\x02\0");
        for (to, expected) in [(client(true, true), &server), (client(false, false), &old)] {
            let mut scanner = ReplyScanner::new(Expect::Query, NEW, to);
            let seen = drive(&mut scanner, &server, &[1 << 16]).unwrap();
            assert!(seen.client == expected[..], "{value_len}");
            assert_eq!(seen.completion.rows, 1);
        }
    }
}

#[test]
fn where_the_proxy_could_speak() {
    let mut scanner = ReplyScanner::new(Expect::Query, NEW, client(true, true));
    assert_eq!((scanner.begun(), scanner.next_seq()), (false, 1));
    let mut input = ROWS_NEW[..19].to_vec();
    let scan = scanner.scan(&mut input, &mut BytesMut::new()).unwrap();
    assert_eq!((scan.consumed, scan.progress), (input.len(), Progress::More));
    assert_eq!((scanner.begun(), scanner.between_packets(), scanner.needs()), (true, false, 1));
    let scan = scanner.scan(&mut [b'a'], &mut BytesMut::new()).unwrap();
    assert_eq!(scan.consumed, 1);
    assert_eq!((scanner.between_packets(), scanner.next_seq()), (true, 4));
    assert_eq!(scanner.needs(), HEADER_LEN);
}

#[test]
fn what_must_be_seen_whole_is_bounded() {
    let mut ok = BytesMut::new();
    put_packet(&mut ok, 1, &vec![0; WHOLE_LIMIT + 1]);
    let mut scanner = ReplyScanner::new(Expect::Query, NEW, client(true, true));
    let seen = scanner.scan(&mut ok[..5], &mut BytesMut::new());
    assert!(matches!(seen, Err(Malformed::TooLarge { .. })));
}

#[test]
fn what_cannot_be() {
    for (expect, server) in [
        (Expect::Query, &b"\0\0\0\x01"[..]),
        (Expect::Query, b"\x02\0\0\x01\x01\x01"),
        (Expect::Prepare, b"\x05\0\0\x01\x03def1"),
        (Expect::Query, b"\x01\0\0\x01\x01\x05\0\0\x02\xFE\0\0\x02\0"),
    ] {
        let mut scanner = ReplyScanner::new(expect, NEW, client(true, true));
        assert!(drive(&mut scanner, server, &[]).is_err(), "{expect:?}");
    }
}
