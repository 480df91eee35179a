//! The promise: an operator sees what is there, changes what they may, and nobody else does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::too_many_lines, reason = "a story is told in one piece")]

mod support;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use mysql_async::{Conn, OptsBuilder, Row as AsyncRow, SslOpts, prelude::Queryable};
use support::{
    cache,
    client::{Login, RawClient, capability},
    fake::Fake,
    pair::Pair,
    servers::{Flavor, Options, PASSWORD, Server, USER},
    tidegate::{Config, Tidegate, program},
    wait_for,
};

const SOON: Duration = Duration::from_secs(10);
const OPS: &str = "username = \"ops\"\npassword = \"ops-password\"\nrights = \"write\"";
const EYES: &str = "username = \"eyes\"\npassword = \"eyes-password\"";

fn server() -> Server {
    Server::start(Flavor::installed()[0], Options::default())
}

fn app(tidegate: &Tidegate) -> RawClient {
    RawClient::login(tidegate.address(), &Login::app()).unwrap()
}

/// As somebody whom nobody has named.
fn anybody(tidegate: &Tidegate) -> RawClient {
    RawClient::login(tidegate.sql_address(), &Login::new("root", "")).unwrap()
}

fn operator(tidegate: &Tidegate, name: &str) -> RawClient {
    let login = Login::new(name, &format!("{name}-password"));
    RawClient::login(tidegate.sql_address(), &login).unwrap()
}

/// The rows of a statement, by the names of its columns.
fn rows(console: &mut RawClient, sql: &str) -> Vec<HashMap<String, String>> {
    console.command(&[b"\x03", sql.as_bytes()].concat()).unwrap();
    let count = console.read_packet().unwrap();
    assert_ne!(count[0], 0xFF, "{sql}: {}", support::client::refusal(&count));
    let names: Vec<String> = (0..count[0])
        .map(|_| {
            let definition = console.read_packet().unwrap();
            let cells = support::client::parse_row(&definition[..definition.len() - 13]);
            cells[4].clone().unwrap()
        })
        .collect();
    assert_eq!(console.read_packet().unwrap()[0], 0xFE);
    let mut rows = Vec::new();
    loop {
        let packet = console.read_packet().unwrap();
        if packet[0] == 0xFE && packet.len() < 9 {
            return rows;
        }
        let cells = support::client::parse_row(&packet);
        let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "NULL".into()));
        rows.push(names.iter().cloned().zip(cells).collect());
    }
}

fn row(console: &mut RawClient, sql: &str) -> HashMap<String, String> {
    let mut rows = rows(console, sql);
    assert_eq!(rows.len(), 1, "{sql}: {rows:?}");
    rows.remove(0)
}

fn error(console: &mut RawClient, sql: &str) -> String {
    console.query(sql).expect_err(sql).to_string()
}

fn id(client: &RawClient) -> u32 {
    client.greeting.connection_id
}

fn until(console: &mut RawClient, client: u32, column: &str, value: &str) {
    wait_for(&format!("{column} = {value}"), SOON, || {
        let row = rows(console, &format!("SHOW CLIENTS LIKE '{client}'"));
        row.first().is_some_and(|row| row[column] == value).then_some(())
    });
}

