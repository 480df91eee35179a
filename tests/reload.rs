//! The promise: what can change in a running proxy does, under load, without an error; what cannot
//! says so; and what is wrong changes nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::too_many_lines, reason = "a story is told in one piece")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole")]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use support::{
    certificates,
    client::{Login, RawClient},
    load::Load,
    pair::Pair,
    servers::{Flavor, HOST, Options, PASSWORD, Server, USER},
    tidegate::{Config, Tidegate},
    wait_for,
};

const SOON: Duration = Duration::from_secs(10);
const OPS: &str = "username = \"ops\"\npassword = \"ops-password\"\nrights = \"write\"";
const WRITERS: usize = 12;

const CLIENT_SSL: u32 = 1 << 11;

/// The fixed part of a login that asks for TLS.
const SSL_REQUEST: [u8; 32] = {
    let mut packet = [0; 32];
    // PROTOCOL_41, SSL, SECURE_CONNECTION, PLUGIN_AUTH.
    packet[1] = 0x8A;
    packet[2] = 0x08;
    packet[8] = 45;
    packet
};

fn server() -> Server {
    Server::start(Flavor::installed()[0], Options::default())
}

fn app(tidegate: &Tidegate) -> RawClient {
    RawClient::login(tidegate.address(), &Login::app()).unwrap()
}

fn operator(tidegate: &Tidegate) -> RawClient {
    RawClient::login(tidegate.sql_address(), &Login::new("ops", "ops-password")).unwrap()
}

/// What RELOAD says, a line each.
fn reload(ops: &mut RawClient) -> Vec<String> {
    let rows = ops.query("RELOAD").unwrap();
    rows.into_iter().map(|mut row| row.remove(0).unwrap()).collect()
}

fn said(lines: &[String], expected: &str) {
    assert!(lines.iter().any(|line| line == expected), "{expected}\n{lines:#?}");
}

/// A configuration whose sections are changed key by key.
#[derive(Clone, Default)]
struct Sections(BTreeMap<&'static str, BTreeMap<&'static str, String>>);

impl Sections {
    fn set(&mut self, section: &'static str, key: &'static str, value: &str) {
        self.0.entry(section).or_default().insert(key, value.to_owned());
    }

    fn on(&self, config: Config) -> Config {
        self.0.iter().fold(config, |config, (section, keys)| {
            let lines: Vec<String> =
                keys.iter().map(|(key, value)| format!("{key} = {value}")).collect();
            config.section(section, &lines.join("\n"))
        })
    }
}

/// A Tidegate under load whose configuration changes key by key.
struct Stage<'a> {
    server: &'a Server,
    load: &'a Load,
    tidegate: Tidegate,
    ops: RawClient,
    sections: Sections,
}

impl Stage<'_> {
    fn set(&mut self, section: &'static str, key: &'static str, value: &str) {
        self.sections.set(section, key, value);
    }

    fn change(&mut self, section: &'static str, key: &'static str, value: &str, expected: &str) {
        self.set(section, key, value);
        let base = Config::to(self.server).admin(OPS);
        self.tidegate.rewrite(|_| self.sections.on(base));
        let began = Instant::now();
        said(&reload(&mut self.ops), &format!("{section}.{key}: {expected}"));
        self.load.until_each_has_written(WRITERS, began);
        assert_eq!(self.load.take_errors(), [""; 0], "{section}.{key}: {expected}");
    }
}

