//! The compressed protocol toward clients: what the servers offer is offered, what works against them
//! works, and what is no compressed packet ends its session and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod support;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use support::{
    binary::Value,
    cache,
    client::{Login, RawClient, capability},
    fake::resident,
    servers::{Flavor, Options, PASSWORD, Server, USER},
    squeezed::{framed, squeeze},
    tidegate::{Config, Tidegate},
};

const EITHER: u32 = capability::COMPRESS | capability::ZSTD;

struct Program {
    path: PathBuf,
    arguments: Vec<PathBuf>,
    variable: (&'static str, &'static str),
}

impl Program {
    fn mysql2() -> Self {
        let arguments = vec![driver("node_mysql2.js")];
        Self { path: "node".into(), arguments, variable: ("COMPRESS", "1") }
    }

    fn cli(client: &Path, options: &'static str) -> Self {
        let arguments = vec![client.to_owned()];
        Self { path: driver("cli.sh"), arguments, variable: ("OPTIONS", options) }
    }

    fn run(&self, port: u16, tls: bool) -> Output {
        Command::new("timeout")
            .arg("120")
            .arg(&self.path)
            .args(&self.arguments)
            .args(["127.0.0.1", &port.to_string(), USER, PASSWORD])
            .args(tls.then_some("tls"))
            .env("NODE_PATH", cache().join("node/node_modules"))
            .env(self.variable.0, self.variable.1)
            .stdin(Stdio::null())
            .output()
            .expect("timeout runs")
    }
}

fn driver(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/drivers").join(name)
}

fn mysql() -> PathBuf {
    cache().join("mysql-9.7/bin/mysql")
}

/// Straight first, as the control, then through Tidegate, with and without TLS.
fn drive(flavor: Flavor, programs: &[Program]) {
    let server = Server::start(flavor, Options::default());
    let tidegate = Tidegate::start(Config::to(&server));
    for program in programs {
        for (port, way) in [(server.port(), "straight"), (tidegate.port(), "through")] {
            for tls in [false, true] {
                let output = program.run(port, tls);
                let told = String::from_utf8_lossy(&output.stdout);
                assert!(
                    output.status.success() && told.trim_end().ends_with("OK"),
                    "{:?} {:?} {way}, {flavor:?}, tls {tls}: {}\n{told}{}",
                    program.arguments,
                    program.variable,
                    output.status,
                    String::from_utf8_lossy(&output.stderr),
                );
            }
        }
    }
}

/// Each with both flavors of algorithm where both sides have them. The client is told not to go
/// without.
fn each_way(mut test: impl FnMut(&Server, &Tidegate, Login)) {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        let tidegate = Tidegate::start(Config::to(&server));
        test(&server, &tidegate, Login::app().with(capability::COMPRESS));
        if flavor == Flavor::MySql {
            test(&server, &tidegate, Login::app().with(capability::ZSTD));
        }
    }
}

#[test]
fn command_lines_before_mysql() {
    if !Flavor::installed().contains(&Flavor::MySql) {
        return;
    }
    let programs = [
        Program::cli(&mysql(), "--compression-algorithms=zlib"),
        Program::cli(&mysql(), "--compression-algorithms=zstd --zstd-compression-level=22"),
        Program::cli(Path::new("mariadb"), "--compress"),
    ];
    drive(Flavor::MySql, &programs);
}

#[test]
fn drivers_before_mysql() {
    if !Flavor::installed().contains(&Flavor::MySql) {
        return;
    }
    drive(Flavor::MySql, &[Program::mysql2()]);
}

#[test]
fn drivers_before_mariadb() {
    if !Flavor::installed().contains(&Flavor::MariaDb) {
        return;
    }
    let programs = [Program::cli(Path::new("mariadb"), "--compress"), Program::mysql2()];
    drive(Flavor::MariaDb, &programs);
}

#[test]
fn what_the_server_offers_is_offered() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        let tidegate = Tidegate::start(Config::to(&server));
        let offers =
            |address: String| RawClient::greet(address).unwrap().greeting.capabilities & EITHER;
        assert_eq!(offers(tidegate.address()), offers(server.address()), "{flavor:?}");
    }
}