#[test]
fn what_is_there_is_shown() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        let pool = "max_connections = 3\ninit_query = \"SET @hunter2 = 1\"";
        let tidegate = Tidegate::start(Config::to(&server).section("pool", pool));
        let mut console = anybody(&tidegate);

        let mut idle = app(&tidegate);
        idle.query("SELECT 1").unwrap();
        let mut busy = app(&tidegate);
        busy.query("BEGIN").unwrap();
        let mut pinned = app(&tidegate);
        pinned.query("SELECT GET_LOCK('a', 0)").unwrap();
        pinned.query("SET SESSION sql_mode = 'ANSI_QUOTES', @secret = 'hunter2'").unwrap();
        let mut third = app(&tidegate);
        third.query("BEGIN").unwrap();

        let seen = row(&mut console, &format!("SHOW CLIENTS LIKE '{}'", id(&idle)));
        assert_eq!((&*seen["user"], &*seen["state"], &*seen["schema"]), (USER, "idle", "app"));
        assert_eq!((&*seen["endpoint"], &*seen["access"]), ("default", "read-write"));
        assert_eq!((&*seen["target"], &*seen["server_id"]), ("NULL", "NULL"));
        assert_eq!((&*seen["transaction_seconds"], &*seen["wire"]), ("NULL", "plain"));
        assert!(seen["address"].starts_with("127.0.0.1:"), "{seen:?}");

        let seen = row(&mut console, &format!("SHOW CLIENTS LIKE '{}'", id(&busy)));
        assert_eq!((&*seen["state"], &*seen["target"]), ("in transaction", "primary"));
        assert!(seen["transaction_seconds"].parse::<u64>().unwrap() < 10, "{seen:?}");
        let connection = busy.query("SELECT CONNECTION_ID() + 0").unwrap();
        assert_eq!(Some(&seen["server_id"]), connection[0][0].as_ref());

        let pins = rows(&mut console, "SHOW PINS");
        let pin = pins.iter().find(|row| row["client"] == id(&pinned).to_string()).unwrap();
        assert_eq!((&*pin["reason"], &*pin["user"]), ("user_lock", USER), "{pins:?}");
        let one = rows(&mut console, &format!("SHOW CLIENT {}", id(&pinned)));
        let value = |name: &str| &*one.iter().find(|row| row["property"] == name).unwrap()["value"];
        assert_eq!(value("pins"), "user_lock", "{one:?}");
        assert!(value("variable sql_mode").contains("ANSI_QUOTES"));

        // All three are taken: the next one waits.
        let waiting = id(&idle);
        let told = thread::scope(|scope| {
            let asking = scope.spawn(|| idle.query("SELECT 2"));
            until(&mut console, waiting, "state", "waiting");
            let pool = row(&mut console, "SHOW POOLS");
            assert_eq!((&*pool["target"], &*pool["bound"]), ("primary", "3"), "{pool:?}");
            assert_eq!((&*pool["borrowed"], &*pool["idle"], &*pool["waiting"]), ("3", "0", "1"));
            third.query("COMMIT").unwrap();
            asking.join().unwrap()
        });
        assert_eq!(told.unwrap()[0][0].as_deref(), Some("2"));

        let servers = rows(&mut console, "SHOW SERVERS");
        let states: Vec<(&str, &str)> =
            servers.iter().map(|row| (&*row["state"], &*row["client"])).collect();
        let (busy_id, pinned_id) = (id(&busy).to_string(), id(&pinned).to_string());
        assert_eq!(states.len(), 3, "{servers:?}");
        assert!(states.contains(&("idle", "NULL")), "{servers:?}");
        assert!(states.contains(&("borrowed", &busy_id)), "{servers:?}");
        assert!(states.contains(&("borrowed", &pinned_id)), "{servers:?}");
        assert!(servers.iter().all(|row| row["user"] == USER && row["target"] == "primary"));

        let target = row(&mut console, "SHOW TARGETS");
        assert_eq!(
            (&*target["now"], &*target["up"], &*target["last_error"]),
            ("primary", "yes", "NULL")
        );
        assert_eq!(target["address"], server.address());
        let version = server.root("SELECT VERSION()")[0][0].clone().unwrap();
        assert!(target["version"].contains(&version), "{target:?} {version}");

        idle.command(b"\x16SELECT 'hunter2', ?").unwrap();
        let prepared = wait_for("the statement", SOON, || {
            rows(&mut console, "SHOW STATEMENTS LIKE 'SELECT ...'").pop()
        });
        assert_eq!((&*prepared["statement"], &*prepared["held"]), ("SELECT ...", "1"));
        until(&mut console, waiting, "statements", "1");
        let stats = row(&mut console, "SHOW STATS LIKE 'tidegate_pinned{reason=\"user\\_lock\"}'");
        assert_eq!(stats["value"], "1");
        let version = rows(&mut console, "SHOW VERSION LIKE 'phase'");
        assert_eq!(version[0]["value"], "running");

        for shown in ["CLIENTS", "SERVERS", "STATEMENTS", "CONFIG", "STATS", "VERSION", "PINS"] {
            let said = format!("{:?}", rows(&mut console, &format!("SHOW {shown}")));
            assert!(!said.contains("hunter2") && !said.contains(PASSWORD), "{shown}: {said}");
        }
        assert!(
            !format!("{:?}", rows(&mut console, &format!("SHOW CLIENT {pinned_id}")))
                .contains("hunter2")
        );
        let key = row(&mut console, "SHOW CONFIG LIKE 'pool.max\\_connections'");
        assert_eq!(key["value"], "3");
    }
}

