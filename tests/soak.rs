//! Clients and a server of chance, for as long as somebody likes: the proxy stands, does not grow,
//! and an honest client is served all the while.
//!
//! `make soak SECONDS=600`. The seed is printed; `TIDEGATE_SOAK_SEED` gives it back, and the
//! clients do the same again, if not in the same order among each other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::print_stderr, reason = "whoever soaks wants figures")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]

mod support;

use std::{
    io::Read,
    ops::ControlFlow,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use support::fake::{
    Fake, IDLE, IN_TRANSACTION, Line, STATE_CHANGED, Stage, Then, Witness, bare_login,
    column_payload, err_payload, framed, login_payload, login_with, ok_payload, play, resident,
    result_set,
};

const RUDE: u64 = 6;

/// More than the rude ones can hold at once.
const POOL: &str = "max_connections = 24\nborrow_timeout = \"10s\"";

/// However long it soaks.
const MAY_GROW: usize = 16 << 20;

#[derive(Default)]
struct Count {
    clients: AtomicU64,
    operations: AtomicU64,
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect(name))
}

#[test]
fn a_while_of_chance() {
    let length = Duration::from_secs(setting("TIDEGATE_SOAK_SECONDS", 5));
    let seed = setting("TIDEGATE_SOAK_SEED", fastrand::u64(..));
    eprintln!("TIDEGATE_SOAK_SEED={seed}, {length:?}");
    let fake = Fake::start().forgetful();
    fake.on("SELECT chance", play(chance));
    let mut stage = Stage::over(fake, |config| {
        config.section("pool", POOL).section("client", "login_timeout = \"2s\"")
    });
    stage.bound = 24;
    let count = Count::default();
    let witness = Witness::send(stage.address());
    let warm = soak(&stage, Rng::with_seed(seed), &count, length.mul_f64(0.2).min(WARM_UP));
    let before = resident(stage.tidegate.pid());
    let first = count.operations.load(Ordering::Relaxed);
    let rest = length.saturating_sub(warm);
    soak(&stage, Rng::with_seed(seed.wrapping_add(1)), &count, rest);
    let seen = witness.noticed_nothing(Duration::from_secs(15));
    stage.is_as_before();
    let after = resident(stage.tidegate.pid());
    eprintln!(
        "{} operations of {} clients ({first} to warm up), {} server connections, {} honest \
         rounds, the slowest in {:?}; resident {} KiB when warm, {} KiB at the end",
        count.operations.load(Ordering::Relaxed),
        count.clients.load(Ordering::Relaxed),
        stage.fake.accepted(),
        seen.served,
        seen.slowest,
        before >> 10,
        after >> 10
    );
    assert!(after < before + MAY_GROW, "grown from {before} to {after} bytes");
}

const WARM_UP: Duration = Duration::from_secs(30);

fn soak(stage: &Stage, mut random: Rng, count: &Count, length: Duration) -> Duration {
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..RUDE {
            let mut random = random.fork();
            scope.spawn(move || {
                while started.elapsed() < length {
                    let mut line = Line::connect(&stage.address());
                    let _ = line.stream.set_read_timeout(Some(Duration::from_millis(5)));
                    count.clients.fetch_add(1, Ordering::Relaxed);
                    let _ = visit(&mut line, &mut random, count);
                    leave(&line, &mut random);
                }
            });
        }
    });
    started.elapsed()
}

/// One client, from its first byte to its last.
fn visit(line: &mut Line, random: &mut Rng, count: &Count) -> ControlFlow<()> {
    let greeting = expect(line.hear())?;
    let login = login_payload(&bare_login(), &greeting);
    match random.u8(..10) {
        0 => expect(line.raw(&noise(random, 300)))?,
        1 => expect(line.say(&noise(random, 300)))?,
        2 => expect(line.raw(&bent(random, framed(1, &login))))?,
        3 => expect(line.say(&bent(random, login)))?,
        4 => {
            expect(line.say(&login_with(&bare_login(), b"x", "dialog")))?;
            let _ = line.hear();
            let answer = noise(random, 40);
            expect(line.say(&answer))?;
        }
        _ => {
            expect(line.say(&login))?;
            expect(line.hear())?;
            expect(line.hear())?;
            for _ in 0..random.u8(1..20) {
                count.operations.fetch_add(1, Ordering::Relaxed);
                operate(line, random)?;
            }
            return ControlFlow::Continue(());
        }
    }
    count.operations.fetch_add(1, Ordering::Relaxed);
    listen(line, random);
    ControlFlow::Continue(())
}

fn expect<T>(result: std::io::Result<T>) -> ControlFlow<(), T> {
    result.map_or(ControlFlow::Break(()), ControlFlow::Continue)
}

