//! The promise: a server that dies, freezes or hangs up costs its clients what was under way, with
//! a word about it, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, clippy::cast_precision_loss, reason = "metrics that count are whole")]
#![allow(clippy::too_many_lines, reason = "a story is told in one piece")]

mod support;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use support::{
    client::{Error, Login, RawClient},
    servers::{Flavor, Options, Server},
    tidegate::{Config, Tidegate},
    wait_for,
};

fn app(tidegate: &Tidegate) -> RawClient {
    RawClient::login(tidegate.address(), &Login::app()).unwrap()
}

fn start(flavor: Flavor, options: Options, pool: &str) -> (Server, Tidegate) {
    let server = Server::start(flavor, options);
    server.root("CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, body INT)");
    let tidegate = Tidegate::start(Config::to(&server).section("pool", pool));
    (server, tidegate)
}

fn one(client: &mut RawClient, sql: &str) -> String {
    match client.query(sql) {
        Ok(rows) => rows.first().and_then(|row| row[0].clone()).unwrap_or_default(),
        Err(error) => error.to_string(),
    }
}

/// What a client may be told of a death. A server that is killed says nothing itself; one that is
/// starting refuses.
fn is_clear(error: &Error) -> bool {
    match error {
        Error::Server { code: 1053, state, message } => {
            state == "08S01" && message.starts_with("The connection to the server was lost: ")
        }
        Error::Server { code: 9501, message, .. } => {
            message.starts_with("Timed-out waiting to acquire database connection")
                && message.contains("last error of the target")
        }
        // A reply had begun, or what was pinned is gone: the session is closed.
        Error::Io(_) | Error::Server { .. } => false,
    }
}

#[test]
fn killed_under_load() {
    for flavor in Flavor::installed() {
        let pool = "max_connections = 6\nborrow_timeout = \"1s\"";
        let (mut server, tidegate) = start(flavor, Options::default(), pool);
        let mut idle: Vec<_> = (0..10).map(|_| app(&tidegate)).collect();
        for client in &mut idle {
            client.query("SET time_zone = '+01:00'").unwrap();
        }
        let statement = idle[0].prepare("SELECT COUNT(*) FROM t WHERE body < ?").unwrap();
        let (mut in_transaction, mut pinned) = (app(&tidegate), app(&tidegate));
        in_transaction.query("BEGIN").unwrap();
        in_transaction.query("INSERT INTO t (body) VALUES (-1)").unwrap();
        pinned.query("CREATE TEMPORARY TABLE lost (x INT)").unwrap();
        idle[8].query("SET @x = 1").unwrap();

        let (over, done) = (AtomicBool::new(false), AtomicUsize::new(0));
        let unclear = Mutex::new(Vec::new());
        let address = tidegate.address();
        thread::scope(|scope| {
            for number in 0..12 {
                let (over, done, unclear, address) = (&over, &done, &unclear, &address);
                scope.spawn(move || {
                    let mut client = RawClient::login(address.as_str(), &Login::app()).unwrap();
                    while !over.load(Ordering::Relaxed) {
                        let sql = format!("INSERT INTO t (body) VALUES ({number})");
                        match client.query(&sql) {
                            Ok(_) => drop(done.fetch_add(1, Ordering::Relaxed)),
                            Err(error) if is_clear(&error) => {}
                            Err(error) => {
                                unclear.lock().unwrap().push(error.to_string());
                                client = RawClient::login(address.as_str(), &Login::app()).unwrap();
                            }
                        }
                    }
                });
            }
            let until = |count: usize| {
                wait_for("statements to be done", Duration::from_secs(20), || {
                    (done.load(Ordering::Relaxed) >= count).then_some(())
                });
            };
            until(100);
            server.kill9();
            // While it is down: clear words, whatever is asked, and the session lives.
            for _ in 0..2 {
                let told = idle[9].query("SELECT 1").unwrap_err();
                assert!(is_clear(&told), "{flavor:?}: {told}");
            }
            let told = in_transaction.query("INSERT INTO t (body) VALUES (-2)").unwrap_err();
            let lost = "ERROR 1053 (08S01): The connection to the server was lost: the transaction \
                        is lost; a COMMIT that was under way may have run";
            assert!(told.to_string().starts_with(lost), "{flavor:?}: {told}");
            let told = pinned.query("SELECT x FROM lost").unwrap_err().to_string();
            assert!(told.contains("1053 (08S01)"), "{flavor:?}: {told}");
            assert!(pinned.ping().is_err(), "a temporary table was lost: so is its session");
            let (status, why) = tidegate.http("/readyz").unwrap();
            assert_eq!(status, 503, "{flavor:?}: {why}");

            server.restart();
            let restarted = Instant::now();
            let before = done.load(Ordering::Relaxed);
            until(before + 100);
            assert!(restarted.elapsed() < Duration::from_secs(10), "{:?}", restarted.elapsed());
            over.store(true, Ordering::Relaxed);
        });
        let unclear = unclear.into_inner().unwrap();
        assert!(unclear.is_empty(), "{flavor:?}: {unclear:?}");
        for client in &mut idle {
            assert_eq!(one(client, "SELECT @@time_zone"), "+01:00", "{flavor:?}");
        }
        assert_eq!(one(&mut idle[8], "SELECT @x"), "1", "{flavor:?}");
        let rows = idle[0].execute(statement.id, &[support::binary::Value::Int(0)]).unwrap();
        assert_eq!(rows[0][0].as_deref(), Some("0"), "{flavor:?}: a lost transaction has run");
        assert_eq!(one(&mut in_transaction, "SELECT 2"), "2", "{flavor:?}");
        // Nothing that was acknowledged is lost.
        let rows: usize = one(&mut idle[0], "SELECT COUNT(*) FROM t").parse().unwrap();
        assert!(rows >= done.load(Ordering::Relaxed), "{flavor:?}: {rows}");
        assert!(server.max_used_connections() <= 7, "{}", server.max_used_connections());
        wait_for("ready again", Duration::from_secs(5), || {
            tidegate.http("/readyz").filter(|(status, _)| *status == 200)
        });
    }
}