#[test]
fn wrong_statements_are_told_what_was_meant_and_help_helps() {
    let server = server();
    let tidegate = Tidegate::start(Config::to(&server));
    let mut console = anybody(&tidegate);
    assert!(error(&mut console, "SHOW CLENTS").contains("did you mean CLIENTS? Try HELP."));
    assert!(error(&mut console, "DROP TABLE x").starts_with("ERROR 1064 (42000)"));
    assert!(error(&mut console, "SHOW CLIENT 7").starts_with("ERROR 1094"));
    console.command(b"\x16SELECT 1").unwrap();
    assert_eq!(support::client::refusal(&console.read_packet().unwrap()).code(), 1295);
    let help = rows(&mut console, "HELP");
    for form in ["SHOW CLIENTS [LIKE 'pattern']", "SHOW CLIENT id", "KILL QUERY id", "DRAIN target"]
    {
        assert!(help.iter().any(|row| row["statement"] == form), "{form}: {help:?}");
    }
    let columns = rows(&mut console, "HELP POOLS");
    assert!(columns.iter().any(|row| row["column"] == "waiting"), "{columns:?}");
    // It outlives all of that, and what drivers do between two users.
    console.ping().unwrap();
    console.reset().unwrap();
    console.init_db("nothing").unwrap();
    assert_eq!(console.query("SELECT DATABASE()").unwrap()[0][0].as_deref(), Some("nothing"));
}

#[test]
fn who_may_do_what() {
    let server = server();
    let config = Config::to(&server).admin(OPS).admin(EYES);
    let tidegate = Tidegate::start(config.clone());
    let log_in = |login: &Login| RawClient::login(tidegate.sql_address(), login);
    for wrong in [
        Login::new("root", ""),
        Login::new("ops", ""),
        Login::new("ops", "eyes-password"),
        // Neither is a client an operator, nor an operator a client.
        Login::new(USER, PASSWORD),
    ] {
        assert_eq!(log_in(&wrong).err().unwrap().code(), 1045, "{}", wrong.user);
    }
    let ops = Login::new("ops", "ops-password");
    assert_eq!(RawClient::login(tidegate.address(), &ops).err().unwrap().code(), 1045);

    let mut eyes = operator(&tidegate, "eyes");
    assert_eq!(rows(&mut eyes, "SHOW TARGETS").len(), 1);
    for verb in ["KILL 1", "KILL QUERY 1", "DRAIN primary", "RELOAD", "SHUTDOWN"] {
        let said = error(&mut eyes, verb);
        assert!(said.starts_with("ERROR 1227 (42000)") && said.contains("write"), "{said}");
    }
    let mut ops = operator(&tidegate, "ops");
    ops.query("UNDRAIN primary").unwrap();
    let log = tidegate.log();
    for line in [
        "an operator's command operator=\"ops\" peer=\"127.0.0.1:",
        "statement=\"UNDRAIN primary\"",
        "an operator may not do this operator=\"eyes\"",
        "refused a login to the console",
    ] {
        assert!(log.contains(line), "{line}\n{log}");
    }
    assert!(!log.contains("ops-password") && !log.contains("eyes-password"), "{log}");

    // Without operators, everybody on this machine looks and nobody changes.
    let nobody = Config::to(&server);
    tidegate.write_secrets(&nobody.secrets());
    ops.query("RELOAD").unwrap();
    let mut anybody = anybody(&tidegate);
    assert_eq!(rows(&mut anybody, "SHOW TARGETS").len(), 1);
    assert!(error(&mut anybody, "KILL 1").starts_with("ERROR 1227"));
    assert_eq!(log_in(&Login::new("root", "guess")).err().unwrap().code(), 1045);
}

