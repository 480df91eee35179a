//! The promise: one process takes over from another, and nobody who knocks is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::too_many_lines, reason = "a story is told in one piece")]

mod support;

use std::{
    fs,
    net::TcpListener,
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt, net::UnixListener},
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use support::{
    binary::Value,
    client::{Login, RawClient, refusal},
    load::Load,
    servers::{Flavor, Options, Server},
    tidegate::{Config, Tidegate, program},
    wait_for,
};

const SOON: Duration = Duration::from_secs(20);
const CLIENTS: usize = 200;
const IDLE: usize = 2000;

fn server() -> Server {
    Server::start(Flavor::installed()[0], Options::default())
}

fn app(tidegate: &Tidegate) -> RawClient {
    RawClient::login(tidegate.address(), &Login::app()).unwrap()
}

fn upgrade(folder: &Path) -> String {
    format!("socket = \"{}\"", folder.join("upgrade.sock").display())
}

/// Ends the clients, however the test ends.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn nobody_who_knocks_is_refused() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    let config = Config::to(&server)
        .section("upgrade", &upgrade(folder.path()))
        .section("pool", "max_connections = 8");
    let mut tidegate = Tidegate::start(config);
    let mode = fs::metadata(folder.path().join("upgrade.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (address, over) = (tidegate.address(), AtomicBool::new(false));
    let served = AtomicUsize::new(0);
    let client = || {
        while !over.load(Ordering::Relaxed) {
            let mut client = RawClient::login(&*address, &Login::app()).unwrap();
            assert_eq!(client.query("SELECT 1").unwrap()[0][0].as_deref(), Some("1"));
            client.quit();
            served.fetch_add(1, Ordering::Relaxed);
        }
    };
    let until_more = || {
        let before = served.load(Ordering::Relaxed);
        wait_for("more clients", SOON, || {
            (served.load(Ordering::Relaxed) >= before + 2 * CLIENTS).then_some(())
        });
    };
    let (mut idle, mut busy) = (app(&tidegate), app(&tidegate));
    busy.query("BEGIN").unwrap();
    thread::scope(|scope| {
        let _over = Over(&over);
        for _ in 0..CLIENTS {
            scope.spawn(client);
        }
        until_more();
        for _ in 0..2 {
            let first = tidegate.pid();
            let mut old = tidegate.take_over();
            wait_for("the takeover", SOON, || tidegate.log().contains("taken over").then_some(()));
            until_more();
            assert!(old.ended().is_none(), "a transaction is waited for");
            busy.query("SELECT 2").unwrap();
            busy.query("COMMIT").unwrap();
            assert_eq!(old.wait(SOON).unwrap().code(), Some(0), "{first}");
            tidegate.until_ready();
            until_more();
            assert!(idle.query("SELECT 3").is_ok(), "it is with the new one");
            busy.query("BEGIN").unwrap();
        }
    });
    assert!(app(&tidegate).query("SELECT 3").is_ok());
    let (status, body) = tidegate.http("/readyz").unwrap();
    assert_eq!((status, &*body), (200, "ready\n"));
}

/// Of two thousand that rest and two hundred that work nobody notices that the process is another.
#[test]
fn clients_go_over_with_all_they_have() {
    for flavor in Flavor::installed() {
        let (server, folder) = (Server::start(flavor, Options::default()), tempfile::tempdir());
        let folder = folder.unwrap();
        server.root("CREATE TABLE app.w (id INT, who INT)");
        let config = Config::to(&server)
            .section("upgrade", &upgrade(folder.path()))
            .section("pool", "max_connections = 8");
        let mut tidegate = Tidegate::start(config);
        let address = tidegate.address();
        let mut idle: Vec<(RawClient, u32)> = (0..IDLE)
            .map(|number| {
                let mut client = app(&tidegate);
                client.query(&format!("SET @n = {number}, time_zone = '+05:00'")).unwrap();
                let statement = client.prepare("SELECT ? + @n").unwrap().id;
                let rows = client.execute(statement, &[Value::from(1)]).unwrap();
                assert_eq!(rows[0][0], Some((number + 1).to_string()));
                (client, statement)
            })
            .collect();
        let mut inserted = app(&tidegate);
        inserted
            .query("CREATE TABLE k (id INT AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT = 70")
            .unwrap();
        inserted.query("INSERT INTO k VALUES ()").unwrap();
        let mut pinned = app(&tidegate);
        pinned.query("SELECT GET_LOCK('a', 0)").unwrap();
        let load = Load::new();
        let mut old = thread::scope(|scope| {
            let _leash = load.leash();
            load.start(scope, &address, CLIENTS);
            load.until_each_has_written(CLIENTS, Instant::now());
            let old = tidegate.take_over();
            wait_for("the takeover", SOON, || tidegate.log().contains("taken over").then_some(()));
            load.until_each_has_written(CLIENTS, Instant::now());
            assert_eq!(load.take_errors(), [""; 0]);
            load.end();
            old
        });
        assert_eq!(refusal(&pinned.read_packet().unwrap()).code(), 1053);
        assert_eq!(old.wait(SOON).unwrap().code(), Some(0));
        let log = tidegate.log();
        let (_, came) = log.rsplit_once("clients came over clients=").unwrap();
        let (came, rest) = came.split_once(' ').unwrap();
        // Of those at work some may have left before they could.
        assert!(came.parse::<usize>().unwrap() > IDLE, "{log}");
        assert!(rest.starts_with("stranded=0"), "{log}");
        for (number, (client, statement)) in idle.iter_mut().enumerate() {
            let rows = client.query("SELECT @n, @@time_zone, DATABASE()").unwrap();
            let cells: Vec<_> = rows[0].iter().flatten().map(String::as_str).collect();
            assert_eq!(cells, [&*number.to_string(), "+05:00", "app"]);
            let rows = client.execute_again(*statement, &[Value::from(2)]).unwrap();
            assert_eq!(rows[0][0], Some((number + 2).to_string()));
            let id = client.query("SELECT CONNECTION_ID()").unwrap();
            assert_eq!(id[0][0], Some(client.greeting.connection_id.to_string()));
        }
        let id = inserted.query("SELECT LAST_INSERT_ID()").unwrap();
        assert_eq!(id[0][0].as_deref(), Some("70"));
        load.due().check(&server, None);
    }
}

/// Whoever has too much to go over with is told so, and the others go.
#[test]
fn a_client_with_large_statements_holds_up_nobody() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    let config = Config::to(&server).section("upgrade", &upgrade(folder.path()));
    let mut tidegate = Tidegate::start(config);
    let mut large = app(&tidegate);
    for letter in ["a", "b"] {
        large.prepare(&format!("SELECT '{}', ?", letter.repeat(5 << 20))).unwrap();
    }
    let mut small = app(&tidegate);
    let text = format!("SELECT '{}', ?", "c".repeat(5 << 20));
    let statement = small.prepare(&text).unwrap().id;
    let mut old = tidegate.take_over();
    assert_eq!(refusal(&large.read_packet().unwrap()).code(), 1053);
    assert_eq!(old.wait(SOON).unwrap().code(), Some(0));
    let rows = small.execute(statement, &[Value::from(7)]).unwrap();
    assert_eq!(rows[0][1].as_deref(), Some("7"));
    assert!(tidegate.log().contains("clients came over clients=1 stranded=0"));
}

