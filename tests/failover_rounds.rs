//! The promise, many times over: the primary is killed, or moved on purpose, under many writers.
//!
//! `TIDEGATE_FAILOVER_ROUNDS` says how often; each prints how long it took.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, clippy::cast_precision_loss, reason = "metrics that count are whole")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]
#![allow(clippy::print_stdout, reason = "how long a failover took is there to be read")]

mod support;

use std::{mem, thread, time::Duration};

use support::{
    client::{Login, RawClient},
    load::{Load, only_lost},
    pair::Pair,
    servers::Server,
    tidegate::Tidegate,
    wait_for,
};

const WRITERS: usize = 64;
const IDLE: usize = 20;
const SOON: Duration = Duration::from_secs(20);

fn rounds(default: usize) -> usize {
    let rounds = std::env::var("TIDEGATE_FAILOVER_ROUNDS");
    rounds.map_or(default, |rounds| rounds.parse().expect("TIDEGATE_FAILOVER_ROUNDS is a number"))
}

fn is_primary(tidegate: &Tidegate, name: &str) -> bool {
    let series = format!("tidegate_target_primary{{target=\"{name}\"}}");
    tidegate.metrics().get(&series) == Some(&1.0)
}

fn tell(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
    println!("{what}: {} rounds, median {median:?}, worst {worst:?}", took.len());
}

/// Sessions with a state of their own, and that they still have it.
struct Idle(Vec<RawClient>);

impl Idle {
    fn log_in(tidegate: &Tidegate) -> Self {
        let client = |number| {
            let mut client = RawClient::login(tidegate.address(), &Login::app()).unwrap();
            client.query(&format!("SET @x = {number}, time_zone = '+05:00'")).unwrap();
            client
        };
        Self((0..IDLE).map(client).collect())
    }

    fn check(&mut self) {
        for (number, client) in self.0.iter_mut().enumerate() {
            let held = client.query("SELECT CONCAT(@x, ' ', @@time_zone)").unwrap();
            assert_eq!(held[0][0].as_deref(), Some(&*format!("{number} +05:00")));
        }
    }
}

/// Both have all that the other has, and no write waits for less than both.
fn settle(pair: &Pair, primary: &Server, replica: &Server) {
    wait_for("the replica to be counted on", SOON, || {
        let rows = primary.root("SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_source_clients'");
        (rows[0][1].as_deref() == Some("1")).then_some(())
    });
    pair.catch_up_with(primary, replica);
    wait_for("writes to wait for it", SOON, || {
        let rows = primary.root("SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_source_status'");
        (rows[0][1].as_deref() == Some("ON")).then_some(())
    });
}

#[test]
fn killed_again_and_again() {
    let mut pair = Pair::start_semi_synchronous();
    settle(&pair, &pair.first, &pair.second);
    let tidegate = Tidegate::start(pair.config());
    wait_for("the primary", SOON, || is_primary(&tidegate, "first").then_some(()));
    let mut idle = Idle::log_in(&tidegate);
    let address = tidegate.address();
    let load = Load::new();
    let (mut took, mut names) = (Vec::new(), ["first", "second"]);
    thread::scope(|scope| {
        let _leash = load.leash();
        load.start(scope, &address, WRITERS);
        for round in 1..=rounds(10) {
            load.until_more(300);
            pair.first.kill9();
            thread::sleep(Duration::from_millis(200));
            let writable = pair.promote_whole(&pair.second);
            load.until_each_has_written(WRITERS, writable);
            took.push(load.first_after(writable));
            only_lost(&load.take_errors(), WRITERS);
            assert!(is_primary(&tidegate, names[1]), "round {round}");
            idle.check();
            pair.first.restart_with("--super-read-only=ON");
            pair.rejoin(&pair.first, &pair.second);
            let due = load.due();
            settle(&pair, &pair.second, &pair.first);
            // On whoever is next, too.
            due.check(&pair.first, None);
            mem::swap(&mut pair.first, &mut pair.second);
            names.swap(0, 1);
        }
        load.end();
    });
    assert_eq!(tidegate.metric("tidegate_failovers_total"), took.len() as f64);
    tell("from writable to the first write", took);
}
