//! The promise: prepared statements cost no more than they must, and whatever happens to their
//! tables, a client reads the packets that the server would have sent it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, clippy::cast_precision_loss, reason = "metrics that count are whole")]
#![allow(clippy::too_many_lines, reason = "a story is told in one piece")]

mod support;

use std::time::Duration;

use support::{
    binary::{READ_ONLY_CURSOR, Statement, Value, execute_packet},
    client::{Error, Login, RawClient, Row, capability, lenenc, refusal},
    fake::resident,
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

/// One packet of a reply, with its number.
type Packet = (u8, Vec<u8>);

const CURSOR: u8 = 64;
const NO_INDEX: u8 = 32 | 16;
/// Of the upper byte: said by the connection that saw the change, and by no other.
const METADATA_CHANGED: u8 = 4;

fn take(client: &mut RawClient, packets: &mut Vec<Packet>) -> Vec<u8> {
    let packet = client.read_packet().unwrap();
    let mut seen = packet.clone();
    let is_ok = packets.is_empty() && packet[0] == 0;
    if (is_ok || is_end(&packet)) && packet.len() >= 5 {
        seen[4] &= !METADATA_CHANGED;
    }
    packets.push((client.sequence(), seen));
    packet
}

fn is_end(packet: &[u8]) -> bool {
    packet[0] == 0xFF || (packet[0] == 0xFE && packet.len() < 9)
}

/// Sends a command about a statement and takes its reply as it is.
fn reply(client: &mut RawClient, command: &[u8]) -> Vec<Packet> {
    client.command(command).unwrap();
    let mut packets = Vec::new();
    let deprecate_eof = client.speaks(capability::DEPRECATE_EOF);
    let first = take(client, &mut packets);
    let prepares = command[0] == 22;
    if first[0] == 0xFF {
        // The text names the server's id of the statement.
        packets[0].1.truncate(9);
        return packets;
    }
    if first[0] == 0 && !prepares && command[0] != 28 {
        return packets;
    }
    if prepares {
        for at in [7, 5] {
            let count = u16::from_le_bytes([first[at], first[at + 1]]);
            let eof = u16::from(count > 0 && !deprecate_eof);
            for _ in 0..count + eof {
                take(client, &mut packets);
            }
        }
        // The id is the proxy's own.
        packets[0].1[1..5].fill(0);
        return packets;
    }
    let mut last = first;
    if command[0] == 23 {
        for _ in 0..lenenc(&mut last.as_slice()).unwrap() {
            take(client, &mut packets);
        }
        last = take(client, &mut packets);
        if !deprecate_eof {
            if last[3] & CURSOR != 0 {
                return packets;
            }
            // Tidegate says it ahead of the rows, before it knows that no index was used.
            let eof = packets.len() - 1;
            packets[eof].1[3] &= !NO_INDEX;
            last = take(client, &mut packets);
        }
    }
    while !is_end(&last) {
        last = take(client, &mut packets);
    }
    packets
}

fn said(packets: &[Packet]) -> String {
    let first = &packets[0].1;
    if first[0] == 0xFF { refusal(first).to_string() } else { format!("{} packets", packets.len()) }
}

/// A client straight at the server, and one through the proxy, each told the same.
struct Pair {
    straight: RawClient,
    through: RawClient,
    /// Takes the connection that was used last.
    other: RawClient,
    ids: Vec<(Statement, Statement)>,
}

impl Pair {
    fn new(server: &Server, tidegate: &Tidegate, format: u32) -> Self {
        let login = Login::app().with(format);
        let mut straight = RawClient::login(server.address(), &login).unwrap();
        let mut through = RawClient::login(tidegate.address(), &login).unwrap();
        // A login's collation is told to a server by its character set's name, which is another
        // number in the definition of a column.
        for client in [&mut straight, &mut through] {
            client.query("SET NAMES utf8mb4").unwrap();
        }
        Self { straight, through, other: app(tidegate), ids: Vec::new() }
    }

    fn prepare(&mut self, sql: &str) {
        let command = [&[22], sql.as_bytes()].concat();
        let straight = reply(&mut self.straight, &command);
        assert_eq!(straight, reply(&mut self.through, &command), "{sql}");
        let (straight, through) = (&mut self.straight, &mut self.through);
        self.ids.push((straight.prepare(sql).unwrap(), through.prepare(sql).unwrap()));
    }

    /// What both are told about the statement of this number.
    fn both(&mut self, number: usize, what: &str, command: impl Fn(u32) -> Vec<u8>) -> String {
        let (straight, through) = self.ids[number];
        let expected = reply(&mut self.straight, &command(straight.id));
        let seen = reply(&mut self.through, &command(through.id));
        assert_eq!(expected, seen, "{what}: {} and {}", said(&expected), said(&seen));
        said(&expected)
    }

    /// The through one executes on the connection it used last, and on the other.
    fn execute(&mut self, number: usize, what: &str, values: &[Value]) -> String {
        let execute = |id| execute_packet(id, 0, values, true);
        let here = self.both(number, &format!("{what}, here"), execute);
        self.other.query("BEGIN").unwrap();
        self.other.query("SELECT COUNT(*) FROM anchor").unwrap();
        let there = self.both(number, &format!("{what}, there"), execute);
        let again = |id| execute_packet(id, 0, values, false);
        self.both(number, &format!("{what}, again"), again);
        self.other.query("COMMIT").unwrap();
        assert_eq!(here, there, "{what}");
        here
    }
}

/// Each of these is done between two executes, and never by one of the clients.
const CHANGES: [&str; 12] = [
    "ALTER TABLE app.t ADD COLUMN more INT DEFAULT 5",
    "ALTER TABLE app.t MODIFY id BIGINT UNSIGNED NOT NULL",
    "ALTER TABLE app.t MODIFY name VARCHAR(200) CHARACTER SET latin1",
    "ALTER TABLE app.t MODIFY id VARCHAR(20) NOT NULL",
    "CREATE OR REPLACE VIEW app.v AS SELECT name, id, 'x' AS x FROM app.t",
    "DROP TABLE app.t",
    "CREATE TABLE app.t (name CHAR(5), id INT)",
    "INSERT INTO app.t VALUES ('new', 1)",
    "ALTER TABLE app.t DROP COLUMN name",
    "ALTER TABLE app.t ADD COLUMN name VARCHAR(10) DEFAULT 'n' FIRST",
    "ALTER TABLE app.t RENAME COLUMN name TO other",
    "DROP VIEW app.v",
];

#[test]
fn whatever_becomes_of_a_table() {
    for flavor in Flavor::installed() {
        for format in [0, capability::DEPRECATE_EOF] {
            let (server, tidegate) = start(flavor, 2);
            server.root("CREATE TABLE app.anchor (id INT)");
            server.root("CREATE TABLE app.t (id INT NOT NULL, name VARCHAR(20))");
            server.root("INSERT INTO app.t VALUES (1, 'one'), (2, 'two')");
            server.root("CREATE VIEW app.v AS SELECT id FROM app.t");
            let mut pair = Pair::new(&server, &tidegate, format);
            for sql in [
                "SELECT * FROM t",
                "SELECT * FROM t WHERE id = ?",
                "SELECT name, id FROM t ORDER BY id",
                "SELECT * FROM v",
                "UPDATE t SET name = ? WHERE id = 99",
                "INSERT INTO t SELECT * FROM t WHERE id = ?",
            ] {
                pair.prepare(sql);
            }
            let values = [Value::from("99")];
            let mut answers = std::collections::BTreeSet::new();
            for change in ["DO 0"].iter().chain(&CHANGES) {
                server.root(change);
                for number in 0..pair.ids.len() {
                    let count = usize::from(pair.ids[number].0.params);
                    let what = format!("{flavor:?}, {format}, {number} after {change}");
                    answers.insert(pair.execute(number, &what, &values[..count]));
                }
            }
            assert!(answers.len() >= 6, "all the same: {answers:?}");
        }
    }
}

/// What Connector/J does with `useCursorFetch`.
#[test]
fn rows_fetched_in_parts() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = start(flavor, 2);
        server.root("CREATE TABLE app.anchor (id INT)");
        server.root("CREATE TABLE app.t (id INT PRIMARY KEY, name VARCHAR(20))");
        let rows: Vec<String> = (0..25).map(|id| format!("({id}, 'n{id}')")).collect();
        server.root(&format!("INSERT INTO app.t VALUES {}", rows.join(",")));
        for format in [0, capability::DEPRECATE_EOF] {
            let mut pair = Pair::new(&server, &tidegate, format);
            pair.prepare("SELECT id, name FROM t WHERE id >= ? ORDER BY id");
            let open = |from: i64| {
                move |id| execute_packet(id, READ_ONLY_CURSOR, &[Value::Int(from)], true)
            };
            let fetch = |rows: u32| {
                move |id: u32| [&[28], &id.to_le_bytes()[..], &rows.to_le_bytes()].concat()
            };
            for round in 0..3 {
                let what = format!("{flavor:?}, {format}, {round}");
                pair.both(0, &what, open(5));
                pair.both(0, &what, fetch(7));
                pair.both(0, &what, fetch(100));
                // Past the end.
                let past = pair.both(0, &what, fetch(1));
                eprintln!("{what}: past the end {past}");
                pair.both(0, &what, open(20));
                pair.both(0, &what, fetch(2));
                // Left half-read: opened anew, and reset.
                pair.both(0, &what, open(24));
                pair.both(0, &what, fetch(1));
                pair.both(0, &what, |id| [&[26], &id.to_le_bytes()[..]].concat());
                pair.both(0, &what, fetch(1));
            }
            let (straight, through) = pair.ids[0];
            pair.straight.close_statement(straight.id).unwrap();
            pair.through.close_statement(through.id).unwrap();
            assert_eq!(one(pair.through.query("SELECT 'on'")), "on");
        }
        tidegate.until_metric("tidegate_pinned", SOON, |pins| pins == 0.0);
    }
}

