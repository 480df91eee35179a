//! The promise: passwords change while clients work, and none of them hears of it.
//!
//! Real servers, changed as an operator or a rotation function would change them. `TIDEGATE_ROTATIONS`
//! says how often each way is gone through, `TIDEGATE_ROTATION_CLIENTS` by how many clients of each
//! kind it is watched.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole")]
#![allow(clippy::print_stdout, reason = "how much was tried is there to be read")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]

mod support;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    sync::{
        Mutex, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sha1::Sha1;
use sha2::{Digest, Sha256};
use support::{
    client::{Error, Login, RawClient},
    servers::{Flavor, Options, PASSWORD, Server, USER},
    tidegate::{Config, Tidegate},
    wait_for,
};

const SOON: Duration = Duration::from_secs(10);

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

fn log_in(tidegate: &Tidegate, password: &str) -> Result<RawClient, Error> {
    RawClient::login(tidegate.address(), &Login::new(USER, password).schema("app"))
}

fn one(client: &mut RawClient, sql: &str) -> String {
    match client.query(sql) {
        Ok(rows) => rows.first().and_then(|row| row[0].clone()).unwrap_or_default(),
        Err(error) => error.to_string(),
    }
}

fn set_password(server: &Server, user: &str, password: &str) {
    server.root(&match server.flavor {
        Flavor::MySql => format!("ALTER USER {user}@'%' IDENTIFIED BY '{password}'"),
        Flavor::MariaDb => format!("SET PASSWORD FOR {user}@'%' = PASSWORD('{password}')"),
    });
}

fn user(password: &str, more: &str) -> String {
    Config::new().secret(&format!("username = \"app\"\npassword = {password:?}\n{more}")).secrets()
}

fn generation(tidegate: &Tidegate) -> f64 {
    tidegate.metric("tidegate_secrets_generation")
}

/// Writes the secrets and waits until they are in force.
fn put_in_force(tidegate: &Tidegate, secrets: &str) {
    let before = generation(tidegate);
    tidegate.write_secrets(secrets);
    tidegate.until_metric("tidegate_secrets_generation", SOON, |now| now > before);
}

/// Clients that stay and clients that come and go, and what went wrong for them.
struct Load<'t> {
    tidegate: &'t Tidegate,
    /// What clients use now.
    password: RwLock<String>,
    over: AtomicBool,
    done: AtomicUsize,
    errors: Mutex<Vec<String>>,
}

