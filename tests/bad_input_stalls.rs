//! A client that stops in the middle of something is not left alone with what it holds: the limits
//! on its idleness, a KILL and a drain reach it wherever it stopped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]

mod support;

use std::{thread, time::Duration};

use support::{
    fake::{Line, Stage, framed},
    wait_for,
};

/// The limits are a second, and looked at every second.
const SOON: Duration = Duration::from_secs(6);

fn stage() -> Stage {
    let limits = ["idle_timeout", "idle_in_transaction_timeout", "max_transaction", "max_query"];
    let limits: Vec<String> = limits.iter().map(|name| format!("{name} = \"1s\"")).collect();
    Stage::set(|config| config.section("pool", Stage::POOL).section("client", &limits.join("\n")))
}

/// Ended within the limits, with a word or without one.
fn is_ended(mut line: Line) {
    line.stream.set_read_timeout(Some(SOON)).unwrap();
    line.rest();
}

/// What every other test here relies on.
#[test]
fn a_client_that_says_nothing() {
    let mut stage = stage();
    is_ended(stage.line());
    let mut line = stage.line();
    line.query("BEGIN").unwrap();
    line.hear().unwrap();
    is_ended(line);
    stage.is_as_before();
}

#[test]
fn half_a_header() {
    let mut stage = stage();
    let mut line = stage.line();
    line.raw(&[0x20, 0]).unwrap();
    is_ended(line);
    stage.is_as_before();
}

#[test]
fn half_a_header_in_a_transaction() {
    let mut stage = stage();
    let mut line = stage.line();
    line.query("BEGIN").unwrap();
    line.hear().unwrap();
    line.raw(&[0x20]).unwrap();
    is_ended(line);
    stage.is_as_before();
}

#[test]
fn half_a_short_request() {
    let mut stage = stage();
    let mut line = stage.line();
    line.raw(&framed(0, b"\x03SELECT 1")[..9]).unwrap();
    is_ended(line);
    stage.is_as_before();
}

/// A request that is too long to be seen whole has a server connection from its first bytes on:
/// as many as there are, and nobody else would be served.
#[test]
fn half_a_long_request_does_not_keep_the_servers_connections() {
    let mut stage = stage();
    let long = framed(0, &[&b"\x03SELECT '"[..], &vec![b'x'; 1 << 20]].concat());
    let stalled: Vec<Line> = (1..stage.bound)
        .map(|_| {
            let mut line = stage.line();
            line.raw(&long[..200_000]).unwrap();
            line
        })
        .collect();
    thread::sleep(Duration::from_millis(300));
    let mut honest = stage.client();
    wait_for("an honest client to be served", SOON * 2, || honest.query("SELECT 1").ok());
    for line in stalled {
        is_ended(line);
    }
    drop(honest);
    stage.is_as_before();
}

/// Nor does one that is asked for its password in the middle of a transaction.
#[test]
fn a_change_of_user_that_is_never_gone_on_with() {
    let mut stage = stage();
    let stalled: Vec<Line> = (1..stage.bound)
        .map(|_| {
            let mut line = stage.line();
            line.query("BEGIN").unwrap();
            line.hear().unwrap();
            line.command(b"\x11app\0\0\0").unwrap();
            assert_eq!(line.hear().unwrap().first(), Some(&0xFE));
            line
        })
        .collect();
    let mut honest = stage.client();
    wait_for("an honest client to be served", SOON * 2, || honest.query("SELECT 1").ok());
    for line in stalled {
        is_ended(line);
    }
    drop(honest);
    stage.is_as_before();
}

#[test]
fn a_kill_reaches_half_a_request() {
    let mut stage = Stage::plain();
    let mut line = Line::connect(&stage.address());
    let greeting = line.hear().unwrap();
    let version = greeting.iter().position(|byte| *byte == 0).unwrap();
    let id = u32::from_le_bytes(greeting[version + 1..version + 5].try_into().unwrap());
    line.seq = 1;
    line.say(&support::fake::login_payload(&support::fake::bare_login(), &greeting)).unwrap();
    line.hear().unwrap();
    line.hear().unwrap();
    line.raw(&[0x20, 0]).unwrap();
    thread::sleep(Duration::from_millis(100));
    stage.client().query(&format!("KILL {id}")).unwrap();
    is_ended(line);
    stage.is_as_before();
}

#[test]
fn a_drain_does_not_wait_for_half_a_request() {
    let mut stage = Stage::plain();
    let mut line = stage.line();
    line.raw(&[0x20, 0]).unwrap();
    thread::sleep(Duration::from_millis(100));
    stage.tidegate.sigterm();
    let ended = stage.tidegate.wait(SOON).expect("the drain is over");
    assert_eq!(ended.code(), Some(0));
}