const MIB: usize = 1 << 20;

#[test]
fn a_hundred_megabytes_of_long_data_pass_through_little_memory() {
    for flavor in Flavor::installed() {
        let largest = Options::default().argument("--max-allowed-packet=256M");
        let server = Server::start(flavor, largest);
        let pool = "max_connections = 2\nborrow_timeout = \"3s\"";
        let tidegate = Tidegate::start(Config::to(&server).section("pool", pool));
        let mut client = app(&tidegate);
        let length = client.prepare("SELECT LENGTH(?), RIGHT(?, 3)").unwrap();
        let (piece, mut most) = (vec![b'p'; MIB], 0);
        let before = resident(tidegate.pid());
        for _ in 0..2 {
            for _ in 0..100 {
                client.send_long_data(length.id, 0, &piece).unwrap();
                most = most.max(resident(tidegate.pid()));
            }
            // Pieces of more than one packet, and the other parameter.
            client.send_long_data(length.id, 1, &vec![b'q'; 20 * MIB]).unwrap();
            most = most.max(resident(tidegate.pid()));
            let rows = client.execute(length.id, &[Value::Long, Value::Long]).unwrap();
            let expected = (100 * MIB).to_string();
            assert_eq!(rows[0], [Some(expected), Some("qqq".to_owned())], "{flavor:?}");
        }
        let grown = most.saturating_sub(before) / MIB;
        eprintln!("{flavor:?}: grown by {grown} MiB");
        assert!(grown < 8, "{flavor:?}: {grown} MiB");
    }
}

