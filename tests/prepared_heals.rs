//! The promise: a request that a server refused, and that would run if its statement were prepared
//! again or had room, is sent again once; whatever may have run is not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole")]

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use support::{
    binary::{Statement, Value},
    client::{Error, Login, RawClient, Row, capability},
    fake::{IDLE, Line, Play, Stage, Then, column_payload, ok_payload, play},
    servers::{Flavor, Options, Server},
    tidegate::{Config, Tidegate},
};

const SQL: &str = "SELECT ?";
const PREPARE: &str = "COM_PREPARE SELECT ?";

fn one(rows: Result<Vec<Row>, Error>) -> String {
    match rows {
        Ok(rows) => match rows.first().and_then(|row| row.first()) {
            Some(value) => value.clone().unwrap_or_else(|| "NULL".to_owned()),
            None => "no rows".to_owned(),
        },
        Err(error) => format!("error {}", error.code()),
    }
}

fn healed(tidegate: &Tidegate, cause: &str) -> f64 {
    tidegate.metrics()[&format!("tidegate_heals_total{{cause=\"{cause}\"}}")]
}

/// What the fake answers to an execute that it likes.
fn paper(line: &mut Line) -> Then {
    let end = ok_payload(IDLE);
    for payload in [&[1][..], &column_payload("value"), b"\0\0\x05paper"] {
        line.say(payload).unwrap();
    }
    line.say(&[&[0xFE], &end[1..]].concat()).unwrap();
    Then::GoOn
}

fn unknown(id: u32) -> String {
    format!("Unknown prepared statement handler ({id}) given to mysqld_stmt_execute")
}

/// The first `times` executes are refused with these words.
fn refuse(times: u32, code: u16, message: impl Into<String>) -> (Play, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let (count, message) = (Arc::clone(&asked), message.into());
    let refusing = play(move |line| {
        if count.fetch_add(1, Ordering::Relaxed) < times {
            line.err(code, "HY000", &message).unwrap();
            return Then::GoOn;
        }
        paper(line)
    });
    (refusing, asked)
}

#[test]
fn a_statement_the_server_lost_is_prepared_again() {
    for (code, message, cause) in
        [(1243, unknown(1), "unknown"), (1615, "needs to be re-prepared".to_owned(), "changed")]
    {
        for in_transaction in [false, true] {
            let mut stage = Stage::plain();
            let (refusing, asked) = refuse(1, code, message.clone());
            let mut client = stage.client();
            let statement = client.prepare(SQL).unwrap();
            stage.fake.on("COM_EXECUTE", refusing);
            if in_transaction {
                client.query("BEGIN").unwrap();
            }
            assert_eq!(one(client.execute(statement.id, &[Value::Int(1)])), "paper", "{code}");
            assert_eq!(asked.load(Ordering::Relaxed), 2, "{code}");
            assert_eq!(healed(&stage.tidegate, cause), 1.0);
            let connection = stage.fake.who_was_told("COM_EXECUTE");
            assert_eq!(connection[0], connection[1], "on the same connection");
            // The close of the old one goes ahead of the new one, or with the request.
            assert_eq!(stage.fake.who_was_told(PREPARE).len(), 2);
            assert_eq!(stage.fake.who_was_told("COM 25").len(), 1);
            // Nothing of it is left: types are known, no reply is out of step.
            assert_eq!(one(client.execute_again(statement.id, &[Value::Int(1)])), "paper");
            assert_eq!(one(client.query("SELECT echo on")), "on");
            if in_transaction {
                client.query("COMMIT").unwrap();
            }
            client.quit();
            stage.is_as_before();
        }
    }
}

#[test]
fn the_second_refusal_is_the_clients() {
    let mut stage = Stage::plain();
    // The second one is of the second twin.
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let refusing = play(move |line| {
        let id = count.fetch_add(1, Ordering::Relaxed) + 1;
        line.err(1243, "HY000", &unknown(id)).unwrap();
        Then::GoOn
    });
    stage.fake.on("COM_EXECUTE", refusing);
    let mut client = stage.client();
    let statement = client.prepare(SQL).unwrap();
    let refused = client.execute(statement.id, &[Value::Int(1)]).unwrap_err();
    assert_eq!(refused.code(), 1243, "{refused}");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert_eq!(one(client.query("SELECT echo on")), "on");
    client.quit();
    stage.is_as_before();
}

/// Prepares, executes, and counts how often the fake heard the execute.
fn executes(sql: &str, code: u16, message: &str) -> (u16, u32) {
    let mut stage = Stage::plain();
    let (refusing, asked) = refuse(1, code, message);
    let mut client = stage.client();
    let statement = client.prepare(sql).unwrap();
    stage.fake.on("COM_EXECUTE", refusing);
    let code = match client.execute(statement.id, &[]) {
        Ok(_) => 0,
        Err(error) => error.code(),
    };
    assert_eq!(one(client.query("SELECT echo on")), "on");
    client.quit();
    stage.is_as_before();
    (code, asked.load(Ordering::Relaxed))
}

