//! The promise: a packet of any size passes, both ways, and costs Tidegate no memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::too_many_lines, reason = "a story is told in one piece")]

mod support;

use std::fs;

use support::{
    binary::Value,
    client::{Error, Login, RawClient, capability, lenenc, refusal},
    servers::{Flavor, Options, Server},
    tidegate::{Config, Tidegate},
};

const MIB: usize = 1 << 20;

fn start(flavor: Flavor) -> (Server, Tidegate) {
    let server = Server::start(flavor, Options::default());
    server.root("CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, body LONGBLOB)");
    let config = Config::to(&server).section("pool", "max_connections = 2");
    let tidegate = Tidegate::start(config.section("tls.target", "mode = \"off\""));
    (server, tidegate)
}

fn one(client: &mut RawClient, sql: &str) -> String {
    match client.query(sql) {
        Ok(rows) => rows.first().and_then(|row| row[0].clone()).unwrap_or_default(),
        Err(error) => error.to_string(),
    }
}

/// The one row of a reply, undecoded.
fn raw_row(client: &mut RawClient) -> Vec<u8> {
    let packet = client.read_packet().unwrap();
    assert_eq!(packet, [1], "one column");
    client.read_packet().unwrap();
    if !client.speaks(capability::DEPRECATE_EOF) {
        assert_eq!(client.read_packet().unwrap()[0], 0xFE);
    }
    let row = client.read_packet().unwrap();
    let end = client.read_packet().unwrap();
    assert!(end[0] == 0xFE && end.len() < 9, "{end:?}");
    row
}

/// Of a row's payload in text: what precedes the value.
fn prefix(length: usize) -> usize {
    match length {
        0..=250 => 1,
        251..=0xFFFF => 3,
        0x1_0000..=0xFF_FFFF => 4,
        _ => 9,
    }
}

#[test]
fn packets_about_sixteen_megabytes_and_more() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = start(flavor);
        for format in [0, capability::DEPRECATE_EOF] {
            let login = Login::app().with(format);
            let mut client = RawClient::login(tidegate.address(), &login).unwrap();
            for payload in [0xFF_FFFE, 0xFF_FFFF, 0x100_0000, 40 * MIB] {
                let what = format!("{flavor:?}, {format}, {payload}");
                // Down: a row's packet of exactly so many bytes, if there is one.
                let length = payload - prefix(payload - 9);
                let size = prefix(length) + length;
                client.command(format!("\x03SELECT REPEAT('x', {length})").as_bytes()).unwrap();
                let row = raw_row(&mut client);
                assert_eq!(row.len(), size, "{what}: a row in text");
                assert!(row[prefix(length)..] == *vec![b'x'; length], "{what}");
                let statement = client.prepare(&format!("SELECT REPEAT('y', {length})")).unwrap();
                client.send_execute(statement.id, 0, &[], true).unwrap();
                let row = raw_row(&mut client);
                assert_eq!(row.len(), size + 2, "{what}: a binary row");
                client.close_statement(statement.id).unwrap();

                if format != 0 {
                    continue; // it is about replies
                }
                // Up: a command of exactly so many bytes.
                let head = b"\x03SELECT LENGTH('";
                let mut command = head.to_vec();
                command.resize(payload - 2, b'z');
                command.extend_from_slice(b"')");
                client.command(&command).unwrap();
                let expected = (payload - head.len() - 2).to_string();
                let (rows, _) = client.read_result().unwrap();
                assert_eq!(rows[0][0].as_deref(), Some(expected.as_str()), "{what}: a text");
                let length_of = client.prepare("SELECT LENGTH(?)").unwrap();
                // Before the value: 10 of the header, a null bitmap, a flag, a type, a length.
                let body = vec![b'b'; payload - 10 - 1 - 1 - 2 - 9];
                let expected = body.len().to_string();
                let rows = client.execute(length_of.id, &[Value::Bytes(body)]).unwrap();
                assert_eq!(rows[0][0].as_deref(), Some(expected.as_str()), "{what}: a parameter");
                client.close_statement(length_of.id).unwrap();
            }
            client.quit();
        }
        assert!(server.threads_connected() <= 2);
    }
}

/// The most memory the process has had, in MiB.
fn high_water(tidegate: &Tidegate) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", tidegate.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

