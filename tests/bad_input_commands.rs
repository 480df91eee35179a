//! Whatever a client sends in place of a command, it is told what was wrong or hung up on, the
//! server hears none of it, and the connection it would have used is as good as before.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]

mod support;

use std::{thread, time::Duration};

use support::{
    client::Login,
    fake::{Line, Stage, Then, Witness, bare_login, framed, nonce, play, resident, sha2_answer},
};

/// No honest client waits so long, however busy the machine.
const SLOW: Duration = Duration::from_secs(5);

/// Commands that a server may be told, or that the proxy answers itself.
const KNOWN: [u8; 17] = [1, 2, 3, 4, 7, 9, 12, 13, 14, 17, 22, 23, 24, 25, 26, 27, 28];
const RESET_CONNECTION: u8 = 31;

/// The code of an ERR; anything else is not what was expected.
fn code(packet: &[u8]) -> u16 {
    assert_eq!(packet.first(), Some(&0xFF), "an error: {packet:?}");
    u16::from_le_bytes([packet[1], packet[2]])
}

fn lives(line: &mut Line) {
    line.command(&[14]).unwrap();
    assert_eq!(line.hear().expect("an answer to a ping").first(), Some(&0), "the session lives");
}

/// No packet of a reply but its last is looked at by these tests.
fn served(line: &mut Line) {
    line.query("SELECT 1").unwrap();
    assert_eq!(line.hear().expect("a reply"), [1]);
    for _ in 0..4 {
        line.hear().unwrap();
    }
}

#[test]
fn every_command_there_is_not() {
    let mut stage = Stage::plain();
    let witness = Witness::send(stage.address());
    let mut line = stage.line();
    let unknown = |byte: &u8| !KNOWN.contains(byte) && *byte != RESET_CONNECTION;
    for byte in (0..=255).filter(unknown) {
        for body in [&b""[..], b"x", &[0xFF; 300]] {
            line.command(&[&[byte], body].concat()).unwrap();
            assert_eq!(code(&line.hear().unwrap()), 1047, "command {byte}");
        }
        lives(&mut line);
    }
    let heard = stage.fake.told();
    assert!(heard.iter().all(|told| !told.text.starts_with("COM ")), "{heard:?}");
    witness.noticed_nothing(SLOW);
    drop(line);
    stage.is_as_before();
}

/// Each with no body, with a byte, and with bytes that mean nothing: told, served or hung up on,
/// and never left without an answer.
#[test]
fn every_command_there_is_with_a_body_that_is_not() {
    let mut stage = Stage::plain();
    let witness = Witness::send(stage.address());
    for byte in KNOWN.into_iter().chain([RESET_CONNECTION]) {
        for body in [&b""[..], b"\x01", b"\x01\0\0", &[0xFF; 7], &[0xFF; 300]] {
            let mut line = stage.line();
            line.command(&[&[byte], body].concat()).unwrap();
            // Behind it comes something with an answer, for commands that have none.
            line.query("SELECT 1").unwrap();
            line.half_close();
            let answer = line.rest();
            assert!(!answer.is_empty() || byte == 1, "command {byte} with {body:?}");
        }
    }
    witness.noticed_nothing(SLOW);
    stage.is_as_before();
}

#[test]
fn empty_packets() {
    let mut stage = Stage::plain();
    let mut line = stage.line();
    for _ in 0..10 {
        line.raw(&[0, 0, 0, 0]).unwrap();
        assert_eq!(code(&line.hear().unwrap()), 1047);
    }
    served(&mut line);
    drop(line);
    stage.is_as_before();
}

#[test]
fn numbers_that_do_not_begin_at_zero() {
    let mut stage = Stage::plain();
    for seq in [1, 2, 127, 255] {
        let mut line = stage.line();
        line.raw(&framed(seq, b"\x03SELECT injected")).unwrap();
        let rest = line.rest();
        assert_eq!(code(&rest[4..]), 1156, "number {seq}");
        assert_eq!(rest[3], seq.wrapping_add(1));
    }
    assert_eq!(stage.fake.who_was_told("SELECT injected"), Vec::<u32>::new());
    stage.is_as_before();
}

