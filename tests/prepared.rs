//! The promise: a prepared statement is the client's, whatever connection it is executed on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, clippy::cast_precision_loss, reason = "metrics that count are whole")]
#![allow(clippy::too_many_lines, reason = "a story is told in one piece")]

mod support;

use std::time::Duration;

use support::{
    binary::{CURSOR_EXISTS, LAST_ROW_SENT, READ_ONLY_CURSOR, Statement, Value},
    client::{Error, Login, RawClient, Row, capability},
    servers::{Flavor, Options, Server},
    tidegate::{Config, Tidegate},
};

const LONGLONG: u8 = 8;

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
        Err(error) => format!("error {}", error.code()),
    }
}

/// The id of the server's connection a client is on, which it holds until [`let_go`].
fn hold(client: &mut RawClient) -> String {
    client.query("BEGIN").unwrap();
    client.query("SELECT COUNT(*) FROM t").unwrap();
    one(client.query("SELECT @@pseudo_thread_id"))
}

fn let_go(client: &mut RawClient) {
    client.query("COMMIT").unwrap();
}

#[test]
fn ids_are_the_same_on_every_connection() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = start(flavor, 2);
        server.root("CREATE TABLE app.t (id INT)");
        let mut client = app(&tidegate);
        // So that the server's own ids differ from connection to connection.
        let mut other = app(&tidegate);
        for number in 0..5 {
            other.prepare(&format!("SELECT {number}")).unwrap();
        }
        let sum = client.prepare("SELECT ? + 1, ?").unwrap();
        let text = client.prepare("SELECT CONCAT(?, '!')").unwrap();
        assert_eq!((sum.params, sum.columns, text.params, text.columns), (2, 2, 1, 1));
        assert_eq!((sum.id, text.id), (1, 2));

        let bind = |number: i64| [Value::Int(number), Value::from("x")];
        assert_eq!(client.execute(sum.id, &bind(1)).unwrap()[0][1].as_deref(), Some("x"));
        let mut seen = Vec::new();
        for round in 0..6 {
            // The other takes the connection away that was used last.
            let place = hold(&mut other);
            let rows = client.execute_again(sum.id, &bind(round)).unwrap();
            let expected = vec![Some((round + 1).to_string()), Some("x".to_owned())];
            assert_eq!(rows, [expected], "{flavor:?}: types of an earlier execute");
            assert_eq!(one(client.execute(text.id, &[Value::from("hi")])), "hi!");
            let_go(&mut other);
            seen.push(place);
            hold(&mut client);
            assert_eq!(one(client.execute_again(sum.id, &bind(round))), (round + 1).to_string());
            assert_eq!(one(client.execute_again(text.id, &[Value::from("hi")])), "hi!");
            let_go(&mut client);
        }
        // Other types for the same statement, as a fresh execute says.
        let rows = client.execute(sum.id, &[Value::from("41"), Value::Null]).unwrap();
        assert_eq!(rows[0], [Some("42".to_owned()), None], "{flavor:?}");

        client.close_statement(sum.id).unwrap();
        let gone = client.execute(sum.id, &bind(1)).unwrap_err();
        assert_eq!(gone.code(), 1243, "{gone}");
        assert_eq!(client.execute(99, &[]).unwrap_err().code(), 1243);
        assert_eq!(client.reset_statement(99).unwrap_err().code(), 1243);
        client.reset_statement(text.id).unwrap();
        assert_eq!(one(client.execute(text.id, &[Value::from("on")])), "on!");
        client.reset().unwrap();
        assert_eq!(client.execute(text.id, &[Value::from("x")]).unwrap_err().code(), 1243);
        assert_eq!(client.prepare("SELEKT ?").unwrap_err().code(), 1064);
        assert_eq!(client.prepare("SELECT * FROM nowhere").unwrap_err().code(), 1146);
        let again = client.prepare("SELECT ?").unwrap();
        assert_eq!(one(client.execute(again.id, &[Value::Int(5)])), "5");
    }
}

#[test]
fn many_statements() {
    for flavor in Flavor::installed() {
        let (_server, tidegate) = start(flavor, 1);
        let mut clients = [app(&tidegate), app(&tidegate)];
        let statements = prepare_many(&mut clients);
        for client in &mut clients {
            for _ in 0..2 {
                for (number, statement) in &statements {
                    let sum = one(client.execute(statement.id, &[Value::Int(1000)]));
                    assert_eq!(sum, (number + 1000).to_string(), "{flavor:?}");
                }
            }
            for (number, statement) in statements.iter().rev() {
                let sum = one(client.execute_again(statement.id, &[Value::Int(7)]));
                assert_eq!(sum, (number + 7).to_string(), "{flavor:?}");
            }
        }
        assert_eq!(tidegate.metric("tidegate_statements"), 500.0);
        drop(clients);
        tidegate.until_metric("tidegate_statements", Duration::from_secs(5), |held| held == 0.0);
    }
}