/// Each cursor has a statement of its own on the server, as long as something is open on it.
#[test]
fn cursors_that_are_done_make_room() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = start(flavor, 1);
        let mut client = app(&tidegate);
        client.query("BEGIN").unwrap();
        let ids: Vec<Statement> = (0..250)
            .map(|number| client.prepare(&format!("SELECT CONCAT({number}, ?)")).unwrap())
            .collect();
        for (number, statement) in ids.iter().enumerate() {
            let values = [Value::from("!")];
            client.send_execute(statement.id, READ_ONLY_CURSOR, &values, true).unwrap();
            client.read_binary_result().unwrap();
            // Every fiftieth is left open.
            if number % 50 != 0 {
                assert_eq!(one(client.fetch(statement.id, 9, &[253]).map(|seen| seen.0)), {
                    format!("{number}!")
                });
            }
        }
        let on_server = server.status("Prepared_stmt_count");
        assert!(on_server <= 205, "{flavor:?}: {on_server}");
        assert_eq!(tidegate.metric("tidegate_server_statements"), on_server as f64, "{flavor:?}");
        for number in (0..250).step_by(50) {
            let row = client.fetch(ids[number].id, 9, &[253]).map(|seen| seen.0);
            assert_eq!(one(row), format!("{number}!"), "{flavor:?}");
        }
        client.query("COMMIT").unwrap();
    }
}