#[test]
fn what_may_have_run_is_not_sent_again() {
    // A procedure that executes a statement it has not prepared.
    let inner = "Unknown prepared statement handler (s) given to EXECUTE";
    assert_eq!(executes("CALL p()", 1243, inner), (1243, 1));
    assert_eq!(executes("SELECT 1", 1243, &unknown(77)), (1243, 1));
    assert_eq!(executes("CALL p()", 1615, "needs to be re-prepared"), (1615, 1));
    // The same words behind a CALL prove it.
    assert_eq!(executes("CALL p()", 1243, &unknown(1)), (0, 2));
}

/// What looks back in a transaction would see the refusal, not the statement before it.
#[test]
fn what_looks_back_is_not_sent_again() {
    let mut stage = Stage::plain();
    let mut client = stage.client();
    let statement = client.prepare("SELECT ROW_COUNT()").unwrap();
    let (refusing, asked) = refuse(1, 1243, unknown(1));
    stage.fake.on("COM_EXECUTE", refusing);
    client.query("BEGIN").unwrap();
    assert_eq!(one(client.execute(statement.id, &[])), "error 1243");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    client.query("COMMIT").unwrap();
    client.quit();
    stage.is_as_before();
}

#[test]
fn an_error_behind_rows_is_the_clients() {
    let mut stage = Stage::plain();
    let mut client = stage.client();
    let statement = client.prepare(SQL).unwrap();
    let late = play(|line| {
        for payload in [&[1][..], &column_payload("value"), b"\0\0\x05paper"] {
            line.say(payload).unwrap();
        }
        line.err(1615, "HY000", "needs to be re-prepared").unwrap();
        Then::GoOn
    });
    stage.fake.on("COM_EXECUTE", late);
    assert_eq!(one(client.execute(statement.id, &[Value::Int(1)])), "error 1615");
    assert_eq!(stage.fake.who_was_told("COM_EXECUTE").len(), 1);
    client.quit();
    stage.is_as_before();
}

#[test]
fn long_data_is_not_sent_again() {
    let mut stage = Stage::plain();
    let mut client = stage.client();
    let statement = client.prepare(SQL).unwrap();
    let (refusing, asked) = refuse(9, 1243, unknown(2));
    stage.fake.on("COM_EXECUTE", refusing);
    client.send_long_data(statement.id, 0, b"once").unwrap();
    assert_eq!(one(client.execute(statement.id, &[Value::Long])), "error 1243");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    client.quit();
    stage.is_as_before();
}

#[test]
fn what_cannot_be_prepared_again_is_said() {
    let mut stage = Stage::plain();
    let mut client = stage.client();
    let statement = client.prepare(SQL).unwrap();
    let (refusing, asked) = refuse(9, 1243, unknown(1));
    stage.fake.on("COM_EXECUTE", refusing);
    let gone = play(|line| {
        line.err(1146, "42S02", "Table 'app.gone' doesn't exist").unwrap();
        Then::GoOn
    });
    stage.fake.on(PREPARE, gone);
    client.query("BEGIN").unwrap();
    assert_eq!(one(client.execute(statement.id, &[Value::Int(1)])), "error 1146");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    // The transaction is what it was.
    assert_eq!(one(client.query("SELECT echo on")), "on");
    client.query("COMMIT").unwrap();

    client.quit();
    stage.is_as_before();
}

#[test]
fn a_server_that_goes_away_meanwhile_has_not_run_it() {
    let mut stage = Stage::plain();
    let mut client = stage.client();
    let statement = client.prepare(SQL).unwrap();
    let (refusing, asked) = refuse(9, 1243, unknown(1));
    stage.fake.on("COM_EXECUTE", refusing);
    stage.fake.on(PREPARE, play(|_| Then::HangUp));
    let lost = client.execute(statement.id, &[Value::Int(1)]).unwrap_err();
    assert!(lost.to_string().contains("not started"), "{lost}");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(one(client.query("SELECT echo on")), "on");
    client.quit();
    stage.is_as_before();
}

fn limited(flavor: Flavor, connections: u32, statements: u32) -> (Server, Tidegate) {
    let server = Server::start(flavor, Options::default());
    server.root("CREATE TABLE app.t (id INT)");
    server.root(&format!("SET GLOBAL max_prepared_stmt_count = {statements}"));
    let pool = format!("max_connections = {connections}\nborrow_timeout = \"3s\"");
    let tidegate = Tidegate::start(Config::to(&server).section("pool", &pool));
    (server, tidegate)
}

fn app(tidegate: &Tidegate) -> RawClient {
    RawClient::login(tidegate.address(), &Login::app()).unwrap()
}