impl Load<'_> {
    /// Returns how many statements succeeded, and every error.
    fn during(tidegate: &Tidegate, story: impl FnOnce(&Load<'_>)) -> usize {
        let load = Load {
            tidegate,
            password: RwLock::new(PASSWORD.to_owned()),
            over: AtomicBool::new(false),
            done: AtomicUsize::new(0),
            errors: Mutex::default(),
        };
        let clients = number("TIDEGATE_ROTATION_CLIENTS", 8);
        thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| load.steady());
                scope.spawn(|| load.come_and_go());
            }
            // A story that fails must not leave them at work.
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                wait_for("clients at work", SOON, || {
                    (load.done.load(Ordering::Relaxed) > 200).then_some(())
                });
                story(&load);
            }));
            load.over.store(true, Ordering::Relaxed);
            if let Err(why) = told {
                std::panic::resume_unwind(why);
            }
        });
        let errors = load.errors.into_inner().unwrap();
        assert!(errors.is_empty(), "{} errors, the first: {}", errors.len(), errors[0]);
        load.done.into_inner()
    }

    fn change(&self, password: &str) {
        password.clone_into(&mut self.password.write().unwrap());
    }

    fn steady(&self) {
        let Some(mut client) = self.enter() else { return };
        while !self.over.load(Ordering::Relaxed) {
            self.note(client.query("BEGIN"));
            self.note(client.query("INSERT INTO t VALUES (1)"));
            self.note(client.query("COMMIT"));
            self.note(client.query("SELECT COUNT(*) FROM t WHERE id = 2"));
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn come_and_go(&self) {
        while !self.over.load(Ordering::Relaxed) {
            let Some(mut client) = self.enter() else { return };
            self.note(client.query("INSERT INTO t VALUES (3)"));
            client.quit();
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn enter(&self) -> Option<RawClient> {
        let password = self.password.read().unwrap().clone();
        let client = log_in(self.tidegate, &password);
        self.note(client)
    }

    fn note<T>(&self, outcome: Result<T, Error>) -> Option<T> {
        match outcome {
            Ok(outcome) => {
                self.done.fetch_add(1, Ordering::Relaxed);
                Some(outcome)
            }
            Err(error) => {
                self.errors.lock().unwrap().push(error.to_string());
                None
            }
        }
    }
}

fn rotations() -> std::ops::RangeInclusive<usize> {
    1..=number("TIDEGATE_ROTATIONS", 3)
}

/// A rotation is over when a connection was made with the new password, and no other is left.
fn until_renewed(tidegate: &Tidegate, before: f64) {
    tidegate
        .until_metric("tidegate_server_dials_total", Duration::from_secs(30), |now| now > before);
}

fn set_up(flavor: Flavor) -> (Server, Tidegate) {
    let server = Server::start(flavor, Options::default());
    server.root("CREATE TABLE app.t (id INT)");
    // Fewer than clients: connections change hands all the time.
    let tidegate = Tidegate::start(Config::to(&server).section("pool", "max_connections = 6"));
    (server, tidegate)
}

#[test]
fn one_user_the_server_first() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = set_up(flavor);
        let done = Load::during(&tidegate, |load| {
            let mut old = PASSWORD.to_owned();
            for rotation in rotations() {
                let new = format!("password {rotation}");
                let dials = tidegate.metric("tidegate_server_dials_total");
                set_password(&server, USER, &new);
                thread::sleep(Duration::from_millis(300));
                put_in_force(&tidegate, &user(&new, &format!("previous_password = {old:?}")));
                load.change(&new);
                until_renewed(&tidegate, dials);
                old = new;
            }
        });
        println!("{flavor:?}: {done} statements and logins");
    }
}

#[test]
fn one_user_the_file_first() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = set_up(flavor);
        let done = Load::during(&tidegate, |load| {
            let mut old = PASSWORD.to_owned();
            for rotation in rotations() {
                let new = format!("password {rotation}");
                put_in_force(&tidegate, &user(&new, &format!("previous_password = {old:?}")));
                load.change(&new);
                thread::sleep(Duration::from_millis(1200));
                set_password(&server, USER, &new);
                thread::sleep(Duration::from_millis(300));
                old = new;
            }
        });
        println!("{flavor:?}: {done} statements and logins");
    }
}

/// Clients keep a password of their own. The secrets never name the one before.
#[test]
fn the_target_s_password_either_first() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = set_up(flavor);
        let done = Load::during(&tidegate, |_| {
            for rotation in rotations() {
                let new = format!("password {rotation}");
                let secrets = user(PASSWORD, &format!("target_password = {new:?}"));
                if rotation % 2 == 0 {
                    set_password(&server, USER, &new);
                    put_in_force(&tidegate, &secrets);
                } else {
                    put_in_force(&tidegate, &secrets);
                    thread::sleep(Duration::from_millis(1200));
                    set_password(&server, USER, &new);
                }
                thread::sleep(Duration::from_millis(300));
            }
        });
        println!("{flavor:?}: {done} statements and logins");
    }
}

#[test]
fn two_users_in_turn() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = set_up(flavor);
        let done = Load::during(&tidegate, |_| {
            for rotation in rotations() {
                let (new, target) =
                    (format!("password {rotation}"), ["app", "app_b"][rotation % 2]);
                set_password(&server, target, &new);
                let more = format!("target_username = {target:?}\ntarget_password = {new:?}");
                put_in_force(&tidegate, &user(PASSWORD, &more));
                let other = ["app", "app_b"][(rotation + 1) % 2];
                wait_for("the other user's connections to be gone", SOON, || {
                    (server.connections_of(other) == 0).then_some(())
                });
            }
        });
        println!("{flavor:?}: {done} statements and logins");
    }
}

