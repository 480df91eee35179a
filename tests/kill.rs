//! The promise: KILL with the id of a greeting reaches that session and no other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole")]
#![allow(clippy::too_many_lines, reason = "a story is told in one piece")]

mod support;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use support::{
    client::{Error, Login, RawClient},
    servers::{Flavor, Options, Server},
    tidegate::{Config, Tidegate},
    wait_for,
};

fn start(flavor: Flavor, connections: u32) -> (Server, Tidegate) {
    let server = Server::start(flavor, Options::default());
    server.root("CREATE TABLE app.t (id INT)");
    let pool = format!("max_connections = {connections}");
    let config = Config::to(&server).user("app_b", "app_b-password").section("pool", &pool);
    let tidegate = Tidegate::start(config);
    (server, tidegate)
}

fn app(tidegate: &Tidegate) -> RawClient {
    RawClient::login(tidegate.address(), &Login::app()).unwrap()
}

fn id(client: &RawClient) -> u32 {
    client.greeting.connection_id
}

fn one(client: &mut RawClient, sql: &str) -> String {
    match client.query(sql) {
        Ok(rows) => rows.first().and_then(|row| row[0].clone()).unwrap_or_default(),
        Err(error) => error.to_string(),
    }
}

/// The server runs somebody's SLEEP.
fn until_asleep(server: &Server) {
    wait_for("a SLEEP", Duration::from_secs(10), || {
        let rows = server.root("SHOW PROCESSLIST");
        rows.iter()
            .any(|row| row[7].as_deref().is_some_and(|sql| sql.starts_with("SELECT SLEEP")))
            .then_some(())
    });
}

#[test]
fn statements_and_sessions_by_the_ids_of_greetings() {
    for (flavor, connections) in
        Flavor::installed().into_iter().flat_map(|flavor| [(flavor, 2), (flavor, 6)])
    {
        let what = format!("{flavor:?}, {connections} connections");
        let (server, tidegate) = start(flavor, connections);
        let (mut killer, mut victim) = (app(&tidegate), app(&tidegate));
        let number = id(&victim);

        // The statement: told in the server's own way, and the session lives.
        let told = thread::scope(|scope| {
            let sleeping = scope.spawn(|| victim.query("SELECT SLEEP(60)"));
            until_asleep(&server);
            killer.query(&format!("KILL QUERY {number}")).unwrap();
            sleeping.join().unwrap()
        });
        match told {
            // A SLEEP that is interrupted says 1.
            Ok(rows) => assert_eq!(rows[0][0].as_deref(), Some("1"), "{what}"),
            Err(error) => assert_eq!(error.code(), 1317, "{what}: {error}"),
        }
        assert_eq!(one(&mut victim, "SELECT 'alive'"), "alive", "{what}");
        // Nothing runs: nothing happens, now or to the next statement.
        killer.query(&format!("KILL QUERY {number}")).unwrap();
        assert_eq!(one(&mut victim, "SELECT 'well'"), "well", "{what}");

        // The session: in a statement, in a transaction, asleep.
        for state in ["in a statement", "in a transaction", "asleep", "by COM_PROCESS_KILL"] {
            let mut victim = app(&tidegate);
            victim.query("SELECT 1").unwrap();
            let number = id(&victim);
            let kill = |killer: &mut RawClient| {
                if state == "by COM_PROCESS_KILL" {
                    killer.command(&[&[12], &number.to_le_bytes()[..]].concat()).unwrap();
                    killer.read_result().unwrap();
                } else {
                    killer.query(&format!("KILL CONNECTION {number}")).unwrap();
                }
            };
            let told = if state == "in a statement" {
                thread::scope(|scope| {
                    let sleeping = scope.spawn(|| victim.query("SELECT SLEEP(60)"));
                    until_asleep(&server);
                    kill(&mut killer);
                    sleeping.join().unwrap().map(drop)
                })
            } else {
                if state == "in a transaction" {
                    victim.query("BEGIN").unwrap();
                    victim.query("INSERT INTO t VALUES (1)").unwrap();
                }
                kill(&mut killer);
                victim.query("SELECT 1").map(drop)
            };
            if let Err(Error::Server { code, .. }) = &told {
                assert!([1317, 1053].contains(code), "{what}, {state}: {told:?}");
            }
            wait_for("the end of the session", Duration::from_secs(5), || victim.ping().err());
            let told = one(&mut killer, &format!("KILL {number}"));
            assert_eq!(
                told,
                format!("ERROR 1094 (HY000): Unknown thread id: {number}"),
                "{what}, {state}"
            );
            assert_eq!(one(&mut killer, "SELECT COUNT(*) FROM t"), "0", "{what}, {state}");
        }

        // Whose it is not, and who does not exist.
        let stranger = Login::new("app_b", "app_b-password").schema("app");
        let mut stranger = RawClient::login(tidegate.address(), &stranger).unwrap();
        for verb in ["KILL", "KILL QUERY"] {
            let told = one(&mut stranger, &format!("{verb} {number}"));
            let refused = format!("ERROR 1095 (HY000): You are not owner of thread {number}");
            assert_eq!(told, refused, "{what}");
        }
        assert_eq!(one(&mut victim, "SELECT 'alive'"), "alive", "{what}");
        let mut nobody = stranger.query("KILL 999999").unwrap_err();
        assert_eq!(nobody.code(), 1094, "{what}: {nobody}");
        nobody = stranger.query("KILL QUERY 4000000000").unwrap_err();
        assert_eq!(nobody.code(), 1094, "{what}: {nobody}");

        // Oneself.
        let number = id(&killer);
        let told = one(&mut killer, &format!("KILL QUERY {number}"));
        assert_eq!(told, "ERROR 1317 (70100): Query execution was interrupted", "{what}");
        assert_eq!(one(&mut killer, "SELECT 'alive'"), "alive", "{what}");
        let told = one(&mut killer, &format!("KILL {number}"));
        assert_eq!(told, "ERROR 1317 (70100): Query execution was interrupted", "{what}");
        assert!(killer.ping().is_err(), "{what}");
        assert!(server.max_used_connections() <= connections as usize + 1, "{what}");
    }
}