#[test]
fn more_statements_than_the_server_has_room_for() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = limited(flavor, 1, 20);
        let (mut client, mut other) = (app(&tidegate), app(&tidegate));
        let prepare = |number: usize| format!("SELECT {number} + ?");
        let ids: Vec<Statement> =
            (0..50).map(|number| client.prepare(&prepare(number)).unwrap()).collect();
        let theirs: Vec<Statement> =
            (0..50).map(|number| other.prepare(&prepare(number)).unwrap()).collect();
        for number in (0..50).chain(0..50) {
            let sum = one(client.execute(ids[number].id, &[Value::Int(100)]));
            assert_eq!(sum, (number + 100).to_string(), "{flavor:?}");
            let sum = one(other.execute(theirs[number].id, &[Value::Int(1)]));
            assert_eq!(sum, (number + 1).to_string(), "{flavor:?}");
        }
        assert!(healed(&tidegate, "room") >= 3.0, "{flavor:?}");
        assert!(server.status("Prepared_stmt_count") <= 20, "{flavor:?}");
    }
}

#[test]
fn idle_connections_make_room() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = limited(flavor, 3, 10);
        let (mut full, mut held) = (app(&tidegate), app(&tidegate));
        held.query("BEGIN").unwrap();
        held.query("SELECT COUNT(*) FROM t").unwrap();
        let ids: Vec<Statement> =
            (0..10).map(|number| full.prepare(&format!("SELECT {number}")).unwrap()).collect();
        assert_eq!(server.status("Prepared_stmt_count"), 10, "{flavor:?}");
        // Inside a transaction: the same connection, which has none.
        let mine = held.prepare("SELECT 'mine'").unwrap();
        assert_eq!(one(held.execute(mine.id, &[])), "mine", "{flavor:?}");
        assert_eq!(server.status("Prepared_stmt_count"), 1, "{flavor:?}");
        assert_eq!(healed(&tidegate, "room"), 1.0, "{flavor:?}");
        held.query("COMMIT").unwrap();
        for (number, statement) in ids.iter().enumerate() {
            assert_eq!(one(full.execute(statement.id, &[])), number.to_string(), "{flavor:?}");
        }
    }
}

#[test]
fn no_room_at_all_is_said() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = limited(flavor, 2, 10);
        let (mut client, mut other) = (app(&tidegate), app(&tidegate));
        let statement = client.prepare("SELECT ?").unwrap();
        server.root("SET GLOBAL max_prepared_stmt_count = 0");
        let refused = client.prepare("SELECT 2").unwrap_err();
        assert_eq!(refused.code(), 1461, "{flavor:?}: {refused}");
        // What was open makes room in vain; it is refused too, and the transaction goes on.
        other.query("BEGIN").unwrap();
        client.query("BEGIN").unwrap();
        assert_eq!(one(client.execute(statement.id, &[Value::Int(1)])), "error 1461");
        assert_eq!(one(client.query("SELECT 'on'")), "on");
        server.root("SET GLOBAL max_prepared_stmt_count = 10");
        assert_eq!(one(client.execute(statement.id, &[Value::Int(1)])), "1", "{flavor:?}");
        client.query("COMMIT").unwrap();
        other.query("COMMIT").unwrap();
    }
}

/// What the proof of 1243 rests on.
#[test]
fn servers_say_what_is_expected_of_them() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        let mut straight = RawClient::login(server.address(), &Login::app()).unwrap();
        let Err(Error::Server { code, state, message }) = straight.execute(99, &[]) else {
            panic!("{flavor:?}");
        };
        assert_eq!((code, state.as_str()), (1243, "HY000"), "{flavor:?}");
        let speaker = message.rsplit(' ').next().unwrap();
        assert!(message.contains("(99)") && speaker.contains("_stmt_"), "{message}");
        straight.query("PREPARE `99` FROM 'DO 0'").unwrap();
        straight.query("DEALLOCATE PREPARE `99`").unwrap();
        let as_sql = straight.query("EXECUTE `99`").unwrap_err().to_string();
        let speaker = as_sql.rsplit(' ').next().unwrap();
        assert!(as_sql.contains("(99)") && !speaker.contains("_stmt_"), "{as_sql}");
    }
}

/// MariaDB prepares a statement that asks for a file: the request must be out of the way by then.
#[test]
fn a_prepared_statement_that_loads_a_file() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = limited(flavor, 2, 100);
        let login = Login::app().with(capability::LOCAL_FILES);
        let mut client = RawClient::login(tidegate.address(), &login).unwrap();
        let load = client.prepare("LOAD DATA LOCAL INFILE 'none' INTO TABLE t");
        let Ok(load) = load else {
            assert_eq!(load.unwrap_err().code(), 1295, "{flavor:?}");
            continue;
        };
        for round in 1..4 {
            client.send_execute(load.id, 0, &[], true).unwrap();
            assert_eq!(client.read_packet().unwrap()[0], 0xFB, "{flavor:?}: asks for the file");
            client.write_packet(b"1\n2\n").unwrap();
            client.write_packet(b"").unwrap();
            client.read_result().unwrap();
            let count = server.root("SELECT COUNT(*) FROM app.t");
            assert_eq!(count[0][0], Some((2 * round).to_string()), "{flavor:?}");
        }
    }
}
