//! A server that talks nonsense harms nobody but the session that asked: that one is told or
//! hung up on, the connection is closed and never used again, and everybody else is served.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use support::{
    client::{Error, Login, RawClient, capability},
    fake::{
        Fake, IDLE, IN_TRANSACTION, Line, Play, STATE_CHANGED, Stage, Then, Witness, bare_login,
        column_payload, err_payload, framed, ok_payload, play, resident, result_set, say_raw,
    },
    wait_for,
};

const MAY_HAVE_RUN: &str = "The connection to the server was lost: the statement may have run";

/// No honest client waits so long, however busy the machine.
const SLOW: Duration = Duration::from_secs(5);

/// What the session that asked saw.
#[derive(Debug, PartialEq)]
enum Saw {
    Told(u16, String, String),
    Closed,
    Served,
}

fn lost() -> Saw {
    Saw::Told(1053, "08S01".into(), MAY_HAVE_RUN.into())
}

/// Clients differ in what a result ends with; whatever is patched for one must not help the other.
fn logins() -> [Login; 2] {
    let modern = capability::DEPRECATE_EOF | capability::SESSION_TRACK;
    [bare_login(), bare_login().with(modern)]
}

fn saw(answer: Result<Vec<support::client::Row>, Error>) -> Saw {
    match answer {
        Ok(_) => Saw::Served,
        Err(Error::Server { code, state, message }) => {
            // Whose it was is another matter.
            let message = message.split(" (session ").next().unwrap().to_owned();
            Saw::Told(code, state, message)
        }
        Err(Error::Io(error)) => {
            let silent = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut];
            assert!(!silent.contains(&error.kind()), "neither told nor hung up on");
            Saw::Closed
        }
    }
}

/// One session asks, the server plays, and everything the promise says is looked at.
fn offend(play: &Play, expected: &Saw) {
    let mut stage = Stage::plain();
    stage.fake.on("SELECT bad", Arc::clone(play));
    let witness = Witness::send(stage.address());
    for login in logins() {
        let mut client = RawClient::login(stage.address(), &login).unwrap();
        client.query("SELECT before").unwrap();
        assert_eq!(&saw(client.query("SELECT bad")), expected);
        if *expected != Saw::Closed {
            client.query("SELECT afterwards").expect("the session lives");
        }
    }
    never_used_again(&stage, "SELECT bad");
    witness.noticed_nothing(SLOW);
    stage.is_as_before();
}

/// Each connection that was told `text` was closed soon after, and told nothing more.
fn never_used_again(stage: &Stage, text: &str) {
    let told = stage.fake.who_was_told(text);
    assert!(!told.is_empty(), "nobody was told {text}");
    for connection in told {
        wait_for("the connection to be closed", Duration::from_secs(10), || {
            (!stage.fake.is_open(connection)).then_some(())
        });
        assert_eq!(stage.fake.told_after(connection, text), Vec::<String>::new());
    }
}

#[test]
fn garbage() {
    offend(&say_raw("HTTP/1.1 400 Bad Request\r\n\r\n", Then::GoOn), &lost());
}

#[test]
fn an_end_without_a_beginning() {
    offend(&say_raw(framed(1, &[0xFE]), Then::GoOn), &lost());
}

#[test]
fn half_a_packet_and_the_end() {
    let ok = framed(1, &ok_payload(IDLE));
    for cut in [1, 4, 5, ok.len() - 1] {
        offend(&say_raw(&ok[..cut], Then::HangUp), &lost());
    }
}

#[test]
fn no_word_and_the_end() {
    offend(&play(|_| Then::HangUp), &lost());
}

#[test]
fn no_word_and_a_reset() {
    offend(&play(|line| line.reset()), &lost());
}

#[test]
fn an_ok_of_nonsense_length() {
    offend(&say_raw([0xF0, 0xFF, 0xFF, 1, 0], Then::GoOn), &lost());
}

#[test]
fn a_row_of_nonsense_length_and_the_end() {
    let mut reply = [framed(1, &[1]), framed(2, &column_payload("a"))].concat();
    reply.extend_from_slice(&[0xF0, 0xFF, 0xFF, 3, 1, b'x']);
    offend(&say_raw(reply, Then::HangUp), &Saw::Closed);
}