/// A client that has said its last word still hears the answer.
#[test]
fn a_half_closed_client_gets_its_reply() {
    let mut stage = Stage::plain();
    stage.fake.on(
        "SELECT slow",
        play(|line| {
            thread::sleep(Duration::from_millis(400));
            let _ = line.row("value", "late");
            Then::GoOn
        }),
    );
    for sql in ["SELECT 1", "SELECT slow"] {
        let mut line = stage.line();
        line.query(sql).unwrap();
        line.half_close();
        let reply = line.rest();
        let value = if sql == "SELECT 1" { &b"\x05paper"[..] } else { b"\x04late" };
        assert!(reply.windows(value.len()).any(|window| window == value), "{sql}: {reply:?}");
    }
    stage.is_as_before();
}

#[test]
fn a_client_that_hangs_up_in_the_middle_of_a_request() {
    let mut stage = Stage::plain();
    let long = framed(0, &[&b"\x03SELECT injected"[..], &vec![b' '; 200_000]].concat());
    for cut in [1, 3, 4, 5, 10, 70_000, long.len() - 1] {
        let mut line = stage.line();
        line.raw(&long[..cut]).unwrap();
        line.half_close();
        assert_eq!(line.rest(), b"", "cut at {cut}");
    }
    let heard = stage.fake.told();
    assert!(heard.iter().all(|told| !told.text.contains("injected")), "run though not whole");
    stage.is_as_before();
}

/// Many commands at once, none of whose replies is read until the last is sent.
#[test]
fn commands_without_patience_are_all_answered() {
    let mut stage = Stage::plain();
    let before = resident(stage.tidegate.pid());
    let mut line = stage.line();
    let mut reader = line.stream.try_clone().unwrap();
    let batch = [framed(0, &[14]), framed(0, b"\x03SET @a=1")].concat().repeat(1000);
    let writing = thread::spawn(move || {
        for _ in 0..10 {
            line.raw(&batch).unwrap();
        }
        line.half_close();
        line
    });
    thread::sleep(Duration::from_millis(300));
    let grown = resident(stage.tidegate.pid()).saturating_sub(before);
    assert!(grown < 16 << 20, "{grown}");
    let mut replies = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut replies).unwrap();
    drop(writing.join().unwrap());
    assert_eq!(replies.len(), 20_000 * 11, "an OK of 11 bytes each");
    stage.is_as_before();
}

fn prepare(line: &mut Line, sql: &str) -> u32 {
    line.command(&[&[22], sql.as_bytes()].concat()).unwrap();
    let reply = line.hear().unwrap();
    assert_eq!(reply[0], 0, "{reply:?}");
    // A definition and an EOF of each kind there is.
    let more = usize::from(reply[5]) * 2 + if reply[7] > 0 { usize::from(reply[7]) + 1 } else { 0 };
    for _ in 0..more {
        line.hear().unwrap();
    }
    u32::from_le_bytes(reply[1..5].try_into().unwrap())
}

fn execute(id: u32, rest: &[u8]) -> Vec<u8> {
    [&[23], &id.to_le_bytes()[..], rest].concat()
}

/// Flags, an iteration, no NULL, a type and a value.
const BOUND: &[u8] = &[0, 1, 0, 0, 0, 0, 1, 0xFD, 0, 1, b'x'];

#[test]
fn executes_that_end_at_every_byte() {
    let mut stage = Stage::plain();
    let witness = Witness::send(stage.address());
    let mut line = stage.line();
    let id = prepare(&mut line, "SELECT ?");
    let bare = prepare(&mut line, "SELECT 2");
    let whole = execute(id, BOUND);
    // What values there are is the server's to see.
    for end in 1..whole.len() - 2 {
        line.command(&whole[..end]).unwrap();
        assert_eq!(code(&line.hear().unwrap()), 1835, "ends at {end}");
    }
    for end in 5..10 {
        line.command(&execute(bare, BOUND)[..end]).unwrap();
        assert_eq!(code(&line.hear().unwrap()), 1835, "without parameters, ends at {end}");
    }
    assert_eq!(stage.fake.who_was_told("COM_EXECUTE"), Vec::<u32>::new());
    line.command(&whole).unwrap();
    assert_eq!(line.hear().unwrap(), [1], "it can be done right");
    for _ in 0..4 {
        line.hear().unwrap();
    }
    lives(&mut line);
    witness.noticed_nothing(SLOW);
    drop(line);
    stage.is_as_before();
}