/// The same texts for each client, which get the same ids.
fn prepare_many(clients: &mut [RawClient]) -> Vec<(usize, Statement)> {
    let mut statements = Vec::new();
    for number in 0..250 {
        let sql = format!("SELECT {number} + ?");
        let ids: Vec<_> = clients.iter_mut().map(|client| client.prepare(&sql).unwrap()).collect();
        assert!(ids.iter().all(|statement| statement.id == ids[0].id));
        statements.push((number, ids[0]));
    }
    statements
}

#[test]
fn many_statements_are_few_on_the_server() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = start(flavor, 1);
        let mut clients = [app(&tidegate), app(&tidegate)];
        let statements = prepare_many(&mut clients);
        clients[0].query("DO 0").unwrap();
        let on_server = server.status("Prepared_stmt_count");
        assert!(on_server <= 101, "{flavor:?}: {on_server} statements on one connection");
        for (_, statement) in &statements {
            clients[1].execute(statement.id, &[Value::Int(1)]).unwrap();
        }
        let on_server = server.status("Prepared_stmt_count");
        assert!((90..=101).contains(&on_server), "{flavor:?}: {on_server}");
    }
}

#[test]
fn a_text_means_what_it_meant_when_it_was_prepared() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = start(flavor, 2);
        for schema in ["app", "other"] {
            server.root(&format!("CREATE DATABASE IF NOT EXISTS {schema}"));
            server.root(&format!("GRANT ALL ON {schema}.* TO app@'%'"));
            server.root(&format!("CREATE TABLE {schema}.place AS SELECT '{schema}' AS name"));
        }
        let (mut client, mut stranger) = (app(&tidegate), app(&tidegate));
        let place = client.prepare("SELECT name FROM place").unwrap();
        let quoted = client.prepare("SELECT \"name\" FROM place").unwrap();
        client.query("SET sql_mode = 'ANSI_QUOTES'").unwrap();
        client.query("USE other").unwrap();
        let later = client.prepare("SELECT \"name\" FROM place").unwrap();
        for round in 0..3 {
            let what = format!("{flavor:?} round {round}");
            assert_eq!(one(client.execute(place.id, &[])), "app", "{what}");
            assert_eq!(one(client.execute(quoted.id, &[])), "name", "{what}");
            assert_eq!(one(client.execute(later.id, &[])), "other", "{what}");
            assert_eq!(one(client.query("SELECT \"name\" FROM place")), "other", "{what}");
            // The connection forgets all statements: they must be prepared anew.
            stranger.query("CREATE TEMPORARY TABLE temp (id INT)").unwrap();
            stranger.reset().unwrap();
            assert_eq!(one(stranger.query("SELECT \"name\" FROM place")), "name", "{what}");
        }
        assert_eq!(one(client.query("SELECT DATABASE()")), "other");

        // A table that changed in between, a table that is gone, and back again.
        let all = client.prepare("SELECT * FROM place").unwrap();
        assert_eq!(client.execute(all.id, &[]).unwrap()[0].len(), 1);
        server.root("ALTER TABLE other.place ADD COLUMN more INT DEFAULT 5");
        assert_eq!(client.execute(all.id, &[]).unwrap()[0].len(), 2);
        server.root("RENAME TABLE other.place TO other.elsewhere");
        assert_eq!(client.execute(all.id, &[]).unwrap_err().code(), 1146);
        server.root("RENAME TABLE other.elsewhere TO other.place");
        assert_eq!(client.execute(all.id, &[]).unwrap()[0].len(), 2);
    }
}

#[test]
fn an_error_does_not_spoil_a_statement() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = start(flavor, 1);
        server.root("CREATE TABLE app.t (id INT PRIMARY KEY)");
        let (mut client, mut other) = (app(&tidegate), app(&tidegate));
        let insert = client.prepare("INSERT INTO t VALUES (?)").unwrap();
        for round in 0..3 {
            client.execute(insert.id, &[Value::Int(round)]).unwrap();
            let again = client.execute_again(insert.id, &[Value::Int(round)]).unwrap_err();
            assert_eq!(again.code(), 1062, "{flavor:?}");
            assert_eq!(one(other.query("SELECT COUNT(*) FROM t")), (round + 1).to_string());
        }
        // Several errors of the packet itself; the session lives.
        client.command(&[23, 1]).unwrap();
        assert!(client.read_result().is_err());
        client.command(&[&[23], &insert.id.to_le_bytes()[..], &[0, 1, 0, 0, 0]].concat()).unwrap();
        assert!(client.read_result().is_err());
        client.execute(insert.id, &[Value::Int(100)]).unwrap();
        assert_eq!(one(client.query("SELECT MAX(id) FROM t")), "100", "{flavor:?}");
    }
}

