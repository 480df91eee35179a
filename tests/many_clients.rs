//! The promise of pooling: two hundred clients of a driver live on four server connections.
//!
//! Each driver's program in `tests/drivers/` is a crowd: its clients begin as their framework begins,
//! work in rounds with rests between them, all rest at once, and work again. Nobody errs, the bound
//! is not passed, and those who rest hold nothing. What pinned is printed (`--nocapture` shows it).
//!
//! `TIDEGATE_MANY_CLIENTS` is another size of the crowd than 200. Knows nothing of what a driver
//! sends: its program does. `tests/servers/install.sh drivers sysbench` installs them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, clippy::cast_precision_loss, reason = "metrics that count are whole")]
#![allow(clippy::print_stdout, reason = "the pins of each driver are there to be read")]

mod support;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use mysql_async::{Conn, OptsBuilder, TxOpts, params, prelude::Queryable};
use support::{
    cache,
    client::{Login, RawClient},
    servers::{Flavor, HOST, Options, PASSWORD, SCHEMA, Server, USER},
    tidegate::{Config, Tidegate},
    wait_for,
};

const BOUND: usize = 4;
/// One of the bound is kept for KILL.
const SEATS: usize = BOUND - 1;
/// So many before the long rest, twice as many for every other client, and one after it.
const ROUNDS: usize = 2;
const LIMIT: Duration = Duration::from_secs(150);
const BORROWED: &str = "tidegate_server_connections{state=\"borrowed\"}";

macro_rules! crowds {
    ($($driver:ident: $program:expr, $arguments:expr $(, $word:literal)?;)*) => {
        $(#[test]
        fn $driver() {
            let arguments: &[OsString] = &$arguments;
            crowd(stringify!($driver), |port, clients, stage| {
                let words: &[&str] = &[$($word)?];
                play(command($program, arguments, words, port, clients), stage)
            });
        })*
    };
}

// `warned`: each rest begins with a statement that left warnings.
crowds! {
    pymysql: python(), [script("pymysql_crowd.py")];
    pymysql_warned: python(), [script("pymysql_crowd.py")], "warned";
    django: python(), [script("django_crowd.py")];
    django_warned: python(), [script("django_crowd.py")], "warned";
    node_mysql2: "node", [script("node_crowd.js")];
    go_sql_driver: cache().join("go/crowd"), [];
    connector_j_2: "java", java("/usr/share/java/mariadb-java-client.jar");
    connector_j_3: "java", java(cache().join("java/mariadb-3.jar"));
    rails: "ruby", [script("rails_crowd.rb")];
    rails_warned: "ruby", [script("rails_crowd.rb")], "warned";
    laravel: "php", [script("laravel_crowd.php")];
    laravel_warned: "php", [script("laravel_crowd.php")], "warned";
}

#[test]
fn mysql_async() {
    crowd("mysql_async", mysql_async_crowd);
}

#[test]
fn sysbench() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        bench(server.port(), 1, &["prepare"]);
        for skip_trx in ["off", "on"] {
            let tidegate = tidegate(&server);
            server.forget_status();
            let skip_trx = format!("--skip_trx={skip_trx}");
            bench(tidegate.port(), clients(), &["--time=4", &skip_trx, "run"]);
            report(&tidegate, &format!("sysbench {skip_trx}"), flavor, clients());
            let used = server.max_used_connections();
            assert!(used <= BOUND + 1, "{flavor:?}: the server counted {used}");
            nothing_is_held(&tidegate);
            nobody_went_without(&tidegate);
            assert_eq!(pins(&tidegate), BTreeMap::new(), "{flavor:?}, {skip_trx}");
        }
    }
}

/// A crowd's side of the beat: it tells that all of it rests, and is told to go on.
struct Stage {
    resting: Sender<()>,
    again: Receiver<()>,
}

