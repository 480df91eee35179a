//! Statements are told apart and told of by what they are like, and no value of theirs is anywhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use support::client::{Login, RawClient, Row};
use support::servers::{Flavor, Options, Server};
use support::tidegate::{Config, Tidegate};
use support::wait_for;

const SOON: Duration = Duration::from_secs(10);

/// One statement in sixteen of each client is looked at: of as many in a row, one is.
const ROUND: usize = 16;

fn stage(sections: &[(&str, &str)]) -> (Server, Tidegate) {
    let server = Server::start(Flavor::installed()[0], Options::default());
    let config = sections
        .iter()
        .fold(Config::to(&server), |config, (name, lines)| config.section(name, lines));
    let tidegate = Tidegate::start(config);
    (server, tidegate)
}

fn app(tidegate: &Tidegate) -> RawClient {
    RawClient::login(tidegate.address(), &Login::app()).unwrap()
}

fn ask(tidegate: &Tidegate, statement: &str) -> Vec<Row> {
    let login = Login::new("anybody", "");
    RawClient::login(tidegate.sql_address(), &login).unwrap().query(statement).unwrap()
}

/// By statement: how many were looked at, and how many of those failed.
fn digests(tidegate: &Tidegate) -> BTreeMap<String, (u64, u64)> {
    let number = |cell: &Option<String>| cell.as_ref().unwrap().parse().unwrap();
    let row = |row: Row| (row[1].clone().unwrap(), (number(&row[2]), number(&row[3])));
    ask(tidegate, "SHOW DIGESTS").into_iter().map(row).collect()
}

fn line(tidegate: &Tidegate, what: &str) -> Value {
    let log = wait_for(what, SOON, || Some(tidegate.log()).filter(|log| log.contains(what)));
    let line = log.lines().find(|line| line.contains(what)).unwrap();
    serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))
}

#[test]
fn statements_are_told_apart_without_their_values() {
    let (_server, tidegate) = stage(&[("log", "level = \"debug\"")]);
    let mut client = app(&tidegate);
    client.query("CREATE TABLE app.shop (id INT, secret VARCHAR(60))").unwrap();
    for id in 0..4 * ROUND {
        client.query(&format!("SELECT secret FROM app.shop WHERE id = {id}")).unwrap();
    }
    for id in 0..2 * ROUND {
        let rows = vec![format!("({id}, 'hunter2')"); id + 2].join(", ");
        client.query(&format!("INSERT INTO app.shop VALUES {rows} /* hunter2 */")).unwrap();
    }
    for id in 0..2 * ROUND {
        client.query(&format!("SELECT 'hunter2{id}' FROM app.nowhere")).unwrap_err();
    }
    let prepared = client.prepare("SELECT id FROM app.shop WHERE secret = ? AND id > 5").unwrap();
    for _ in 0..ROUND {
        client.execute(prepared.id, &["hunter2".into()]).unwrap();
    }
    let _ = client.query("SET PASSWORD = 'hunter2'");
    let _ = client.query("SET @secret = 'hunter2', @other = \"hunter2\"");
    let expected = [
        ("SELECT secret FROM app.shop WHERE id = ?", (4, 0)),
        ("INSERT INTO app.shop VALUES (...), ...", (2, 0)),
        ("SELECT ? FROM app.nowhere", (2, 2)),
        ("SELECT id FROM app.shop WHERE secret = ? AND id > ?", (1, 0)),
    ];
    let seen = digests(&tidegate);
    for (statement, counts) in expected {
        assert_eq!(seen.get(statement), Some(&counts), "{statement}: {seen:?}");
    }
    let (_, status) = tidegate.http("/status?digests=3").unwrap();
    let list = &serde_json::from_str::<Value>(&status).unwrap()["digest_list"];
    assert_eq!(list["digests"].as_array().unwrap().len(), 3);
    assert!(list["total"].as_u64().unwrap() >= 4, "{list}");

    let (_, metrics) = tidegate.http("/metrics").unwrap();
    let (_, status) = tidegate.http("/status?digests=500&clients=500").unwrap();
    let console = format!("{:?}", ask(&tidegate, "SHOW DIGESTS"));
    let statements = format!("{:?}", ask(&tidegate, "SHOW STATEMENTS"));
    for place in [tidegate.log(), metrics, status, console, statements] {
        assert!(!place.contains("hunter2"), "{place}");
    }
}

#[test]
fn nobody_has_to_have_them() {
    let (_server, tidegate) = stage(&[("admin", "digests = false")]);
    let mut client = app(&tidegate);
    (0..2 * ROUND).for_each(|_| drop(client.query("SELECT 1").unwrap()));
    assert_eq!(ask(&tidegate, "SHOW DIGESTS"), Vec::<Row>::new());
    let (_, status) = tidegate.http("/status?digests=3").unwrap();
    assert!(!status.contains("digest_list"), "{status}");
}