#[test]
fn an_ok_with_a_broken_session_track_block() {
    // The block is longer than the packet; an entry is longer than the block; an entry is cut.
    for block in [&b"\0\x7F"[..], &b"\0\x03\x00\x7Fa"[..], &b"\0\x04\x00\x02\x05a"[..]] {
        let mut payload = ok_payload(IDLE | STATE_CHANGED);
        payload.extend_from_slice(block);
        offend(&say_raw(framed(1, &payload), Then::GoOn), &lost());
    }
}

#[test]
fn an_ok_that_is_too_short() {
    offend(&say_raw(framed(1, &[0, 0]), Then::GoOn), &lost());
}

#[test]
fn too_few_definitions_and_the_end_of_rows() {
    let mut end = ok_payload(IDLE);
    end[0] = 0xFE;
    let reply = [framed(1, &[3]), framed(2, &column_payload("a")), framed(3, &end)].concat();
    offend(&say_raw(reply, Then::GoOn), &lost());
}

/// The client has a part of the reply already: an error in its place, and the end.
#[test]
fn nonsense_after_a_good_beginning() {
    let mut stage = Stage::plain();
    let bad = play(|line| {
        let _ = line.raw(&[framed(1, &[3]), framed(2, &column_payload("a"))].concat());
        thread::sleep(Duration::from_millis(200));
        let _ = line.raw(&framed(3, &[0xFE, 0, 0, 2, 0, 0, 0]));
        Then::GoOn
    });
    stage.fake.on("SELECT bad", bad);
    let witness = Witness::send(stage.address());
    let mut line = stage.line();
    line.query("SELECT bad").unwrap();
    let rest = line.rest();
    let message = format!("{MAY_HAVE_RUN} (session {})", line.id);
    let error = framed(3, &err_payload(1053, "08S01", &message));
    assert!(rest.ends_with(&error), "{rest:?}");
    never_used_again(&stage, "SELECT bad");
    witness.noticed_nothing(SLOW);
    drop(line);
    stage.is_as_before();
}

#[test]
fn more_than_one_reply_at_once() {
    let ok = framed(1, &ok_payload(IDLE));
    offend(&say_raw([ok.clone(), ok].concat(), Then::GoOn), &Saw::Served);
    let rows = result_set(&["a"], &[&["1"]], IDLE);
    offend(&say_raw([&rows[..], b"x"].concat(), Then::GoOn), &Saw::Served);
}

/// As servers do before they hang up on who is idle too long.
#[test]
fn an_unasked_error_to_an_idle_connection() {
    let mut stage = Stage::plain();
    let bad = play(|line| {
        let _ = line.ok();
        thread::sleep(Duration::from_millis(50));
        let _ = line.raw(&framed(0, &err_payload(4031, "HY000", "too long idle")));
        Then::GoOn
    });
    stage.fake.on("SELECT bad", bad);
    let mut client = stage.client();
    for _ in 0..5 {
        client.query("SELECT bad").unwrap();
        thread::sleep(Duration::from_millis(150));
        assert_eq!(client.query("SELECT 1").unwrap()[0][0].as_deref(), Some("paper"));
    }
    never_used_again(&stage, "SELECT bad");
    assert_eq!(stage.fake.who_was_told("SELECT bad").len(), 5);
    drop(client);
    stage.is_as_before();
}

/// Rows without an end stream by; they fill neither the proxy nor the pool.
#[test]
fn a_row_without_an_end() {
    let mut stage = Stage::plain();
    stage.fake.on("SELECT bad", play(endless_row));
    let witness = Witness::send(stage.address());
    let before = resident(stage.tidegate.pid());
    let mut line = stage.line();
    line.query("SELECT bad").unwrap();
    let (mut seen, mut buffer) = (0, vec![0; 1 << 20]);
    while seen < 100 << 20 {
        seen += std::io::Read::read(&mut line.stream, &mut buffer).unwrap();
    }
    let grown = resident(stage.tidegate.pid()).saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes for {seen} of a row");
    drop(line);
    never_used_again(&stage, "SELECT bad");
    witness.noticed_nothing(SLOW);
    stage.is_as_before();
}