#[test]
fn who_fails_to_take_over_harms_nobody() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    let socket = upgrade(folder.path());
    let mut tidegate = Tidegate::start(Config::to(&server).section("upgrade", &socket));
    let mut client = app(&tidegate);
    // Its configuration is bad.
    let other = folder.path().join("other.toml");
    let text = fs::read_to_string(tidegate.config_path()).unwrap();
    fs::write(&other, text.replace(&server.address(), "nowhere")).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(program());
        command.arg("run").arg("--config").arg(&other).args(arguments);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(run(&["--takeover"]).0, Some(78));
    // An address of its own is taken by somebody else, after it was given the others.
    let taken = format!("\n[[endpoint]]\nname = \"more\"\nlisten = \"{}\"\n", server.address());
    fs::write(&other, format!("{text}{taken}")).unwrap();
    let (code, said) = run(&["--takeover"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot listen on"), "{said}");
    wait_for("the old one to say so", SOON, || {
        tidegate.log().contains("a takeover came to nothing").then_some(())
    });
    client.query("SELECT 1").unwrap();
    assert!(app(&tidegate).query("SELECT 2").is_ok());
    // Without --takeover the addresses are taken; without a socket there is nobody to ask.
    fs::write(&other, &text).unwrap();
    assert_eq!(run(&[]).0, Some(1));
    fs::write(&other, text.replace(&socket, "socket = \"\"")).unwrap();
    let (code, said) = run(&["--takeover"]);
    assert_eq!(code, Some(78));
    assert!(said.contains("upgrade.socket: --takeover needs"), "{said}");
    assert!(tidegate.ended().is_none());
}

/// So it can always be started that way.
#[test]
fn without_anybody_to_take_over_from_it_starts() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    let path = folder.path().join("upgrade.sock");
    // What a process that was killed has left.
    drop(UnixListener::bind(&path).unwrap());
    let config = Config::to(&server).section("upgrade", &upgrade(folder.path()));
    let mut tidegate = Tidegate::start(config);
    tidegate.kill();
    tidegate.take_over();
    tidegate.until_ready();
    assert!(app(&tidegate).query("SELECT 1").is_ok());
    assert!(tidegate.log().contains("nobody to take over from"));
}

/// As systemd passes a socket, which it keeps open.
struct Activated(Child);

impl Activated {
    fn start(listener: &TcpListener, config: &Path) -> Self {
        let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"";
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(program()).args(["run", "--config"]).arg(config);
        let socket = OwnedFd::from(listener.try_clone().unwrap());
        Self(shell.stdin(socket).stderr(Stdio::null()).spawn().unwrap())
    }

    fn stop(mut self) {
        let pid = self.0.id().to_string();
        Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap();
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_socket_that_is_passed_stays_open_over_a_restart() {
    let server = server();
    // Its files serve, and the address of its endpoint, which is free then.
    let mut tidegate = Tidegate::start(Config::to(&server));
    tidegate.sigterm();
    assert_eq!(tidegate.wait(SOON).unwrap().code(), Some(0));
    let (address, config) = (tidegate.address(), tidegate.config_path());
    let listener = TcpListener::bind(&address).unwrap();
    let first = Activated::start(&listener, &config);
    let log_in = || RawClient::login(&*address, &Login::app()).unwrap();
    assert!(log_in().query("SELECT 1").is_ok());
    first.stop();
    thread::scope(|scope| {
        // Nobody is there to let it in yet, and it is not refused.
        let waits = scope.spawn(|| log_in().query("SELECT 2").unwrap().len());
        let _second = Activated::start(&listener, &config);
        assert_eq!(waits.join().unwrap(), 1);
    });
}