#[test]
fn rows_and_statements_of_64_megabytes_pass_through_little_memory() {
    let (server, tidegate) = start(Flavor::installed()[0]);
    let mut client = RawClient::login(tidegate.address(), &Login::app()).unwrap();
    let statement = client.prepare("DO LENGTH(?)").unwrap();
    let mut text = b"\x03DO LENGTH('".to_vec();
    text.resize(64 * MIB, b'i');
    text.extend_from_slice(b"')");
    let body = [Value::Bytes(vec![b'p'; 64 * MIB])];
    for round in 0..10 {
        client.command(b"\x03SELECT REPEAT('x', 67108864)").unwrap();
        assert_eq!(raw_row(&mut client).len(), 64 * MIB + 9);
        client.execute(statement.id, &body).unwrap();
        // A text is read by the lexer too, which takes its time without optimization.
        if round % 4 == 0 {
            client.command(&text).unwrap();
            client.read_result().unwrap();
        }
    }
    let most = high_water(&tidegate);
    eprintln!("the proxy's high water: {most} MiB");
    assert!(most < 120, "{most} MiB");
    assert!(server.threads_connected() <= 2);
}

/// Types told on one connection, and relied on with the largest packets on another, where they must be
/// put in: the packets are cut anew.
#[test]
fn types_are_put_into_packets_of_sixteen_megabytes() {
    for flavor in Flavor::installed() {
        let (_server, tidegate) = start(flavor);
        let mut client = RawClient::login(tidegate.address(), &Login::app()).unwrap();
        let mut other = RawClient::login(tidegate.address(), &Login::app()).unwrap();
        let params = 9;
        let marks = vec!["?"; params].join(", ");
        let sql = format!("SELECT LENGTH(CONCAT({marks})), RIGHT(CONCAT({marks}), 3)");
        let statement = client.prepare(&sql).unwrap();
        let params = usize::from(statement.params);
        let short = vec![Value::from("12"); params];
        client.execute(statement.id, &short).unwrap();
        // Ahead of the first value's bytes, and the others.
        let besides = 10 + params.div_ceil(8) + 1 + 9 + (params - 1) * 11;
        let grown = 2 * params;
        for payload in [
            0xFF_FFFF - grown - 1,
            0xFF_FFFF - grown,
            0xFF_FFFE,
            0xFF_FFFF,
            0x100_0000,
            2 * 0xFF_FFFF - grown,
            2 * 0xFF_FFFF,
            40 * MIB,
        ] {
            // Takes the connection that was used last, and makes it forget.
            other.query("CREATE TEMPORARY TABLE IF NOT EXISTS forget (id INT)").unwrap();
            other.reset().unwrap();
            let mut values = short.clone();
            values[0] = Value::Bytes(vec![b'v'; payload - besides]);
            let rows = client.execute_again(statement.id, &values);
            let expected = (payload - besides + 2 * (params / 2 - 1)).to_string();
            let what = format!("{flavor:?}, {payload}");
            let row = rows.unwrap_or_else(|error| panic!("{what}: {error}")).remove(0);
            assert_eq!(row, [Some(expected), Some("212".to_owned())], "{what}");
            assert_eq!(one(&mut client, "SELECT 'on'"), "on", "{what}");
        }
    }
}

/// Answers a LOCAL INFILE with `chunks`, and returns the verdict.
fn load(client: &mut RawClient, sql: &str, chunks: &[&[u8]]) -> Result<(), Error> {
    client.command(&[b"\x03", sql.as_bytes()].concat())?;
    let packet = client.read_packet()?;
    if packet[0] == 0xFF {
        return Err(refusal(&packet));
    }
    assert_eq!(packet[0], 0xFB, "the server asks for the file");
    for chunk in chunks {
        client.write_packet(chunk)?;
    }
    client.write_packet(b"")?;
    client.read_result().map(drop)
}