#[test]
fn frozen_and_thawed() {
    for flavor in Flavor::installed() {
        let pool = "max_connections = 2\nborrow_timeout = \"1s\"";
        let (server, tidegate) = start(flavor, Options::default(), pool);
        let (mut one_client, mut two, mut three) = (app(&tidegate), app(&tidegate), app(&tidegate));
        for client in [&mut one_client, &mut two, &mut three] {
            client.query("SELECT 1").unwrap();
        }
        server.pause();
        thread::scope(|scope| {
            let asking = scope.spawn(|| one(&mut one_client, "SELECT 'one'"));
            let too = scope.spawn(|| one(&mut two, "SELECT 'two'"));
            let told = {
                // Both connections wait for the server, or one does and the other is dialed.
                tidegate
                    .until_metric("tidegate_queries_total", Duration::from_secs(5), |n| n >= 5.0);
                three.query("SELECT 'three'")
            };
            let told = told.unwrap_err().to_string();
            assert!(told.contains("9501 (HY000)"), "{flavor:?}: {told}");
            server.resume();
            // Whoever had a connection is answered; a login takes longer than they wait.
            let answers = [asking.join().unwrap(), too.join().unwrap()];
            let served = answers.iter().zip(["one", "two"]).filter(|(got, own)| got == own).count();
            let refused = answers.iter().filter(|got| got.contains("9501 (HY000)")).count();
            assert!(served >= 1 && served + refused == 2, "{flavor:?}: {answers:?}");
        });
        wait_for("an answer", Duration::from_secs(10), || {
            (one(&mut three, "SELECT 'three'") == "three").then_some(())
        });
        assert_eq!(one(&mut two, "SELECT 'two'"), "two");
        assert!(server.threads_connected() <= 2);
    }
}

#[test]
fn connections_that_the_server_closed_are_never_handed_out() {
    for flavor in Flavor::installed() {
        let options = Options::default().argument("--wait-timeout=1");
        let (server, tidegate) = start(flavor, options, "max_connections = 3");
        let mut clients: Vec<_> = (0..6).map(|_| app(&tidegate)).collect();
        for round in 0..3 {
            for client in &mut clients {
                assert_eq!(one(client, "SELECT 1"), "1", "{flavor:?} round {round}");
            }
            wait_for("the server to hang up", Duration::from_secs(10), || {
                (server.threads_connected() == 0).then_some(())
            });
        }
        // The moment it happens, not a second later: killed while a client is about to speak.
        let mut wrongs = Vec::new();
        for round in 0..30 {
            assert_eq!(one(&mut clients[0], "SELECT 1"), "1");
            for row in server.root("SHOW PROCESSLIST") {
                if row[1].as_deref() == Some("app") {
                    let _ = server.try_root(&format!("KILL {}", row[0].as_deref().unwrap()));
                }
            }
            wait_for("the connections to be gone", Duration::from_secs(5), || {
                (server.connections_of("app") == 0).then_some(())
            });
            let told = one(&mut clients[1], "SELECT 2");
            if told != "2" {
                wrongs.push(format!("round {round}: {told}"));
            }
        }
        assert!(wrongs.is_empty(), "{flavor:?}: {wrongs:?}");
    }
}