#[test]
fn a_door_to_the_world_wants_operators() {
    let server = server();
    let tidegate = Tidegate::start(Config::to(&server).admin(OPS));
    let text = fs::read_to_string(tidegate.config_path()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.toml");
    let lines = text.lines().map(|line| {
        if line.starts_with("sql = ") { "sql = \"0.0.0.0:0\"".to_owned() } else { line.to_owned() }
    });
    let lines: Vec<String> = lines.collect();
    fs::write(&path, lines.join("\n")).unwrap();
    let check = |word: &str| {
        let output = Command::new(program()).arg(word).arg("--config").arg(&path).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(check("check"), (Some(0), String::new()));
    tidegate.write_secrets(&Config::to(&server).secrets());
    let line = 1 + lines.iter().position(|line| line.starts_with("sql = ")).unwrap();
    let told = format!(
        "{}:{line}: admin.sql: 0.0.0.0:0 can be reached from other machines, and {} names no \
         [[admin]]: name one there, or listen on loopback\n",
        path.display(),
        tidegate.secrets_path().display()
    );
    assert_eq!(check("check"), (Some(78), told.clone()));
    assert_eq!(check("run"), (Some(78), told));
}

/// The configuration was good when it was read; the secrets were changed since.
#[test]
fn a_door_to_the_world_stays_shut_when_operators_are_gone() {
    let server = server();
    let port = support::free_port();
    let config = Config::to(&server)
        .environment("TIDEGATE__ADMIN__SQL", &format!("0.0.0.0:{port}"))
        .section("tls.client", "mode = \"required\"");
    let tidegate = Tidegate::start(config.clone().admin(OPS));
    let log_in = |login: &Login| RawClient::login(format!("127.0.0.1:{port}"), login);
    let told = log_in(&Login::new("ops", "ops-password")).err().unwrap();
    assert_eq!(told.code(), 3159, "{told}");
    let opts = |user: &str, password: &str| {
        OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(port)
            .prefer_socket(false)
            .ssl_opts(SslOpts::default().with_danger_accept_invalid_certs(true))
            .user(Some(user))
            .pass(Some(password))
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut ops = Conn::new(opts("ops", "ops-password")).await.unwrap();
        tidegate.write_secrets(&config.secrets());
        let said: Vec<String> = ops.query("RELOAD").await.unwrap();
        assert!(said[0].ends_with("generation 2"), "{said:?}");
        for (user, password) in [("root", ""), ("ops", ""), ("ops", "ops-password")] {
            let told = Conn::new(opts(user, password)).await.unwrap_err();
            assert!(told.to_string().contains("1045"), "{user}: {told}");
        }
        ops.disconnect().await.unwrap();
    });
}

#[test]
fn the_only_target_can_be_drained() {
    let server = server();
    let config = Config::to(&server).admin(OPS).section("pool", "borrow_timeout = \"300ms\"");
    let tidegate = Tidegate::start(config);
    let (mut ops, mut client) = (operator(&tidegate, "ops"), app(&tidegate));
    client.query("BEGIN").unwrap();
    ops.query("DRAIN primary").unwrap();
    assert!(client.query("SELECT 1").is_ok(), "what is in hand goes on");
    client.query("COMMIT").unwrap();
    wait_for("its connections to be closed", SOON, || {
        (server.threads_connected() == 0).then_some(())
    });
    let said = client.query("SELECT 1").unwrap_err();
    assert_eq!(said.code(), 9501);
    assert!(said.to_string().contains("primary drained by an operator (session "), "{said}");
    ops.query("UNDRAIN primary").unwrap();
    assert!(client.query("SELECT 1").is_ok());
}

#[test]
fn kill_ends_a_statement_or_a_client() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        let tidegate = Tidegate::start(Config::to(&server).admin(OPS));
        let mut ops = operator(&tidegate, "ops");
        let mut victim = app(&tidegate);
        let number = id(&victim);
        let asleep = |ops: &mut RawClient| {
            until(ops, number, "state", "active");
            wait_for("a SLEEP", SOON, || {
                let rows = server.root("SHOW PROCESSLIST");
                let sleeps = |sql: &str| sql.starts_with("SELECT SLEEP");
                rows.iter().any(|row| row[7].as_deref().is_some_and(sleeps)).then_some(())
            });
        };
        let told = thread::scope(|scope| {
            let sleeping = scope.spawn(|| victim.query("SELECT SLEEP(60)"));
            asleep(&mut ops);
            ops.query(&format!("KILL QUERY {number}")).unwrap();
            sleeping.join().unwrap()
        });
        match told {
            Ok(rows) => assert_eq!(rows[0][0].as_deref(), Some("1"), "{flavor:?}"),
            Err(error) => assert_eq!(error.code(), 1317, "{flavor:?}: {error}"),
        }
        assert!(victim.query("SELECT 'alive'").is_ok(), "{flavor:?}");
        let told = thread::scope(|scope| {
            let sleeping = scope.spawn(|| victim.query("SELECT SLEEP(60)"));
            asleep(&mut ops);
            ops.query(&format!("KILL {number}")).unwrap();
            sleeping.join().unwrap()
        });
        assert!(told.is_err(), "{flavor:?}: {told:?}");
        wait_for("the client to be gone", SOON, || {
            rows(&mut ops, &format!("SHOW CLIENTS LIKE '{number}'")).is_empty().then_some(())
        });
        assert!(error(&mut ops, &format!("KILL {number}")).starts_with("ERROR 1094"));
        wait_for("the statement to be gone", SOON, || {
            let rows = server.root("SHOW PROCESSLIST");
            let sleeps = |sql: &str| sql.starts_with("SELECT SLEEP");
            (!rows.iter().any(|row| row[7].as_deref().is_some_and(sleeps))).then_some(())
        });
    }
}

