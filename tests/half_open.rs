//! The promise: ten thousand connections that only knock make nobody wait who has a key, and cost
//! little memory.
//!
//! Ignored, as it wants ten thousand descriptors twice and a machine that does nothing else:
//! `cargo test --release --test half_open -- --ignored --nocapture`. Prints what it measures.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::print_stderr, reason = "whoever measures wants figures")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]

mod support;

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};
use support::{
    client::{Login, RawClient},
    fake::{Fake, resident},
    tidegate::{Config, Tidegate},
    wait_for,
};

const HALF_OPEN: usize = 10_000;
const KNOCKERS: usize = 10;
const HONEST: usize = 100;
const PHASE: Duration = Duration::from_secs(10);
/// They go before `login_timeout` ends them, each at its own time, and come again: more than a
/// thousand a second.
const STAY: std::ops::Range<u64> = 3_000..9_000;
/// Of the proxy for each of them.
const MEMORY_EACH: usize = 6 << 10;
const SOON: Duration = Duration::from_secs(60);

#[test]
#[ignore = "ten thousand connections, and a figure that only an idle machine can hold"]
fn honest_clients_do_not_wait_for_those_who_only_knock() {
    let fake = Fake::start();
    let config = Config::new()
        .target("primary", &fake.address())
        .user("app", "right")
        .section("pool", "max_connections = 20");
    let tidegate = Tidegate::start_unready(config);
    wait_for("Tidegate to serve", SOON, || {
        let mut client = RawClient::login(tidegate.address(), &Login::new("app", "right")).ok()?;
        client.query("SELECT 1").ok()
    });
    let calm = work(&tidegate);
    let before = resident(tidegate.pid());
    let over = AtomicBool::new(false);
    let (storm, after) = thread::scope(|scope| {
        for knocker in 0..KNOCKERS {
            let (tidegate, over) = (&tidegate, &over);
            scope.spawn(move || knock(tidegate, knocker, over));
        }
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let all = HALF_OPEN as f64 * 0.99;
        tidegate.until_metric("tidegate_client_logging_in", SOON, |now| now >= all);
        let storm = work(&tidegate);
        let after = resident(tidegate.pid());
        over.store(true, Ordering::Relaxed);
        (storm, after)
    });
    eprintln!(
        "logins of {HONEST} clients: alone {calm}; beside {HALF_OPEN} half-open ones {storm}; \
         memory {} KiB before, {} KiB beside them",
        before >> 10,
        after >> 10
    );
    assert!(after < before + HALF_OPEN * MEMORY_EACH, "{before} and {after} bytes");
    assert!(storm.p99 < calm.p99 * 2, "{calm} and {storm}");
}

struct Took {
    count: usize,
    p50: Duration,
    p99: Duration,
}

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { count, p50, p99 } = self;
        write!(f, "{count}, p50 {p50:.2?}, p99 {p99:.2?}")
    }
}

/// Each logs in, asks something, leaves and rests, as functions do; what is timed is the login, from
/// connecting on.
fn work(tidegate: &Tidegate) -> Took {
    let began = Instant::now();
    let mut all: Vec<Duration> = thread::scope(|scope| {
        let honest: Vec<_> = (0..HONEST)
            .map(|client| {
                scope.spawn(move || {
                    let mut took = Vec::new();
                    thread::sleep(Duration::from_millis(client as u64));
                    while began.elapsed() < PHASE {
                        let started = Instant::now();
                        let stream = connect(tidegate, 100 + client);
                        let mut client = RawClient::over(Box::new(stream), false).unwrap();
                        client.answer(&Login::new("app", "right")).unwrap();
                        took.push(started.elapsed());
                        client.query("SELECT 1").unwrap();
                        drop(client);
                        thread::sleep(Duration::from_millis(100));
                    }
                    took
                })
            })
            .collect();
        honest.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    all.sort();
    let at = |share: usize| all[(all.len() - 1) * share / 100];
    Took { count: all.len(), p50: at(50), p99: at(99) }
}

/// Every other one begins a login and does not go on with it.
fn knock(tidegate: &Tidegate, knocker: usize, over: &AtomicBool) {
    let mut held: Vec<(Instant, TcpStream)> = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let now = Instant::now();
        held.retain(|(until, _)| now < *until);
        while held.len() < HALF_OPEN / KNOCKERS && !over.load(Ordering::Relaxed) {
            let mut stream = connect(tidegate, knocker);
            if held.len().is_multiple_of(2) {
                let _ = stream.write_all(b"\x50\0\0\x01\x05\xa2\x0f");
            }
            let stay = Duration::from_millis(fastrand::u64(STAY));
            held.push((Instant::now() + stay, stream));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// From many addresses, for each has so many ports; and without a farewell, for those that say one
/// keep theirs for a minute.
fn connect(tidegate: &Tidegate, who: usize) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let from = Ipv4Addr::new(127, 0, 1, u8::try_from(who % 250 + 1).unwrap());
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    socket.connect(&tidegate.address().parse::<SocketAddr>().unwrap().into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}