#[test]
fn statements_nobody_prepared() {
    let mut stage = Stage::plain();
    let mut other = stage.line();
    let others = prepare(&mut other, "SELECT 'mine'");
    let mut line = stage.line();
    for id in [others, 0, 7, u32::MAX, u32::MAX - 1] {
        for rest in [&b""[..], BOUND, &[0xFF; 300]] {
            line.command(&execute(id, rest)).unwrap();
            assert_eq!(code(&line.hear().unwrap()), 1243, "execute {id}");
        }
        line.command(&[&[28], &id.to_le_bytes()[..], &[1, 0, 0, 0]].concat()).unwrap();
        assert_eq!(code(&line.hear().unwrap()), 1243, "fetch {id}");
        line.command(&[&[26], &id.to_le_bytes()[..]].concat()).unwrap();
        assert_eq!(code(&line.hear().unwrap()), 1243, "reset {id}");
        // Neither of them has a reply.
        line.command(&[&[24], &id.to_le_bytes()[..], &[0, 0, b'x']].concat()).unwrap();
        line.command(&[&[25], &id.to_le_bytes()[..]].concat()).unwrap();
        lives(&mut line);
    }
    for short in [&[24][..], &[24, 1], &[25], &[25, 1, 0, 0]] {
        line.command(short).unwrap();
        lives(&mut line);
    }
    for short in [&[26][..], &[28, 1, 0], &[12], &[12, 1, 0, 0], &[23, 1, 0, 0]] {
        line.command(short).unwrap();
        assert_eq!(code(&line.hear().unwrap()), 1835, "{short:?}");
    }
    drop((line, other));
    stage.is_as_before();
}

/// Garbage, cut and whole: never without an answer, and who is refused is hung up on.
#[test]
fn changes_of_user_that_make_no_sense() {
    let mut stage = Stage::plain();
    let witness = Witness::send(stage.address());
    let mut whole = b"\x11app\0\x20".to_vec();
    whole.extend_from_slice(&[7; 32]);
    whole.extend_from_slice(b"app\0\x2D\0caching_sha2_password\0");
    let mut wrong = vec![vec![0x11; 300], vec![0x11, 0xFF, 0xFE, 0], whole.clone()];
    wrong.extend((1..whole.len()).map(|end| whole[..end].to_vec()));
    for payload in wrong {
        let mut line = stage.line();
        line.command(&payload).unwrap();
        let mut answer = line.hear().expect("an answer");
        if answer.first() == Some(&0xFE) {
            line.say(&[7; 32]).unwrap();
            answer = line.hear().expect("an answer to the switch");
        }
        assert!([1043, 1045].contains(&code(&answer)), "{payload:?}");
        assert_eq!(line.rest(), b"", "hung up on after {payload:?}");
    }
    let mut line = stage.line();
    line.command(&[&[0x11][..], &vec![b'u'; 200_000]].concat()).unwrap();
    assert_eq!(code(&line.rest()[4..]), 1153);
    witness.noticed_nothing(SLOW);
    stage.is_as_before();
}

/// The greeting's challenge is spent; the one of the change is what counts.
#[test]
fn a_change_of_user_asks_anew() {
    let mut stage = Stage::plain();
    for (user, password, right) in
        [("app_b", "app_b-password", true), ("app_b", "app-password", false), ("x", "x", false)]
    {
        let mut line = stage.line();
        line.query("BEGIN").unwrap();
        line.hear().unwrap();
        line.command(&[b"\x11", user.as_bytes(), b"\0\0\0"].concat()).unwrap();
        let switch = line.hear().unwrap();
        let nonce = &switch[b"\xFEcaching_sha2_password\0".len()..][..20];
        line.say(&sha2_answer(password, nonce)).unwrap();
        let answer = line.hear().unwrap();
        if right {
            assert_eq!(answer, [1, 3]);
            assert_eq!(line.hear().unwrap()[0], 0);
            served(&mut line);
        } else {
            assert_eq!(code(&answer), 1045);
            assert_eq!(line.rest(), b"");
        }
    }
    stage.is_as_before();
}

