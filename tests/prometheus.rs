//! What Prometheus makes of Tidegate: a real one scrapes it, the alerts of `docker/prometheus` are
//! sound, and every query of the dashboard in `docker/grafana` has an answer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use support::client::{Login, RawClient};
use support::pair::Pair;
use support::process::Leashed;
use support::servers::Flavor;
use support::tidegate::Tidegate;
use support::{free_port, wait_for};
use tempfile::TempDir;

const RULES: &str = "docker/prometheus/tidegate.rules.yml";
const DASHBOARD: &str = "docker/grafana/tidegate.json";

/// More than the pool has connections, so that some wait.
const CLIENTS: usize = 40;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// `None`, and a word about it, where it is not installed.
fn installed() -> Option<()> {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if there("promtool") && there("prometheus") {
        return Some(());
    }
    eprintln!("SKIPPED: Prometheus is not installed (tests/servers/install.sh prometheus)");
    None
}

#[track_caller]
fn promtool(arguments: &[&str], input: &str) -> String {
    let mut promtool = Command::new("promtool");
    promtool.current_dir(file("docker/prometheus")).args(arguments);
    promtool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}

#[test]
fn the_alerts_are_sound() {
    if installed().is_none() {
        return;
    }
    promtool(&["check", "config", "prometheus.yml"], "");
    promtool(&["check", "rules", "tidegate.rules.yml"], "");
    promtool(&["test", "rules", "tidegate.rules.test.yml"], "");
}

/// Who is woken finds what it means.
#[test]
fn the_manual_has_every_alert() {
    let rules = fs::read_to_string(file(RULES)).unwrap();
    let manual = fs::read_to_string(file("docs/alerts.md")).unwrap();
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in &alerts {
        assert!(manual.contains(&format!("| `{alert}` | ")), "{alert}");
    }
    let rows = manual.lines().filter(|line| line.starts_with("| `Tidegate")).count();
    assert_eq!(rows, alerts.len());
}

struct Prometheus {
    port: u16,
    _process: Leashed,
    _folder: TempDir,
}

impl Prometheus {
    fn start(target: &str) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [\"{}\"]\n\
             scrape_configs:\n  - job_name: tidegate\n    static_configs: [{{targets: [{target:?}]}}]\n",
            file(RULES).display()
        );
        let path = folder.path().join("prometheus.yml");
        fs::write(&path, config).unwrap();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", path.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = Leashed::start(&command, folder.path(), &folder.path().join("log"));
        let prometheus = Self { port, _process: process, _folder: folder };
        wait_for("Prometheus to be ready", Duration::from_secs(60), || {
            prometheus.get("/-/ready").filter(|said| said.contains("Ready"))
        });
        prometheus
    }

    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }

    fn api(&self, path: &str) -> Value {
        let answer = self.get(path).unwrap_or_default();
        let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{answer}"));
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].clone()
    }

    /// How many series answer it.
    fn query(&self, expression: &str) -> usize {
        let encoded = expression.bytes().fold(String::new(), |mut encoded, byte| {
            let _ = write!(encoded, "%{byte:02X}");
            encoded
        });
        let data = self.api(&format!("/api/v1/query?query={encoded}"));
        data["result"].as_array().unwrap().len()
    }
}

/// Every query, beside the title of its panel.
fn queries() -> Vec<(String, String)> {
    let text = fs::read_to_string(file(DASHBOARD)).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries = panels.iter().flat_map(|panel| {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets.into_iter().map(move |target| {
            let query = target["expr"].as_str().unwrap();
            let query = query.replace("$instance", ".*").replace("$__rate_interval", "10s");
            (title.to_owned(), query)
        })
    });
    queries.collect()
}

fn work(address: &str, over: &AtomicBool) {
    let mut client = RawClient::login(address, &Login::app()).unwrap();
    while !over.load(Ordering::Relaxed) {
        client.query("DO SLEEP(0.02)").unwrap();
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_real_prometheus_has_an_answer_to_every_query() {
    if installed().is_none() {
        return;
    }
    let pair = Pair::start(Flavor::installed()[0]);
    let tidegate = Tidegate::start(pair.operated());
    let prometheus = Prometheus::start(&format!("127.0.0.1:{}", tidegate.admin_port()));
    let queries = queries();
    assert!(queries.len() > 40, "{}", queries.len());
    let (over, address) = (AtomicBool::new(false), tidegate.address());
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| work(&address, &over));
        }
        let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for (panel, query) in &queries {
                wait_for(&format!("{panel}: {query}"), Duration::from_secs(30), || {
                    (prometheus.query(query) > 0).then_some(())
                });
            }
        }));
        over.store(true, Ordering::Relaxed);
        answered.unwrap();
    });
    // What the dashboard's own list of instances is made from.
    assert_eq!(prometheus.query("tidegate_build_info"), 1);

    let rules = wait_for("the rules to be evaluated", Duration::from_secs(30), || {
        let groups = prometheus.api("/api/v1/rules")["groups"].clone();
        let rules: Vec<Value> = groups[0]["rules"].as_array().unwrap().clone();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    });
    assert!(rules.len() > 10);
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_ne!(rule["state"], "firing", "nothing is wrong: {rule}");
    }
    let (_, metrics) = tidegate.http("/metrics").unwrap();
    promtool(&["check", "metrics"], &metrics);
}