#[test]
fn every_live_setting_changes_under_load_without_an_error() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        server.root("CREATE TABLE app.w (id INT, who INT)");
        let tidegate = Tidegate::start(Config::to(&server).admin(OPS));
        let address = tidegate.address();
        let (ops, load) = (operator(&tidegate), Load::new());
        let mut stage =
            Stage { server: &server, load: &load, tidegate, ops, sections: Sections::default() };
        let folder = tempfile::tempdir().unwrap();
        certificates::write(folder.path());
        let path = |name: &str| folder.path().join(name).display().to_string();
        thread::scope(|scope| {
            let _leash = load.leash();
            load.start(scope, &address, WRITERS);
            load.until_more(WRITERS);
            stage.change("pool", "max_connections", "8", "90% → 8");
            stage.change("pool", "max_connections", "3", "8 → 3");
            wait_for("the surplus to be gone", SOON, || {
                (server.connections_of("app") <= 3).then_some(())
            });
            for (key, value, expected) in [
                ("max_connections", "1", "3 → 1"),
                ("max_connections", "20", "1 → 20"),
                ("max_idle", "2", "50% → 2"),
                ("min_idle", "1", "0 → 1"),
                ("idle_timeout", "\"1s\"", "5m → 1s"),
                ("max_lifetime", "\"1s\"", "24h → 1s"),
                ("borrow_timeout", "\"9s\"", "10s → 9s"),
                ("max_waiting", "500", "10000 → 500"),
            ] {
                stage.change("pool", key, value, expected);
            }
            for (key, value, expected) in [
                ("max_connections", "90", "10000 → 90"),
                ("login_timeout", "\"8s\"", "10s → 8s"),
                ("idle_timeout", "\"1m\"", "30m → 1m"),
                ("idle_in_transaction_timeout", "\"1m\"", "5m → 1m"),
                ("max_transaction", "\"1m\"", "0s → 1m"),
                ("max_query", "\"1m\"", "0s → 1m"),
                ("max_logging_in", "90", "10000 → 90"),
                ("failed_login_delay", "\"2s\"", "1s → 2s"),
                ("max_failed_logins", "5", "0 → 5"),
            ] {
                stage.change("client", key, value, expected);
            }
            for (key, value, expected) in [
                ("probe_interval", "\"2s\"", "1s → 2s"),
                ("probe_timeout", "\"1s\"", "800ms → 1s"),
                ("failures", "4", "3 → 4"),
                ("max_replica_lag", "\"1m\"", "30s → 1m"),
                ("read_only_fallback", "false", "true → false"),
                ("username", "\"app\"", "\"\" → app"),
            ] {
                stage.change("failover", key, value, expected);
            }
            stage.change("tls.target", "mode", "\"off\"", "preferred → off");
            stage.change("tls.client", "mode", "\"off\"", "preferred → off");
            let (certificate, key) = (path("server-cert.pem"), path("server-key.pem"));
            stage.set("tls.client", "certificate", &format!("{certificate:?}"));
            stage.change("tls.client", "key", &format!("{key:?}"), &format!("\"\" → {key}"));
            stage.change("tls.client", "mode", "\"preferred\"", "off → preferred");
            stage.change("admin", "drain_timeout", "\"5s\"", "1m → 5s");
            stage.change("log", "level", "\"debug\"", "info → debug");
            let mut rude = RawClient::greet(&*address).unwrap();
            rude.write_packet(&SSL_REQUEST).unwrap();
            rude.write_raw(b"this is no handshake at all").unwrap();
            let log = || stage.tidegate.log();
            wait_for("a line at debug", SOON, || log().contains("DEBUG").then_some(()));
            stage.change("log", "format", "\"json\"", "text → json");
            load.end();
        });
        let log = stage.tidegate.log();
        assert!(log.lines().last().unwrap().starts_with('{'), "{log}");
        load.due().check(&server, None);
    }
}

/// Whoever is in hand of a connection keeps it; nobody else gets one before there is room.
#[test]
fn a_lower_bound_waits_for_those_who_are_at_work() {
    let server = server();
    let base = || Config::to(&server).admin(OPS);
    let with = |bound: &str| base().section("pool", &format!("max_connections = {bound}"));
    let mut tidegate = Tidegate::start(with("6"));
    let mut ops = operator(&tidegate);
    let mut busy: Vec<RawClient> = (0..5).map(|_| app(&tidegate)).collect();
    for client in &mut busy {
        client.query("BEGIN").unwrap();
    }
    tidegate.rewrite(|_| with("2"));
    said(&reload(&mut ops), "pool.max_connections: 6 → 2");
    let mut late = app(&tidegate);
    late.send_query("SELECT 'late'").unwrap();
    for mut client in busy.drain(..3) {
        client.query("SELECT 1").unwrap();
        client.query("COMMIT").unwrap();
        client.quit();
    }
    wait_for("the bound", SOON, || (server.connections_of("app") == 2).then_some(()));
    busy[0].query("COMMIT").unwrap();
    let (rows, _) = late.read_result().unwrap();
    assert_eq!(rows[0][0].as_deref(), Some("late"));
    assert_eq!(tidegate.metric("tidegate_server_connections_max"), 2.0);
    // And up again while one of them is still at work.
    tidegate.rewrite(|_| with("4"));
    said(&reload(&mut ops), "pool.max_connections: 2 → 4");
    let mut more: Vec<RawClient> = (0..2).map(|_| app(&tidegate)).collect();
    for client in &mut more {
        client.query("BEGIN").unwrap();
    }
    assert_eq!(busy[1].query("SELECT 'here'").unwrap()[0][0].as_deref(), Some("here"));
}