#[test]
fn a_change_of_user_wants_its_own_answer() {
    let mut stage = Stage::plain();
    let mut line = Line::connect(&stage.address());
    let greeting = line.hear().unwrap();
    let old = sha2_answer("app-password", &nonce(&greeting));
    line.say(&support::fake::login_with(&bare_login(), &old, "caching_sha2_password")).unwrap();
    line.hear().unwrap();
    line.hear().unwrap();
    let again = [&b"\x11app\0\x20"[..], &old, b"\0\x2D\0caching_sha2_password\0"].concat();
    line.command(&again).unwrap();
    assert_eq!(line.hear().unwrap().first(), Some(&0xFE), "a challenge of its own");
    line.say(&old).unwrap();
    assert_eq!(code(&line.hear().unwrap()), 1045);
    drop(line);
    stage.is_as_before();
}

/// 16 MiB announced is nothing yet.
#[test]
fn promises_take_no_memory() {
    let mut stage = Stage::plain();
    let mut lines: Vec<Line> = (0..200).map(|_| stage.line()).collect();
    let before = resident(stage.tidegate.pid());
    for (index, line) in lines.iter_mut().enumerate() {
        let command = [3, 22, 23, 17][index % 4];
        line.raw(&[0xFF, 0xFF, 0xFF, 0, command]).unwrap();
    }
    thread::sleep(Duration::from_millis(500));
    let grown = resident(stage.tidegate.pid()).saturating_sub(before);
    assert!(grown < 24 << 20, "{grown} bytes for 200 promises");
    drop(lines);
    stage.is_as_before();
}

/// Packets numbered on beyond 255, and one of exactly 16 MiB with an empty one behind it.
#[test]
fn a_request_of_exactly_sixteen_mebibytes() {
    let mut stage = Stage::plain();
    let mut line = stage.line();
    let sql = format!("SELECT '{}'", "x".repeat(0xFF_FFFF - 1 - 9));
    assert_eq!(sql.len(), 0xFF_FFFF - 1);
    line.raw(&framed(0, &[&[3], sql.as_bytes()].concat())).unwrap();
    line.raw(&[0, 0, 0, 1]).unwrap();
    assert_eq!(line.hear().unwrap(), [1]);
    for _ in 0..4 {
        line.hear().unwrap();
    }
    served(&mut line);
    assert_eq!(stage.fake.who_was_told(&sql).len(), 1);
    drop(line);
    stage.is_as_before();
}

/// A stranger's words do not become another's: user names, schemas and texts with NULs, quotes and
/// bytes that are no UTF-8 come out as they went in, or not at all.
#[test]
fn texts_that_are_no_text() {
    let mut stage = Stage::plain();
    let mut line = stage.line();
    for sql in [&b"\0"[..], b"\xFF\xFE", b"SELECT 'a", b"SELECT \"a\0b", b"/*", b"--", b"`", b";;;"]
    {
        line.command(&[&[3], sql].concat()).unwrap();
        let first = line.hear().expect("an answer");
        if first == [1] {
            for _ in 0..4 {
                line.hear().unwrap();
            }
        }
        lives(&mut line);
    }
    let odd = Login::new("app", "app-password").schema("odd'; DROP TABLE `x");
    drop(line);
    let mut line = Line::connect(&stage.address());
    line.log_in(&odd);
    line.query("SELECT DATABASE()").unwrap();
    let reply: Vec<Vec<u8>> = (0..5).map(|_| line.hear().unwrap()).collect();
    assert_eq!(&reply[3][1..], b"odd'; DROP TABLE `x");
    drop(line);
    stage.stands();
}
