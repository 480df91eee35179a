//! sysbench, for the works that everybody knows.

use std::{fs, process::Command, time::Duration};

use super::{GRACE, Latencies, Load, Outcome};
use crate::support::{
    process::Leashed,
    servers::{HOST, PASSWORD, SCHEMA},
    tail,
};

pub const TABLES: u32 = 4;
pub const TABLE_SIZE: u32 = 10_000;

pub struct Sysbench {
    script: &'static str,
    prepared: bool,
    threads: u32,
    port: u16,
    user: &'static str,
}

impl Sysbench {
    pub fn open(
        script: &'static str,
        prepared: bool,
        threads: u32,
        port: u16,
        user: &'static str,
    ) -> Self {
        Self { script, prepared, threads, port, user }
    }
}

/// The tables, straight.
pub fn prepare(port: u16, user: &str) -> Result<(), String> {
    run("oltp_read_write", port, user, &["prepare".to_owned()], Duration::from_secs(120)).map(drop)
}

impl Load for Sysbench {
    fn run(&mut self, length: Duration) -> Result<Outcome, String> {
        let arguments = [
            format!("--threads={}", self.threads),
            format!("--time={}", length.as_secs().max(1)),
            format!("--db-ps-mode={}", if self.prepared { "auto" } else { "disable" }),
            format!("--skip-trx={}", if self.script == "oltp_point_select" { "on" } else { "off" }),
            "--report-interval=0".to_owned(),
            "--histogram".to_owned(),
            "run".to_owned(),
        ];
        let output = run(self.script, self.port, self.user, &arguments, length + GRACE)?;
        read(&output).ok_or_else(|| "sysbench's report cannot be read".to_owned())
    }
}

/// What it printed; or, if it failed, the first thing that went wrong.
fn run(
    script: &str,
    port: u16,
    user: &str,
    arguments: &[String],
    limit: Duration,
) -> Result<String, String> {
    let folder = tempfile::Builder::new()
        .prefix("tidegate-sysbench-")
        .tempdir()
        .map_err(|why| format!("no folder: {why}"))?;
    let log = folder.path().join("log");
    let mut command = Command::new("sysbench");
    command
        .args([script, "--db-driver=mysql"])
        .arg(format!("--mysql-host={HOST}"))
        .arg(format!("--mysql-port={port}"))
        .arg(format!("--mysql-user={user}"))
        .arg(format!("--mysql-password={PASSWORD}"))
        .arg(format!("--mysql-db={SCHEMA}"))
        .args([format!("--tables={TABLES}"), format!("--table-size={TABLE_SIZE}")])
        .args(arguments);
    let mut sysbench = Leashed::start(&command, folder.path(), &log);
    let Some(status) = sysbench.wait(limit) else {
        return Err(format!("sysbench is not done after {limit:?}: {}", tail(&log, 1)));
    };
    let output = fs::read_to_string(&log).unwrap_or_default();
    if status.success() {
        return Ok(output);
    }
    let wrong = output.lines().find(|line| line.contains("FATAL") || line.contains("error"));
    Err(format!("sysbench: {}", wrong.unwrap_or("it failed without a word")))
}

fn read(output: &str) -> Option<Outcome> {
    // "    transactions:        65124  (13013.17 per sec.)"
    let count = |name: &str| {
        let line = output.lines().find_map(|line| line.trim().strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let seconds = output.lines().find_map(|line| line.trim().strip_prefix("total time:"))?;
    let seconds: f64 = seconds.trim().strip_suffix('s')?.parse().ok()?;
    Some(Outcome {
        done: count("transactions:")?,
        queries: count("queries:")?,
        took: Duration::from_secs_f64(seconds),
        latencies: Latencies::of(&histogram(output)),
        errors: count("ignored errors:").unwrap_or(0) + count("reconnects:").unwrap_or(0),
        first_error: None,
        resumed: None,
    })
}

/// Lines of "       0.204 |**** 1234", in milliseconds.
fn histogram(output: &str) -> Vec<(f64, u64)> {
    let bar = |line: &str| {
        let (value, rest) = line.split_once('|')?;
        let count = rest.trim_start_matches('*').trim();
        Some((value.trim().parse().ok()?, count.parse().ok()?))
    };
    output.lines().filter_map(bar).collect()
}