#[test]
fn limits_hold_from_then_on() {
    let server = server();
    let base = || Config::to(&server).admin(OPS);
    let mut tidegate = Tidegate::start(base());
    let mut ops = operator(&tidegate);
    let (mut idle, mut second) = (app(&tidegate), app(&tidegate));
    tidegate.rewrite(|_| base().section("client", "max_connections = 2\nidle_timeout = \"1s\""));
    said(&reload(&mut ops), "client.idle_timeout: 30m → 1s");
    let refused = RawClient::login(tidegate.address(), &Login::app()).err().unwrap();
    assert_eq!(refused.code(), 1040);
    for client in [&mut idle, &mut second] {
        let told = support::client::refusal(&client.read_packet().unwrap());
        assert_eq!(told.code(), 4031);
    }
    tidegate.rewrite(|_| base().section("tls.client", "mode = \"required\""));
    said(&reload(&mut ops), "tls.client.mode: preferred → required");
    let refused = RawClient::login(tidegate.address(), &Login::app()).err().unwrap();
    assert_eq!(refused.code(), 3159);
    tidegate.rewrite(|_| base().section("tls.client", "mode = \"off\""));
    said(&reload(&mut ops), "tls.client.mode: required → off");
    let mut client = app(&tidegate);
    assert_eq!(client.greeting.capabilities & CLIENT_SSL, 0);
    client.query("SELECT 1").unwrap();
}

#[test]
fn connections_are_dialed_otherwise_from_then_on() {
    let server = server();
    let base = || Config::to(&server).admin(OPS);
    let mut tidegate = Tidegate::start(base());
    let (mut ops, mut client) = (operator(&tidegate), app(&tidegate));
    let cipher = |client: &mut RawClient| {
        let rows = client.query("SHOW STATUS LIKE 'Ssl_cipher'").unwrap();
        rows[0][1].clone().unwrap()
    };
    assert_ne!(cipher(&mut client), "");
    let mut busy = app(&tidegate);
    busy.query("BEGIN").unwrap();
    tidegate.rewrite(|_| base().section("tls.target", "mode = \"off\""));
    said(&reload(&mut ops), "tls.target.mode: preferred → off");
    assert_eq!(cipher(&mut client), "");
    assert_ne!(cipher(&mut busy), "", "what is in hand goes on");
    busy.query("COMMIT").unwrap();
    assert_eq!(cipher(&mut busy), "");
}

#[test]
fn endpoints_come_and_go() {
    let server = server();
    let base = || Config::to(&server).admin(OPS);
    let mut tidegate = Tidegate::start(base());
    let mut ops = operator(&tidegate);
    let mut stays = app(&tidegate);
    tidegate.rewrite(|_| base().endpoint("more", "read-only"));
    let added =
        format!("endpoint \"more\": added, 127.0.0.1:{}, read-only", tidegate.port_of("more"));
    said(&reload(&mut ops), &added);
    let address = format!("127.0.0.1:{}", tidegate.port_of("more"));
    let log_in = || RawClient::login(&*address, &Login::app());
    let (mut idle, mut busy) = (log_in().unwrap(), log_in().unwrap());
    busy.query("START TRANSACTION READ ONLY").unwrap();
    idle.query("SELECT 1").unwrap();
    assert_eq!(idle.query("INSERT INTO t VALUES (1)").unwrap_err().code(), 1792);

    tidegate.rewrite(|_| base());
    said(&reload(&mut ops), "endpoint \"more\": removed");
    wait_for("the door to be shut", SOON, || TcpStream::connect(&*address).is_err().then_some(()));
    assert_eq!(support::client::refusal(&idle.read_packet().unwrap()).code(), 1053);
    busy.query("SELECT 2").unwrap();
    busy.query("COMMIT").unwrap();
    assert_eq!(support::client::refusal(&busy.read_packet().unwrap()).code(), 1053);
    assert_eq!(stays.query("SELECT 3").unwrap().len(), 1);
    assert!(app(&tidegate).query("SELECT 4").is_ok());

    // Another address of the same endpoint: whoever is in stays.
    let text = fs::read_to_string(tidegate.config_path()).unwrap();
    let (old, new) = (tidegate.address(), format!("127.0.0.1:{}", support::free_port()));
    fs::write(tidegate.config_path(), text.replace(&old, &new)).unwrap();
    said(&reload(&mut ops), &format!("endpoint \"default\".listen: {old} → {new}"));
    wait_for("the old door to be shut", SOON, || TcpStream::connect(&*old).is_err().then_some(()));
    assert!(RawClient::login(&*new, &Login::app()).is_ok());
    assert_eq!(stays.query("SELECT 5").unwrap().len(), 1);
}

