//! The promise of `failover.promote = "when_safe"`: a dead primary is replaced by the replica that has all
//! there is, after it is fenced, and by nobody where that is not proved.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::print_stdout, reason = "how long a promotion took is there to be read")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use support::{
    client::{Login, RawClient},
    free_port,
    load::{Load, only_lost},
    pair::Pair,
    servers::{Flavor, Server},
    tidegate::{Config, Tidegate},
    wait_for,
};
use tempfile::TempDir;

const WRITERS: usize = 16;
const SOON: Duration = Duration::from_secs(30);

/// Two tries, and what a busy machine takes.
const TRIES: Duration = Duration::from_secs(12);

/// A fence that notes whom it was told to fence, does what it is told, and succeeds if it may.
struct Fence {
    folder: TempDir,
    deed: String,
}

impl Fence {
    fn new(deed: &str) -> Self {
        let fence = Self { folder: tempfile::tempdir().unwrap(), deed: deed.to_owned() };
        fs::write(fence.key(), "").unwrap();
        fence
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("may")
    }

    fn told(&self) -> String {
        fs::read_to_string(self.folder.path().join("told")).unwrap_or_default()
    }

    fn of(&self, config: Config) -> Config {
        let path = |path: &Path| path.display().to_string();
        let told = path(&self.folder.path().join("told"));
        let script =
            format!("echo \"$1 $2\" >>{told}; {}; test -e {}", self.deed, path(&self.key()));
        let command = ["/bin/sh", "-c", &script, "fence"];
        let config = config.environment("TIDEGATE__FAILOVER__PROMOTE", "when_safe");
        command.iter().enumerate().fold(config, |config, (place, word)| {
            config.environment(&format!("TIDEGATE__FAILOVER__FENCE_COMMAND__{place}"), word)
        })
    }
}

fn is_primary(tidegate: &Tidegate, name: &str) -> bool {
    let series = format!("tidegate_target_primary{{target=\"{name}\"}}");
    tidegate.metrics().get(&series) == Some(&1.0)
}

fn until_primary(tidegate: &Tidegate, name: &str) {
    wait_for("the primary", SOON, || is_primary(tidegate, name).then_some(()));
}

/// MySQL so that an acknowledged write is on both.
fn pair(flavor: Flavor) -> Pair {
    match flavor {
        Flavor::MySql => Pair::start_semi_synchronous(),
        Flavor::MariaDb => Pair::start(flavor),
    }
}

fn is_read_only(server: &Server) -> bool {
    server.root("SELECT @@GLOBAL.read_only")[0][0].as_deref() == Some("1")
}

/// What SHOW TARGETS says of it.
fn shown(tidegate: &Tidegate, target: &str) -> Vec<String> {
    let mut console =
        RawClient::login(tidegate.sql_address(), &Login::new("ops", "repl-password")).unwrap();
    let rows = console.query("SHOW TARGETS").unwrap();
    let row = rows.into_iter().find(|row| row[0].as_deref() == Some(target)).unwrap();
    row.into_iter().map(Option::unwrap_or_default).collect()
}

fn error_of(tidegate: &Tidegate, target: &str) -> String {
    shown(tidegate, target).pop().unwrap()
}

fn lag_of(tidegate: &Tidegate, target: &str) -> String {
    shown(tidegate, target).swap_remove(7)
}

/// Writers go on after this death, and what must be there is.
fn dies_and_is_replaced(flavor: Flavor, fence: &Fence, pair: &mut Pair, die: impl Fn(&mut Pair)) {
    let tidegate = Tidegate::start(fence.of(pair.operated()));
    until_primary(&tidegate, "first");
    let load = Load::paced(Duration::from_millis(5));
    let address = tidegate.address();
    let mut dead = Instant::now();
    thread::scope(|scope| {
        let _leash = load.leash();
        load.start(scope, &address, WRITERS);
        load.until_more(300);
        dead = Instant::now();
        die(pair);
        until_primary(&tidegate, "second");
        let back = Instant::now();
        load.until_each_has_written(WRITERS, back);
        load.end();
    });
    let without = load.longest_gap(dead.checked_sub(Duration::from_millis(500)).unwrap());
    println!("{flavor:?}: {without:?} without a write");
    assert_eq!(fence.told(), format!("first {}\n", pair.first.address()), "{flavor:?}");
    assert!(tidegate.log().contains("a replica is promoted"), "{flavor:?}");
    let lost = (flavor == Flavor::MariaDb)
        .then(|| (dead.checked_sub(Duration::from_millis(500)).unwrap(), Instant::now()));
    load.due().check(&pair.second, lost);
    only_lost(&load.take_errors(), WRITERS);
    assert!(!is_read_only(&pair.second), "{flavor:?}");
}

#[test]
fn a_primary_that_is_killed_is_replaced() {
    for flavor in Flavor::installed() {
        let mut pair = pair(flavor);
        dies_and_is_replaced(flavor, &Fence::new("true"), &mut pair, |pair| pair.first.kill9());
    }
}

/// Nobody can tell whether it writes: the fence sees to it that it does not.
#[test]
fn a_primary_that_is_silent_is_fenced_and_replaced() {
    for flavor in Flavor::installed() {
        let mut pair = pair(flavor);
        let fence = Fence::new(&format!("kill -9 {}", pair.first.pid()));
        dies_and_is_replaced(flavor, &fence, &mut pair, |pair| pair.first.pause());
    }
}