#[test]
fn slow_statements_are_told_of() {
    let (_server, tidegate) = stage(&[("log", "format = \"json\"\nslow_query = \"100ms\"")]);
    let mut client = app(&tidegate);
    client.query("SELECT SLEEP(0.2), 'hunter2'").unwrap();
    client.query("SELECT 'quick'").unwrap();
    let told = line(&tidegate, "slow statement");
    assert_eq!((&told["level"], &told["user"]), (&"WARN".into(), &"app".into()));
    assert_eq!(told["session"], client.greeting.connection_id);
    assert_eq!(told["digest"], "SELECT SLEEP (?), ?");
    let (took, target) = (told["took_ms"].as_f64().unwrap(), told["target_ms"].as_f64().unwrap());
    assert!(took >= target && target >= 199.0, "{told}");
    assert!(told.get("statement").is_none(), "{told}");
    let prepared = client.prepare("SELECT SLEEP(?)").unwrap();
    client.execute(prepared.id, &["0.15".into()]).unwrap();
    let log = wait_for("the other", SOON, || {
        Some(tidegate.log()).filter(|log| log.matches("slow statement").count() == 2)
    });
    assert!(log.contains("\"digest\":\"SELECT SLEEP (?)\""), "{log}");
    assert!(!log.contains("hunter2") && !log.contains("quick"), "{log}");
    // All are timed, and the metrics are of one in eight as ever.
    (0..8).for_each(|_| drop(client.query("SELECT 1").unwrap()));
    let timed = tidegate.metrics()["tidegate_query_seconds_count"];
    assert!((1.0..=2.0).contains(&timed), "{timed}");
}

#[test]
fn with_their_text_where_that_was_asked_for() {
    let lines = "format = \"json\"\nslow_query = \"50ms\"\nslow_query_text = true";
    let (_server, tidegate) = stage(&[("log", lines)]);
    app(&tidegate).query("SELECT SLEEP(0.1), 'as it is'").unwrap();
    let told = line(&tidegate, "slow statement");
    assert_eq!(told["statement"], "SELECT SLEEP(0.1), 'as it is'");
}

#[test]
fn a_reload_begins_to_tell_of_them() {
    let server = Server::start(Flavor::installed()[0], Options::default());
    let mut tidegate = Tidegate::start(Config::to(&server));
    let mut client = app(&tidegate);
    client.query("SELECT SLEEP(0.1)").unwrap();
    tidegate.rewrite(|config| config.section("log", "format = \"json\"\nslow_query = \"50ms\""));
    tidegate.signal("HUP");
    tidegate.until_metric("tidegate_config_generation", SOON, |generation| generation >= 2.0);
    client.query("SELECT SLEEP(0.1), 'told'").unwrap();
    assert_eq!(line(&tidegate, "slow statement")["digest"], "SELECT SLEEP (?), ?");
    assert_eq!(tidegate.log().matches("slow statement").count(), 1);
}

#[test]
fn what_pins_is_told_once() {
    let (_server, tidegate) = stage(&[("log", "format = \"json\"")]);
    for lock in ["first", "second", "third"] {
        let mut client = app(&tidegate);
        client.query(&format!("SELECT GET_LOCK('{lock}', 1)")).unwrap();
        client.query(&format!("SELECT RELEASE_LOCK('{lock}')")).unwrap();
    }
    let told = line(&tidegate, "a client keeps its connection");
    assert_eq!(told["reason"], "user_lock");
    assert_eq!(told["digest"], "SELECT GET_LOCK (...)");
    app(&tidegate).query("CREATE TEMPORARY TABLE app.t (a INT DEFAULT 7)").unwrap();
    let told = line(&tidegate, "temporary_table");
    assert_eq!(told["digest"], "CREATE TEMPORARY TABLE app.t (a INT DEFAULT ?)");
    let log = tidegate.log();
    assert_eq!(log.matches("a client keeps its connection").count(), 2, "{log}");
}

/// Who reads an error finds in the log which session it was.
#[test]
fn an_error_and_the_log_name_the_session() {
    let pool = "max_connections = 1\nborrow_timeout = \"200ms\"";
    let (_server, tidegate) = stage(&[("pool", pool), ("log", "format = \"json\"")]);
    let mut first = app(&tidegate);
    first.query("BEGIN").unwrap();
    let mut second = app(&tidegate);
    let told = second.query("SELECT 1").unwrap_err().to_string();
    let id = second.greeting.connection_id;
    assert!(told.ends_with(&format!(" (session {id})")), "{told}");
    let line = line(&tidegate, "Timed-out waiting");
    assert_eq!((&line["session"], &line["code"]), (&id.into(), &9501.into()));
    // A storm of them is folded.
    for _ in 0..9 {
        second.query("SELECT 1").unwrap_err();
    }
    let more = wait_for("how many more", Duration::from_secs(20), || {
        let log = tidegate.log();
        log.lines().find(|line| line.contains("more like it")).map(str::to_owned)
    });
    assert!(more.contains("… 5 more like it in 10 s: refused: Timed-out"), "{more}");
}