#[test]
fn two_passwords_of_one_user() {
    // MariaDB has none.
    if !Flavor::installed().contains(&Flavor::MySql) {
        return;
    }
    let (server, tidegate) = set_up(Flavor::MySql);
    let done = Load::during(&tidegate, |load| {
        let mut old = PASSWORD.to_owned();
        for rotation in rotations() {
            let new = format!("password {rotation}");
            let dials = tidegate.metric("tidegate_server_dials_total");
            let sql = format!("ALTER USER app@'%' IDENTIFIED BY '{new}' RETAIN CURRENT PASSWORD");
            server.root(&sql);
            put_in_force(&tidegate, &user(&new, &format!("previous_password = {old:?}")));
            load.change(&new);
            until_renewed(&tidegate, dials);
            server.root("ALTER USER app@'%' DISCARD OLD PASSWORD");
            old = new;
        }
    });
    println!("{done} statements and logins");
    let refused = "tidegate_server_dials_total{outcome=\"denied\"}";
    assert_eq!(tidegate.metrics()[refused], 0.0, "no login fails where both passwords are good");
}

/// Between ALTER USER and the file every new login is refused: statements that need one wait, and the
/// server is not asked so often that it would lock the account.
#[test]
fn whoever_needs_a_new_login_in_the_gap_waits() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        server.root("CREATE TABLE app.t (id INT)");
        let config = Config::to(&server).user("app_b", "app_b-password");
        let tidegate = Tidegate::start(config.section("pool", "max_connections = 6"));
        let other = Login::new("app_b", "app_b-password").schema("app");
        let mut other = RawClient::login(tidegate.address(), &other).unwrap();
        let mut clients: Vec<RawClient> =
            (0..10).map(|_| log_in(&tidegate, PASSWORD).unwrap()).collect();
        let mut in_transaction = log_in(&tidegate, PASSWORD).unwrap();
        in_transaction.query("BEGIN").unwrap();
        in_transaction.query("INSERT INTO t VALUES (1)").unwrap();
        // Right after a login several are tried at once.
        thread::sleep(Duration::from_millis(1100));
        set_password(&server, USER, "new");
        if flavor == Flavor::MySql {
            server.root("ALTER USER app@'%' FAILED_LOGIN_ATTEMPTS 2 PASSWORD_LOCK_TIME 1");
        }
        let started = Instant::now();
        thread::scope(|scope| {
            let waiting: Vec<_> = clients
                .iter_mut()
                .map(|client| scope.spawn(|| (one(client, "SELECT 7"), started.elapsed())))
                .collect();
            wait_for("a login to be refused", SOON, || {
                tidegate.log().contains("the login is refused").then_some(())
            });
            // There are more of them than places, and yet others are served.
            for round in 0..15 {
                let asked = Instant::now();
                assert_eq!(one(&mut other, "SELECT 3"), "3");
                assert!(asked.elapsed() < Duration::from_secs(1), "{round}: {:?}", asked.elapsed());
                thread::sleep(Duration::from_millis(200));
            }
            let app =
                "username = \"app\"\npassword = \"new\"\nprevious_password = \"app-password\"";
            let both = Config::new().secret(app).user("app_b", "app_b-password").secrets();
            put_in_force(&tidegate, &both);
            for client in waiting {
                let (answer, waited) = client.join().unwrap();
                assert_eq!(answer, "7", "after {waited:?}");
            }
        });
        // Nobody cut what was open.
        in_transaction.query("INSERT INTO t VALUES (2)").unwrap();
        in_transaction.query("COMMIT").unwrap();
        assert_eq!(one(&mut in_transaction, "SELECT COUNT(*) FROM t"), "2");
    }
}

