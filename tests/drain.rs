//! The promise: nobody loses what was under way when Tidegate stops, and nobody stays for ever.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole")]

mod support;

use std::{
    thread,
    time::{Duration, Instant},
};

use support::{
    client::{Error, Login, RawClient},
    servers::{Flavor, Options, Server},
    tidegate::{Config, Tidegate},
    wait_for,
};

fn server() -> Server {
    let server = Server::start(Flavor::installed()[0], Options::default());
    server.root("CREATE TABLE app.t (id INT)");
    server
}

fn app(tidegate: &Tidegate) -> RawClient {
    RawClient::login(tidegate.address(), &Login::app()).unwrap()
}

fn one(client: &mut RawClient, sql: &str) -> String {
    match client.query(sql) {
        Ok(rows) => rows.first().and_then(|row| row[0].clone()).unwrap_or_default(),
        Err(error) => error.to_string(),
    }
}

/// What an idle client finds when it looks.
fn farewell(client: &mut RawClient) -> String {
    let packet = client.read_packet().unwrap();
    let words = support::client::refusal(&packet).to_string();
    assert!(matches!(client.read_packet(), Err(Error::Io(_))), "closed after {words}");
    words
}

const DRAINING: &str = "ERROR 1053 (08S01): Server shutdown in progress";

#[test]
fn a_drain() {
    let server = server();
    let mut tidegate = Tidegate::start(Config::to(&server));
    let (mut idle, mut pinned) = (app(&tidegate), app(&tidegate));
    let (mut busy, mut in_transaction) = (app(&tidegate), app(&tidegate));
    idle.query("SELECT 1").unwrap();
    pinned.query("SET @x = 1").unwrap();
    in_transaction.query("BEGIN").unwrap();
    in_transaction.query("INSERT INTO t VALUES (1)").unwrap();
    busy.command(b"\x03SELECT SLEEP(1.5), 'done'").unwrap();
    tidegate.until_metric("tidegate_queries_total", Duration::from_secs(5), |n| n >= 5.0);
    assert_eq!(tidegate.http("/readyz").unwrap().0, 200);
    tidegate.sigterm();

    assert_eq!(farewell(&mut idle), DRAINING);
    assert_eq!(farewell(&mut pinned), DRAINING);
    let (status, why) = tidegate.http("/readyz").unwrap();
    assert_eq!((status, why.trim()), (503, "draining"));
    assert_eq!(tidegate.http("/healthz").unwrap().0, 200);
    assert!(RawClient::login(tidegate.address(), &Login::app()).is_err());
    // A statement under way is answered, a transaction goes on to its end.
    assert_eq!(busy.read_result().unwrap().0[0][1].as_deref(), Some("done"));
    assert_eq!(farewell(&mut busy), DRAINING);
    in_transaction.query("INSERT INTO t VALUES (2)").unwrap();
    in_transaction.query("COMMIT").unwrap();
    assert_eq!(farewell(&mut in_transaction), DRAINING);
    let status = tidegate.wait(Duration::from_secs(5)).expect("it ends when all have left");
    assert_eq!(status.code(), Some(0));
    assert_eq!(server.root("SELECT COUNT(*) FROM app.t")[0][0].as_deref(), Some("2"));
    wait_for("the connections to be gone", Duration::from_secs(5), || {
        (server.threads_connected() == 0).then_some(())
    });
}

#[test]
fn a_drain_has_an_end_and_a_second_signal_ends_it() {
    let server = server();
    for second in [false, true] {
        let timeout = if second { "60s" } else { "1s" };
        let admin = format!("drain_timeout = \"{timeout}\"");
        let mut tidegate = Tidegate::start(Config::to(&server).section("admin", &admin));
        let mut stubborn = app(&tidegate);
        stubborn.query("BEGIN").unwrap();
        stubborn.query("INSERT INTO t VALUES (1)").unwrap();
        let started = Instant::now();
        tidegate.sigterm();
        wait_for("the drain", Duration::from_secs(5), || {
            tidegate.http("/readyz").filter(|(status, _)| *status == 503)
        });
        assert_eq!(one(&mut stubborn, "SELECT 1"), "1");
        if second {
            tidegate.sigterm();
        }
        let status = tidegate.wait(Duration::from_secs(10)).expect("it ends");
        assert_eq!(status.code(), Some(0), "second signal: {second}");
        assert!(second || started.elapsed() >= Duration::from_secs(1));
        assert!(stubborn.query("SELECT 2").is_err());
        wait_for("the transaction to be rolled back", Duration::from_secs(5), || {
            (server.threads_connected() == 0).then_some(())
        });
        assert_eq!(server.root("SELECT COUNT(*) FROM app.t")[0][0].as_deref(), Some("0"));
    }
}

