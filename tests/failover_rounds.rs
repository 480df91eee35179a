//! The promise, many times over: the primary is killed, or moved on purpose, under many writers.
//!
//! `TIDEGATE_FAILOVER_ROUNDS` says how often; each prints how long it took.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, clippy::cast_precision_loss, reason = "metrics that count are whole")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]
#![allow(clippy::print_stdout, reason = "how long a failover took is there to be read")]

mod support;

use std::{
    mem, thread,
    time::{Duration, Instant},
};

use support::{
    client::{Login, RawClient},
    load::{Load, only_lost, rows},
    pair::Pair,
    servers::{Flavor, Server},
    tidegate::Tidegate,
    wait_for,
};

const WRITERS: usize = 64;
const REST: Duration = Duration::from_millis(20);
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
    let load = Load::paced(REST);
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

/// Clients feel a pause, and nothing else.
#[test]
fn moved_again_and_again() {
    for flavor in Flavor::installed() {
        let mut pair = Pair::start(flavor);
        let tidegate = Tidegate::start(pair.operated());
        wait_for("the primary", SOON, || is_primary(&tidegate, "first").then_some(()));
        let mut idle = Idle::log_in(&tidegate);
        let address = tidegate.address();
        let load = Load::paced(REST);
        let (mut took, mut names) = (Vec::new(), ["first", "second"]);
        thread::scope(|scope| {
            let _leash = load.leash();
            load.start(scope, &address, WRITERS);
            for round in 1..=rounds(10) {
                load.until_more(300);
                let began = Instant::now();
                let order = format!("SWITCHOVER TO {}", names[1]);
                let told = Pair::ask(&tidegate, &order).unwrap();
                assert!(told.contains(&format!("{} is the primary", names[1])), "{told}");
                load.until_each_has_written(WRITERS, Instant::now());
                took.push(load.longest_gap(began));
                assert_eq!(load.take_errors(), [""; 0], "{flavor:?}, round {round}");
                assert!(is_primary(&tidegate, names[1]), "{flavor:?}, round {round}");
                idle.check();
                let due = load.due();
                pair.rejoin(&pair.first, &pair.second);
                pair.catch_up_with(&pair.second, &pair.first);
                due.check(&pair.first, None);
                mem::swap(&mut pair.first, &mut pair.second);
                names.swap(0, 1);
            }
            load.end();
        });
        tell(&format!("{flavor:?}: no write was acknowledged for"), took);
    }
}

/// It is refused while nothing has been changed, or undone, and says why.
#[test]
fn a_switchover_that_cannot_be_is_as_if_it_had_not_been_asked_for() {
    for flavor in Flavor::installed() {
        let pair = Pair::start(flavor);
        let tidegate = Tidegate::start(pair.operated());
        wait_for("the primary", SOON, || is_primary(&tidegate, "first").then_some(()));
        let refused = |order: &str, why: &str| {
            let told = Pair::ask(&tidegate, order).unwrap_err().to_string();
            assert!(told.contains(why), "{flavor:?}: {order}: {told}");
            let mut client = RawClient::login(tidegate.address(), &Login::app()).unwrap();
            client.query("INSERT INTO w VALUES (1, 1)").unwrap();
            assert!(is_primary(&tidegate, "first"), "{flavor:?}: {order}");
        };
        refused("SWITCHOVER TO third", "there are first, second");
        refused("SWITCHOVER TO first", "is the primary already");
        let mut holder = RawClient::login(tidegate.address(), &Login::app()).unwrap();
        holder.query("BEGIN").unwrap();
        refused("SWITCHOVER TO second WITHIN 1", "1 connections to \"first\" were still in use");
        one_at_a_time(&tidegate);
        // It goes on in its transaction, whatever was tried.
        holder.query("INSERT INTO w VALUES (2, 2)").unwrap();
        holder.query("COMMIT").unwrap();
        pair.second.root("STOP REPLICA SQL_THREAD");
        wait_for("it to be seen", SOON, || {
            let told = Pair::ask(&tidegate, "SWITCHOVER TO second WITHIN 1").unwrap_err();
            told.to_string().contains("it does not replicate").then_some(())
        });
        pair.second.root("START REPLICA");
        pair.catch_up();
        // A lock there keeps it from applying what it has.
        pair.second.root("LOCK TABLES app.w READ");
        let mut client = RawClient::login(tidegate.address(), &Login::app()).unwrap();
        client.query("INSERT INTO w VALUES (3, 3)").unwrap();
        let locked = || {
            let told = Pair::ask(&tidegate, "SWITCHOVER TO second WITHIN 2").unwrap_err();
            let told = told.to_string();
            assert!(
                told.contains("had not applied") || told.contains("does not replicate"),
                "{flavor:?}: {told}"
            );
            told.contains("had not applied").then_some(())
        };
        wait_for("it to replicate again, but for the lock", SOON, locked);
        client.query("INSERT INTO w VALUES (3, 3)").unwrap();
        pair.second.root("UNLOCK TABLES");
        pair.catch_up();
        // One that will not end is cut off.
        holder.query("BEGIN").unwrap();
        holder.query("INSERT INTO w VALUES (4, 4)").unwrap();
        Pair::ask(&tidegate, "SWITCHOVER TO second WITHIN 4 FORCE").unwrap();
        let told = holder.query("INSERT INTO w VALUES (5, 5)").unwrap_err().to_string();
        assert!(told.contains("the transaction is lost"), "{flavor:?}: {told}");
        client.query("INSERT INTO w VALUES (6, 6)").unwrap();
        assert_eq!(client.query("SELECT @@server_id").unwrap()[0][0].as_deref(), Some("2"));
    }
}

/// While a connection is in use that the first waits for.
fn one_at_a_time(tidegate: &Tidegate) {
    thread::scope(|scope| {
        // Each may be in the other's way: that one only asks again.
        let patient = scope.spawn(|| {
            wait_for("the first to be let in", SOON, || {
                let told = Pair::ask(tidegate, "SWITCHOVER TO second WITHIN 3").unwrap_err();
                let told = told.to_string();
                (!told.contains("another switchover is under way")).then_some(told)
            })
        });
        wait_for("a second one to be refused", SOON, || {
            let told = Pair::ask(tidegate, "SWITCHOVER TO second WITHIN 0").unwrap_err();
            told.to_string().contains("another switchover is under way").then_some(())
        });
        assert!(patient.join().unwrap().contains("were still in use"));
    });
}

#[test]
fn paused_statements_wait_until_they_are_told_to_go_on() {
    let flavor = Flavor::installed()[0];
    let pair = Pair::start(flavor);
    let tidegate = Tidegate::start(pair.operated());
    let mut clients: Vec<_> =
        (0..20).map(|_| RawClient::login(tidegate.address(), &Login::app()).unwrap()).collect();
    let told = Pair::ask(&tidegate, "PAUSE").unwrap();
    assert_eq!(told, "paused; no connection is in use");
    for client in &mut clients {
        client.send_query("INSERT INTO w VALUES (1, 1)").unwrap();
    }
    wait_for("them to wait", SOON, || {
        (tidegate.metric("tidegate_borrow_waiting") == 20.0).then_some(())
    });
    assert_eq!(tidegate.http("/readyz").unwrap().0, 503);
    assert_eq!(rows(&pair.first).len(), 0);
    assert_eq!(Pair::ask(&tidegate, "RESUME").unwrap(), "resumed");
    for client in &mut clients {
        client.read_result().unwrap();
    }
    assert_eq!(rows(&pair.first)[&1], 20);
}