/// `drive` runs so many clients against a port, to their end.
fn crowd(driver: &str, drive: impl Fn(u16, usize, Stage) -> Result<(), String> + Sync) {
    for flavor in Flavor::installed() {
        let clients = clients();
        let server = Server::start(flavor, Options::default());
        server.root(
            "CREATE TABLE app.crowd (id BIGINT PRIMARY KEY AUTO_INCREMENT, client INT NOT NULL, \
             note VARCHAR(64) NOT NULL, KEY (client))",
        );
        let tidegate = tidegate(&server);
        server.forget_status();
        let began = Instant::now();
        thread::scope(|scope| {
            let ((resting, rest), (go_on, again)) = (channel(), channel());
            let drive = &drive;
            let port = tidegate.port();
            let crowd = scope.spawn(move || drive(port, clients, Stage { resting, again }));
            // Without the word the crowd has ended, and says below why.
            if rest.recv_timeout(LIMIT) != Err(RecvTimeoutError::Disconnected) {
                the_resting_hold_nothing(&tidegate);
            }
            let _ = go_on.send(());
            if let Err(wrong) = crowd.join().unwrap() {
                report(&tidegate, driver, flavor, clients);
                panic!("{driver} on {flavor:?}: {wrong}");
            }
        });
        println!("{driver} on {flavor:?}: {:.1} s", began.elapsed().as_secs_f32());
        report(&tidegate, driver, flavor, clients);
        all_have_worked(&server, clients);
        let used = server.max_used_connections();
        assert!(used <= BOUND + 1, "{driver} on {flavor:?}: the server counted {used}");
        nothing_is_held(&tidegate);
        nobody_went_without(&tidegate);
        let pins = pins(&tidegate);
        assert_eq!(pins, BTreeMap::new(), "{driver} on {flavor:?} pinned");
    }
}

fn clients() -> usize {
    std::env::var("TIDEGATE_MANY_CLIENTS").map_or(200, |clients| clients.parse().unwrap())
}

fn tidegate(server: &Server) -> Tidegate {
    // Other tests share the machine: it is asked for turns, not for speed.
    let pool = format!("max_connections = {BOUND}\nborrow_timeout = \"30s\"");
    Tidegate::start(Config::to(server).section("pool", &pool))
}

fn the_resting_hold_nothing(tidegate: &Tidegate) {
    nothing_is_held(tidegate);
    // And so others find every connection free.
    let mut others: Vec<RawClient> =
        (0..SEATS).map(|_| RawClient::login(tidegate.address(), &Login::app()).unwrap()).collect();
    for other in &mut others {
        other.query("BEGIN").unwrap();
        other.query("SELECT COUNT(*) FROM crowd").unwrap();
    }
    assert_eq!(tidegate.metrics()[BORROWED], SEATS as f64);
    for other in &mut others {
        other.query("COMMIT").unwrap();
    }
}

fn nothing_is_held(tidegate: &Tidegate) {
    wait_for("all connections to be back", Duration::from_secs(10), || {
        (tidegate.metrics()[BORROWED] == 0.0).then_some(())
    });
    let metrics = tidegate.metrics();
    let pinned = metrics.iter().filter(|(series, _)| series.starts_with("tidegate_pinned{"));
    let pinned: Vec<_> = pinned.filter(|(_, clients)| **clients > 0.0).collect();
    assert!(pinned.is_empty(), "{pinned:?}");
}

fn nobody_went_without(tidegate: &Tidegate) {
    assert_eq!(tidegate.metric("tidegate_borrow_waiting"), 0.0);
    assert_eq!(tidegate.metric("tidegate_borrow_failures_total"), 0.0);
    assert_eq!(tidegate.metrics()["tidegate_errors_total{side=\"proxy\"}"], 0.0);
}

/// How often each reason to pin came up.
fn pins(tidegate: &Tidegate) -> BTreeMap<String, f64> {
    counts(tidegate, "tidegate_pins_total")
}

/// What was counted of a metric with one label, by the label's value.
fn counts(tidegate: &Tidegate, metric: &str) -> BTreeMap<String, f64> {
    let of_metric = |(series, count): (String, f64)| {
        let (name, label) = series.strip_suffix("\"}")?.split_once('{')?;
        let value = label.split_once('"')?.1;
        (name == metric && count > 0.0).then(|| (value.to_owned(), count))
    };
    tidegate.metrics().into_iter().filter_map(of_metric).collect()
}