#[test]
fn as_the_server_chooses() {
    if !Flavor::installed().contains(&Flavor::MySql) {
        return;
    }
    let server = Server::start(Flavor::MySql, Options::default());
    let tidegate = Tidegate::start(Config::to(&server));
    for address in [server.address(), tidegate.address()] {
        // Squeezed takes it for zlib when both are asked for, and fails if it is not.
        let mut login = Login::app().with(EITHER);
        login.zstd_level = 99;
        let mut client = RawClient::login(address.clone(), &login).unwrap();
        let rows = client.query("SELECT REPEAT('x', 1000)").unwrap();
        assert_eq!(rows[0][0].as_ref().unwrap().len(), 1000);

        for level in [0, 23, 255] {
            let mut login = Login::app().with(capability::ZSTD);
            login.password = "wrong".to_owned();
            login.zstd_level = level;
            let refusal = RawClient::login(address.clone(), &login).err().unwrap();
            assert_eq!(
                refusal.to_string(),
                "ERROR 3923 (HY000): Invalid zstd compression level for algorithm 'zstd'."
            );
        }
        let mut login = Login::app().with(capability::ZSTD);
        login.password = "wrong".to_owned();
        assert_eq!(RawClient::login(address, &login).err().unwrap().code(), 1045);
    }
}

#[test]
fn large_and_small_both_ways() {
    each_way(|_, tidegate, login| {
        let mut client = RawClient::login(tidegate.address(), &login).unwrap();
        for number in 0..1000 {
            let text = "abc".repeat(number % 90);
            let rows = client.query(&format!("SELECT {number}, '{text}'")).unwrap();
            assert_eq!(rows, [[Some(number.to_string()), Some(text)]]);
        }
        let rows = client.query("SELECT REPEAT('abcd', 5000000), 7").unwrap();
        assert!(rows[0][0].as_deref() == Some(&*"abcd".repeat(5_000_000)));
        assert_eq!(rows[0][1].as_deref(), Some("7"));

        // Two packets, of several compressed ones each, and noise among what packs well.
        let noise: String = std::iter::repeat_with(fastrand::alphanumeric).take(300_000).collect();
        let long = format!("{noise}{}{noise}", "z".repeat(20_000_000));
        let sql = format!(
            "SELECT LENGTH('{long}'), SHA2('{long}', 256) = SHA2('{noise}', 256), '{noise}'"
        );
        let rows = client.query(&sql).unwrap();
        let wanted = [Some("20600000".to_owned()), Some("0".to_owned()), Some(noise)];
        assert!(rows[0] == wanted);
        assert_eq!(client.query("SELEKT").unwrap_err().code(), 1064);
        client.ping().unwrap();
        client.quit();
    });
}

#[test]
fn prepared_statements_and_a_change_of_user() {
    each_way(|_, tidegate, login| {
        let mut client = RawClient::login(tidegate.address(), &login).unwrap();
        let statement = client.prepare("SELECT ?, LENGTH(?)").unwrap();
        let text = "text".repeat(1000);
        for number in 0..50_i64 {
            let values = [Value::from(number), Value::from(&*text)];
            let rows = client.execute(statement.id, &values).unwrap();
            assert_eq!(rows, [[Some(number.to_string()), Some("4000".to_owned())]]);
        }
        client
            .command(&[&[24], &statement.id.to_le_bytes()[..], &[1, 0], b"long data"].concat())
            .unwrap();
        let rows = client.execute(statement.id, &[Value::from(1), Value::Long]).unwrap();
        assert_eq!(rows[0][1].as_deref(), Some("9"));

        for user in ["app", "app_b", "app"] {
            client.query("SET @mine = 1").unwrap();
            let other = Login::new(user, &format!("{user}-password")).schema("app");
            if user == "app_b" {
                assert_eq!(client.change_user(&other).unwrap_err().code(), 1045);
                client = RawClient::login(tidegate.address(), &login).unwrap();
                continue;
            }
            client.change_user(&other).unwrap();
            let rows = client.query("SELECT @mine, REPEAT('still compressed', 10)").unwrap();
            assert_eq!(rows[0], [None, Some("still compressed".repeat(10))]);
        }
    });
}