fn endless_row(line: &mut Line) -> Then {
    let _ = line.raw(&[framed(1, &[1]), framed(2, &column_payload("a"))].concat());
    let chunk = vec![b'x'; 0xFF_FFFF];
    let mut first = chunk.clone();
    first[..9].copy_from_slice(&[0xFE, 0, 0, 0, 0, 0, 1, 0, 0]);
    let mut seq = 3_u8;
    let mut sent = line.raw(&framed(seq, &first));
    while sent.is_ok() {
        seq = seq.wrapping_add(1);
        sent = line.raw(&framed(seq, &chunk));
    }
    Then::HangUp
}

/// A slow server is no bad one.
#[test]
fn one_byte_at_a_time_is_served() {
    let mut stage = Stage::plain();
    let slow = play(|line| {
        let reply = result_set(&["a", "b"], &[&["1", "two"], &["", "4"]], IDLE);
        let _ = line.dribble(&reply, Duration::from_millis(2));
        Then::GoOn
    });
    stage.fake.on("SELECT slow", slow);
    for login in logins() {
        let mut client = RawClient::login(stage.address(), &login).unwrap();
        let rows = client.query("SELECT slow").unwrap();
        let rows: Vec<Vec<_>> =
            rows.iter().map(|row| row.iter().flatten().map(String::as_str).collect()).collect();
        assert_eq!(rows, [["1", "two"], ["", "4"]]);
        client.query("SELECT 1").unwrap();
    }
    let told = stage.fake.who_was_told("SELECT slow");
    assert_eq!(told[0], told[1], "a good connection is used again");
    stage.is_as_before();
}

/// A server refuses a statement at its header, says so and hangs up; the client is still writing.
#[test]
fn an_error_before_the_request_was_read() {
    let mut stage = Stage::plain();
    let refuse = play(|line| {
        let _ = line.err(1153, "08S01", "Got a packet bigger than allowed");
        line.half_close();
        line.until_gone()
    });
    stage.fake.on_longer(1 << 20, refuse);
    let witness = Witness::send(stage.address());
    let mut client = stage.client();
    let long = format!("SELECT '{}'", "x".repeat(4 << 20));
    let told = saw(client.query(&long));
    assert_eq!(
        told,
        Saw::Told(1153, "08S01".into(), "Got a packet bigger than allowed".into()),
        "the server's own word arrives"
    );
    client.query("SELECT 1").expect("the session lives");
    never_used_again(&stage, "early");
    witness.noticed_nothing(SLOW);
    drop(client);
    stage.is_as_before();
}

/// The same from a server that does not even listen: its word may be lost, the session is not.
#[test]
fn a_reset_before_the_request_was_read() {
    let mut stage = Stage::plain();
    stage.fake.on_longer(1 << 20, play(|line| line.reset()));
    let witness = Witness::send(stage.address());
    let mut client = stage.client();
    let long = format!("SELECT '{}'", "x".repeat(4 << 20));
    let Saw::Told(1053, _, message) = saw(client.query(&long)) else { panic!("not told") };
    assert!(message.ends_with("was not started") || message.ends_with("may have run"), "{message}");
    client.query("SELECT 1").expect("the session lives");
    never_used_again(&stage, "early");
    witness.noticed_nothing(SLOW);
    drop(client);
    stage.is_as_before();
}

#[test]
fn a_transaction_is_said_to_be_lost() {
    let mut stage = Stage::plain();
    stage.fake.on("SELECT bad", play(|_| Then::HangUp));
    let mut client = stage.client();
    client.query("BEGIN").unwrap();
    let Saw::Told(1053, _, message) = saw(client.query("SELECT bad")) else { panic!("not told") };
    assert!(message.contains("the transaction is lost"), "{message}");
    client.query("SELECT 1").expect("the session lives");
    never_used_again(&stage, "SELECT bad");
    drop(client);
    stage.is_as_before();
}

/// A client that goes away in a transaction leaves a connection that must be cleaned, and cannot
/// be.
#[test]
fn a_reset_that_is_answered_with_nonsense() {
    for bad in [
        play(|_| Then::HangUp),
        say_raw(framed(1, b""), Then::GoOn),
        say_raw(framed(1, &err_payload(1047, "08S01", "Unknown command")), Then::GoOn),
        say_raw([framed(1, &ok_payload(IDLE)), framed(1, &ok_payload(IDLE))].concat(), Then::GoOn),
    ] {
        let mut stage = Stage::plain();
        let mut client = stage.client();
        client.query("BEGIN").unwrap();
        stage.fake.on("COM_RESET_CONNECTION", bad);
        let told_before = stage.fake.who_was_told("COM_RESET_CONNECTION").len();
        drop(client);
        wait_for("the reset", Duration::from_secs(5), || {
            (stage.fake.who_was_told("COM_RESET_CONNECTION").len() > told_before).then_some(())
        });
        let connection = *stage.fake.who_was_told("BEGIN").first().unwrap();
        wait_for("the connection to be closed", Duration::from_secs(10), || {
            (!stage.fake.is_open(connection)).then_some(())
        });
        let nothing_of_mine = |text: &String| text.starts_with("SET SESSION");
        let after = stage.fake.told_after(connection, "COM_RESET_CONNECTION");
        assert!(after.iter().all(nothing_of_mine), "{after:?}");
        stage.is_as_before();
    }
}

