//! The promise of `pool.shed_above`: where others fill the server, idle connections make room, and no more
//! of them than are too many.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole")]

mod support;

use std::time::Duration;

use support::{
    client::{Login, RawClient},
    servers::{Flavor, Options, Server, USER},
    tidegate::{Config, Tidegate},
    wait_for,
};

/// Two rounds of the keeper's, and what a busy machine takes.
const ROUNDS: Duration = Duration::from_secs(40);

const POOL: &str = "max_connections = 10\nmax_idle = \"100%\"\nmin_idle = 2";

const CROWDED: &str = "tidegate_server_closes_total{reason=\"crowded\"}";

/// So many connections lie idle.
fn warm(tidegate: &Tidegate, count: usize) {
    let client = |_| RawClient::login(tidegate.address(), &Login::app()).unwrap();
    let mut clients: Vec<RawClient> = (0..count).map(client).collect();
    for client in &mut clients {
        client.query("BEGIN").unwrap();
        client.query("SELECT 1").unwrap();
    }
    for client in &mut clients {
        client.query("COMMIT").unwrap();
    }
}

fn others(server: &Server, count: usize) -> Vec<RawClient> {
    let other = |_| RawClient::login(server.address(), &Login::new("app_b", "app_b-password"));
    (0..count).map(|number| other(number).unwrap()).collect()
}

#[test]
fn idle_connections_make_room() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default().max_connections(40));
        let config = Config::to(&server).section("pool", &format!("{POOL}\nshed_above = \"50%\""));
        let tidegate = Tidegate::start(config);
        warm(&tidegate, 9);
        assert_eq!(server.connections_of(USER), 9, "{flavor:?}");
        // With the harness's own there are 23, of which 20 may be.
        let first = others(&server, 13);
        wait_for("some to go", ROUNDS, || (server.connections_of(USER) <= 6).then_some(()));
        assert_eq!(server.connections_of(USER), 6, "{flavor:?}: no more than are too many");
        let second = others(&server, 10);
        wait_for("all that may go", ROUNDS, || (server.connections_of(USER) <= 2).then_some(()));
        assert_eq!(tidegate.metrics()[CROWDED], 7.0, "{flavor:?}");
        drop((first, second));
        // Who needs one gets it all the same.
        warm(&tidegate, 9);
        assert_eq!(server.connections_of(USER), 9, "{flavor:?}");
    }
}

#[test]
fn by_default_they_stay() {
    let server = Server::start(Flavor::installed()[0], Options::default().max_connections(24));
    let tidegate = Tidegate::start(Config::to(&server).section("pool", POOL));
    warm(&tidegate, 9);
    let _others = others(&server, 13);
    // A round of the keeper's has passed when what lay unused for ten seconds is looked at again.
    std::thread::sleep(Duration::from_secs(12));
    assert_eq!((server.connections_of(USER), tidegate.metrics()[CROWDED]), (9, 0.0));
}