/// No control: the servers write their reply over what is left of the packet, and fail.
#[test]
fn many_requests_in_one_packet() {
    each_way(|_, tidegate, login| {
        let mut client = RawClient::login(tidegate.address(), &login).unwrap();
        let mut all = Vec::new();
        for number in 0..100 {
            let sql = format!("\x03SELECT {number}");
            all.extend_from_slice(&[u8::try_from(sql.len()).unwrap(), 0, 0, 0]);
            all.extend_from_slice(sql.as_bytes());
        }
        client.write_raw(&all).unwrap();
        for number in 0..100 {
            assert_eq!(client.read_result().unwrap().0, [[Some(number.to_string())]]);
        }
    });
}

/// Each request in a packet of its own begins the sequence ids anew, also when the next one comes
/// before the reply has gone.
#[test]
fn requests_ahead_of_their_turn_keep_their_sequence_ids() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        let tidegate = Tidegate::start(Config::to(&server));
        for address in [server.address(), tidegate.address()] {
            let mut client = RawClient::greet(address).unwrap();
            client.answer(&Login::app().with(capability::COMPRESS)).unwrap();
            let sql = b"\x10\0\0\0\x03DO SLEEP(0.05) ";
            let ahead = squeeze(false, 0, sql).repeat(5);
            client.write_raw(&ahead).unwrap();
            for number in 0..5 {
                let mut ok = [0; 18];
                client.read_raw(&mut ok).unwrap();
                assert_eq!(ok[..8], [11, 0, 0, 1, 0, 0, 0, 7], "reply {number}");
            }
        }
    }
}

/// The servers look at the ids of the compressed packets only.
#[test]
fn packets_within_are_numbered_as_the_client_likes() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        let tidegate = Tidegate::start(Config::to(&server));
        for address in [server.address(), tidegate.address()] {
            let mut client = RawClient::greet(address).unwrap();
            client.answer(&Login::app().with(capability::COMPRESS)).unwrap();
            client.write_raw(&squeeze(false, 0, b"\x05\0\0\x07\x03DO 1")).unwrap();
            let mut ok = [0; 12];
            client.read_raw(&mut ok).unwrap();
            assert_eq!(ok, [11, 0, 0, 1, 0, 0, 0, 7, 0, 0, 1, 0]);
        }
    }
}

/// libmysqlclient numbers the packets of a file after the compressed ones of the statement.
#[test]
fn a_file_after_a_long_statement() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for number in 0..200_000 {
        writeln!(file, "{number}\tline {}", fastrand::u64(..)).unwrap();
    }
    let noise: String = std::iter::repeat_with(fastrand::alphanumeric).take(100_000).collect();
    let mut script = tempfile::NamedTempFile::new().unwrap();
    writeln!(script, "CREATE TABLE loaded (id INT PRIMARY KEY, body TEXT);").unwrap();
    let path = file.path().display();
    writeln!(script, "LOAD DATA LOCAL INFILE '{path}' /* {noise} */ INTO TABLE loaded;").unwrap();
    writeln!(script, "SELECT COUNT(*), SUM(id) FROM loaded; DROP TABLE loaded;").unwrap();
    each_way(|server, tidegate, login| {
        let zstd = login.capabilities & capability::ZSTD != 0;
        let (client, option) = match (server.flavor, zstd) {
            (Flavor::MySql, true) => (mysql(), "--compression-algorithms=zstd"),
            (Flavor::MySql, false) => (mysql(), "--compression-algorithms=zlib"),
            (Flavor::MariaDb, _) => ("mariadb".into(), "--compress"),
        };
        for port in [server.port(), tidegate.port()] {
            let output = Command::new("timeout")
                .arg("60")
                .arg(&client)
                .args(["--no-defaults", "--host=127.0.0.1", option, "--local-infile=1"])
                .args(["--comments", "--batch", "--skip-column-names", "--user", USER])
                .args([format!("--port={port}"), format!("--password={PASSWORD}")])
                .arg("app")
                .stdin(script.reopen().unwrap())
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&output.stdout);
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(told.trim(), "200000\t19999900000", "{option} at {port}: {error}");
        }
    });
}

/// The last words to a sleeper are compressed too.
#[test]
fn farewells_can_be_read() {
    each_way(|server, _, login| {
        let tidegate = Tidegate::start(Config::to(server));
        let mut client = RawClient::login(tidegate.address(), &login).unwrap();
        client.query("SELECT 1").unwrap();
        tidegate.sigterm();
        assert_eq!(client.read_result().unwrap_err().code(), 1053);
    });
}