#[test]
fn what_is_wrong_changes_nothing_and_what_cannot_change_says_so() {
    let server = server();
    let base = || Config::to(&server).admin(OPS);
    let mut tidegate = Tidegate::start(base());
    let mut ops = operator(&tidegate);
    let failures = |tidegate: &Tidegate| tidegate.metric("tidegate_config_reload_failures_total");
    tidegate.rewrite(|_| base().section("pool", "max_connections = 7\nmax_idel = 3"));
    let text = fs::read_to_string(tidegate.config_path()).unwrap();
    let line = 1 + text.lines().position(|line| line.starts_with("max_idel")).unwrap();
    let told = ops.query("RELOAD").unwrap_err().to_string();
    assert!(told.contains("The configuration was not read again, the old one stays: "), "{told}");
    let why = format!("tidegate.toml:{line}: pool.max_idel: unknown key; did you mean max_idle?");
    assert!(told.contains(&why), "{told}");
    assert!(tidegate.metric("tidegate_server_connections_max") > 7.0);
    assert!(tidegate.log().contains(&why));
    assert!(failures(&tidegate) >= 1.0);
    let listed = ops.query("SHOW CONFIG LIKE 'pool.max_connections'").unwrap();
    assert_eq!(listed[0][1].as_deref(), Some("90%"));

    // An address that somebody has; a file that is not there.
    let taken = server.address();
    let text = base().section("client", "max_query = \"1s\"");
    tidegate.rewrite(|_| text);
    let text = fs::read_to_string(tidegate.config_path()).unwrap();
    fs::write(tidegate.config_path(), text.replace(&tidegate.address(), &taken)).unwrap();
    let told = ops.query("RELOAD").unwrap_err().to_string();
    assert!(told.contains(&format!("cannot listen on {taken}")), "{told}");
    assert!(app(&tidegate).query("SELECT SLEEP(1.5)").is_ok());
    tidegate.rewrite(|_| base().section("tls.target", "mode = \"verify-ca\"\nca = \"/no/such\""));
    let told = ops.query("RELOAD").unwrap_err().to_string();
    assert!(told.contains("/no/such: tls.target.ca: cannot be read"), "{told}");

    tidegate.rewrite(|_| base().section("pool", "pin_filter = \"a\""));
    said(&reload(&mut ops), "pool.pin_filter: \"\" → a: needs a restart");
    assert_eq!(tidegate.metric("tidegate_config_restart_pending"), 1.0);
    let listed = ops.query("SHOW CONFIG LIKE 'pool.pin_filter'").unwrap();
    assert_eq!(listed[0][1].as_deref(), Some(""));
    tidegate.rewrite(|_| base());
    said(&reload(&mut ops), "the configuration was read again and says nothing new");
    assert_eq!(tidegate.metric("tidegate_config_restart_pending"), 0.0);
}

/// Nobody asks: the file is watched.
#[test]
fn a_new_file_is_taken_up_by_itself() {
    let server = server();
    let mut tidegate = Tidegate::start(Config::to(&server));
    let generation = tidegate.metric("tidegate_config_generation");
    tidegate.rewrite(|_| Config::to(&server).section("pool", "max_connections = 7"));
    tidegate.until_metric("tidegate_server_connections_max", SOON, |bound| bound == 7.0);
    assert_eq!(tidegate.metric("tidegate_config_generation"), generation + 1.0);
    tidegate.rewrite(|_| Config::to(&server).section("pool", "max_connections = \"x\""));
    tidegate.until_metric("tidegate_config_reload_failures_total", SOON, |count| count == 1.0);
    tidegate.rewrite(|_| Config::to(&server).section("pool", "max_connections = 8"));
    tidegate.signal("HUP");
    tidegate.until_metric("tidegate_server_connections_max", SOON, |bound| bound == 8.0);
}