/// A login that never was good is told as soon as the secrets were read once more.
#[test]
fn a_login_that_never_was_good_is_told_at_once() {
    for flavor in Flavor::installed() {
        let (server, tidegate) = set_up(flavor);
        server.root("CREATE USER stranger@'%' IDENTIFIED BY 'right'");
        let wrong = "username = \"stranger\"\npassword = \"wrong\"";
        let both = Config::new().user(USER, PASSWORD).secret(wrong).secrets();
        put_in_force(&tidegate, &both);
        let login = Login::new("stranger", "wrong");
        let mut stranger = RawClient::login(tidegate.address(), &login).unwrap();
        for _ in 0..3 {
            let started = Instant::now();
            let told = stranger.query("SELECT 1").err().unwrap();
            assert_eq!(told.code(), 1045, "{told}");
            assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
        }
        // News of the secrets are not waited for.
        let right = "username = \"stranger\"\npassword = \"right\"";
        tidegate.write_secrets(&Config::new().user(USER, PASSWORD).secret(right).secrets());
        wait_for("the right password", SOON, || stranger.query("SELECT 1").ok());
    }
}

#[test]
fn idle_connections_leave_some_at_a_time() {
    let server = Server::start(Flavor::installed()[0], Options::default());
    server.root("CREATE TABLE app.t (id INT)");
    let tidegate = Tidegate::start(Config::to(&server).section("pool", "max_idle = \"100%\""));
    let mut clients: Vec<RawClient> =
        (0..12).map(|_| log_in(&tidegate, PASSWORD).unwrap()).collect();
    for client in &mut clients {
        client.query("BEGIN").unwrap();
        client.query("INSERT INTO t VALUES (1)").unwrap();
    }
    for client in &mut clients {
        client.query("COMMIT").unwrap();
    }
    let ids = || -> Vec<u64> {
        let rows = server.root("SHOW PROCESSLIST");
        let mine = rows.iter().filter(|row| row[1].as_deref() == Some(USER));
        mine.map(|row| row[0].as_ref().unwrap().parse().unwrap()).collect()
    };
    let before = ids();
    assert_eq!(before.len(), 12);
    // Another user's change is nobody else's.
    let other = Config::new().user(USER, PASSWORD).user("app_b", "x").secrets();
    put_in_force(&tidegate, &other);
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(ids(), before);

    set_password(&server, USER, "new");
    put_in_force(&tidegate, &user("new", ""));
    let mut most = 0;
    let mut left = before.len();
    wait_for("the old connections to be gone", Duration::from_secs(20), || {
        let now = ids().iter().filter(|id| before.contains(id)).count();
        most = most.max(left - now);
        left = now;
        (now == 0).then_some(())
    });
    assert!(most <= 4, "{most} at once");
    assert!(tidegate.metrics()["tidegate_server_closes_total{reason=\"rotated\"}"] >= 12.0);
    assert_eq!(one(&mut clients[0], "SELECT 5"), "5");
}

/// The new password is not good, and nothing is lost by it: what is there goes on.
#[test]
fn a_wrong_password_retires_nobody() {
    let (server, tidegate) = set_up(Flavor::installed()[0]);
    let mut client = log_in(&tidegate, PASSWORD).unwrap();
    let before = one(&mut client, "SELECT CONNECTION_ID() + 0");
    put_in_force(&tidegate, &user(PASSWORD, "target_password = \"wrong\""));
    tidegate.until_metric("tidegate_server_dials_total", SOON, |dials| dials >= 2.0);
    // Once more after ten seconds; none of the tries leaves a connection behind.
    tidegate.until_metric("tidegate_server_dials_total", 2 * SOON, |dials| dials >= 3.0);
    assert_eq!(one(&mut client, "SELECT CONNECTION_ID() + 0"), before);
    wait_for("the tries to be closed", SOON, || (server.connections_of(USER) == 1).then_some(()));
}

/// In a pool too small for a connection on the side one of those that are there makes room.
#[test]
fn a_pool_of_one_is_renewed() {
    let server = Server::start(Flavor::installed()[0], Options::default());
    server.root("CREATE TABLE app.t (id INT)");
    let config = Config::to(&server).section("pool", "max_connections = 1");
    let tidegate = Tidegate::start(config);
    let mut client = log_in(&tidegate, PASSWORD).unwrap();
    let before = one(&mut client, "SELECT CONNECTION_ID() + 0");
    set_password(&server, USER, "new");
    put_in_force(&tidegate, &user("new", &format!("previous_password = {PASSWORD:?}")));
    wait_for("another connection", SOON, || {
        let now = one(&mut client, "SELECT CONNECTION_ID() + 0");
        assert!(now.parse::<u64>().is_ok(), "{now}");
        (now != before).then_some(())
    });
}