/// The header of a query of 16 MB, and the beginning of it.
fn bomb(zstd: bool) -> Vec<u8> {
    let mut query = vec![0; 0xFF_FFFF];
    query[..5].copy_from_slice(&[0xF0, 0xFF, 0xFF, 0, 3]);
    squeeze(zstd, 0, &query)
}

#[test]
fn what_is_no_compressed_packet_ends_its_session_alone() {
    each_way(|_, tidegate, login| {
        let zstd = login.capabilities & capability::ZSTD != 0;
        let mut witness = RawClient::login(tidegate.address(), &login).unwrap();
        let query = [&b"\xc0\0\0\0\x03SELECT '"[..], &[b'x'; 182], b"'"].concat();
        let good = squeeze(zstd, 0, &query);
        let data = &good[7..];
        let mut bent = data.to_vec();
        *bent.last_mut().unwrap() ^= 0x55;
        let cases = [
            framed(0, 200, b"garbage, garbage, garbage"),
            framed(0, query.len() - 1, data),
            framed(0, query.len() + 1, data),
            framed(0, 1, data),
            framed(0, query.len(), &[data, b"more"].concat()),
            framed(0, query.len(), &data[..data.len() - 2]),
            framed(0, query.len(), b""),
            framed(9, 0, &query),
            framed(0, 100, &squeeze(zstd, 0, &vec![0; 0xFF_FFFF])[7..]),
        ];
        for (number, case) in cases.iter().enumerate() {
            let mut client = RawClient::greet(tidegate.address()).unwrap();
            client.answer(&login).unwrap();
            client.write_raw(case).unwrap();
            let started = Instant::now();
            let error = client.read_raw(&mut [0]).unwrap_err();
            assert!(started.elapsed() < Duration::from_secs(5), "case {number}: {error}");
            witness.ping().unwrap();
        }
        let mut client = RawClient::greet(tidegate.address()).unwrap();
        client.answer(&login).unwrap();
        client.write_raw(&good).unwrap();
        client.read_raw(&mut [0]).unwrap();
    });
}

#[test]
fn memory_follows_what_arrives() {
    const BOMBERS: usize = 50;
    each_way(|server, tidegate, login| {
        let zstd = login.capabilities & capability::ZSTD != 0;
        let bomb = bomb(zstd);
        let mut witness = RawClient::login(tidegate.address(), &login).unwrap();
        witness.query("SELECT 1").unwrap();
        let before = resident(tidegate.pid());
        // They announce much, send little of it, and stay.
        let mut bombers = Vec::new();
        for number in 0..BOMBERS {
            let mut client = RawClient::greet(tidegate.address()).unwrap();
            client.answer(&login).unwrap();
            let part = if number % 2 == 0 { bomb.len() - 1 } else { bomb.len() / 2 };
            client.write_raw(&bomb[..part]).unwrap();
            bombers.push(client);
        }
        std::thread::park_timeout(Duration::from_secs(1));
        witness.ping().unwrap();
        let each = resident(tidegate.pid()).saturating_sub(before) / BOMBERS;
        println!(
            "{:?}, zstd {zstd}: {} KB a bomber of {} bytes",
            server.flavor,
            each >> 10,
            bomb.len()
        );
        assert!(each < 512 << 10, "{each} bytes each");
    });
}

#[test]
fn a_sleeper_holds_no_buffers_and_no_engine() {
    const SLEEPERS: usize = 300;
    each_way(|_, tidegate, login| {
        let sleep = |login: &Login| -> Vec<RawClient> {
            let work = || {
                let mut client = RawClient::login(tidegate.address(), login).unwrap();
                client.query(&format!("SELECT '{}'", "row ".repeat(1000))).unwrap();
                client
            };
            (0..SLEEPERS).map(|_| work()).collect()
        };
        let warm = sleep(&login);
        let before = resident(tidegate.pid());
        let asleep = sleep(&login);
        let squeezed = resident(tidegate.pid()).saturating_sub(before) / SLEEPERS;
        drop((warm, asleep));
        println!("{squeezed} bytes a sleeper");
        assert!(squeezed < 24 << 10, "{squeezed} bytes each");
    });
}