#[test]
fn a_drained_target_gets_nothing_new() {
    let pair = Pair::start(Flavor::installed()[0]);
    let tidegate = Tidegate::start(pair.config().endpoint("reads", "read-only").admin(OPS));
    let mut ops = operator(&tidegate, "ops");
    let now = |ops: &mut RawClient, name: &str| {
        let targets = rows(ops, "SHOW TARGETS");
        targets.iter().find(|row| row["name"] == name).unwrap()["now"].clone()
    };
    wait_for("a replica", SOON, || (now(&mut ops, "second") == "replica").then_some(()));
    let mut reader =
        RawClient::login(format!("127.0.0.1:{}", tidegate.port_of("reads")), &Login::app())
            .unwrap();
    let port =
        |reader: &mut RawClient| reader.query("SELECT @@port").unwrap()[0][0].clone().unwrap();
    let (a, b) = (pair.first.port().to_string(), pair.second.port().to_string());
    assert_eq!(port(&mut reader), b);

    ops.query("DRAIN second").unwrap();
    assert_eq!(now(&mut ops, "second"), "drained");
    assert_eq!(port(&mut reader), a, "the primary, read-only, as there is no replica in use");
    wait_for("its connections to be closed", SOON, || {
        let pools = rows(&mut ops, "SHOW POOLS LIKE 'second'");
        (pools[0]["idle"] == "0" && pools[0]["borrowed"] == "0").then_some(())
    });
    ops.query("UNDRAIN second").unwrap();
    assert_eq!(now(&mut ops, "second"), "replica");
    wait_for("the replica to be read again", SOON, || (port(&mut reader) == b).then_some(()));

    // A primary that is drained makes writers wait, and those who wait go on when it is back.
    let mut writer = app(&tidegate);
    writer.query("SELECT 1").unwrap();
    ops.query("DRAIN first").unwrap();
    let number = id(&writer);
    let told = thread::scope(|scope| {
        let asking = scope.spawn(|| writer.query("SELECT @@port"));
        until(&mut ops, number, "state", "waiting");
        let (status, why) = tidegate.http("/readyz").unwrap();
        assert!(status == 503 && why.contains("first drained by an operator"), "{status} {why}");
        ops.query("UNDRAIN first").unwrap();
        asking.join().unwrap()
    });
    assert_eq!(told.unwrap()[0][0], Some(a));
    let said = error(&mut ops, "DRAIN frist");
    assert!(said.ends_with("Unknown target 'frist'; did you mean first?"), "{said}");
}

