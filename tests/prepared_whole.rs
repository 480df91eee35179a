//! The promise: prepared statements cost what they must, and an error that only asks for a statement
//! to be prepared again is not the client's to hear.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, clippy::cast_precision_loss, reason = "metrics that count are whole")]
#![allow(clippy::too_many_lines, reason = "a story is told in one piece")]

mod support;

use std::time::Duration;

use support::{
    binary::{Statement, Value},
    client::{Error, Login, RawClient, Row},
    servers::{Flavor, Options, Server},
    tidegate::{Config, Tidegate},
};

const SOON: Duration = Duration::from_secs(5);

fn start(flavor: Flavor, connections: u32) -> (Server, Tidegate) {
    let server = Server::start(flavor, Options::default());
    let pool = format!("max_connections = {connections}\nborrow_timeout = \"3s\"");
    let tidegate = Tidegate::start(Config::to(&server).section("pool", &pool));
    (server, tidegate)
}

fn app(tidegate: &Tidegate) -> RawClient {
    RawClient::login(tidegate.address(), &Login::app()).unwrap()
}

fn one(rows: Result<Vec<Row>, Error>) -> String {
    match rows {
        Ok(rows) => match rows.first().and_then(|row| row.first()) {
            Some(value) => value.clone().unwrap_or_else(|| "NULL".to_owned()),
            None => "no rows".to_owned(),
        },
        Err(error) => format!("error {}: {error}", error.code()),
    }
}

#[test]
fn equal_statements_of_many_clients_are_one() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = start(flavor, 2);
        let sql = format!("SELECT ? /* {} */", "long ".repeat(2000));
        let mut clients: Vec<RawClient> = (0..50).map(|_| app(&tidegate)).collect();
        for client in &mut clients {
            let statement = client.prepare(&sql).unwrap();
            assert_eq!(one(client.execute(statement.id, &[Value::Int(7)])), "7");
        }
        let what = format!("{flavor:?}");
        assert_eq!(tidegate.metric("tidegate_statements"), 50.0, "{what}");
        assert_eq!(tidegate.metric("tidegate_statements_distinct"), 1.0, "{what}");
        let bytes = tidegate.metric("tidegate_statements_bytes");
        assert!((10_000.0..11_000.0).contains(&bytes), "{what}: {bytes}");

        // Another schema, sql_mode or character set: another statement.
        let mut other = app(&tidegate);
        for setting in ["USE information_schema", "USE app", "SET NAMES latin1"] {
            other.query(setting).unwrap();
            other.prepare(&sql).unwrap();
        }
        assert_eq!(tidegate.metric("tidegate_statements_distinct"), 3.0, "{what}");
        other.quit();
        tidegate.until_metric("tidegate_statements_distinct", SOON, |there| there == 1.0);

        // What the gauge says of the servers is what they say.
        let mine = tidegate.metric("tidegate_server_statements");
        assert_eq!(mine, server.status("Prepared_stmt_count") as f64, "{what}");
        drop(clients);
        tidegate.until_metric("tidegate_statements", SOON, |there| there == 0.0);
        assert_eq!(tidegate.metric("tidegate_statements_distinct"), 0.0, "{what}");
        assert_eq!(tidegate.metric("tidegate_statements_bytes"), 0.0, "{what}");
        // They go from the servers when there is something to say to them.
        for number in 0..3 {
            let mut last = app(&tidegate);
            last.prepare(&format!("SELECT {number}")).unwrap();
            last.query("DO 0").unwrap();
        }
        let left = server.status("Prepared_stmt_count");
        assert!(left <= 4, "{what}: {left}");
        assert_eq!(tidegate.metric("tidegate_server_statements"), left as f64, "{what}");
    }
}

/// The application that prepares, executes and closes, each time, on each connection.
#[test]
fn what_is_closed_does_not_pile_up() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = start(flavor, 1);
        for number in 0..300 {
            let mut client = app(&tidegate);
            let statement = client.prepare(&format!("SELECT {number} + ?")).unwrap();
            client.execute(statement.id, &[Value::Int(1)]).unwrap();
            client.close_statement(statement.id).unwrap();
            client.quit();
        }
        let left = server.status("Prepared_stmt_count");
        assert!(left <= 3, "{flavor:?}: {left}");
    }
}

/// A text in double quotes is a string here and a column there.
#[test]
fn a_text_read_otherwise_is_another_statement() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = start(flavor, 1);
        server.root("CREATE TABLE app.t AS SELECT 'value' AS name");
        let (mut ansi, mut plain) = (app(&tidegate), app(&tidegate));
        ansi.query("SET sql_mode = 'ANSI_QUOTES'").unwrap();
        let sql = "SELECT \"name\" FROM t";
        let prepare = |client: &mut RawClient| -> Statement { client.prepare(sql).unwrap() };
        for round in 0..3 {
            let (quoted, string) = (prepare(&mut ansi), prepare(&mut plain));
            for _ in 0..2 {
                assert_eq!(one(ansi.execute(quoted.id, &[])), "value", "{flavor:?} {round}");
                assert_eq!(one(plain.execute(string.id, &[])), "name", "{flavor:?} {round}");
            }
            // The setting is gone, the statement stays what it was.
            ansi.query("SET sql_mode = DEFAULT").unwrap();
            assert_eq!(one(ansi.execute(quoted.id, &[])), "value", "{flavor:?} {round}");
            assert_eq!(one(plain.execute(string.id, &[])), "name", "{flavor:?} {round}");
            ansi.query("SET sql_mode = 'ANSI_QUOTES'").unwrap();
        }
    }
}

/// COM_CHANGE_USER takes the statements of a server connection with it.
#[test]
fn another_user_on_the_connection_has_none_of_them() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        server.root("CREATE USER other@'%' IDENTIFIED BY 'other-password'");
        server.root("GRANT ALL ON app.* TO other@'%'");
        let config = Config::to(&server).user("other", "other-password");
        let pool = "max_connections = 1\nborrow_timeout = \"3s\"";
        let tidegate = Tidegate::start(config.section("pool", pool));
        let mut mine = app(&tidegate);
        let login = Login::new("other", "other-password").schema("app");
        let mut theirs = RawClient::login(tidegate.address(), &login).unwrap();
        let sql = "SELECT CONCAT(SUBSTRING_INDEX(USER(), '@', 1), ?)";
        let first = mine.prepare(sql).unwrap();
        let second = theirs.prepare(sql).unwrap();
        for _ in 0..3 {
            assert_eq!(one(mine.execute(first.id, &[Value::from("!")])), "app!", "{flavor:?}");
            assert_eq!(tidegate.metric("tidegate_server_statements"), 1.0, "{flavor:?}");
            assert_eq!(one(theirs.execute(second.id, &[Value::from("!")])), "other!");
            assert_eq!(tidegate.metric("tidegate_server_statements"), 1.0, "{flavor:?}");
            assert_eq!(server.status("Prepared_stmt_count"), 1, "{flavor:?}");
        }
        assert_eq!(tidegate.metric("tidegate_statements_distinct"), 1.0, "{flavor:?}");
        let changed = "tidegate_borrows_total{way=\"changed_user\"}";
        assert!(tidegate.metrics()[changed] >= 6.0, "{flavor:?}: {:?}", tidegate.metrics());
    }
}
