//! The third promise: the bound on server connections is never passed, and no seat is lost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, clippy::cast_precision_loss, reason = "metrics that count are whole")]
#![allow(clippy::too_many_lines, reason = "a story is told in one piece")]

mod support;

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use support::{
    client::{Error, Login, RawClient, Row},
    servers::{Flavor, Options, PASSWORD, Server, USER},
    tidegate::{Config, Tidegate},
    wait_for,
};

const BORROWED: &str = "tidegate_server_connections{state=\"borrowed\"}";

fn app(tidegate: &Tidegate) -> RawClient {
    RawClient::login(tidegate.address(), &Login::app()).unwrap()
}

fn app_b() -> Login {
    Login::new("app_b", "app_b-password").schema("app")
}

/// One client's short and rude life.
fn live(tidegate: &str, seed: u64, ids: &AtomicUsize) -> Result<(), Error> {
    let mut dice = fastrand::Rng::with_seed(seed);
    let login = if dice.bool() { Login::app() } else { app_b() };
    let mut client = RawClient::login(tidegate, &login)?;
    let mine = usize::try_from(client.greeting.connection_id).unwrap();
    let before = ids.swap(mine, Ordering::Relaxed);
    match dice.u8(..8) {
        // Vanishes in the middle of a query, and of a transaction.
        0 => client.command(b"\x03SELECT SLEEP(0.3)")?,
        1 => {
            client.query("BEGIN")?;
            client.query("INSERT INTO t (id) VALUES (NULL)")?;
        }
        2 => {
            client.query("BEGIN")?;
            client.command(b"\x03INSERT INTO t SELECT NULL FROM t LIMIT 10")?;
        }
        3 => drop(client.query(&format!("KILL {before}"))),
        4 => drop(client.query(&format!("KILL QUERY {before}"))),
        5 => {
            client.query("SELECT 1")?;
            client.change_user(&if dice.bool() { Login::app() } else { app_b() })?;
            client.query("SELECT 2")?;
        }
        6 => {
            client.query("SET @x = 1")?;
            client.query("CREATE TEMPORARY TABLE mine (id INT)")?;
            client.query("SELECT GET_LOCK(CONCAT('l', CONNECTION_ID()), 0)")?;
        }
        _ => {
            client.query("BEGIN")?;
            client.query("INSERT INTO t (id) VALUES (NULL)")?;
            client.query("COMMIT")?;
            client.quit();
        }
    }
    Ok(())
}

#[test]
fn a_storm_passes_no_bound_and_takes_no_seat() {
    storm(false);
}

/// Somebody at the server dislikes the pool's connections meanwhile.
#[test]
fn a_storm_in_which_connections_die() {
    storm(true);
}

fn storm(kills: bool) {
    const BOUND: usize = 8;
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        server.root("CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT)");
        let config = Config::to(&server)
            .user("app_b", "app_b-password")
            .section("pool", &format!("max_connections = {BOUND}\nborrow_timeout = \"20s\""));
        let tidegate = Tidegate::start(config);
        server.forget_status();
        let address = tidegate.address();
        let (ids, lives) = (AtomicUsize::new(1), AtomicUsize::new(0));
        let over = AtomicBool::new(false);
        let most = thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut most = 0;
                let mut killed = 0;
                while !over.load(Ordering::Relaxed) {
                    let rows = server.root("SHOW PROCESSLIST");
                    let of_pool: Vec<_> = rows
                        .iter()
                        .filter(|row| {
                            !["root", "event_scheduler"]
                                .contains(&row[1].as_deref().unwrap_or_default())
                        })
                        .collect();
                    // One that was killed may be counted a moment longer than it is connected.
                    most = most.max(if kills {
                        of_pool.iter().filter(|row| row[4].as_deref() != Some("Killed")).count()
                    } else {
                        server.threads_connected()
                    });
                    // One for some lives that have ended.
                    let mortal = row_of(&rows, "app").filter(|_| kills);
                    if let Some(victim) = mortal
                        && lives.load(Ordering::Relaxed) > killed * 8
                    {
                        killed += 1;
                        let _ = server.try_root(&format!("KILL {victim}"));
                    }
                    thread::yield_now();
                }
                most
            });
            let clients: Vec<_> = (0..64_u64)
                .map(|number| {
                    let (address, ids, lives) = (&address, &ids, &lives);
                    scope.spawn(move || {
                        for round in 0..8 {
                            let _ = live(address, number * 1000 + round, ids);
                            lives.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            for client in clients {
                client.join().unwrap();
            }
            over.store(true, Ordering::Relaxed);
            watcher.join().unwrap()
        });
        assert!(most <= BOUND, "{flavor:?}: {most} connections");
        // The server's own count is of every moment; one is root's.
        let used = server.max_used_connections();
        assert!(kills || used <= BOUND + 1, "{flavor:?}: the server counted {used}");
        all_can_be_borrowed(&tidegate, BOUND - 1);
        until_nothing_is_borrowed(&tidegate);
        assert_eq!(tidegate.metric("tidegate_borrow_waiting"), 0.0, "{flavor:?}");
        assert_eq!(tidegate.metric("tidegate_pinned"), 0.0, "{flavor:?}");
        assert_eq!(tidegate.metrics()["tidegate_server_connections{state=\"dialing\"}"], 0.0);
    }
}

/// The server's id of some connection of a user whose name begins so.
fn row_of<'a>(rows: &'a [Row], user: &str) -> Option<&'a str> {
    let of_user = |row: &&Row| row[1].as_deref().is_some_and(|name| name.starts_with(user));
    rows.iter().find(of_user)?[0].as_deref()
}

