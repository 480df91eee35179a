//! What `/metrics` says of a run, and that the manual says what each of it means.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use support::client::{Login, RawClient};
use support::servers::{Flavor, Options, Server};
use support::tidegate::{Config, Tidegate};

const MANUAL: &str = include_str!("../docs/metrics.md");

/// One statement in eight of each client is timed: of as many in a row, one is.
const ROUND: usize = 8;

fn stage(sections: &[(&str, &str)]) -> (Server, Tidegate) {
    let server = Server::start(Flavor::installed()[0], Options::default());
    let config = sections
        .iter()
        .fold(Config::to(&server), |config, (name, lines)| config.section(name, lines));
    let tidegate = Tidegate::start(config);
    (server, tidegate)
}

/// How many came in between `before` and `after`, and the mean of them.
fn between(
    before: &std::collections::BTreeMap<String, f64>,
    after: &std::collections::BTreeMap<String, f64>,
    name: &str,
) -> (f64, f64) {
    let came = |what: &str| {
        let series = format!("{name}_{what}");
        after[&series] - before[&series]
    };
    (came("count"), came("sum") / came("count"))
}

#[test]
fn the_time_of_a_statement_is_told_apart() {
    let (_server, tidegate) = stage(&[("pool", "max_connections = 1")]);
    let mut client = RawClient::login(tidegate.address(), &Login::app()).unwrap();
    client.query("SELECT 1").unwrap();
    let before = tidegate.metrics();
    for _ in 0..ROUND {
        client.query("SELECT SLEEP(0.1)").unwrap();
    }
    let after = tidegate.metrics();
    let (count, all) = between(&before, &after, "tidegate_query_seconds");
    assert_eq!(count, 1.0);
    let (count, target) = between(&before, &after, "tidegate_query_target_seconds");
    assert_eq!(count, 1.0);
    let (count, added) = between(&before, &after, "tidegate_query_added_seconds");
    assert_eq!(count, 1.0);
    assert!(target > 0.08, "the target slept, from before the look at the clock on: {target}");
    assert!(added < target, "and not Tidegate: {added}");
    assert!((all - target - added).abs() < 0.000_01, "{all} = {target} + {added}");

    // The only connection is in use: what it is waited for is nobody's work.
    let mut other = RawClient::login(tidegate.address(), &Login::app()).unwrap();
    let before = tidegate.metrics();
    for _ in 0..ROUND {
        other.query("BEGIN").unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| client.query("DO 1").unwrap());
            tidegate.until_metric("tidegate_borrow_waiting", Duration::from_secs(5), |n| n == 1.0);
            other.query("DO SLEEP(0.1)").unwrap();
            other.query("COMMIT").unwrap();
            waits.join().unwrap();
        });
    }
    let after = tidegate.metrics();
    let (waits, waited) = between(&before, &after, "tidegate_borrow_wait_seconds");
    assert_eq!(waits, 8.0);
    assert!(waited > 0.1, "{waited}");
    // One of the eight that waited, three of those in the transactions.
    let (timed, added) = between(&before, &after, "tidegate_query_added_seconds");
    assert_eq!(timed, 4.0);
    assert!(added * timed < 0.1, "a wait is not what Tidegate adds: {added}");
}

#[test]
fn logins_and_refusals_are_counted() {
    let (_server, tidegate) = stage(&[("pool", "max_connections = 1\nborrow_timeout = \"300ms\"")]);
    let mut first = RawClient::login(tidegate.address(), &Login::app()).unwrap();
    first.query("BEGIN").unwrap();
    let mut second = RawClient::login(tidegate.address(), &Login::app()).unwrap();
    assert!(second.query("SELECT 1").unwrap_err().to_string().contains("9501"));
    let mut wrong = Login::app();
    wrong.password = "wrong".into();
    assert!(RawClient::login(tidegate.address(), &wrong).is_err());
    let metrics = tidegate.metrics();
    let refused = |code: &str| metrics[&format!("tidegate_refusals_total{{code=\"{code}\"}}")];
    assert_eq!((refused("9501"), refused("1045"), refused("1040")), (1.0, 1.0, 0.0));
    assert_eq!(metrics["tidegate_login_seconds_count"], 2.0, "those that were let in");
    assert!(metrics["tidegate_server_login_seconds_count"] >= 1.0);
    assert!(metrics["tidegate_server_login_seconds_sum"] < 5.0);
}