/// Whether the transaction goes on is asked with a ping after an error; without an answer nobody
/// else may have the connection.
#[test]
fn a_ping_that_is_answered_with_nonsense() {
    for bad in [
        play(|_| Then::HangUp),
        say_raw(framed(1, b""), Then::GoOn),
        say_raw([framed(1, &ok_payload(IDLE)), framed(1, &ok_payload(IDLE))].concat(), Then::GoOn),
    ] {
        let mut stage = Stage::plain();
        stage.fake.on("COM_PING", bad);
        // No autocommit: an error does not say whether a transaction is open.
        stage.fake.on("SET autocommit=0", say_raw(framed(1, &ok_payload(0)), Then::GoOn));
        stage.fake.on(
            "SELECT bad",
            play(|line| {
                let _ = line.err(1205, "HY000", "Lock wait timeout exceeded");
                Then::GoOn
            }),
        );
        let mut client = stage.client();
        client.query("SET autocommit=0").unwrap();
        assert_eq!(client.query("SELECT bad").unwrap_err().code(), 1205);
        let connection = *stage.fake.who_was_told("SELECT bad").first().unwrap();
        assert_eq!(stage.fake.who_was_told("COM_PING"), [connection]);
        drop(client);
        wait_for("the connection to be closed", Duration::from_secs(10), || {
            (!stage.fake.is_open(connection)).then_some(())
        });
        assert_eq!(stage.fake.told_after(connection, "COM_PING"), Vec::<String>::new());
        stage.is_as_before();
    }
}

/// What is refused while dialing is told to who waits for it, and passes with its cause.
fn dial_badly(set: impl Fn(&Fake, Option<Play>), bad: Play, code: u16, words: &[&str]) {
    let mut stage = Stage::plain();
    let mut holder = stage.client();
    holder.query("BEGIN").unwrap();
    set(&stage.fake, Some(bad));
    let mut unlucky = stage.client();
    let told = saw(unlucky.query("SELECT 1"));
    let Saw::Told(seen, state, message) = &told else { panic!("{told:?}") };
    assert_eq!((*seen, state.as_str()), (code, "HY000"), "{message}");
    assert!(words.iter().all(|word| message.contains(word)), "{message}");
    holder.query("SELECT 1").expect("who has a connection notices nothing");
    holder.query("COMMIT").unwrap();
    set(&stage.fake, None);
    wait_for("the trouble to pass", Duration::from_secs(5), || unlucky.query("SELECT 1").ok());
    drop((holder, unlucky));
    stage.is_as_before();
}

#[test]
fn a_greeting_of_garbage() {
    let http = say_raw("HTTP/1.1 400 Bad Request\r\n\r\n", Then::HangUp);
    dial_badly(Fake::on_connect, http, 9501, &["acquire database connection"]);
    let protocol_9 = say_raw(framed(0, b"\x093.20\0\0\0\0"), Then::HangUp);
    dial_badly(Fake::on_connect, protocol_9, 9501, &["cannot be understood", "greeting"]);
    let cut = say_raw(framed(0, b"\x0A8.4"), Then::HangUp);
    dial_badly(Fake::on_connect, cut, 9501, &["cannot be understood", "greeting"]);
    let empty = say_raw(framed(0, b""), Then::HangUp);
    dial_badly(Fake::on_connect, empty, 9501, &["cannot be understood"]);
}

/// Before the login's end servers leave the SQLSTATE out.
#[test]
fn a_greeting_that_is_an_error() {
    for (code, text) in [(1040, "Too many connections"), (1129, "Host 'x' is blocked")] {
        let full = say_raw(framed(0, &err_payload(code, "", text)), Then::HangUp);
        let code = format!("({code})");
        let words = ["Timed-out waiting to acquire database connection", text, &code];
        dial_badly(Fake::on_connect, full, 9501, &words);
    }
}

