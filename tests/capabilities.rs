//! The promise: what a client may negotiate with its server, it may negotiate with Tidegate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::too_many_lines, reason = "a story is told in one piece")]

mod support;

use std::process::Command;

use support::{
    binary::Value,
    cache,
    client::{Error, Login, RawClient, Row, capability},
    servers::{Flavor, Options, PASSWORD, SCHEMA, Server, USER},
    tidegate::{Config, Tidegate},
};

const MIB_16: usize = 0xFF_FFFF;

fn start(flavor: Flavor, connections: u32) -> (Server, Tidegate) {
    let server = Server::start(flavor, Options::default());
    let pool = format!("max_connections = {connections}\nborrow_timeout = \"3s\"");
    let tidegate = Tidegate::start(Config::to(&server).section("pool", &pool));
    (server, tidegate)
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

/// A MySQL that can tell the attributes of a query.
fn with_attributes(connections: u32) -> Option<(Server, Tidegate)> {
    if !Flavor::installed().contains(&Flavor::MySql) {
        return None;
    }
    let (server, tidegate) = start(Flavor::MySql, connections);
    server.root("INSTALL COMPONENT 'file://component_query_attributes'");
    server.root("CREATE TABLE app.t (id INT AUTO_INCREMENT PRIMARY KEY, body LONGTEXT)");
    Some((server, tidegate))
}

fn lenenc(text: &[u8]) -> Vec<u8> {
    let len = u8::try_from(text.len()).unwrap();
    assert!(len < 0xFB);
    [&[len], text].concat()
}

/// COM_QUERY with attributes that are strings.
fn query_with(
    client: &mut RawClient,
    attributes: &[(&str, &str)],
    sql: &str,
) -> Result<Vec<Row>, Error> {
    let mut packet = vec![3, u8::try_from(attributes.len()).unwrap(), 1];
    if !attributes.is_empty() {
        packet.extend(vec![0; attributes.len().div_ceil(8)]);
        packet.push(1);
        for (name, _) in attributes {
            packet.extend([254, 0]);
            packet.extend(lenenc(name.as_bytes()));
        }
        for (_, value) in attributes {
            packet.extend(lenenc(value.as_bytes()));
        }
    }
    packet.extend(sql.as_bytes());
    client.command(&packet)?;
    Ok(client.read_result()?.0)
}

/// COM_STMT_EXECUTE as MySQL's client library writes it; every value is a string.
fn execute_with(
    client: &mut RawClient,
    id: u32,
    values: &[&[u8]],
    attributes: &[(&str, &str)],
    types: bool,
) -> Result<Vec<Row>, Error> {
    let count = values.len() + attributes.len();
    let mut packet = vec![23];
    packet.extend(id.to_le_bytes());
    packet.extend([8, 1, 0, 0, 0, u8::try_from(count).unwrap()]);
    if count > 0 {
        packet.extend(vec![0; count.div_ceil(8)]);
        packet.push(u8::from(types));
        if types {
            let names = values.iter().map(|_| "").chain(attributes.iter().map(|(name, _)| *name));
            for name in names {
                packet.extend([254, 0]);
                packet.extend(lenenc(name.as_bytes()));
            }
        }
        for value in values {
            packet.push(0xFE);
            packet.extend((value.len() as u64).to_le_bytes());
            packet.extend(*value);
        }
        for (_, value) in attributes {
            packet.extend(lenenc(value.as_bytes()));
        }
    }
    client.command(&packet)?;
    Ok(client.read_binary_result()?.0)
}

fn attributes_login() -> Login {
    Login::app().with(capability::QUERY_ATTRIBUTES | capability::DEPRECATE_EOF)
}

const ASK: &str = "SELECT mysql_query_attribute_string('a')";

#[test]
fn query_attributes_of_texts() {
    let Some((server, tidegate)) = with_attributes(4) else { return };
    for address in [server.address(), tidegate.address()] {
        let mut client = RawClient::login(address, &attributes_login()).unwrap();
        assert!(client.speaks(capability::QUERY_ATTRIBUTES));
        assert_eq!(one(client.query("SELECT 1")), "1");
        assert_eq!(one(client.query(ASK)), "NULL");
        assert_eq!(one(query_with(&mut client, &[("a", "1")], ASK)), "1");
        assert_eq!(one(query_with(&mut client, &[("b", "2"), ("a", "3")], ASK)), "3");
        assert_eq!(one(client.query(ASK)), "NULL");
        assert_eq!(one(client.query("")), "error 1065");
        for malformed in [&[3][..], &[3, 0], &[3, 0, 2, b'X'], &[3, 1, 1, 0, 0, b'X']] {
            client.command(malformed).unwrap();
            assert_eq!(client.read_result().unwrap_err().code(), 1835);
        }

        // What a session owes is restored on the connections that take attributes too.
        client.query("SET sql_mode = 'ANSI_QUOTES', time_zone = '+03:00'").unwrap();
        client.query("INSERT INTO t (body) VALUES ('x')").unwrap();
        let id = one(client.query("SELECT MAX(id) FROM t"));
        let seen = query_with(
            &mut client,
            &[("a", "7")],
            "SELECT LAST_INSERT_ID(), @@sql_mode, \
            @@time_zone, mysql_query_attribute_string('a')",
        )
        .unwrap();
        let wanted = [&id, "ANSI_QUOTES", "+03:00", "7"].map(|text| Some(text.to_owned()));
        assert_eq!(seen, [wanted]);
        assert_eq!(
            one(client.query("SELECT CONNECTION_ID()")),
            client.greeting.connection_id.to_string()
        );
        client.query("SELECT * FROM nowhere").unwrap_err();
        assert_eq!(one(client.query("SELECT @@error_count")), "1");
        client.reset().unwrap();
        assert_eq!(one(query_with(&mut client, &[("a", "8")], ASK)), "8");
    }
}

/// The text is read behind the attributes, whatever they hold.
#[test]
fn attributes_hide_no_text() {
    let Some((_server, tidegate)) = with_attributes(2) else { return };
    let mut client = RawClient::login(tidegate.address(), &attributes_login()).unwrap();
    query_with(&mut client, &[("a", "/* '")], "CREATE TEMPORARY TABLE mine (id INT)").unwrap();
    assert!(tidegate.metric("tidegate_pinned") >= 1.0);
    query_with(&mut client, &[("a", "/* '")], "SET @mine = 1").unwrap();
    let mut other = RawClient::login(tidegate.address(), &Login::app()).unwrap();
    assert_eq!(one(other.query("SELECT @mine")), "NULL");
    assert_eq!(one(client.query("SELECT @mine")), "1");
}

/// A connection that was held when the first attribute came takes none: the statement runs without.
#[test]
fn attributes_that_come_in_a_transaction() {
    let Some((_server, tidegate)) = with_attributes(4) else { return };
    let mut client = RawClient::login(tidegate.address(), &attributes_login()).unwrap();
    let statement = client.prepare("SELECT ?, mysql_query_attribute_string('a')").unwrap();
    client.query("BEGIN").unwrap();
    client.query("INSERT INTO t (body) VALUES ('kept')").unwrap();
    assert_eq!(one(query_with(&mut client, &[("a", "1")], ASK)), "NULL");
    let rows = execute_with(&mut client, statement.id, &[b"v"], &[("a", "2")], true).unwrap();
    assert_eq!(rows, [[Some("v".to_owned()), None]]);
    assert_eq!(one(query_with(&mut client, &[("a", "1")], "SELECT COUNT(*) FROM t")), "1");
    client.query("COMMIT").unwrap();
    assert_eq!(one(query_with(&mut client, &[("a", "1")], ASK)), "1");
    assert_eq!(one(client.query("SELECT COUNT(*) FROM t")), "1");
}

#[test]
fn query_attributes_of_prepared_statements() {
    let Some((server, tidegate)) = with_attributes(4) else { return };
    for address in [server.address(), tidegate.address()] {
        let mut client = RawClient::login(address.clone(), &attributes_login()).unwrap();
        let none = client.prepare(ASK).unwrap();
        let two = client
            .prepare(
                "SELECT CONCAT(?, '/', ?, '/', COALESCE(mysql_query_attribute_string('a'), '-'))",
            )
            .unwrap();
        let values: [&[u8]; 2] = [b"x", b"y"];
        for _ in 0..2 {
            assert_eq!(one(execute_with(&mut client, none.id, &[], &[], false)), "NULL");
            assert_eq!(one(execute_with(&mut client, two.id, &values, &[], true)), "x/y/-");
            assert_eq!(one(execute_with(&mut client, two.id, &values, &[], false)), "x/y/-");
            assert_eq!(one(execute_with(&mut client, none.id, &[], &[("a", "5")], true)), "5");
            let with = execute_with(&mut client, two.id, &values, &[("a", "6")], true);
            assert_eq!(one(with), "x/y/6");
            assert_eq!(one(execute_with(&mut client, two.id, &values, &[], false)), "x/y/-");
            // Others take the connections in between.
            let mut other = RawClient::login(address.clone(), &Login::app()).unwrap();
            assert_eq!(one(other.query("SELECT 1")), "1");
            let sum = other.prepare("SELECT ? + 1").unwrap();
            assert_eq!(one(other.execute(sum.id, &[Value::Int(1)])), "2");
            assert_eq!(one(other.execute_again(sum.id, &[Value::Int(2)])), "3");
        }
        assert!(execute_with(&mut client, two.id, &values[..1], &[], true).is_err());
        assert_eq!(one(execute_with(&mut client, two.id, &values, &[], true)), "x/y/-");
    }
}

#[test]
fn long_requests_of_clients_with_attributes() {
    let Some((_server, tidegate)) = with_attributes(4) else { return };
    let mut client = RawClient::login(tidegate.address(), &attributes_login()).unwrap();
    let insert = client.prepare("INSERT INTO t (body) VALUES (?)").unwrap();
    for len in [100_000, MIB_16 - 60, MIB_16 - 20, MIB_16 - 3, MIB_16, MIB_16 + 100_000] {
        let text = format!("SELECT LENGTH('{}')", "y".repeat(len));
        assert_eq!(one(client.query(&text)), len.to_string());
        let body = vec![b'x'; len];
        execute_with(&mut client, insert.id, &[&body], &[], true).unwrap();
        assert_eq!(
            one(client.query("SELECT LENGTH(body) FROM t ORDER BY id DESC LIMIT 1")),
            len.to_string()
        );
    }
    let mut fresh = RawClient::login(tidegate.address(), &attributes_login()).unwrap();
    fresh.query("BEGIN").unwrap();
    let text = format!("SELECT LENGTH('{}')", "y".repeat(MIB_16));
    assert_eq!(one(fresh.query(&text)), MIB_16.to_string());
    assert_eq!(one(query_with(&mut fresh, &[("a", "1")], &text)), MIB_16.to_string());
    let insert = fresh.prepare("INSERT INTO t (body) VALUES (?)").unwrap();
    // To a connection that takes no attributes: with and without, and cut at every place that counts.
    let near = [41, 40, 39, 31, 30, 26, 25, 24, 23].map(|less| MIB_16 - less);
    for body in near.into_iter().chain([2 * MIB_16 - 25, 2 * MIB_16]) {
        for attributes in [&[][..], &[("a", "1"), ("b", "more")]] {
            let bytes: Vec<u8> = (0..body).map(|at| b'a' + (at % 23) as u8).collect();
            execute_with(&mut fresh, insert.id, &[&bytes], attributes, true).unwrap();
            let mut sum = flate2::Crc::new();
            sum.update(&bytes);
            let row = vec![Some(sum.sum().to_string()), Some(body.to_string())];
            let asked = "SELECT CRC32(body), LENGTH(body) FROM t ORDER BY id DESC LIMIT 1";
            assert_eq!(fresh.query(asked).unwrap(), [row]);
            fresh.query("DELETE FROM t WHERE body IS NOT NULL").unwrap();
        }
    }
    fresh.query("COMMIT").unwrap();
}

#[test]
fn query_attributes_of_the_command_line() {
    let Some((server, tidegate)) = with_attributes(4) else { return };
    for port in [server.port(), tidegate.port()] {
        let script = format!(
            "query_attributes a 41 b 'two'\n{ASK}, mysql_query_attribute_string('b');\n{ASK};\n"
        );
        let output = Command::new(cache().join("mysql-9.7/bin/mysql"))
            .args(["--host=127.0.0.1", &format!("--port={port}"), "--batch", "--skip-column-names"])
            .args(["--ssl-mode=REQUIRED", "--commands", &format!("--user={USER}"), SCHEMA])
            .env("MYSQL_PWD", PASSWORD)
            .args(["-e", &script])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said, "41\ttwo\nNULL\n", "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn attributes_are_not_offered_by_who_has_none() {
    if !Flavor::installed().contains(&Flavor::MariaDb) {
        return;
    }
    let (_server, tidegate) = start(Flavor::MariaDb, 2);
    let client = RawClient::login(tidegate.address(), &attributes_login()).unwrap();
    assert!(!client.speaks(capability::QUERY_ATTRIBUTES));
}

/// Every packet of one reply that ends in `last`.
fn packets(
    client: &mut RawClient,
    command: &[u8],
    last: impl Fn(&[Vec<u8>]) -> bool,
) -> Vec<Vec<u8>> {
    client.command(command).unwrap();
    let mut seen = Vec::new();
    while !last(&seen) {
        seen.push(client.read_packet().unwrap());
    }
    seen
}

fn text(sql: &str) -> Vec<u8> {
    [&[3], sql.as_bytes()].concat()
}

#[test]
fn definitions_that_nobody_wants() {
    if !Flavor::installed().contains(&Flavor::MySql) {
        return;
    }
    let (server, tidegate) = start(Flavor::MySql, 3);
    for deprecate_eof in [true, false] {
        let eof = if deprecate_eof { capability::DEPRECATE_EOF } else { 0 };
        let login = Login::app().with(capability::OPTIONAL_RESULTSET_METADATA | eof);
        let ended = |seen: &[Vec<u8>]| {
            let ends = seen.iter().filter(|packet| packet[0] == 0xFE && packet.len() < 9).count();
            ends == if deprecate_eof { 1 } else { 2 } || seen.iter().any(|packet| packet[0] == 0xFF)
        };
        let prepared = |definitions: usize| {
            let eofs = if deprecate_eof { 0 } else { 2 };
            move |seen: &[Vec<u8>]| seen.len() == 1 + definitions + eofs
        };
        let mut replies = Vec::new();
        for address in [server.address(), tidegate.address()] {
            let mut other = RawClient::login(address.clone(), &Login::app()).unwrap();
            let mut client = RawClient::login(address, &login).unwrap();
            assert!(client.speaks(capability::OPTIONAL_RESULTSET_METADATA));
            let mut said = packets(&mut client, &text("SELECT 1, 2"), ended);
            client.command(&text("SET resultset_metadata = NONE")).unwrap();
            client.read_packet().unwrap();
            // Somebody else's connection in between, and an answer of Tidegate's own.
            assert_eq!(one(other.query("SELECT 5")), "5");
            for sql in ["SELECT 1, 2", "SELECT ROW_COUNT()", "SELECT 7 FROM DUAL WHERE FALSE"] {
                let seen = packets(&mut client, &text(sql), ended);
                assert_eq!(seen[0][1], 0, "{sql}: no definitions");
                said.extend(seen);
            }
            said.extend(packets(&mut client, &[&[22], &b"SELECT ?, 2"[..]].concat(), prepared(0)));
            let execute = b"\x17\x01\0\0\0\0\x01\0\0\0\0\x01\xFD\0\x02hi";
            said.extend(packets(&mut client, execute, ended));
            client.command(&text("SET NAMES latin1")).unwrap();
            client.read_packet().unwrap();
            client.command(&text("SET resultset_metadata = FULL")).unwrap();
            client.read_packet().unwrap();
            said.extend(packets(&mut client, &text("SELECT 'x'"), ended));
            said.extend(packets(&mut client, &[&[22], &b"SELECT ?, 3"[..]].concat(), prepared(3)));
            assert_eq!(other.query("SET resultset_metadata = NONE").unwrap_err().code(), 3640);
            replies.push(said);
        }
        assert_eq!(replies[0], replies[1], "deprecate_eof: {deprecate_eof}");
    }
}

/// MariaDB's extended capabilities.
const PROGRESS: u32 = 1;
const BULK: u32 = 4;
const EXTENDED_METADATA: u32 = 8;
const CACHE_METADATA: u32 = 16;

fn mariadb(connections: u32) -> Option<(Server, Tidegate)> {
    Flavor::installed().contains(&Flavor::MariaDb).then(|| start(Flavor::MariaDb, connections))
}

#[test]
fn definitions_with_more_to_say() {
    let Some((server, tidegate)) = mariadb(4) else { return };
    let extended = Login::app().with(capability::DEPRECATE_EOF).extended(EXTENDED_METADATA);
    let plain = Login::app().with(capability::DEPRECATE_EOF);
    let ended = |seen: &[Vec<u8>]| seen.last().is_some_and(|packet| packet[0] == 0xFE);
    for login in [extended, plain] {
        let mut replies = Vec::new();
        for address in [server.address(), tidegate.address()] {
            let mut client = RawClient::login(address, &login).unwrap();
            assert_eq!(client.greeting.extended & (BULK | PROGRESS), BULK | PROGRESS);
            let mut said = packets(&mut client, &text("SELECT POINT(1, 1) AS p, 2"), ended);
            client.command(&text("DO 1")).unwrap();
            client.read_packet().unwrap();
            said.extend(
                packets(&mut client, &text("SELECT ROW_COUNT()"), ended).into_iter().skip(2),
            );
            let shown = packets(&mut client, &text("SHOW ERRORS"), ended);
            said.push(vec![u8::try_from(shown.len()).unwrap(), u8::from(shown[1].len() > 30)]);
            replies.push(said);
        }
        assert_eq!(replies[0], replies[1]);
    }
    let client = RawClient::greet(tidegate.address()).unwrap();
    assert_eq!(client.greeting.extended & CACHE_METADATA, 0);
}

#[test]
fn progress_of_a_long_statement() {
    let Some((server, tidegate)) = mariadb(4) else { return };
    server.root("CREATE TABLE app.long_one ENGINE=InnoDB SELECT seq FROM app.seq_1_to_2000000");
    let login = Login::app().with(capability::DEPRECATE_EOF);
    for (login, reports) in [(login.clone().extended(PROGRESS), true), (login, false)] {
        let mut client = RawClient::login(tidegate.address(), &login).unwrap();
        client.query("SET progress_report_time = 1").unwrap();
        let sql = "ALTER TABLE long_one FORCE, ALGORITHM=COPY";
        let is_report = |packet: &Vec<u8>| packet.starts_with(&[0xFF, 0xFF, 0xFF]);
        let ended = |seen: &[Vec<u8>]| seen.last().is_some_and(|packet| !is_report(packet));
        let seen = packets(&mut client, &text(sql), ended);
        assert_eq!(seen.last().unwrap()[0], 0, "it ends in OK");
        assert_eq!(seen.len() > 1, reports, "{} packets", seen.len());
        assert_eq!(one(client.query("SELECT COUNT(*) FROM long_one")), "2000000");
    }
}

fn bulk(id: u32, types: bool, rows: &[(i32, Option<&str>)]) -> Vec<u8> {
    let mut packet = vec![0xFA];
    packet.extend(id.to_le_bytes());
    packet.extend(if types { [128, 0] } else { [0, 0] });
    if types {
        packet.extend([3, 0, 253, 0]);
    }
    for (number, word) in rows {
        packet.push(0);
        packet.extend(number.to_le_bytes());
        match word {
            Some(word) => packet.extend([&[0], &lenenc(word.as_bytes())[..]].concat()),
            None => packet.push(1),
        }
    }
    packet
}

/// "The last one prepared", in place of an id.
const LAST: u32 = u32::MAX;

#[test]
fn many_rows_at_once() {
    let Some((server, tidegate)) = mariadb(4) else { return };
    server.root("CREATE TABLE app.b (i INT, t TEXT)");
    let login = Login::app().with(capability::DEPRECATE_EOF).extended(BULK);
    let mut replies = Vec::new();
    for address in [server.address(), tidegate.address()] {
        server.root("TRUNCATE app.b");
        let mut client = RawClient::login(address.clone(), &login).unwrap();
        let mut other = RawClient::login(address, &login).unwrap();
        let insert = client.prepare("INSERT INTO b VALUES (?, ?)").unwrap();
        let mut said = Vec::new();
        for (id, types) in
            [(insert.id, true), (LAST, true), (LAST, false), (insert.id, true), (77, true)]
        {
            // The others take the connection on which it was prepared.
            other.query("BEGIN").unwrap();
            other.query("SELECT COUNT(*) FROM b").unwrap();
            client.command(&bulk(id, types, &[(1, Some("one")), (2, None)])).unwrap();
            said.push(client.read_packet().unwrap());
            other.query("COMMIT").unwrap();
        }
        let again = [Value::Int(3), Value::from("three")];
        client.execute(insert.id, &again).unwrap();
        client.command(&bulk(insert.id, true, &[(4, Some("four"))])).unwrap();
        said.push(client.read_packet().unwrap());
        // On the types of the bulk.
        let execute =
            [b"\x17", &insert.id.to_le_bytes()[..], b"\0\x01\0\0\0\0\0\x05\0\0\0\x04five"];
        client.command(&execute.concat()).unwrap();
        said.push(client.read_packet().unwrap());
        let rows = client.query("SELECT i, t FROM b ORDER BY i, t").unwrap();
        assert_eq!(rows.len(), 9, "{rows:?}");
        said.push(format!("{rows:?}").into_bytes());
        let returning = client.prepare("INSERT INTO b VALUES (?, ?) RETURNING i").unwrap();
        client.command(&bulk(returning.id, true, &[(8, None), (9, None)])).unwrap();
        said.push(format!("{:?}", client.read_binary_result().unwrap().0).into_bytes());
        replies.push(said);
    }
    for (straight, through) in replies[0].iter().zip(&replies[1]) {
        // An error's code and state; its words are each server's own.
        let end = if straight[0] == 0xFF { 9 } else { straight.len() };
        assert_eq!(straight[..end], through[..end], "{}", String::from_utf8_lossy(through));
    }
}

#[test]
fn statements_executed_before_their_id_is_known() {
    let Some((server, tidegate)) = mariadb(2) else { return };
    for address in [server.address(), tidegate.address()] {
        let mut client = RawClient::login(address, &Login::app()).unwrap();
        assert_eq!(one(client.execute(LAST, &[])), "error 1243");
        let first = client.prepare("SELECT 'first', ?").unwrap();
        let value = [Value::from("x")];
        assert_eq!(one(client.execute(LAST, &value)), "first");
        assert_eq!(one(client.query("SELECT 1")), "1");
        assert_eq!(one(client.execute_again(LAST, &value)), "error 1835");
        assert_eq!(one(client.execute(LAST, &value)), "first");
        client.reset_statement(LAST).unwrap();
        client.send_long_data(LAST, 0, b"long").unwrap();
        let rows = client.execute(LAST, &[Value::Long]).unwrap();
        assert_eq!(rows[0][1].as_deref(), Some("long"));

        // Both in one write, as MariaDB's client does.
        let prepare = [&[22], &b"SELECT 'second'"[..]].concat();
        let frame =
            |payload: &[u8]| [&[u8::try_from(payload.len()).unwrap(), 0, 0, 0], payload].concat();
        let execute = [b"\x17", &LAST.to_le_bytes()[..], b"\0\x01\0\0\0"].concat();
        client.write_raw(&[frame(&prepare), frame(&execute)].concat()).unwrap();
        let second = client.read_prepared().unwrap();
        assert_eq!(client.read_binary_result().unwrap().0, [[Some("second".to_owned())]]);

        client.close_statement(first.id).unwrap();
        assert_eq!(one(client.execute(LAST, &[])), "second");
        client
            .write_raw(&[frame(&[&[22], &b"SELEKT"[..]].concat()), frame(&execute)].concat())
            .unwrap();
        assert!(client.read_prepared().is_err());
        assert!(client.read_binary_result().is_err());
        assert_eq!(one(client.execute(second.id, &[])), "second");
        assert_eq!(one(client.execute(LAST, &[])), "error 1243");
        client.prepare("SELECT 3").unwrap();
        client.close_statement(LAST).unwrap();
        assert_eq!(one(client.execute(LAST, &[])), "error 1243");
    }
}

/// Compression by zlib and zstd, several factors.
const NOT_OFFERED: u32 = 1 << 5 | 1 << 26 | 1 << 28;
/// Whether there is TLS is each one's own.
const SSL: u32 = 1 << 11;

/// Byte by byte, but for what is told here.
#[test]
fn the_greeting_is_the_servers_own() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = start(flavor, 2);
        let straight = RawClient::greet(server.address()).unwrap().greeting;
        let through = RawClient::greet(tidegate.address()).unwrap().greeting;
        assert_eq!(straight.version, through.version);
        assert_eq!(flavor == Flavor::MariaDb, through.version.starts_with("5.5.5-10."));
        assert_eq!(straight.collation, through.collation, "{flavor:?}");
        assert_eq!((straight.status, &straight.plugin), (through.status, &through.plugin));
        let differences = (straight.capabilities ^ through.capabilities) & !SSL;
        assert_eq!(differences & !NOT_OFFERED, 0, "{flavor:?} {differences:#x}");
        assert_eq!(straight.extended & !CACHE_METADATA, through.extended);

        // Everything else: the id, the nonce and the fields above blanked.
        let rest = |packet: &[u8]| {
            let mut packet = packet.to_vec();
            let end = packet.iter().skip(1).position(|byte| *byte == 0).unwrap() + 2;
            for field in [0..12, 13..15, 18..20, 27..31, 31..43] {
                packet[end + field.start..end + field.end].fill(0);
            }
            packet
        };
        assert_eq!(rest(&straight.packet), rest(&through.packet), "{flavor:?}");
    }
}