#[test]
fn who_is_taken_away_leaves_at_the_next_boundary() {
    let server = Server::start(Flavor::installed()[0], Options::default());
    server.root("CREATE TABLE app.t (id INT)");
    let config = Config::to(&server).user("app_b", "app_b-password");
    let tidegate = Tidegate::start(config);
    let other = Login::new("app_b", "app_b-password").schema("app");
    let enter = || RawClient::login(tidegate.address(), &other);
    let (mut idle, mut busy, mut in_transaction) =
        (enter().unwrap(), enter().unwrap(), enter().unwrap());
    let mut app = log_in(&tidegate, PASSWORD).unwrap();
    idle.query("SELECT 1").unwrap();
    in_transaction.query("BEGIN").unwrap();
    in_transaction.query("INSERT INTO t VALUES (1)").unwrap();
    busy.command(b"\x03SELECT SLEEP(3), 'done'").unwrap();
    put_in_force(&tidegate, &Config::to(&server).secrets());

    let farewell = |client: &mut RawClient| {
        let told = support::client::refusal(&client.read_packet().unwrap()).to_string();
        assert!(matches!(client.read_packet(), Err(Error::Io(_))), "closed after {told}");
        told
    };
    let told =
        "ERROR 1045 (28000): Access denied: the user is in the secrets of Tidegate no longer";
    assert_eq!(farewell(&mut idle), told);
    assert_eq!(enter().err().unwrap().code(), 1045);
    assert_eq!(busy.read_result().unwrap().0[0][1].as_deref(), Some("done"));
    assert_eq!(farewell(&mut busy), told);
    in_transaction.query("INSERT INTO t VALUES (2)").unwrap();
    in_transaction.query("COMMIT").unwrap();
    assert_eq!(farewell(&mut in_transaction), told);
    assert_eq!(one(&mut app, "SELECT COUNT(*) FROM t"), "2");
    wait_for("the connections of the other user to be gone", SOON, || {
        (server.connections_of("app_b") == 0).then_some(())
    });
}

#[test]
fn every_way_to_write_the_secrets_is_seen() {
    let (_server, tidegate) = set_up(Flavor::installed()[0]);
    let path = tidegate.secrets_path();
    let text = |password: &str| user(password, "target_password = \"app-password\"");
    let taken = |password: &str| {
        wait_for(password, SOON, || log_in(&tidegate, password).ok());
    };
    tidegate.write_secrets(&text("renamed"));
    taken("renamed");
    fs::write(&path, text("written over")).unwrap();
    taken("written over");
    // As the folder of a Kubernetes secret is changed.
    let folder = path.parent().unwrap();
    for version in ["..1", "..2"] {
        fs::create_dir(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("secrets.toml"), text(version)).unwrap();
    }
    symlink("..1", folder.join("..data")).unwrap();
    symlink("..data/secrets.toml", folder.join("link")).unwrap();
    fs::rename(folder.join("link"), &path).unwrap();
    taken("..1");
    symlink("..2", folder.join("..next")).unwrap();
    fs::rename(folder.join("..next"), folder.join("..data")).unwrap();
    taken("..2");

    // What says the same is nothing new; what is wrong is refused whole, and told once.
    let before = generation(&tidegate);
    fs::write(folder.join("..2/secrets.toml"), format!("# another word\n{}", text("..2"))).unwrap();
    let failures = || tidegate.metric("tidegate_secrets_reload_failures_total");
    assert_eq!(failures(), 0.0);
    thread::sleep(Duration::from_millis(1600));
    fs::write(folder.join("..2/secrets.toml"), "[[user]]\nusername = \"app\"\npassw").unwrap();
    wait_for("the refusal", SOON, || (failures() == 1.0).then_some(()));
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(failures(), 1.0);
    assert_eq!(tidegate.log().matches("the secrets were not read again").count(), 1);
    assert_eq!(generation(&tidegate), before);
    taken("..2");
    // One that is written in two halves is taken when it is whole, and nothing is said of the first.
    let whole = text("in two halves");
    let (first, second) = whole.split_at(whole.len() - 10);
    fs::write(folder.join("..2/secrets.toml"), first).unwrap();
    thread::sleep(Duration::from_millis(1500));
    fs::write(folder.join("..2/secrets.toml"), format!("{first}{second}")).unwrap();
    taken("in two halves");
    assert_eq!(failures(), 1.0);
}