#[test]
fn secrets_are_read_again() {
    let server = server();
    let config = Config::to(&server);
    let tidegate = Tidegate::start(config.clone());
    let stranger = Login::new("app_b", "app_b-password").schema("app");
    let log_in = |login: &Login| RawClient::login(tidegate.address(), login);
    let mut client = app(&tidegate);
    assert_eq!(log_in(&stranger).err().unwrap().code(), 1045);

    tidegate.write_secrets(&config.clone().user("app_b", "app_b-password").secrets());
    tidegate.signal("HUP");
    wait_for("the new user", Duration::from_secs(5), || log_in(&stranger).ok());
    assert_eq!(one(&mut client, "SELECT 1"), "1");

    // A bad file is refused whole.
    tidegate.write_secrets("[[user]]\nusername = ");
    tidegate.signal("HUP");
    wait_for("the refusal", Duration::from_secs(5), || {
        tidegate.log().contains("were not read again").then_some(())
    });
    let mut friend = log_in(&stranger).unwrap();
    assert_eq!(one(&mut friend, "SELECT CURRENT_USER()"), "app_b@%");
    assert_eq!(one(&mut client, "SELECT CURRENT_USER()"), "app@%");
    assert_eq!(one(&mut app(&tidegate), "SELECT 2"), "2");

    // A user is taken away, a password changes: for new logins.
    server.root(match server.flavor {
        Flavor::MySql => "ALTER USER app@'%' IDENTIFIED BY 'changed'",
        Flavor::MariaDb => "SET PASSWORD FOR app@'%' = PASSWORD('changed')",
    });
    tidegate.write_secrets(&Config::new().user("app", "changed").secrets());
    tidegate.signal("HUP");
    let changed = Login::new("app", "changed").schema("app");
    wait_for("the new password", Duration::from_secs(5), || log_in(&changed).ok());
    assert_eq!(log_in(&stranger).err().unwrap().code(), 1045);
    assert_eq!(log_in(&Login::app()).err().unwrap().code(), 1045);
    assert_eq!(one(&mut log_in(&changed).unwrap(), "SELECT 3"), "3");
}

#[test]
fn those_who_stay_too_long() {
    let server = server();
    let rows: Vec<String> = (10..200).map(|number| format!("({number})")).collect();
    server.root(&format!("INSERT INTO app.t VALUES {}", rows.join(",")));
    let client = "idle_timeout = \"1s\"\nidle_in_transaction_timeout = \"2s\"\nmax_query = \"1s\"\n\
                  login_timeout = \"1s\"";
    let tidegate = Tidegate::start(Config::to(&server).section("client", client));
    let inactive = |key: &str| {
        format!(
            "ERROR 4031 (HY000): The client was disconnected by the server because of inactivity \
             (client.{key})."
        )
    };
    let (mut idle, mut dreamer) = (app(&tidegate), app(&tidegate));
    let mut slow = app(&tidegate);
    dreamer.query("BEGIN").unwrap();
    dreamer.query("INSERT INTO t VALUES (1)").unwrap();
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(farewell(&mut idle), inactive("idle_timeout")));
        scope.spawn(|| {
            let told = farewell(&mut dreamer);
            assert_eq!(told, inactive("idle_in_transaction_timeout"));
        });
        scope.spawn(|| {
            let begin = "ERROR 3024 (HY000): Query execution was interrupted, maximum statement \
                         execution time exceeded";
            let join = "FROM t AS a, t AS b, t AS c, t AS d, t AS e";
            let sum = "a.id + b.id + c.id + d.id + e.id";
            let sql = format!("INSERT INTO t SELECT {sum} {join} WHERE {sum} = 0");
            let told = one(&mut slow, &sql);
            assert!(told.starts_with(begin), "{told}");
            assert_eq!(one(&mut slow, "SELECT 'alive'"), "alive");
        });
        scope.spawn(|| {
            let mut mute = RawClient::greet(tidegate.address()).unwrap();
            assert!(matches!(mute.read_packet(), Err(Error::Io(_))), "closed without a word");
        });
    });
    wait_for("the rollback", Duration::from_secs(5), || {
        let borrowed = tidegate.metrics()["tidegate_server_connections{state=\"borrowed\"}"];
        (borrowed == 0.0).then_some(())
    });
    let rolled_back = server.root("SELECT COUNT(*) FROM app.t WHERE id = 1");
    assert_eq!(rolled_back[0][0].as_deref(), Some("0"));
}

#[test]
fn nobody_is_cut_early() {
    let server = server();
    let client = "idle_timeout = \"900ms\"\nmax_query = \"900ms\"";
    let tidegate = Tidegate::start(Config::to(&server).section("client", client));
    let (mut steady, mut slow) = (app(&tidegate), app(&tidegate));
    let started = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            while started.elapsed() < Duration::from_secs(5) {
                steady.ping().unwrap();
            }
        });
        scope.spawn(|| {
            while started.elapsed() < Duration::from_secs(5) {
                assert_eq!(one(&mut slow, "SELECT SLEEP(0.3)"), "0", "interrupted");
            }
        });
    });
}

/// A SLEEP that is interrupted is no error: it says 1. The next error is of another statement.
#[test]
fn an_error_after_a_statement_that_was_too_slow_is_its_own() {
    let server = server();
    let config = Config::to(&server).section("client", "max_query = \"1s\"");
    let tidegate = Tidegate::start(config);
    let mut client = app(&tidegate);
    assert_eq!(one(&mut client, "SELECT SLEEP(30)"), "1");
    let told = one(&mut client, "SELECT * FROM nowhere");
    assert!(told.starts_with("ERROR 1146 "), "{told}");
}

/// The server has named the columns of the result by then.
#[test]
fn a_select_that_is_too_slow_is_told_so_too() {
    let server = server();
    let rows: Vec<String> = (10..200).map(|number| format!("({number})")).collect();
    server.root(&format!("INSERT INTO app.t VALUES {}", rows.join(",")));
    let config = Config::to(&server).section("client", "max_query = \"1s\"");
    let tidegate = Tidegate::start(config);
    let mut client = app(&tidegate);
    let join = "FROM t AS a, t AS b, t AS c, t AS d, t AS e";
    let sql = format!("SELECT COUNT(*) {join} WHERE a.id + b.id + c.id + d.id + e.id = 0");
    let told = one(&mut client, &sql);
    assert!(told.starts_with("ERROR 3024 (HY000): "), "{told}");
}