/// The victim gives its connection back all the time; a KILL that came late would hit whoever has
/// it next.
#[test]
fn a_kill_never_hits_the_next_one() {
    const ROUNDS: usize = 1000;
    for flavor in Flavor::installed() {
        let (_server, tidegate) = start(flavor, 4);
        let (mut killer, mut victim) = (app(&tidegate), app(&tidegate));
        let number = id(&victim);
        let over = AtomicBool::new(false);
        let address = tidegate.address();
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    match victim.query("SELECT 1") {
                        Ok(_) => {}
                        Err(error) => assert_eq!(error.code(), 1317, "the victim: {error}"),
                    }
                }
            });
            // More than there are connections, so that each is taken as soon as it is free.
            let bystanders: Vec<_> = (0..4)
                .map(|_| {
                    let (over, address) = (&over, &address);
                    scope.spawn(move || {
                        let mut client = RawClient::login(address.as_str(), &Login::app()).unwrap();
                        let mut hit = Vec::new();
                        while !over.load(Ordering::Relaxed) {
                            if let Err(error) = client.query("SELECT 2") {
                                hit.push(error.to_string());
                            }
                        }
                        hit
                    })
                })
                .collect();
            let started = Instant::now();
            let mut rounds = 0;
            while rounds < ROUNDS && started.elapsed() < Duration::from_secs(30) {
                killer.query(&format!("KILL QUERY {number}")).unwrap();
                rounds += 1;
            }
            over.store(true, Ordering::Relaxed);
            for bystander in bystanders {
                let hit = bystander.join().unwrap();
                assert!(hit.is_empty(), "{flavor:?}: {} of {rounds}: {}", hit.len(), hit[0]);
            }
            eprintln!("{flavor:?}: {rounds} rounds in {:?}", started.elapsed());
        });
    }
}

/// Whose it is is known as soon as it is told that it is in.
#[test]
fn who_has_just_logged_in_can_be_killed() {
    let (_server, tidegate) = start(Flavor::installed()[0], 2);
    let mut killer = app(&tidegate);
    let mut wrongs = Vec::new();
    for _ in 0..300 {
        let victim = app(&tidegate);
        if let Err(error) = killer.query(&format!("KILL QUERY {}", id(&victim))) {
            wrongs.push(error.to_string());
        }
    }
    assert!(wrongs.is_empty(), "{} of 300: {}", wrongs.len(), wrongs[0]);
}