/// 45 is utf8mb4_general_ci and 8 latin1_swedish_ci in both; 255, 278 and 305 are MySQL's, 2304 and
/// 1069 MariaDB's; 0 and 9999 are nobody's. 35 is ucs2.
#[test]
fn a_login_gets_the_character_set_that_the_server_gives() {
    let asked = "SELECT CONCAT_WS(' ', @@character_set_client, @@character_set_connection, \
        @@character_set_results, @@collation_connection)";
    for flavor in Flavor::installed() {
        let (server, tidegate) = start(flavor, 2);
        let mut seen = Vec::new();
        for address in [server.address(), tidegate.address()] {
            let mut told = Vec::new();
            for collation in [0, 8, 33, 35, 45, 54, 63, 224, 246, 250, 254, 255] {
                let login = Login::app().collation(collation);
                let answer = RawClient::login(address.clone(), &login)
                    .map(|mut client| one(client.query(asked)));
                told.push((
                    collation,
                    answer.unwrap_or_else(|error| format!("error {}", error.code())),
                ));
            }
            for collation in [0, 45, 255, 278, 305, 1069, 2304, 9999] {
                let mut client = RawClient::login(address.clone(), &Login::app()).unwrap();
                client.change_user(&Login::app().collation(collation)).unwrap();
                told.push((collation, one(client.query(asked))));
            }
            seen.push(told);
        }
        for (straight, through) in seen[0].iter().zip(&seen[1]) {
            assert_eq!(straight, through, "{flavor:?}");
        }
    }
}