#[test]
fn gauges_are_read_off_when_asked() {
    let pool = "max_connections = 4\nborrow_timeout = \"500ms\"";
    let (server, tidegate) = stage(&[("pool", pool)]);
    let clients: Vec<RawClient> =
        (0..3).map(|_| RawClient::login(tidegate.address(), &Login::app()).unwrap()).collect();
    let mut held = RawClient::login(tidegate.address(), &Login::app()).unwrap();
    held.query("BEGIN").unwrap();
    held.query("SELECT 1").unwrap();
    let metrics = tidegate.metrics();
    let sessions = |state: &str| metrics[&format!("tidegate_client_sessions{{state=\"{state}\"}}")];
    assert_eq!((sessions("idle"), sessions("in_transaction")), (3.0, 1.0));
    assert_eq!(metrics["tidegate_ready"], 1.0);
    assert_eq!(metrics["tidegate_pool_connections_max{target=\"primary\"}"], 4.0);
    let borrowed = "tidegate_pool_connections{state=\"borrowed\",target=\"primary\"}";
    assert_eq!(metrics[borrowed], 1.0);
    drop((clients, held));
    tidegate.until_metric("tidegate_client_sessions", Duration::from_secs(5), |now| now == 0.0);
    drop(server);
    let mut client = RawClient::login(tidegate.address(), &Login::app()).unwrap();
    client.query("SELECT 1").unwrap_err();
    tidegate.until_metric("tidegate_ready", Duration::from_secs(30), |ready| ready == 0.0);
}

/// Every metric and every value of a label stands in the manual, and nothing stands there that is
/// not.
#[test]
fn the_manual_has_every_metric() {
    let (_server, tidegate) = stage(&[]);
    let mut client = RawClient::login(tidegate.address(), &Login::app()).unwrap();
    client.query("SELECT 1").unwrap();
    let (_, text) = tidegate.http("/metrics").unwrap();
    let typed = text.lines().filter_map(|line| line.strip_prefix("# TYPE tidegate_"));
    let said: BTreeSet<(String, String)> = typed
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| (format!("tidegate_{name}"), kind.to_owned()))
        .collect();
    let rows = MANUAL.lines().filter_map(|line| line.strip_prefix("| `tidegate_"));
    let written: BTreeSet<(String, String)> = rows
        .filter_map(|row| row.split_once("` | "))
        .map(|(name, rest)| {
            (format!("tidegate_{name}"), rest.split(' ').next().unwrap().to_owned())
        })
        .filter(|(_, kind)| ["counter", "gauge", "histogram"].contains(&kind.as_str()))
        .collect();
    // There only of replicas that say it.
    let lag = ("tidegate_target_lag_seconds".to_owned(), "gauge".to_owned());
    let said: BTreeSet<_> = said.into_iter().chain([lag]).collect();
    assert_eq!(said, written);

    let free = ["target", "version", "command", "code", "task", "le"];
    for (name, value) in text.lines().filter(|line| line.starts_with("tidegate_")).flat_map(labels)
    {
        let stands = [format!("`{value}`"), format!("{name}=\"{value}\"")];
        let stands = stands.iter().any(|it| MANUAL.contains(it)) || pin(&value);
        assert!(free.contains(&name.as_str()) || stands, "{name}={value} is not in the manual");
    }
}

/// The pins stand in a manual of their own.
fn pin(value: &str) -> bool {
    include_str!("../docs/compatibility.md").contains(&format!("`{value}`"))
}

fn labels(line: &str) -> Vec<(String, String)> {
    let inside = line.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let pairs = inside.map_or("", |(inside, _)| inside).split("\",");
    let pair = |pair: &str| {
        let (name, value) = pair.split_once("=\"")?;
        Some((name.to_owned(), value.trim_end_matches('"').to_owned()))
    };
    pairs.filter_map(pair).collect()
}