#[test]
fn a_server_that_hangs_up_at_once() {
    let words = ["Timed-out waiting to acquire database connection", "last error of the target"];
    dial_badly(Fake::on_connect, play(|_| Then::HangUp), 9501, &words);
}

#[test]
fn a_greeting_that_never_comes() {
    let words = ["Timed-out waiting to acquire database connection", "pool.borrow_timeout"];
    dial_badly(Fake::on_connect, play(Line::until_gone), 9501, &words);
}

#[test]
fn a_login_that_is_never_answered() {
    let words = ["Timed-out waiting to acquire database connection", "pool.borrow_timeout"];
    dial_badly(Fake::on_login, play(Line::until_gone), 9501, &words);
}

#[test]
fn a_login_that_is_answered_for_ever() {
    let more = play(|line| {
        while line.say(&[1, 3]).is_ok() {}
        Then::HangUp
    });
    dial_badly(Fake::on_login, more, 9501, &["acquire database connection"]);
}

#[test]
fn a_switch_to_a_plugin_nobody_speaks() {
    let switch = play(|line| {
        let _ = line.say(b"\xFEdialog\0Say friend and enter\0");
        line.until_gone()
    });
    dial_badly(Fake::on_login, switch, 9501, &["cannot authenticate", "dialog"]);
}

/// Whoever stands in for a server must not be told the password.
#[test]
fn a_request_for_the_clear_password() {
    let heard = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&heard);
    let switch = play(move |line| {
        let _ = line.say(b"\xFEmysql_clear_password\0");
        let mut answer = [0; 64];
        let count = std::io::Read::read(&mut line.stream, &mut answer).unwrap_or(0);
        counted.fetch_add(count as u64, Ordering::Relaxed);
        Then::HangUp
    });
    dial_badly(Fake::on_login, switch, 9501, &["cannot authenticate", "tls.target.mode verifies"]);
    assert_eq!(heard.load(Ordering::Relaxed), 0, "something was answered");
}

/// A greeting that trickles in is slow, no more.
#[test]
fn a_greeting_one_byte_at_a_time_is_served() {
    let fake = Fake::start().with_sha2();
    fake.on_connect(Some(play(|line| {
        let greeting = framed(0, &support::fake::greeting_payload(line.id, true));
        let _ = line.dribble(&greeting, Duration::from_millis(1));
        Then::GoOn
    })));
    let mut stage = Stage::over(fake, |config| config.section("pool", Stage::POOL));
    stage.client().query("SELECT 1").unwrap();
    stage.is_as_before();
}

/// A connection of one login is wanted for another, and the server will not have it: a new one is
/// dialed, and who asked notices nothing.
#[test]
fn a_change_of_user_that_fails() {
    for bad in [
        play(|_| Then::HangUp),
        play(|line| line.reset()),
        say_raw(framed(1, &err_payload(1047, "08S01", "Unknown command")), Then::HangUp),
        say_raw("HTTP/1.1 400 Bad Request\r\n\r\n", Then::GoOn),
        say_raw(framed(1, b""), Then::GoOn),
    ] {
        let mut stage = Stage::plain();
        let mut all: Vec<RawClient> = (0..4).map(|_| stage.client()).collect();
        for client in &mut all {
            client.query("BEGIN").unwrap();
        }
        for client in &mut all {
            client.query("COMMIT").unwrap();
        }
        stage.fake.on("COM_CHANGE_USER app_b", bad);
        let other = Login::new("app_b", "app_b-password");
        let mut other = RawClient::login(stage.address(), &other).unwrap();
        other.query("SELECT 1").expect("a connection of its own");
        never_used_again(&stage, "COM_CHANGE_USER app_b");
        assert_eq!(stage.fake.who_was_told("login app_b").len(), 1);
        drop((all, other));
        stage.is_as_before();
    }
}

