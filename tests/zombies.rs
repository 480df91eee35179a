//! The promise: clients that freeze, five hundred of them, hold nothing beyond their limits.
//!
//! They are a process of its own, which is this program once more, stopped in the middle of it all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, clippy::cast_precision_loss, reason = "metrics that count are whole")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]
#![allow(clippy::print_stdout, reason = "how long it took is there to be read")]

mod support;

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use support::{
    client::{Login, RawClient},
    process::Leashed,
    servers::{Flavor, Options, Server},
    tidegate::{Config, Tidegate},
    wait_for,
};

/// Of each kind; the idle are the rest of the five hundred.
const IN_TRANSACTION: usize = 150;
const IN_QUERY: usize = 75;
const IN_REPLY: usize = 25;
const IDLE: usize = 250;

const SOON: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_secs(10);

/// Limits are looked at on a coarse clock.
const SWEEP: Duration = Duration::from_secs(10);

const ADDRESS: &str = "TIDEGATE_FROZEN_ADDRESS";
const READY: &str = "TIDEGATE_FROZEN_READY";

/// Not a test by itself: the clients that freeze.
#[test]
#[ignore = "what another test here starts"]
fn the_frozen() {
    let (Ok(address), Ok(ready)) = (std::env::var(ADDRESS), std::env::var(READY)) else { return };
    let client = || RawClient::login(&*address, &Login::app()).unwrap();
    let mut clients: Vec<RawClient> = Vec::new();
    for number in 0..IN_TRANSACTION {
        let mut client = client();
        client.query("BEGIN").unwrap();
        client.query(&format!("INSERT INTO t VALUES ({number})")).unwrap();
        clients.push(client);
    }
    for _ in 0..IN_QUERY {
        let mut client = client();
        client.send_query("SELECT SLEEP(600)").unwrap();
        clients.push(client);
    }
    for _ in 0..IN_REPLY {
        let mut client = client();
        client.send_query("SELECT REPEAT('x', 1000000) FROM many").unwrap();
        clients.push(client);
    }
    for number in 0..IDLE {
        let mut client = client();
        client.query(&format!("SET @x = {number}")).unwrap();
        clients.push(client);
    }
    fs::write(ready, "").unwrap();
    std::thread::park();
    drop(clients);
}

fn borrowed(tidegate: &Tidegate) -> f64 {
    tidegate.metrics()["tidegate_server_connections{state=\"borrowed\"}"]
}

fn freeze(tidegate: &Tidegate) -> (tempfile::TempDir, Leashed) {
    let folder = tempfile::Builder::new().prefix("tidegate-frozen-").tempdir().unwrap();
    let (ready, log) = (folder.path().join("ready"), folder.path().join("log"));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "the_frozen", "--nocapture"])
        .env(ADDRESS, tidegate.address())
        .env(READY, &ready);
    let frozen = Leashed::start(&command, folder.path(), &log);
    wait_for("five hundred clients", SOON, || ready.exists().then_some(()));
    let holding = (IN_TRANSACTION + IN_QUERY + IN_REPLY) as f64;
    wait_for("theirs to be borrowed", LIMIT, || (borrowed(tidegate) == holding).then_some(()));
    frozen.signal("STOP");
    (folder, frozen)
}

#[test]
fn five_hundred_that_freeze_give_back_all_they_hold() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default().max_connections(400));
        server.root("CREATE TABLE app.t (x INT)");
        server.root("CREATE TABLE app.many (x INT)");
        server.root("INSERT INTO app.many VALUES (1), (2), (3), (4), (5), (6), (7), (8)");
        server.root("INSERT INTO app.many SELECT a.x FROM app.many a, app.many b");
        let limits = format!(
            "idle_in_transaction_timeout = \"{0}s\"\nmax_query = \"{0}s\"",
            LIMIT.as_secs()
        );
        let config = Config::to(&server)
            .section("pool", "max_connections = 300\nborrow_timeout = \"30s\"")
            .section("client", &limits);
        let tidegate = Tidegate::start(config);
        let (_folder, frozen) = freeze(&tidegate);
        let since = Instant::now();
        wait_for("all to come back", LIMIT + SWEEP, || {
            println!("{} {:?}", borrowed(&tidegate), since.elapsed());
            (borrowed(&tidegate) == 0.0).then_some(())
        });
        println!("{flavor:?}: nothing is held {:?} after they froze", since.elapsed());
        // On the server, too: no statement runs, no transaction is open.
        wait_for("the server to be free of them", SOON, || {
            // InnoDB shows the same again to whoever asks more often than ten times a second.
            std::thread::sleep(Duration::from_millis(200));
            let asked = "SELECT COUNT(*) FROM information_schema.innodb_trx";
            let open = server.root(asked)[0][0].clone().unwrap();
            let busy = server.root("SHOW PROCESSLIST");
            let runs =
                busy.iter().any(|row| row[7].as_ref().is_some_and(|it| it.contains("SLEEP")));
            (open == "0" && !runs).then_some(())
        });
        assert_eq!(server.root("SELECT COUNT(*) FROM app.t")[0][0].as_deref(), Some("0"));
        // Others are served, and the idle ones are there when they thaw.
        let mut others: Vec<_> = (0..200)
            .map(|_| RawClient::login(tidegate.address(), &Login::app()).unwrap())
            .collect();
        for other in &mut others {
            other.query("BEGIN").unwrap();
        }
        drop(others);
        frozen.signal("CONT");
        let clients = tidegate.metric("tidegate_client_connections");
        assert!(clients >= IDLE as f64, "{flavor:?}: {clients} are left");
    }
}

/// As the server would cut it off, and no sooner.
#[test]
fn who_takes_nothing_of_a_reply_is_cut_off_after_its_net_write_timeout() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        server.root("CREATE TABLE app.many (x INT)");
        server.root("INSERT INTO app.many VALUES (1), (2), (3), (4), (5), (6), (7), (8)");
        server.root("INSERT INTO app.many SELECT a.x FROM app.many a, app.many b");
        let tidegate = Tidegate::start(Config::to(&server));
        let mut client = RawClient::login(tidegate.address(), &Login::app()).unwrap();
        client.query("SET net_write_timeout = 4").unwrap();
        client.send_query("SELECT REPEAT('x', 1000000) FROM many").unwrap();
        let since = Instant::now();
        wait_for("the reply to begin", SOON, || (borrowed(&tidegate) == 1.0).then_some(()));
        wait_for("it to be cut off", SOON, || (borrowed(&tidegate) == 0.0).then_some(()));
        let took = since.elapsed();
        assert!(took >= Duration::from_secs(3), "{flavor:?}: {took:?}");
        client.read_result().unwrap_err();
    }
}