/// Clients escape their strings by this bit.
const NO_BACKSLASH_ESCAPES: u16 = 0x0200;

#[test]
fn the_status_says_how_to_escape() {
    let bit = |client: &mut RawClient, command: &[u8]| {
        client.command(command).unwrap();
        client.read_result().unwrap().1 & NO_BACKSLASH_ESCAPES != 0
    };
    for flavor in Flavor::installed() {
        let (_server, tidegate) = start(flavor, 2);
        let mut client = RawClient::login(tidegate.address(), &Login::app()).unwrap();
        let mut other = RawClient::login(tidegate.address(), &Login::app()).unwrap();
        // By the server, then three times by Tidegate itself.
        let commands = [text("SELECT 1"), vec![14], text("SELECT ROW_COUNT()"), vec![14]];
        for (set, expected) in
            [("sql_mode = DEFAULT", false), ("sql_mode = 'NO_BACKSLASH_ESCAPES'", true)]
        {
            assert_eq!(bit(&mut client, &text(&format!("SET {set}"))), expected);
            for command in &commands {
                assert!(!bit(&mut other, command), "{flavor:?}");
                assert_eq!(bit(&mut client, command), expected, "{flavor:?}");
            }
        }
        assert_eq!(one(client.query(r"SELECT LENGTH('\\')")), "2");
        assert_eq!(one(other.query(r"SELECT LENGTH('\\')")), "1");
        assert!(!bit(&mut client, &[31]));

        let server =
            Server::start(flavor, Options::default().argument("--sql-mode=NO_BACKSLASH_ESCAPES"));
        let tidegate = Tidegate::start(Config::to(&server));
        let mut greetings = Vec::new();
        for address in [server.address(), tidegate.address()] {
            let mut client = RawClient::login(address, &Login::app()).unwrap();
            greetings.push(client.greeting.status);
            for command in &commands {
                assert!(bit(&mut client, command), "{flavor:?}");
            }
        }
        assert_eq!(greetings[0], greetings[1], "{flavor:?}");
    }
}