const SENSE: [&[u8]; 24] = [
    b"\x03SELECT 1",
    b"\x03SELECT chance",
    b"\x03SELECT chance",
    b"\x03SELECT chance",
    b"\x03BEGIN",
    b"\x03COMMIT",
    b"\x03SET @a = 1",
    b"\x03SELECT LAST_INSERT_ID()",
    b"\x03SHOW WARNINGS",
    b"\x03KILL 1073741999",
    b"\x03INSERT INTO t VALUES (1); SELECT 2",
    b"\x16SELECT ?",
    b"\x16SELECT chance",
    b"\x17\x01\0\0\0\0\x01\0\0\0\0\x01\xFD\0\x01x",
    b"\x17\x01\0\0\0\0\x01\0\0\0\0\0\x01x",
    b"\x18\x01\0\0\0\0\0long",
    b"\x19\x01\0\0\0",
    b"\x1A\x01\0\0\0",
    b"\x1C\x01\0\0\0\x01\0\0\0",
    b"\x02other",
    b"\x0E",
    b"\x1F",
    b"\x11app\0\0\0",
    b"\x1B\x01\0",
];

/// One thing a client may do, sensible or not.
fn operate(line: &mut Line, random: &mut Rng) -> ControlFlow<()> {
    let sense = SENSE[random.usize(..SENSE.len())];
    match random.u8(..12) {
        0 => expect(line.command(&noise(random, 600)))?,
        1 => expect(line.raw(&noise(random, 60)))?,
        2 => {
            let bent = bent(random, sense.to_vec());
            expect(line.command(&bent))?;
        }
        3 => expect(line.raw(&bent(random, framed(0, sense))))?,
        4 => {
            let packet = framed(0, sense);
            let (head, tail) = packet.split_at(random.usize(..packet.len()));
            expect(line.raw(head))?;
            thread::sleep(Duration::from_millis(random.u64(..10)));
            expect(line.raw(tail))?;
        }
        5 => {
            let long = [b"\x03SELECT '", noise(random, 100_000).as_slice(), b"'"].concat();
            expect(line.command(&long))?;
        }
        _ => expect(line.command(sense))?,
    }
    if random.u8(..4) > 0 {
        listen(line, random);
    }
    ControlFlow::Continue(())
}

/// Reads a little, or all there is.
fn listen(line: &mut Line, random: &mut Rng) {
    let mut buffer = vec![0; 1 << random.u8(..17)];
    let _ = line.stream.read(&mut buffer);
}

fn leave(line: &Line, random: &mut Rng) {
    match random.u8(..4) {
        0 => {
            line.reset();
        }
        1 => line.half_close(),
        _ => {}
    }
}

fn noise(random: &mut Rng, most: usize) -> Vec<u8> {
    (0..random.usize(..most)).map(|_| random.u8(..)).collect()
}

/// A good packet with one thing wrong.
fn bent(random: &mut Rng, mut bytes: Vec<u8>) -> Vec<u8> {
    let place = random.usize(..bytes.len());
    match random.u8(..5) {
        0 => bytes[place] ^= 1 << random.u8(..8),
        1 => bytes.truncate(place),
        2 => bytes.insert(place, random.u8(..)),
        3 => bytes[place] = [0, 1, 0x7F, 0xFB, 0xFE, 0xFF][random.usize(..6)],
        _ => bytes.extend_from_within(place..),
    }
    bytes
}

/// What the server does with a statement. After a good reply it goes on; behind a bad one comes at
/// once what makes it worse, and the end, so that nobody takes it for good by accident and meets the
/// end later.
fn chance(line: &mut Line) -> Then {
    let mut random = Rng::new();
    let rows = result_set(&["a"], &[&["1"], &["2"]], IDLE);
    let (reply, then) = match random.u8(..12) {
        0 => (noise(&mut random, 200), Then::HangUp),
        1 => (framed(1, &noise(&mut random, 200)), Then::HangUp),
        2 => (bent(&mut random, rows), Then::HangUp),
        3 => (rows[..random.usize(..rows.len())].to_vec(), Then::HangUp),
        4 => ([&rows[..], &rows[..]].concat(), Then::HangUp),
        5 => (framed(1, &bent(&mut random, ok_payload(IDLE | STATE_CHANGED))), Then::HangUp),
        6 => ([framed(1, &[9]), framed(2, &column_payload("x"))].concat(), Then::HangUp),
        7 => return line.reset(),
        8 => (framed(1, &ok_payload(IN_TRANSACTION)), Then::GoOn),
        9 => (framed(1, &err_payload(1205, "HY000", "chance")), Then::GoOn),
        _ => (rows, Then::GoOn),
    };
    let worse: &[u8] = if then == Then::HangUp { &[0; 4] } else { &[] };
    let _ = line.raw(&[&reply[..], worse].concat());
    then
}
