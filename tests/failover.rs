//! The promise: the primary may go, and clients feel a delay, or get one clear error for what was
//! truly lost.
//!
//! Real servers that replicate by GTID; whoever promotes is this test, as an operator's script
//! would.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, clippy::cast_precision_loss, reason = "metrics that count are whole")]
#![allow(clippy::print_stdout, reason = "how long a failover took is there to be read")]
#![allow(clippy::too_many_lines, reason = "a story is told in one piece")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]

mod support;

use std::{
    thread,
    time::{Duration, Instant},
};

use support::{
    binary::Value,
    client::{Login, RawClient},
    island::Island,
    load::{Load, only_lost, rows},
    pair::Pair,
    servers::{Flavor, HOST},
    tidegate::Tidegate,
    wait_for,
};

const WRITERS: usize = 16;
const SOON: Duration = Duration::from_secs(20);

fn app(tidegate: &Tidegate) -> RawClient {
    RawClient::login(tidegate.address(), &Login::app()).unwrap()
}

fn is_primary(tidegate: &Tidegate, name: &str) -> bool {
    let series = format!("tidegate_target_primary{{target=\"{name}\"}}");
    tidegate.metrics().get(&series) == Some(&1.0)
}

fn one(client: &mut RawClient, sql: &str) -> String {
    match client.query(sql) {
        Ok(rows) => rows.first().and_then(|row| row[0].clone()).unwrap_or_default(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_primary_is_found_and_followed_when_it_is_killed() {
    for flavor in Flavor::installed() {
        let mut pair = Pair::start(flavor);
        let tidegate = Tidegate::start(pair.config());
        wait_for("the primary", SOON, || is_primary(&tidegate, "first").then_some(()));
        let mut idle: Vec<_> = (0..20).map(|_| app(&tidegate)).collect();
        for (number, client) in idle.iter_mut().enumerate() {
            client.query(&format!("SET @x = {number}, time_zone = '+05:00'")).unwrap();
        }
        let mut in_transaction = app(&tidegate);
        in_transaction.query("BEGIN").unwrap();
        in_transaction.query("INSERT INTO w VALUES (0, 0)").unwrap();
        let load = Load::new();
        let address = tidegate.address();
        let (mut killed, mut writable) = (Instant::now(), Instant::now());
        thread::scope(|scope| {
            let _leash = load.leash();
            load.start(scope, &address, WRITERS);
            load.until_more(300);
            killed = Instant::now();
            pair.first.kill9();
            thread::sleep(Duration::from_millis(500));
            writable = pair.promote(&pair.second);
            load.until_more(300);
            load.end();
        });
        let took = load.first_after(writable);
        println!("{flavor:?}: {took:?} from writable to the first write");
        assert!(is_primary(&tidegate, "second"), "{flavor:?}");
        assert_eq!(tidegate.metric("tidegate_failovers_total"), 1.0, "{flavor:?}");
        // Replication is asynchronous: what was acknowledged right before the kill may be lost.
        let before = killed.checked_sub(Duration::from_millis(500)).unwrap();
        load.due().check(&pair.second, Some((before, writable)));
        only_lost(&load.take_errors(), WRITERS);
        let told = in_transaction.query("INSERT INTO w VALUES (0, 1)").unwrap_err().to_string();
        assert!(told.contains("the transaction is lost"), "{flavor:?}: {told}");
        assert_eq!(one(&mut in_transaction, "SELECT COUNT(*) FROM w WHERE id = 0"), "0");
        for (number, client) in idle.iter_mut().enumerate() {
            let held = one(client, "SELECT CONCAT(@x, ' ', @@time_zone)");
            assert_eq!(held, format!("{number} +05:00"), "{flavor:?}");
        }

        // The old one comes back and takes writes: nobody goes there, and it is said.
        pair.first.restart();
        wait_for("it to be told", SOON, || {
            tidegate.log().contains("several targets take writes").then_some(())
        });
        assert!(is_primary(&tidegate, "second"), "{flavor:?}");
        assert_eq!(one(&mut idle[0], "SELECT @@server_id"), "2", "{flavor:?}");
    }
}

#[test]
fn a_switchover_is_only_a_delay() {
    for flavor in Flavor::installed() {
        let pair = Pair::start(flavor);
        let tidegate = Tidegate::start(pair.config());
        let load = Load::new();
        let address = tidegate.address();
        let mut prepared = app(&tidegate);
        let statement = prepared.prepare("INSERT INTO w VALUES (?, 99)").unwrap();
        thread::scope(|scope| {
            let _leash = load.leash();
            load.start(scope, &address, WRITERS);
            load.until_more(300);
            pair.read_only(&pair.first, true);
            let executing = scope.spawn(|| prepared.execute(statement.id, &[Value::Int(0)]));
            thread::sleep(Duration::from_millis(300));
            pair.catch_up();
            let writable = pair.promote(&pair.second);
            load.until_more(300);
            println!(
                "{flavor:?}: {:?} from writable to the first write",
                load.first_after(writable)
            );
            executing.join().unwrap().unwrap();
            load.end();
        });
        assert_eq!(load.take_errors(), [""; 0], "{flavor:?}");
        load.due().check(&pair.second, None);
        assert_eq!(rows(&pair.second)[&0], 1, "{flavor:?}");
    }
}

#[test]
fn nobody_waits_for_a_primary_that_is_frozen() {
    for flavor in Flavor::installed() {
        let pair = Pair::start(flavor);
        let tidegate = Tidegate::start(pair.config());
        let load = Load::new();
        let address = tidegate.address();
        thread::scope(|scope| {
            let _leash = load.leash();
            load.start(scope, &address, WRITERS);
            load.until_more(300);
            pair.first.pause();
            let frozen = Instant::now();
            // probe_interval * failures + probe_timeout, and what a busy machine takes.
            wait_for("those under way to be told", Duration::from_secs(8), || {
                load.has_errors().then_some(())
            });
            println!("{flavor:?}: told after {:?}", frozen.elapsed());
            let writable = pair.promote(&pair.second);
            load.until_more(300);
            println!(
                "{flavor:?}: {:?} from writable to the first write",
                load.first_after(writable)
            );
            pair.first.resume();
            load.until_more(100);
            load.end();
        });
        only_lost(&load.take_errors(), WRITERS);
        assert!(is_primary(&tidegate, "second"), "{flavor:?}");
    }
}

/// No FIN, no RST, no acknowledgement.
#[test]
fn a_primary_whose_packets_vanish_is_left_in_time() {
    for flavor in Flavor::installed() {
        let Some(island) = Island::rise() else { return };
        let pair = Pair::start_apart(flavor, &island);
        let tidegate = Tidegate::start(pair.config());
        let load = Load::new();
        let address = tidegate.address();
        thread::scope(|scope| {
            let _leash = load.leash();
            load.start(scope, &address, WRITERS);
            load.until_more(300);
            island.cut_off();
            let lost = Instant::now();
            // probe_interval * failures + probe_timeout, and what a busy machine takes.
            wait_for("those under way to be told", Duration::from_secs(8), || {
                load.has_errors().then_some(())
            });
            println!("{flavor:?}: told after {:?}", lost.elapsed());
            let writable = pair.promote(&pair.second);
            load.until_each_has_written(WRITERS, writable);
            println!(
                "{flavor:?}: {:?} from writable to the first write",
                load.first_after(writable)
            );
            load.end();
        });
        only_lost(&load.take_errors(), WRITERS);
        assert!(is_primary(&tidegate, "second"), "{flavor:?}");
        // It is back, and thinks that nothing has happened.
        island.join_again();
        wait_for("it to be told", SOON, || {
            tidegate.log().contains("several targets take writes").then_some(())
        });
        assert!(is_primary(&tidegate, "second"), "{flavor:?}");
    }
}

#[test]
fn a_read_only_endpoint_reads_from_a_replica() {
    for flavor in Flavor::installed() {
        let pair = Pair::start(flavor);
        let privilege = match flavor {
            Flavor::MySql => "REPLICATION CLIENT",
            Flavor::MariaDb => "REPLICA MONITOR",
        };
        pair.first.root(&format!("GRANT {privilege} ON *.* TO app@'%'"));
        pair.catch_up();
        let tidegate = Tidegate::start(pair.config().endpoint("reads", "read-only"));
        let mut client =
            RawClient::login(format!("{HOST}:{}", tidegate.port_of("reads")), &Login::app())
                .unwrap();
        let on = |client: &mut RawClient, server: &str| {
            wait_for("reads to move", SOON, || {
                (one(client, "SELECT @@server_id") == server).then_some(())
            });
        };
        on(&mut client, "2");
        // A replica may say that it is one; the primary that the transaction is read-only.
        let refused = |client: &mut RawClient, codes: &[u16]| {
            let told = client.query("INSERT INTO w VALUES (1, 1)").unwrap_err();
            assert!(codes.contains(&told.code()), "{flavor:?}: {told}");
        };
        refused(&mut client, &[1290, 1792]);
        // One that does not replicate is not read from. The primary is, and refuses as well.
        pair.second.root("STOP REPLICA");
        on(&mut client, "1");
        refused(&mut client, &[1792]);
        client.reset().unwrap();
        refused(&mut client, &[1792]);
        pair.second.root("START REPLICA");
        on(&mut client, "2");
        let mut writer = app(&tidegate);
        assert_eq!(one(&mut writer, "SELECT @@server_id"), "1", "{flavor:?}");
        writer.query("INSERT INTO w VALUES (1, 1)").unwrap();
    }
}

#[test]
fn without_a_primary_statements_wait_and_are_told_why() {
    let flavor = Flavor::installed()[0];
    let pair = Pair::start(flavor);
    // What the second is no longer a replica of, it may not take the place of.
    pair.promote(&pair.second);
    let config = pair.config();
    let tidegate = Tidegate::start_unready(config);
    wait_for("two primaries to be seen", SOON, || {
        tidegate.log().contains("several targets take writes").then_some(())
    });
    let (status, why) = tidegate.http("/readyz").unwrap();
    assert_eq!(status, 503, "{why}");
    assert!(why.contains("first and second take writes"), "{why}");
    let address = tidegate.address();
    let waiting = thread::spawn(move || {
        let mut client = RawClient::login(address, &Login::app()).unwrap();
        let began = Instant::now();
        (one(&mut client, "SELECT @@server_id"), began.elapsed())
    });
    thread::sleep(Duration::from_millis(700));
    pair.read_only(&pair.second, true);
    let (answer, waited) = waiting.join().unwrap();
    assert_eq!(answer, "1");
    assert!(waited >= Duration::from_millis(600), "{waited:?}");
}