/// COM_BINLOG_DUMP, COM_TABLE_DUMP, COM_REGISTER_SLAVE, COM_BINLOG_DUMP_GTID, COM_CLONE and
/// COM_SUBSCRIBE_GROUP_REPLICATION_STREAM: a stream of its own would take the connection for good.
#[test]
fn replicas_are_told_no() {
    for flavor in Flavor::installed() {
        let (_server, tidegate) = start(flavor, 2);
        let mut client = RawClient::login(tidegate.address(), &Login::app()).unwrap();
        for command in [18, 19, 21, 30, 32, 33] {
            client
                .command(&[&[command], &b"\x04\0\0\0\0\0\x01\0\0\0binlog.000001"[..]].concat())
                .unwrap();
            assert_eq!(client.read_result().unwrap_err().code(), 1047, "{flavor:?} {command}");
            assert_eq!(one(client.query("SELECT 1")), "1");
        }
    }
}

/// They are taken, whatever is in them, and the server sees Tidegate's own.
#[test]
fn connection_attributes_are_taken() {
    if !Flavor::installed().contains(&Flavor::MySql) {
        return;
    }
    let server =
        Server::start(Flavor::MySql, Options::default().argument("--performance-schema=ON"));
    let tidegate = Tidegate::start(Config::to(&server));
    assert_ne!(RawClient::greet(tidegate.address()).unwrap().greeting.capabilities & 1 << 20, 0);
    let output = Command::new(cache().join("mysql-9.7/bin/mysql"))
        .args(["--host=127.0.0.1", &format!("--port={}", tidegate.port()), "--batch"])
        .args(["--skip-column-names", "--ssl-mode=REQUIRED", &format!("--user={USER}"), SCHEMA])
        .env("MYSQL_PWD", PASSWORD)
        .args([
            "-e",
            "SELECT attr_value FROM performance_schema.session_account_connect_attrs \
            WHERE attr_name = 'program_name' AND processlist_id = CONNECTION_ID() + 0",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said, "tidegate\n", "{}", String::from_utf8_lossy(&output.stderr));
}
