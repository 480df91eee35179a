//! What the tests of the third ring stand on: real servers, the real binary, a client of bare bytes.
//!
//! Owns the processes it starts: each dies with the test that started it, however that test ends
//! (see [`process`]). Never installs anything: `tests/servers/install.sh` does.
//!
//! ```ignore
//! mod support;
//! use support::{servers::{MySql, Options}, tidegate::{Config, Tidegate}};
//!
//! let server = MySql::start(Options::default().max_connections(20));
//! let tidegate = Tidegate::start(Config::to(&server).section("pool", "max_connections = 5"));
//! let mut client = RawClient::login(tidegate.address(), &Login::app()).unwrap();
//! ```
//!
//! Everything here blocks and belongs to no runtime, so a server may be shared by the tests of one
//! process in a `static OnceLock`, each with a runtime of its own.

#![allow(dead_code, reason = "each test binary uses its own part of the harness")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a harness that fails is a test that fails"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "std::thread::sleep: a test's own thread may wait; no client is served on it"
)]

pub mod binary;
pub mod browser;
pub mod certificates;
pub mod client;
pub mod fake;
pub mod group;
pub mod island;
pub mod load;
pub mod pair;
pub mod process;
pub mod servers;
pub mod squeezed;
pub mod tidegate;

use std::{
    collections::HashSet,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    sync::{LazyLock, Mutex},
    time::{Duration, Instant},
};

/// The folder `tests/servers/install.sh` fills.
pub fn cache() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(cache) = variable("TIDEGATE_CACHE") {
        return cache.into();
    }
    variable("XDG_CACHE_HOME")
        .map_or_else(
            || PathBuf::from(variable("HOME").expect("HOME is set")).join(".cache"),
            PathBuf::from,
        )
        .join("tidegate")
}

/// A port nobody listens on, and that the kernel will not give to an outgoing connection while a
/// test has the server on it down: it is below the ephemeral range. Never the same one twice in a
/// process.
pub fn free_port() -> u16 {
    static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    for _ in 0..1000 {
        let port = fastrand::u16(15_000..32_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && GIVEN.lock().unwrap().insert(port)
        {
            return port;
        }
    }
    panic!("no free port between 15000 and 32000");
}

/// Asks until the answer is something, or says what it waited for.
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The end of a log, for a panic message.
pub fn tail(path: &std::path::Path, lines: usize) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