fn report(tidegate: &Tidegate, driver: &str, flavor: Flavor, clients: usize) {
    println!("{driver} on {flavor:?}, {clients} clients: pins {:?}", pins(tidegate));
    for metric in ["tidegate_borrows_total", "tidegate_queries_total", "tidegate_prepares_total"] {
        println!("    {metric} {:?}", counts(tidegate, metric));
    }
}

/// Every client has left a row of each of its rounds, and no row of those it took back.
fn all_have_worked(server: &Server, clients: usize) {
    let early = clients.div_ceil(2);
    let rows = early * (ROUNDS + 1) + (clients - early) * (2 * ROUNDS + 1);
    let found = server.root(
        "SELECT COUNT(*), COUNT(DISTINCT client), COUNT(IF(note LIKE 'kept%', NULL, 1)) FROM app.crowd",
    );
    let wanted = [rows, clients, 0].map(|number| Some(number.to_string()));
    assert_eq!(found[0], wanted, "rows, clients, rows that were taken back");
}

// --- programs -----------------------------------------------------------------------------------

fn script(name: &str) -> OsString {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/drivers").join(name).into()
}

fn python() -> PathBuf {
    cache().join("python/bin/python")
}

/// The classes that install.sh made of `tests/drivers/java`, on one version of the driver.
fn java(driver: impl Into<OsString>) -> [OsString; 4] {
    let mut class_path = cache().join("java").into_os_string();
    class_path.push(":");
    class_path.push(driver.into());
    // The crowd lives for seconds: it is not worth a thorough compiler.
    ["-XX:TieredStopAtLevel=1".into(), "-cp".into(), class_path, "Crowd".into()]
}

fn command(
    program: impl Into<OsString>,
    arguments: &[OsString],
    words: &[&str],
    port: u16,
    clients: usize,
) -> Command {
    let mut command = Command::new("timeout");
    command
        .arg(LIMIT.as_secs().to_string())
        .arg(program.into())
        .args(arguments)
        .args([HOST, &port.to_string(), USER, PASSWORD])
        .args([clients.to_string(), ROUNDS.to_string()])
        .args(words)
        .env("NODE_PATH", cache().join("node/node_modules"));
    command
}

/// Runs a crowd of another program: it says `resting`, reads a line, and says `OK` at the end.
fn play(mut command: Command, stage: Stage) -> Result<(), String> {
    let errors = tempfile::NamedTempFile::new().unwrap();
    let mut crowd = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(errors.reopen().unwrap())
        .spawn()
        .expect("timeout runs");
    let mut to_crowd = crowd.stdin.take();
    let mut told = String::new();
    for line in BufReader::new(crowd.stdout.take().unwrap()).lines() {
        told = line.unwrap_or_default();
        if told == "resting" {
            let _ = stage.resting.send(());
            let _ = stage.again.recv();
            let _ = to_crowd.take().unwrap().write_all(b"\n");
        }
    }
    drop(stage);
    let status = crowd.wait().unwrap();
    if status.success() && told == "OK" {
        return Ok(());
    }
    let errors = fs::read(errors.path()).unwrap_or_default();
    let errors: String = String::from_utf8_lossy(&errors).chars().take(4000).collect();
    let hint = "(not installed? tests/servers/install.sh drivers)";
    Err(format!("{status}: {told}\n{errors}\n{hint}"))
}