#[test]
fn local_infile() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = start(flavor);
        server.root("CREATE TABLE app.loaded (id INT PRIMARY KEY, body VARCHAR(100))");
        let login = Login::app().with(capability::LOCAL_FILES);
        let mut client = RawClient::login(tidegate.address(), &login).unwrap();
        let mut other = RawClient::login(tidegate.address(), &Login::app()).unwrap();
        let sql = "LOAD DATA LOCAL INFILE 'none' INTO TABLE loaded";

        let line = |number: usize| format!("{number}\t{}\n", "l".repeat(80));
        let text: String = (0..115_000).map(line).collect();
        assert!(text.len() > 10 * 1_000_000);
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(1_000_000).collect();
        load(&mut client, sql, &chunks).unwrap();
        assert_eq!(one(&mut other, "SELECT COUNT(*) FROM loaded"), "115000", "{flavor:?}");

        // The client has no such file.
        load(&mut client, sql, &[]).unwrap();
        // The server does not like what it gets; the client says all of it first.
        let error = load(&mut client, sql, &[b"1\tagain\n", b"200000\tnew\n"]);
        if let Err(error) = error {
            assert_eq!(error.code(), 1062, "{flavor:?}");
        }
        let gone = sql.replace("loaded", "nowhere");
        assert_eq!(load(&mut client, &gone, &chunks).unwrap_err().code(), 1146, "{flavor:?}");
        let strict = format!("{sql} (id, nothing)");
        assert_eq!(load(&mut client, &strict, &chunks).unwrap_err().code(), 1054, "{flavor:?}");
        assert_eq!(one(&mut client, "SELECT 'alive'"), "alive", "{flavor:?}");
        // Who did not say it can is not asked.
        let told = load(&mut other, sql, &[]).unwrap_err();
        assert!([1148, 3948, 2068, 4166].contains(&told.code()), "{flavor:?}: {told}");
        assert_eq!(one(&mut other, "SELECT 'alive'"), "alive", "{flavor:?}");
    }
}

/// Many commands in one write: answered one after the other, each from sequence id 1 on.
#[test]
fn pipelined_commands() {
    for flavor in Flavor::installed() {
        let (_server, tidegate) = start(flavor);
        for format in [0, capability::DEPRECATE_EOF] {
            let login = Login::app().with(format);
            let mut client = RawClient::login(tidegate.address(), &login).unwrap();
            let big = format!("\x03SELECT '{}'", "b".repeat(100_000));
            let commands: Vec<&[u8]> = vec![
                b"\x0e",
                b"\x03SELECT 1",
                b"\x03SET @x = 2",
                b"\x03SELEKT",
                b"\x03SELECT @x",
                big.as_bytes(),
                b"\x03SELECT ROW_COUNT()",
                b"\x02app",
                b"\x16SELECT ?",
                b"\x03SELECT 7",
            ];
            let mut bytes = Vec::new();
            for command in &commands {
                bytes.extend_from_slice(&u32::try_from(command.len()).unwrap().to_le_bytes()[..3]);
                bytes.push(0);
                bytes.extend_from_slice(command);
            }
            client.write_raw(&bytes).unwrap();
            for command in &commands {
                let what = format!(
                    "{flavor:?}, {format}: {}",
                    String::from_utf8_lossy(&command[..command.len().min(30)])
                );
                expect_reply(&mut client, &what);
            }
            assert_eq!(one(&mut client, "SELECT 'alive'"), "alive");
        }
    }
}

fn expect_reply(client: &mut RawClient, what: &str) {
    let is_prepare = what.contains('\x16');
    let first = client.read_packet().unwrap();
    assert_eq!(client.sequence(), 2, "{what}");
    let mut next = 2;
    let mut more = |client: &mut RawClient| {
        let packet = client.read_packet().unwrap();
        next += 1;
        assert_eq!(client.sequence(), next, "{what}");
        packet
    };
    let deprecate_eof = client.speaks(capability::DEPRECATE_EOF);
    match first[0] {
        0 if is_prepare => {
            let eofs = if deprecate_eof { 0 } else { 2 };
            for _ in 0..2 + eofs {
                more(client);
            }
        }
        0 => assert!(!what.contains("SELECT"), "{what}"),
        0xFF => assert!(what.contains("SELEKT"), "{what}: {}", refusal(&first)),
        _ => {
            assert_eq!(first, [1], "{what}");
            let definition = more(client);
            assert_eq!(lenenc(&mut definition.as_slice()), Some(3), "{what}: catalog def");
            if !deprecate_eof {
                assert_eq!(more(client)[0], 0xFE, "{what}");
            }
            let row = more(client);
            let value = match what {
                what if what.contains("SELECT 1") => "1",
                what if what.contains("@x") => "2",
                what if what.contains("ROW_COUNT") => "-1",
                what if what.contains("SELECT 7") => "7",
                _ => "b",
            };
            let mut rest = row.as_slice();
            lenenc(&mut rest).unwrap();
            assert!(rest.starts_with(value.as_bytes()), "{what}");
            assert_eq!(more(client)[0], 0xFE, "{what}");
        }
    }
}
