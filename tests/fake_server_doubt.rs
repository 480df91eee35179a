//! Where a server's word cannot be right, the connection is in doubt: it is closed, and nobody else
//! is served by it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]

mod support;

use std::{thread, time::Duration};

use support::{
    client::RawClient,
    fake::{
        IDLE, IN_TRANSACTION, Line, Play, Stage, Then, column_payload, err_payload, framed,
        ok_payload, play, say_raw,
    },
    wait_for,
};

const MAY_HAVE_RUN: &str = "The connection to the server was lost: the statement may have run";
const SOON: Duration = Duration::from_secs(5);

/// What comes back for a `SELECT bad` is this error, as packet `seq`, and the server's connection is
/// gone.
fn lost(bad: Play, seq: u8) {
    let mut stage = Stage::plain();
    stage.fake.on("SELECT bad", bad);
    let mut line = stage.line();
    line.stream.set_read_timeout(Some(SOON)).unwrap();
    line.query("SELECT bad").unwrap();
    line.half_close();
    let message = format!("{MAY_HAVE_RUN} (session {})", line.id);
    let error = framed(seq, &err_payload(1053, "08S01", &message));
    let rest = line.rest();
    assert!(rest.ends_with(&error), "{rest:?}");
    drop(line);
    closed_and_never_used(&stage, "SELECT bad");
    stage.is_as_before();
}

fn closed_and_never_used(stage: &Stage, text: &str) {
    for connection in stage.fake.who_was_told(text) {
        wait_for("the connection to be closed", SOON, || {
            (!stage.fake.is_open(connection)).then_some(())
        });
        assert_eq!(stage.fake.told_after(connection, text), Vec::<String>::new());
    }
}

/// Four bytes are a whole packet, and no reply.
#[test]
fn an_empty_packet() {
    lost(say_raw(framed(1, b""), Then::GoOn), 1);
}

/// A reply's first packet is number 1; another number is another reply's.
#[test]
fn a_reply_that_begins_with_the_wrong_number() {
    for seq in [0, 2, 7, 255] {
        lost(say_raw(framed(seq, &ok_payload(IDLE)), Then::GoOn), 1);
    }
}

#[test]
fn a_reply_whose_numbers_jump() {
    let mut end = ok_payload(IDLE);
    end[0] = 0xFE;
    let numbered = |numbers: [u8; 4]| {
        let payloads = [vec![1], column_payload("a"), b"\x01x".to_vec(), end.clone()];
        let packets = numbers.into_iter().zip(payloads);
        packets.map(|(seq, payload)| framed(seq, &payload)).collect::<Vec<_>>().concat()
    };
    for numbers in [[1, 2, 3, 9], [1, 2, 2, 3], [1, 3, 4, 5]] {
        lost(say_raw(numbered(numbers), Then::GoOn), 1);
    }
}

/// Whoever did not offer its files is not asked for one.
#[test]
fn a_request_for_a_file_of_a_client_that_gives_none() {
    lost(say_raw(framed(1, b"\xFB/etc/passwd"), Then::GoOn), 1);
}

/// In a transaction the connection stays in hand. Something that came unasked must not pass for the
/// next answer: the true one would be the next client's.
#[test]
fn an_answer_of_one_transaction_does_not_reach_another_client() {
    let mut stage = Stage::set(|config| config.section("pool", "max_connections = 1"));
    stage.bound = 2;
    let talk = play(|line| {
        let _ = line.raw(&framed(1, &ok_payload(IN_TRANSACTION)));
        thread::sleep(Duration::from_millis(100));
        let _ = line.raw(&framed(1, &ok_payload(IDLE)));
        Then::GoOn
    });
    stage.fake.on("SELECT talk", talk);
    let secret = play(|line| {
        thread::sleep(Duration::from_millis(500));
        let _ = line.row("secret", "of the first");
        Then::GoOn
    });
    stage.fake.on("SELECT secret", secret);
    let mut first = stage.client();
    first.query("BEGIN").unwrap();
    first.query("SELECT talk").unwrap();
    thread::sleep(Duration::from_millis(300));
    let _ = first.query("SELECT secret");
    let mut second = stage.client();
    let rows = second.query("SELECT echo mine").expect("a connection without a past");
    assert_eq!(rows, [[Some("mine".to_owned())]]);
}

/// Nobody waits for the answer any more: the statement is killed and the connection closed.
#[test]
fn a_client_that_hangs_up_while_the_server_thinks() {
    let mut stage = Stage::plain();
    stage.fake.on("SELECT bad", play(Line::until_gone));
    let clients: Vec<RawClient> = (1..stage.bound)
        .map(|_| {
            let mut client = stage.client();
            client.command(b"\x03SELECT bad").unwrap();
            client
        })
        .collect();
    wait_for("the statements to begin", SOON, || {
        (stage.fake.who_was_told("SELECT bad").len() == clients.len()).then_some(())
    });
    drop(clients);
    closed_and_never_used(&stage, "SELECT bad");
    stage.is_as_before();
}
