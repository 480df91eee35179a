//! The promise: what a Tidegate leaves on the server when it is killed does not stand in the way of the
//! next, and nobody who lives is taken for dead.
//!
//! A statement that waits for a lock is left: the server does not look whether its client is there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole")]
#![allow(clippy::print_stdout, reason = "how long it took is there to be read")]

mod support;

use std::time::{Duration, Instant};

use support::{
    client::{Login, RawClient},
    servers::{Flavor, Options, SCHEMA, Server},
    tidegate::{Config, Tidegate},
    wait_for,
};

const SOON: Duration = Duration::from_secs(10);

/// For the clock of a Tidegate that lives.
const A_TURN: Duration = Duration::from_secs(50);

const ENDED: &str = "tidegate_orphans_ended_total";

fn server(flavor: Flavor) -> Server {
    let server = Server::start(flavor, Options::default().argument("--performance-schema=ON"));
    server.root("CREATE TABLE app.t (id INT PRIMARY KEY, v INT NOT NULL)");
    server.root("INSERT INTO app.t VALUES (1, 0), (2, 0), (3, 0)");
    server
}

/// Has row 2, which others are to wait for.
fn holder(server: &Server) -> RawClient {
    let login = Login::new("root", "").schema(SCHEMA);
    let mut holder = RawClient::login(server.socket().as_path(), &login).unwrap();
    holder.query("BEGIN").unwrap();
    holder.query("UPDATE t SET v = 9 WHERE id = 2").unwrap();
    holder
}

fn app(tidegate: &Tidegate, lock_wait: u32) -> RawClient {
    let mut client = RawClient::login(tidegate.address(), &Login::app()).unwrap();
    client.query(&format!("SET innodb_lock_wait_timeout = {lock_wait}")).unwrap();
    client
}

/// Has this row, and waits for row 2 with it.
fn stuck(tidegate: &Tidegate, row: u32) -> RawClient {
    let mut client = app(tidegate, 600);
    client.query("BEGIN").unwrap();
    client.query(&format!("UPDATE t SET v = 1 WHERE id = {row}")).unwrap();
    client.send_query("UPDATE t SET v = 2 WHERE id = 2").unwrap();
    client
}

fn waiting(server: &Server) -> usize {
    let rows = server.root("SHOW PROCESSLIST");
    let waits = |sql: &Option<String>| sql.as_deref().is_some_and(|it| it.starts_with("UPDATE t"));
    rows.iter().filter(|row| waits(&row[7])).count()
}

fn until_waiting(server: &Server, count: usize, limit: Duration) {
    wait_for("statements to wait", limit, || (waiting(server) == count).then_some(()));
}

#[test]
fn the_next_one_gets_the_locks_at_once_and_the_living_keep_theirs() {
    for flavor in Flavor::installed() {
        let server = server(flavor);
        let mut holder = holder(&server);
        let (mut dead, living) =
            (Tidegate::start(Config::to(&server)), Tidegate::start(Config::to(&server)));
        let _left = stuck(&dead, 1);
        let mut waits = stuck(&living, 3);
        until_waiting(&server, 2, SOON);
        dead.kill();
        let before = Instant::now();
        dead.restart();
        app(&dead, 30).query("UPDATE t SET v = 7 WHERE id = 1").unwrap();
        println!("{flavor:?}: its row was had {:?} after the death", before.elapsed());
        assert!(before.elapsed() < SOON, "{flavor:?}: {:?}", before.elapsed());
        assert_eq!(dead.metric(ENDED), 1.0, "{flavor:?}");
        assert!(dead.log().contains("connections of a Tidegate that has died"), "{flavor:?}");
        // Who lives goes on.
        assert_eq!(waiting(&server), 1, "{flavor:?}");
        holder.query("ROLLBACK").unwrap();
        waits.read_result().unwrap();
        waits.query("COMMIT").unwrap();
        let rows = server.root("SELECT id, v FROM app.t ORDER BY id");
        let values: Vec<_> = rows.iter().map(|row| row[1].clone().unwrap()).collect();
        assert_eq!(values, ["7", "2", "1"], "{flavor:?}");
    }
}