/// A server that does not answer keeps one session waiting, and nobody else.
#[test]
fn silence_keeps_one_waiting() {
    let mut stage = Stage::plain();
    let silent = play(|line| {
        thread::sleep(Duration::from_secs(1));
        line.reset()
    });
    stage.fake.on("SELECT bad", silent);
    let witness = Witness::send(stage.address());
    let mut client = stage.client();
    let started = Instant::now();
    assert_eq!(saw(client.query("SELECT bad")), lost());
    assert!(started.elapsed() > Duration::from_millis(900));
    never_used_again(&stage, "SELECT bad");
    witness.noticed_nothing(SLOW);
    drop(client);
    stage.is_as_before();
}

/// A statement over its time is killed, and one whose server ignores that is killed harder.
#[test]
fn silence_ends_at_the_limit_of_a_query() {
    let mut stage = Stage::set(|config| {
        config.section("pool", Stage::POOL).section("client", "max_query = \"1s\"")
    });
    // As a server does whose statement is interrupted.
    let killed = play(|line| {
        thread::sleep(Duration::from_millis(2500));
        let _ = line.err(1317, "70100", "Query execution was interrupted");
        Then::GoOn
    });
    stage.fake.on("SELECT bad", killed);
    let mut client = stage.client();
    let told = saw(client.query("SELECT bad"));
    let Saw::Told(3024, _, message) = &told else { panic!("{told:?}") };
    assert!(message.contains("client.max_query"), "{message}");
    let connection = stage.fake.who_was_told("SELECT bad")[0];
    assert!(!stage.fake.who_was_told(&format!("KILL QUERY {connection}")).is_empty());
    client.query("SELECT 1").unwrap();
    drop(client);
    stage.is_as_before();
}

/// The bound holds while every second connection breaks.
#[test]
fn many_at_once_on_a_server_that_breaks_all_the_time() {
    let mut stage = Stage::plain();
    stage.fake.on(
        "SELECT bad",
        play(|line| {
            let _ = line.raw(&[7, 0]);
            line.reset()
        }),
    );
    let address = stage.address();
    let threads: Vec<_> = (0..16)
        .map(|number| {
            let address = address.clone();
            thread::spawn(move || {
                let mut client = RawClient::login(address, &bare_login()).unwrap();
                for round in 0..20 {
                    if (number + round) % 2 == 0 {
                        assert_eq!(saw(client.query("SELECT bad")), lost());
                    } else {
                        client.query("SELECT 1").expect("a good statement");
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("every session was told or served");
    }
    never_used_again(&stage, "SELECT bad");
    assert_eq!(stage.fake.who_was_told("SELECT bad").len(), 160);
    stage.is_as_before();
}

/// A server ends what is idle too long in a transaction: the client hears of it, and its next
/// statement runs nowhere as if nothing had been.
#[test]
fn an_unasked_error_in_a_transaction() {
    let mut stage = Stage::plain();
    let bad = play(|line| {
        let _ = line.raw(&framed(1, &ok_payload(IN_TRANSACTION)));
        thread::sleep(Duration::from_millis(50));
        let _ = line.raw(&framed(0, &err_payload(4031, "HY000", "too long idle")));
        Then::HangUp
    });
    stage.fake.on("SELECT bad", bad);
    let mut client = stage.client();
    client.query("BEGIN").unwrap();
    client.query("SELECT bad").unwrap();
    thread::sleep(Duration::from_millis(200));
    let mut codes = Vec::new();
    while let Err(error) = client.query("UPDATE t SET a=1") {
        codes.push(error.code());
        assert!([4031, 1053].contains(&error.code()), "{error}");
        assert!(codes.len() < 3, "the session lives again");
    }
    assert!(!codes.is_empty(), "the transaction was lost without a word");
    never_used_again(&stage, "SELECT bad");
    drop(client);
    stage.is_as_before();
}

/// A transaction keeps its connection to itself: what the tests above call the same connection is.
#[test]
fn the_fakes_own_transactions_are_seen() {
    let mut stage = Stage::plain();
    let mut client = stage.client();
    client.query("BEGIN").unwrap();
    let mine = client.query("SELECT who").unwrap();
    let mut other = stage.client();
    assert_ne!(other.query("SELECT who").unwrap(), mine, "a held connection is not shared");
    stage.fake.on("SELECT in", say_raw(framed(1, &ok_payload(IN_TRANSACTION)), Then::GoOn));
    client.query("SELECT in").unwrap();
    assert_eq!(client.query("SELECT who").unwrap(), mine);
    client.query("COMMIT").unwrap();
    drop((client, other));
    stage.is_as_before();
}