#[test]
fn without_a_fence_nobody_is_promoted_and_it_is_said() {
    for flavor in Flavor::installed() {
        let mut pair = Pair::start(flavor);
        let fence = Fence::new("true");
        fs::remove_file(fence.key()).unwrap();
        let tidegate = Tidegate::start(fence.of(pair.operated()));
        until_primary(&tidegate, "first");
        pair.first.kill9();
        wait_for("a second try", SOON, || (fence.told().lines().count() >= 2).then_some(()));
        assert!(is_read_only(&pair.second), "{flavor:?}");
        let why = "no replica is promoted: failover.fence_command ended with exit status: 1";
        let told = error_of(&tidegate, "first");
        assert!(told.contains(why), "{flavor:?}: {told}");
        let (status, told) = tidegate.http("/readyz").unwrap();
        assert!(status == 503 && told.contains(why), "{flavor:?}: {told}");
        let log = tidegate.log();
        let said = log.matches("the primary is dead, and no replica is promoted").count();
        assert_eq!(said, 1, "{flavor:?}: once: {log}");
        // It replicates still, for whoever promotes it.
        let status = pair.second.root("SHOW REPLICA STATUS");
        assert_ne!(status[0][10].as_deref(), Some("No"), "{flavor:?}");
        fs::write(fence.key(), "").unwrap();
        until_primary(&tidegate, "second");
        assert!(!error_of(&tidegate, "first").contains("promoted"), "{flavor:?}");
    }
}

/// Whoever drains a primary may well mean to stop it.
#[test]
fn a_drained_primary_is_not_replaced() {
    let flavor = Flavor::installed()[0];
    let mut pair = Pair::start(flavor);
    let fence = Fence::new("true");
    let tidegate = Tidegate::start(fence.of(pair.operated()));
    until_primary(&tidegate, "first");
    let operate = |command: &str| {
        let login = Login::new("ops", "repl-password");
        RawClient::login(tidegate.sql_address(), &login).unwrap().query(command).unwrap();
    };
    operate("DRAIN first");
    pair.first.kill9();
    wait_for("it to be said", SOON, || {
        error_of(&tidegate, "first").contains("drained by an operator").then_some(())
    });
    thread::sleep(TRIES);
    assert_eq!(fence.told(), "");
    assert!(is_read_only(&pair.second));
}

/// It may have what no other has.
#[test]
fn a_target_that_does_not_answer_stands_in_the_way() {
    let flavor = Flavor::installed()[0];
    let mut pair = Pair::start(flavor);
    let fence = Fence::new("true");
    let third = format!("127.0.0.1:{}", free_port());
    let tidegate = Tidegate::start(fence.of(pair.operated().target("third", &third)));
    until_primary(&tidegate, "first");
    pair.first.kill9();
    wait_for("it to be said", SOON, || {
        error_of(&tidegate, "first").contains("\"third\" does not answer").then_some(())
    });
    thread::sleep(TRIES);
    assert_eq!(fence.told(), "", "nobody is fenced in vain");
    assert!(is_read_only(&pair.second));
}

/// What it lacks nobody knows.
#[test]
fn a_replica_that_had_stopped_is_not_promoted() {
    for flavor in Flavor::installed() {
        let mut pair = Pair::start(flavor);
        let fence = Fence::new("true");
        let tidegate = Tidegate::start(fence.of(pair.operated()));
        until_primary(&tidegate, "first");
        pair.second.root("STOP REPLICA IO_THREAD");
        wait_for("it to be seen", SOON, || {
            lag_of(&tidegate, "second").contains("stopped").then_some(())
        });
        pair.first.kill9();
        wait_for("it to be said", SOON, || {
            error_of(&tidegate, "first").contains("none of the others replicates").then_some(())
        });
        thread::sleep(TRIES);
        assert_eq!(fence.told(), "", "{flavor:?}: nobody is fenced in vain");
        assert!(is_read_only(&pair.second), "{flavor:?}");
    }
}

/// What it has received counts: it is waited for.
#[test]
fn a_replica_first_applies_what_it_has() {
    for flavor in Flavor::installed() {
        let mut pair = pair(flavor);
        let fence = Fence::new("true");
        let tidegate = Tidegate::start(fence.of(pair.operated()));
        until_primary(&tidegate, "first");
        let login = Login::new("root", "").schema("app");
        let mut blocker = RawClient::login(pair.second.socket().as_path(), &login).unwrap();
        blocker.query("LOCK TABLES w READ").unwrap();
        let mut writer = RawClient::login(tidegate.address(), &Login::app()).unwrap();
        for id in 1..=50 {
            writer.query(&format!("INSERT INTO w VALUES ({id}, 1)")).unwrap();
        }
        let written = pair.first.root(match flavor {
            Flavor::MySql => "SELECT @@GLOBAL.gtid_executed",
            Flavor::MariaDb => "SELECT @@GLOBAL.gtid_binlog_pos",
        });
        wait_for("all to be received", SOON, || {
            let status = pair.second.root("SHOW REPLICA STATUS");
            let (place, all) = match flavor {
                Flavor::MySql => (51, written[0][0].as_deref().unwrap().rsplit('-').next()),
                Flavor::MariaDb => (43, written[0][0].as_deref().unwrap().rsplit('-').next()),
            };
            status[0][place].as_deref().unwrap().ends_with(all.unwrap()).then_some(())
        });
        pair.first.kill9();
        wait_for("the fence", SOON, || (!fence.told().is_empty()).then_some(()));
        thread::sleep(Duration::from_secs(2));
        assert!(is_read_only(&pair.second), "{flavor:?}: it has not applied all");
        blocker.query("UNLOCK TABLES").unwrap();
        until_primary(&tidegate, "second");
        let rows = pair.second.root("SELECT COUNT(*) FROM app.w WHERE who = 1");
        assert_eq!(rows[0][0].as_deref(), Some("50"), "{flavor:?}");
    }
}