#[test]
fn cursors() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = start(flavor, 2);
        server.root("CREATE TABLE app.t (id INT)");
        server.root("CREATE TABLE app.numbers (id BIGINT)");
        let values: Vec<String> = (0..100).map(|number| format!("({number})")).collect();
        server.root(&format!("INSERT INTO app.numbers VALUES {}", values.join(",")));
        for format in [0, capability::DEPRECATE_EOF] {
            let login = Login::app().with(format);
            let mut client = RawClient::login(tidegate.address(), &login).unwrap();
            let mut other = app(&tidegate);
            let numbers =
                client.prepare("SELECT id FROM numbers WHERE id >= ? ORDER BY id").unwrap();
            for from in [0_i64, 50] {
                let what = format!("{flavor:?} {format} from {from}");
                client.send_execute(numbers.id, READ_ONLY_CURSOR, &[from.into()], true).unwrap();
                let (rows, status) = client.read_binary_result().unwrap();
                assert!(rows.is_empty() && status & CURSOR_EXISTS != 0, "{what}: {status}");
                let mut found = Vec::new();
                loop {
                    let (rows, status) = client.fetch(numbers.id, 7, &[LONGLONG]).unwrap();
                    found.extend(rows.into_iter().map(|row| row[0].clone().unwrap()));
                    // Others do not disturb it, and it does not disturb others.
                    assert_eq!(one(other.query("SELECT 1")), "1", "{what}");
                    if status & LAST_ROW_SENT != 0 {
                        break;
                    }
                }
                let expected: Vec<String> = (from..100).map(|number| number.to_string()).collect();
                assert_eq!(found, expected, "{what}");
                tidegate
                    .until_metric("tidegate_pinned", Duration::from_secs(5), |pins| pins == 0.0);
                // The same statement without a cursor.
                let rows = client.execute(numbers.id, &[Value::Int(98)]).unwrap();
                assert_eq!(rows.len(), 2, "{what}");
            }
            // Left open: reset, and closed.
            for end in ["reset", "close"] {
                client.send_execute(numbers.id, READ_ONLY_CURSOR, &[Value::Int(0)], true).unwrap();
                client.read_binary_result().unwrap();
                client.fetch(numbers.id, 3, &[LONGLONG]).unwrap();
                if end == "reset" {
                    client.reset_statement(numbers.id).unwrap();
                    let gone = client.fetch(numbers.id, 3, &[LONGLONG]).unwrap_err();
                    assert!([1421, 1243].contains(&gone.code()), "{flavor:?}: {gone}");
                } else {
                    client.close_statement(numbers.id).unwrap();
                    let gone = client.fetch(numbers.id, 3, &[LONGLONG]).unwrap_err();
                    assert_eq!(gone.code(), 1243, "{flavor:?}: {gone}");
                }
                assert_eq!(one(client.query("SELECT 2")), "2");
            }
        }
    }
}

#[test]
fn long_data_and_many_parameters() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = start(flavor, 2);
        server.root("CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, body LONGBLOB)");
        let (mut client, mut other) = (app(&tidegate), app(&tidegate));
        let insert = client.prepare("INSERT INTO t (body) VALUES (?)").unwrap();
        for round in 0..2 {
            for chunk in 0..20_u8 {
                client.send_long_data(insert.id, 0, &vec![b'a' + chunk; 1 << 20]).unwrap();
                if chunk == 10 {
                    assert_eq!(one(other.query("SELECT 1")), "1");
                }
            }
            client.execute(insert.id, &[Value::Long]).unwrap();
            let lengths =
                "SELECT CONCAT(COUNT(*), ' ', MIN(LENGTH(body)), ' ', MIN(RIGHT(body, 1)))";
            let lengths = one(other.query(&format!("{lengths} FROM t")));
            assert_eq!(lengths, format!("{} 20971520 t", round + 1), "{flavor:?}");
        }
        // Thrown away by a reset; and for a statement that is not there.
        client.send_long_data(insert.id, 0, b"never").unwrap();
        client.reset_statement(insert.id).unwrap();
        client.execute(insert.id, &[Value::from("short")]).unwrap();
        client.send_long_data(77, 0, b"nobody").unwrap();
        assert_eq!(one(client.query("SELECT body FROM t ORDER BY id DESC LIMIT 1")), "short");

        server.root("CREATE TABLE app.wide (id INT)");
        for count in [1_000, 65_535] {
            let marks = vec!["(?)"; count].join(",");
            let statement = client.prepare(&format!("INSERT INTO wide VALUES {marks}")).unwrap();
            assert_eq!(usize::from(statement.params), count);
            let values: Vec<Value> =
                (0..count).map(|number| Value::Int(i64::try_from(number).unwrap())).collect();
            client.execute(statement.id, &values).unwrap();
            // On another connection, which has heard no types yet.
            other.query("BEGIN").unwrap();
            other.query("SELECT COUNT(*) FROM wide").unwrap();
            client.execute_again(statement.id, &values).unwrap();
            other.query("COMMIT").unwrap();
            let sum = 2 * count * (count - 1) / 2;
            assert_eq!(one(other.query("SELECT SUM(id) FROM wide")), sum.to_string(), "{flavor:?}");
            client.query("DELETE FROM wide").unwrap();
            client.close_statement(statement.id).unwrap();
        }
    }
}