#[test]
fn one_that_lives_ends_what_another_has_left() {
    for flavor in Flavor::installed() {
        let server = server(flavor);
        let _holder = holder(&server);
        let (mut dead, living) =
            (Tidegate::start(Config::to(&server)), Tidegate::start(Config::to(&server)));
        app(&living, 1).query("SELECT 1").unwrap();
        let _left = stuck(&dead, 1);
        until_waiting(&server, 1, SOON);
        dead.kill();
        until_waiting(&server, 0, A_TURN);
        assert_eq!(living.metric(ENDED), 1.0, "{flavor:?}");
    }
}

/// So that connections of a machine that died do, too. A function looks at it out of the proxy's sight.
#[test]
fn the_server_closes_ours_in_time_and_clients_do_not_see_it() {
    const OURS: &str = "1861";
    const THEIRS: &str = "28800";
    for flavor in Flavor::installed() {
        let server = server(flavor);
        server.root("CREATE FUNCTION app.f() RETURNS INT NO SQL RETURN @@wait_timeout");
        let tidegate = Tidegate::start(Config::to(&server).section("pool", "max_connections = 2"));
        let mut client = RawClient::login(tidegate.address(), &Login::app()).unwrap();
        let asked = |client: &mut RawClient, sql: &str| {
            let rows = client.query(sql).unwrap();
            rows[0].last().unwrap().clone().unwrap()
        };
        let questions = [
            "SELECT @@wait_timeout",
            "SELECT @@SESSION.`WAIT_TIMEOUT`",
            "SHOW VARIABLES LIKE 'wait_timeout'",
        ];
        for transaction in [false, true] {
            for question in questions {
                assert_eq!(asked(&mut client, "SELECT f()"), OURS, "{flavor:?}");
                if transaction {
                    client.query("BEGIN").unwrap();
                    assert_eq!(asked(&mut client, "SELECT f()"), OURS, "{flavor:?}");
                }
                assert_eq!(asked(&mut client, question), THEIRS, "{flavor:?}, {question}");
                client.query("COMMIT").unwrap();
            }
            let prepared = client.prepare("SELECT @@wait_timeout, 1").unwrap();
            let rows = client.execute(prepared.id, &[]).unwrap();
            assert_eq!(rows[0][0].as_deref(), Some(THEIRS), "{flavor:?}");
        }
        // What a client sets is its own, and nobody else's.
        client.query("SET wait_timeout = 500").unwrap();
        let mut other = RawClient::login(tidegate.address(), &Login::app()).unwrap();
        assert_eq!(asked(&mut other, "SELECT f()"), OURS, "{flavor:?}");
        assert_eq!(asked(&mut client, "SELECT f()"), "500", "{flavor:?}");
        assert_eq!(asked(&mut client, "SELECT @@wait_timeout"), "500", "{flavor:?}");
        client.query("SET wait_timeout = DEFAULT").unwrap();
        assert_eq!(asked(&mut client, "SELECT @@wait_timeout"), THEIRS, "{flavor:?}");
        client.reset().unwrap();
        assert_eq!(asked(&mut client, "SELECT @@wait_timeout"), THEIRS, "{flavor:?}");
        assert_eq!(asked(&mut client, "SELECT f()"), OURS, "{flavor:?}");
    }
}

/// Nobody gets a connection that the server is about to close.
#[test]
fn what_the_server_closes_soon_is_closed_before() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default().argument("--wait-timeout=8"));
        let tidegate = Tidegate::start(Config::to(&server).section("pool", "min_idle = 2"));
        tidegate.until_metric("tidegate_server_closes_total", A_TURN, |closed| closed >= 2.0);
        let closes = tidegate.metrics();
        let of =
            |reason: &str| closes[&format!("tidegate_server_closes_total{{reason=\"{reason}\"}}")];
        assert!(of("idle_timeout") >= 2.0 && of("dead") == 0.0, "{flavor:?}: {closes:?}");
    }
}

#[test]
fn it_can_be_left_to_the_server() {
    let server = server(Flavor::installed()[0]);
    let _holder = holder(&server);
    let config = Config::to(&server).section("pool", "reap_orphans = false");
    let mut dead = Tidegate::start(config);
    let _left = stuck(&dead, 1);
    until_waiting(&server, 1, SOON);
    dead.kill();
    dead.restart();
    let told = app(&dead, 2).query("UPDATE t SET v = 7 WHERE id = 1").unwrap_err();
    assert_eq!(told.code(), 1205, "{told}");
    assert_eq!((waiting(&server), dead.metric(ENDED)), (1, 0.0));
}