/// As people run it: statements prepared on the server, all threads at once and without a rest.
fn bench(port: u16, threads: usize, arguments: &[&str]) {
    let output = Command::new("timeout")
        .args([&LIMIT.as_secs().to_string(), "sysbench", "oltp_read_write", "--db-driver=mysql"])
        .args([format!("--mysql-host={HOST}"), format!("--mysql-port={port}")])
        .args([format!("--mysql-user={USER}"), format!("--mysql-password={PASSWORD}")])
        .args([format!("--mysql-db={SCHEMA}"), format!("--threads={threads}")])
        // What two do at once to a row is sysbench's own affair: deadlocks, and a row that another
        // one has put back first where it uses no transactions.
        .args(["--db-ps-mode=auto", "--mysql-ignore-errors=1213,1020,1205,1062"])
        .args(["--table-size=20000"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("timeout runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && !told.contains("FATAL"),
        "sysbench {arguments:?}: {}\n{told}{}\n(not installed? tests/servers/install.sh sysbench)",
        output.status,
        String::from_utf8_lossy(&output.stderr),
    );
}

// --- mysql_async --------------------------------------------------------------------------------

#[tokio::main(worker_threads = 2)]
async fn mysql_async_crowd(port: u16, clients: usize, stage: Stage) -> Result<(), String> {
    let resting = Arc::new(tokio::sync::Barrier::new(clients + 1));
    let (wake, again) = tokio::sync::watch::channel(false);
    let mut lives = tokio::task::JoinSet::new();
    for number in 0..clients {
        let (resting, again) = (resting.clone(), again.clone());
        lives.spawn(async move {
            let lived = live(port, number, &resting, again).await;
            lived.map_err(|wrong| format!("client {number}: {wrong}"))
        });
    }
    tokio::select! {
        _ = resting.wait() => {}
        // None ends before all have rested, unless it fails.
        Some(ended) = lives.join_next() => ended.unwrap()?,
    }
    let _ = stage.resting.send(());
    let _ = tokio::task::spawn_blocking(move || stage.again.recv()).await;
    let _ = wake.send(true);
    while let Some(ended) = lives.join_next().await {
        ended.unwrap()?;
    }
    Ok(())
}

async fn live(
    port: u16,
    number: usize,
    resting: &tokio::sync::Barrier,
    mut again: tokio::sync::watch::Receiver<bool>,
) -> Result<(), mysql_async::Error> {
    let opts = OptsBuilder::default()
        .ip_or_hostname(HOST)
        .tcp_port(port)
        .user(Some(USER))
        .pass(Some(PASSWORD))
        .db_name(Some(SCHEMA))
        .prefer_socket(false)
        .setup(vec!["SET time_zone = '+00:00'"]);
    let mut conn = Conn::new(opts).await?;
    pause().await;
    // Every other one rests early and long, while the rest go on.
    let early = if number.is_multiple_of(2) { ROUNDS } else { 2 * ROUNDS };
    for round in 0..early {
        work(&mut conn, number, round).await?;
        pause().await;
    }
    resting.wait().await;
    let _ = again.wait_for(|woken| *woken).await;
    work(&mut conn, number, early).await?;
    conn.disconnect().await
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(50..300))).await;
}

async fn work(conn: &mut Conn, number: usize, round: usize) -> Result<(), mysql_async::Error> {
    let insert = "INSERT INTO crowd (client, note) VALUES (:client, :note)";
    let mut transaction = conn.start_transaction(TxOpts::default()).await?;
    transaction.exec_drop(insert, params! { "client" => number, "note" => "new" }).await?;
    let id = transaction.last_insert_id().unwrap();
    transaction.exec_drop("UPDATE crowd SET note = ? WHERE id = ?", ("kept", id)).await?;
    transaction.commit().await?;
    let mut transaction = conn.start_transaction(TxOpts::default()).await?;
    transaction.exec_drop(insert, params! { "client" => number, "note" => "lost" }).await?;
    transaction.rollback().await?;

    let count: Option<usize> =
        conn.exec_first("SELECT COUNT(*) FROM crowd WHERE client = ?", (number,)).await?;
    assert_eq!(count, Some(round + 1), "rows of client {number}");
    let row: Option<(String, String)> =
        conn.query_first(format!("SELECT note, @@time_zone FROM crowd WHERE id = {id}")).await?;
    assert_eq!(row, Some(("kept".to_owned(), "+00:00".to_owned())));
    conn.ping().await
}