/// One becomes two, the other takes over, and two become one, at another address in the end.
#[test]
fn targets_come_and_go_under_load() {
    for flavor in Flavor::installed() {
        let pair = Pair::start(flavor);
        let base = || Config::new().user(USER, PASSWORD).admin(OPS);
        let (first, second) = (pair.first.address(), pair.second.address());
        let mut tidegate = Tidegate::start(base().target("first", &first));
        let (mut ops, load) = (operator(&tidegate), Load::paced(Duration::from_millis(5)));
        let address = tidegate.address();
        let mut idle = app(&tidegate);
        idle.query("SET @a = 'kept'").unwrap();
        let standing = |ops: &mut RawClient, name: &str| {
            let rows = ops.query(&format!("SHOW TARGETS LIKE '{name}'")).unwrap();
            rows.first().map(|row| row[3].clone().unwrap()).unwrap_or_default()
        };
        let until = |ops: &mut RawClient, name: &str, now: &str| {
            wait_for(&format!("{name} to be {now:?}"), SOON, || {
                (standing(ops, name) == now).then_some(())
            });
        };
        let quiet = |when: &str| {
            load.until_each_has_written(WRITERS, Instant::now());
            assert_eq!(load.take_errors(), [""; 0], "{flavor:?}: {when}");
        };
        thread::scope(|scope| {
            let _leash = load.leash();
            load.start(scope, &address, WRITERS);
            load.until_more(WRITERS);

            tidegate.rewrite(|_| base().target("first", &first).target("second", &second));
            said(&reload(&mut ops), &format!("target \"second\": added, {second}, auto"));
            until(&mut ops, "second", "replica");
            assert_eq!(standing(&mut ops, "first"), "primary");
            quiet("a second one");

            pair.read_only(&pair.first, true);
            pair.catch_up();
            pair.promote(&pair.second);
            until(&mut ops, "second", "primary");
            quiet("another primary");

            tidegate.rewrite(|_| base().target("second", &second));
            said(&reload(&mut ops), "target \"first\": removed");
            assert_eq!(ops.query("SHOW TARGETS").unwrap().len(), 1);
            wait_for("the first to be left", SOON, || {
                (pair.first.connections_of(USER) == 0).then_some(())
            });
            quiet("without the first");

            let elsewhere = second.replace(HOST, "localhost");
            tidegate.rewrite(|_| base().target("second", &elsewhere));
            let change = format!("target \"second\".address: {second} → {elsewhere}");
            said(&reload(&mut ops), &change);
            until(&mut ops, "second", "primary");
            quiet("at another address");
            load.end();
        });
        assert_eq!(idle.query("SELECT @a").unwrap()[0][0].as_deref(), Some("kept"));
        load.due().check(&pair.second, None);
        let named = tidegate.metrics();
        assert!(!named.contains_key("tidegate_target_up{target=\"first\"}"), "{named:?}");
    }
}

/// The secrets may come from somewhere else.
#[test]
fn the_secrets_move() {
    let server = server();
    let base = || Config::to(&server).admin(OPS);
    let mut tidegate = Tidegate::start(base());
    let mut ops = operator(&tidegate);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("moved.toml");
    let line = format!("path = \"{}\"", path.display());
    tidegate.rewrite(|_| base().section("secrets", &line));
    let told = ops.query("RELOAD").unwrap_err().to_string();
    assert!(told.contains("secrets.path: cannot be read"), "{told}");
    let more = base().user("late", "late-password");
    fs::write(&path, more.secrets()).unwrap();
    reload(&mut ops);
    let late = Login::new("late", "late-password");
    assert!(RawClient::login(tidegate.address(), &late).is_ok());
    fs::write(&path, base().user("later", "later-password").secrets()).unwrap();
    let later = Login::new("later", "later-password");
    wait_for("the file to be watched", SOON, || RawClient::login(tidegate.address(), &later).ok());
    assert!(RawClient::login(tidegate.address(), &late).is_err());
}