fn until_nothing_is_borrowed(tidegate: &Tidegate) {
    wait_for("all connections to be back", Duration::from_secs(10), || {
        (tidegate.metrics()[BORROWED] == 0.0).then_some(())
    });
}

/// So many transactions at once.
fn all_can_be_borrowed(tidegate: &Tidegate, count: usize) {
    let mut clients: Vec<_> = (0..count).map(|_| app(tidegate)).collect();
    for client in &mut clients {
        client.query("BEGIN").unwrap();
        client.query("SELECT COUNT(*) FROM t").unwrap();
    }
    assert_eq!(tidegate.metrics()[BORROWED], count as f64);
    for client in &mut clients {
        client.query("COMMIT").unwrap();
    }
}

/// What Tidegate is for.
#[test]
fn two_thousand_clients_on_a_server_for_fifty() {
    const CLIENTS: usize = 2_000;
    let flavor = Flavor::installed()[0];
    let server = Server::start(flavor, Options::default().max_connections(50));
    server.root("CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, client INT)");
    let pool = "borrow_timeout = \"60s\"";
    let tidegate = Tidegate::start(Config::to(&server).section("pool", pool));
    server.forget_status();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    // The server's own socket would be a way around Tidegate.
    let url = tidegate.url() + "?prefer_socket=false";
    runtime.block_on(async {
        let mut clients = tokio::task::JoinSet::new();
        for number in 0..CLIENTS {
            let url = url.clone();
            clients.spawn(async move { visit(&url, number).await });
        }
        let mut wrongs = Vec::new();
        while let Some(ended) = clients.join_next().await {
            if let Err(error) = ended.unwrap() {
                wrongs.push(error.to_string());
            }
        }
        assert!(wrongs.is_empty(), "{} of {CLIENTS}: {}", wrongs.len(), wrongs[0]);
    });
    let rows = server.root("SELECT COUNT(DISTINCT client), COUNT(*) FROM app.t");
    assert_eq!(rows[0], [Some("2000".to_owned()), Some("2000".to_owned())]);
    // 90% of 50, and root.
    let used = server.max_used_connections();
    assert!(used <= 46, "the server counted {used}");
    until_nothing_is_borrowed(&tidegate);
}

async fn visit(url: &str, number: usize) -> Result<(), mysql_async::Error> {
    use mysql_async::{Conn, Opts, TxOpts, prelude::Queryable};
    let mut conn = Conn::new(Opts::from_url(url).unwrap()).await?;
    let one: Option<usize> = conn.query_first(format!("SELECT {number}")).await?;
    assert_eq!(one, Some(number));
    let mut transaction = conn.start_transaction(TxOpts::default()).await?;
    transaction.exec_drop("INSERT INTO t (client) VALUES (?)", (number,)).await?;
    transaction.commit().await?;
    conn.disconnect().await
}

#[test]
fn those_who_cannot_wait_are_told_why() {
    let flavor = Flavor::installed()[0];
    let server = Server::start(flavor, Options::default());
    server.root("CREATE TABLE app.t (id INT)");
    let pool = "max_connections = 1\nmax_waiting = 1\nborrow_timeout = \"2s\"";
    let tidegate = Tidegate::start(Config::to(&server).section("pool", pool));
    let (mut holder, mut waiter, mut third) = (app(&tidegate), app(&tidegate), app(&tidegate));
    holder.query("BEGIN").unwrap();
    holder.query("SELECT COUNT(*) FROM t").unwrap();
    thread::scope(|scope| {
        let started = Instant::now();
        let waiting = scope.spawn(|| waiter.query("SELECT 1").unwrap_err().to_string());
        tidegate.until_metric("tidegate_borrow_waiting", Duration::from_secs(2), |one| one == 1.0);
        let told = third.query("SELECT 1").unwrap_err().to_string();
        let full = "Too many connections: 1 statements wait for one (pool.max_waiting)";
        let session = third.greeting.connection_id;
        assert_eq!(told, format!("ERROR 1040 (08004): {full} (session {session})"));
        let told = waiting.join().unwrap();
        assert!(started.elapsed() >= Duration::from_secs(2));
        let begin =
            "ERROR 9501 (HY000): Timed-out waiting to acquire database connection: waited 2.";
        assert!(told.starts_with(begin), "{told}");
        assert!(told.contains("s (pool.borrow_timeout), 1 of 1 in use (session "), "{told}");
    });
    assert_eq!(tidegate.metrics()["tidegate_borrow_failures_total{reason=\"timeout\"}"], 1.0);
    assert_eq!(tidegate.metrics()["tidegate_borrow_failures_total{reason=\"queue_full\"}"], 1.0);
    // Pings, and what needs no server, are answered meanwhile.
    waiter.ping().unwrap();
    holder.query("COMMIT").unwrap();
    for client in [&mut waiter, &mut third, &mut holder] {
        assert_eq!(client.query("SELECT 2").unwrap()[0][0].as_deref(), Some("2"));
    }
    until_nothing_is_borrowed(&tidegate);
}