/// A program that prints what lies in a file, and counts how often it was run.
#[test]
fn a_program_is_asked_before_what_it_said_expires() {
    let server = Server::start(Flavor::installed()[0], Options::default());
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let script = format!(
        "#!/bin/sh\necho run >> {0}/runs\necho a word about '\"it\"' >&2\ncat {0}/printed\n",
        folder.path().display()
    );
    fs::write(path("program"), script).unwrap();
    fs::set_permissions(path("program"), fs::Permissions::from_mode(0o755)).unwrap();
    let print = |password: &str, target: &str| {
        let user = format!(
            "{{\"username\": \"app\", \"password\": \"{password}\", \
             \"target_password\": \"{target}\", \"engine\": \"mysql\", \"expires_in\": 7}}"
        );
        fs::write(path("next"), user).unwrap();
        fs::rename(path("next"), path("printed")).unwrap();
    };
    print("first-word", PASSWORD);
    let config = Config::new().target("primary", &server.address());
    let command = format!("command = [\"{}\"]", path("program").display());
    let tidegate = Tidegate::start(config.section("secrets", &command));
    let mut client = log_in(&tidegate, "first-word").unwrap();
    assert_eq!(one(&mut client, "SELECT 1"), "1");
    let runs = || fs::read_to_string(path("runs")).unwrap().lines().count();

    print("second-word", PASSWORD);
    wait_for("the second word", SOON, || log_in(&tidegate, "second-word").ok());
    assert!(log_in(&tidegate, "first-word").is_err());
    assert!(runs() <= 3, "{} runs", runs());
    // What is not good is refused whole, and asked for again.
    print("\\", PASSWORD);
    let failures = || tidegate.metric("tidegate_secrets_reload_failures_total");
    wait_for("the refusal", SOON, || (failures() == 1.0).then_some(()));
    log_in(&tidegate, "second-word").unwrap();
    // A server that refuses what was printed has it asked for at once, and a signal has, too.
    thread::sleep(Duration::from_millis(1100));
    let before = runs();
    print("third-word", PASSWORD);
    tidegate.signal("HUP");
    wait_for("the third word", Duration::from_secs(3), || log_in(&tidegate, "third-word").ok());
    assert_eq!(runs(), before + 1);
    let log = tidegate.log();
    assert!(log.contains("a word about \"it\""), "{log}");
    for word in ["first-word", "second-word", "third-word"] {
        assert!(!log.contains(word), "{word} stands in the log");
    }
}

/// The secrets hold what a client's password leaves behind, and no password of any client.
#[test]
fn clients_may_be_known_by_a_hash() {
    let server = Server::start(Flavor::installed()[0], Options::default());
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, it| format!("{text}{it:02X}"));
    let sha1 = Sha1::digest(Sha1::digest("for clients"));
    let sha256 = Sha256::digest(Sha256::digest("for clients"));
    let config = [("old", format!("*{}", hex(&sha1))), ("new", format!("sha256:{}", hex(&sha256)))]
        .into_iter()
        .fold(Config::new().target("primary", &server.address()), |config, (name, hash)| {
            config.secret(&format!(
                "username = {name:?}\npassword_hash = {hash:?}\n\
                 target_username = \"app\"\ntarget_password = \"app-password\""
            ))
        });
    let tidegate = Tidegate::start(config);
    for name in ["old", "new"] {
        let enter = |password: &str| {
            RawClient::login(tidegate.address(), &Login::new(name, password).schema("app"))
        };
        assert_eq!(one(&mut enter("for clients").unwrap(), "SELECT CURRENT_USER()"), "app@%");
        for wrong in [PASSWORD, "", &hex(&sha1)] {
            assert_eq!(enter(wrong).err().unwrap().code(), 1045, "{wrong:?}");
        }
    }
}