#[test]
fn reload_says_what_happened() {
    let server = server();
    let config = Config::to(&server).admin(OPS);
    let tidegate = Tidegate::start(config.clone());
    let mut ops = operator(&tidegate, "ops");
    tidegate.write_secrets("[[user]]\nusername = \"app\"\npasword = \"hunter2\"\n");
    let said = error(&mut ops, "RELOAD");
    assert!(said.contains("the old ones stay") && said.contains(":3: unknown key"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    assert!(app(&tidegate).query("SELECT 1").is_ok());
    tidegate.write_secrets(&config.user("late", "late-password").secrets());
    let said = rows(&mut ops, "RELOAD");
    assert_eq!(said[0]["result"], "the secrets were read again: generation 2", "{said:?}");
    let version = rows(&mut ops, "SHOW VERSION LIKE 'secrets_generation'");
    assert_eq!(version[0]["value"], "2");
    assert!(RawClient::login(tidegate.address(), &Login::new("late", "late-password")).is_ok());
}

#[test]
fn shutdown_drains_and_the_console_watches() {
    let server = server();
    let mut tidegate = Tidegate::start(Config::to(&server).admin(OPS));
    let mut busy = app(&tidegate);
    busy.query("BEGIN").unwrap();
    let mut ops = operator(&tidegate, "ops");
    ops.query("SHUTDOWN").unwrap();
    wait_for("the drain", SOON, || {
        let phase = rows(&mut ops, "SHOW VERSION LIKE 'phase'");
        (phase[0]["value"] == "draining").then_some(())
    });
    assert!(RawClient::login(tidegate.address(), &Login::app()).is_err());
    // New operators too.
    let mut late = operator(&tidegate, "ops");
    let seen = row(&mut late, "SHOW CLIENTS");
    assert_eq!((&*seen["state"], &*seen["id"]), ("in transaction", &*id(&busy).to_string()));
    let one = rows(&mut late, &format!("SHOW CLIENT {}", id(&busy)));
    assert!(one.iter().any(|row| row["property"] == "leaves_for" && row["value"] == "the drain"));
    busy.query("COMMIT").unwrap();
    let status = tidegate.wait(SOON).expect("it ends when all have left");
    assert_eq!(status.code(), Some(0));
}

/// Whoever connects and says nothing takes no seat, and makes room for others on their way in.
#[test]
fn those_who_only_knock_take_no_seat() {
    let fake = Fake::start();
    let config = Config::new().target("primary", &fake.address()).user("app", "p");
    let tidegate = Tidegate::start_unready(config);
    let knock = || RawClient::greet(tidegate.sql_address());
    let mut knocking = vec![wait_for("the console", SOON, || knock().ok())];
    knocking.extend((1..32).map(|_| knock().unwrap()));
    let mut console = wait_for("a place", SOON, || {
        RawClient::login(tidegate.sql_address(), &Login::new("root", "")).ok()
    });
    assert!(knocking[0].read_packet().is_err(), "the first has made room");
    console.query("SHOW CLIENTS").unwrap();
}

#[test]
fn there_are_only_so_many_seats() {
    let server = server();
    let tidegate = Tidegate::start(Config::to(&server));
    let mut seated: Vec<RawClient> = (0..32).map(|_| anybody(&tidegate)).collect();
    let refused = RawClient::login(tidegate.sql_address(), &Login::new("root", ""));
    assert_eq!(refused.err().unwrap().code(), 1040);
    // Strangers at the console cost clients nothing.
    assert!(app(&tidegate).query("SELECT 1").is_ok());
    seated.pop().unwrap().quit();
    wait_for("a seat", SOON, || {
        RawClient::login(tidegate.sql_address(), &Login::new("root", "")).ok()
    });
    // A seat is not kept for who says nothing.
    drop(seated);
    let mut silent = wait_for("a seat", SOON, || RawClient::greet(tidegate.sql_address()).ok());
    let began = Instant::now();
    assert!(silent.read_packet().is_err());
    assert!((9..15).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[test]
fn what_is_not_a_statement_ends_or_is_refused_and_nothing_else() {
    let server = server();
    let tidegate = Tidegate::start(Config::to(&server));
    let mut large = anybody(&tidegate);
    large.command(&[b"\x03SHOW ", &vec![b'x'; 70_000][..]].concat()).unwrap();
    assert_eq!(support::client::refusal(&large.read_packet().unwrap()).code(), 1153);
    let mut odd = anybody(&tidegate);
    for (command, code) in [
        (&b"\x03SELECT '\xFF'"[..], 1300),
        (b"\x03", 1065),
        (b"\xC8", 1047),
        (b"\x04table\0", 1047),
        (b"\x0C\x01\0\0\0", 1047),
        (b"\x03KILL 1; KILL 2", 1064),
    ] {
        odd.command(command).unwrap();
        let packet = odd.read_packet().unwrap();
        assert_eq!(support::client::refusal(&packet).code(), code, "{command:?}");
    }
    odd.command(b"\x19\x01\0\0\0").unwrap();
    odd.ping().unwrap();
    // The same with the other end of a result set.
    let login = Login::new("x", "").with(capability::DEPRECATE_EOF);
    let mut modern = RawClient::login(tidegate.sql_address(), &login).unwrap();
    assert_eq!(modern.query("SHOW TARGETS").unwrap().len(), 1);
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drivers/console").join(name)
}

fn run(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let program = program.as_ref();
    let mut command = Command::new("timeout");
    let output =
        command.arg("60").arg(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} {arguments:?}: {}\n{told}{complained}\n(not installed? tests/servers/install.sh drivers)",
        program.display(),
        output.status
    );
    told
}

#[test]
fn clients_and_drivers_that_people_have() {
    let server = server();
    let tidegate = Tidegate::start(Config::to(&server).admin(OPS));
    let mut client = app(&tidegate);
    client.query("SELECT 1").unwrap();
    let (port, number) = (tidegate.sql_port().to_string(), id(&client).to_string());

    let mut clients = vec![PathBuf::from("mariadb")];
    clients.extend(Some(cache().join("mysql-9.7/bin/mysql")).filter(|path| path.exists()));
    for program in clients {
        let oracles = program.is_absolute();
        for tls in [false, true] {
            let tls = match (oracles, tls) {
                (true, true) => "--ssl-mode=REQUIRED",
                (true, false) => "--ssl-mode=DISABLED",
                (false, true) => "--skip-ssl-verify-server-cert",
                (false, false) => "--skip-ssl",
            };
            let at = [
                "--no-defaults",
                tls,
                "--host=127.0.0.1",
                "--port",
                &port,
                "--protocol=TCP",
                "--user=ops",
                "--password=ops-password",
            ];
            let with = |more: &[&str]| run(&program, &[&at, more].concat());
            let table = with(&["--table", "-e", "SHOW CLIENTS LIKE 'app'"]);
            assert!(
                table.contains(&number) && table.contains("| transaction_seconds |"),
                "{table}"
            );
            let lines = with(&["--batch", "-e", "USE x; SHOW POOLS; SELECT DATABASE(), USER()"]);
            assert!(lines.contains("primary\t") && lines.contains("x\tops@127.0.0.1"), "{lines}");
            let status = with(if oracles { &["--commands", "-e", "\\s"] } else { &["-e", "\\s"] });
            assert!(status.contains("Uptime: ") || status.contains("Uptime:\t"), "{status}");
            assert!(status.contains("tidegate-"), "{status}");
        }
    }

    let address = ["127.0.0.1", &*port, "ops", "ops-password"];
    let python = cache().join("python/bin/python");
    let pymysql = script("pymysql_console.py");
    for tls in [&[][..], &["tls"]] {
        run(&python, &[&[pymysql.to_str().unwrap()], &address[..], tls].concat());
    }
    let java = script("Console.java");
    for jar in [
        PathBuf::from("/usr/share/java/mariadb-java-client.jar"),
        cache().join("java/mariadb-3.jar"),
    ] {
        let path = [jar.to_str().unwrap(), java.to_str().unwrap()];
        run("java", &[&["-cp", path[0], path[1]], &address[..]].concat());
    }
    tokio::runtime::Runtime::new().unwrap().block_on(mysql_async(tidegate.sql_port(), number));
}

async fn mysql_async(port: u16, number: String) {
    let opts = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(port)
        .prefer_socket(false)
        .user(Some("ops"))
        .pass(Some("ops-password"));
    let mut conn = Conn::new(opts).await.unwrap();
    let rows: Vec<AsyncRow> = conn.query("SHOW CLIENTS LIKE 'app'").await.unwrap();
    assert_eq!(rows[0].get::<String, _>("id"), Some(number.clone()));
    assert_eq!(rows[0].get::<Option<u64>, _>("transaction_seconds"), Some(None));
    conn.query_drop(format!("KILL {number}")).await.unwrap();
    let refusal = conn.exec_drop("SHOW CLIENTS", ()).await.unwrap_err();
    assert!(refusal.to_string().contains("1295"), "{refusal}");
    conn.disconnect().await.unwrap();
}