#[test]
fn those_who_vanish_leave_at_once() {
    let flavor = Flavor::installed()[0];
    let server = Server::start(flavor, Options::default());
    server.root("CREATE TABLE app.t (id INT)");
    let pool = "max_connections = 1\nborrow_timeout = \"20s\"";
    let tidegate = Tidegate::start(Config::to(&server).section("pool", pool));
    let (mut holder, mut waiter) = (app(&tidegate), app(&tidegate));
    holder.query("BEGIN").unwrap();
    holder.query("SELECT COUNT(*) FROM t").unwrap();
    waiter.command(b"\x03SELECT 3").unwrap();
    tidegate.until_metric("tidegate_borrow_waiting", Duration::from_secs(2), |one| one == 1.0);
    drop(waiter);
    tidegate.until_metric("tidegate_borrow_waiting", Duration::from_secs(5), |one| one == 0.0);
    holder.query("COMMIT").unwrap();

    // In the middle of a statement, which is not let run to its end. (A pool of fewer than four
    // connections has none to kill it with.)
    let pool = "max_connections = 4\nborrow_timeout = \"20s\"";
    let tidegate = Tidegate::start(Config::to(&server).section("pool", pool));
    let mut third = app(&tidegate);
    let holders: Vec<RawClient> = (0..3)
        .map(|_| {
            let mut holder = app(&tidegate);
            holder.command(b"\x03SELECT SLEEP(60)").unwrap();
            holder
        })
        .collect();
    wait_for("the statements", Duration::from_secs(5), || {
        (tidegate.metrics()[BORROWED] == 3.0).then_some(())
    });
    drop(holders);
    assert_eq!(third.query("SELECT 4").unwrap()[0][0].as_deref(), Some("4"));
    wait_for("the statement to be killed", Duration::from_secs(5), || {
        let rows = server.root("SHOW PROCESSLIST");
        let sleeps = |row: &Vec<Option<String>>| {
            row[7].as_deref().is_some_and(|statement| statement.contains("SLEEP"))
        };
        (!rows.iter().any(sleeps)).then_some(())
    });
}

#[test]
fn too_many_clients_are_told_so() {
    let flavor = Flavor::installed()[0];
    let server = Server::start(flavor, Options::default());
    let tidegate = Tidegate::start(Config::to(&server).section("client", "max_connections = 3"));
    let mut clients: Vec<_> = (0..3).map(|_| app(&tidegate)).collect();
    for _ in 0..3 {
        let told = RawClient::login(tidegate.address(), &Login::app()).err().unwrap();
        assert_eq!(told.code(), 1040, "{told}");
    }
    for client in &mut clients {
        client.query("SELECT 1").unwrap();
    }
    clients.pop().unwrap().quit();
    wait_for("a place", Duration::from_secs(5), || {
        RawClient::login(tidegate.address(), &Login::app()).ok()
    });
}

/// However many are free, one user has no more than are theirs, and the others have the rest.
#[test]
fn a_user_with_a_bound_of_their_own() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        let greedy = format!(
            "username = \"greedy\"\npassword = \"p\"\ntarget_username = {USER:?}\n\
             target_password = {PASSWORD:?}\nmax_server_connections = 2"
        );
        let pool = "max_connections = 6\nborrow_timeout = \"2s\"";
        let tidegate = Tidegate::start(Config::to(&server).secret(&greedy).section("pool", pool));
        let come = || RawClient::login(tidegate.address(), &Login::new("greedy", "p")).unwrap();
        let mut holding: Vec<RawClient> = (0..2).map(|_| come()).collect();
        for client in &mut holding {
            client.query("BEGIN").unwrap();
        }
        let mut waiting = come();
        let told = waiting.query("SELECT 1").unwrap_err().to_string();
        assert!(
            told.starts_with(
                "ERROR 9501 (HY000): Timed-out waiting to acquire database connection"
            ) && told.contains("the 2 that user 'greedy' may have (max_server_connections)"),
            "{told}"
        );
        let mut others: Vec<RawClient> =
            (0..3).map(|_| RawClient::login(tidegate.address(), &Login::app()).unwrap()).collect();
        for other in &mut others {
            other.query("BEGIN").unwrap();
        }
        // Whoever waits is served as soon as one comes back.
        thread::scope(|scope| {
            let served = scope.spawn(|| waiting.query("SELECT 1"));
            tidegate
                .until_metric("tidegate_borrow_waiting", Duration::from_secs(10), |now| now == 1.0);
            holding[0].query("COMMIT").unwrap();
            served.join().unwrap().unwrap();
        });
        assert_eq!(tidegate.metric("tidegate_borrow_waiting"), 0.0);
    }
}
