//! System calls of a process, counted by strace.
//!
//! Under strace everything is several times slower, so only the counts are worth something, and
//! such a run is no part of the others.

use std::{fs, process::Command, time::Duration};

use tempfile::TempDir;

use crate::support::{process::Leashed, tail};

/// A query: those in which a thread waits for something to do, and the others.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    pub waiting: f64,
    pub others: f64,
}

const WAITING: [&str; 6] = ["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "futex"];

/// Dropped, it stops strace, and the process runs on.
pub struct Counting {
    strace: Leashed,
    folder: TempDir,
}

impl Counting {
    pub fn start(pid: u32) -> Result<Self, String> {
        let folder = tempfile::Builder::new()
            .prefix("tidegate-strace-")
            .tempdir()
            .map_err(|why| format!("no folder: {why}"))?;
        let log = folder.path().join("log");
        let mut command = Command::new("strace");
        command.args(["-c", "-f", "-p", &pid.to_string(), "-o"]).arg(folder.path().join("calls"));
        let mut strace = Leashed::start(&command, folder.path(), &log);
        // It says so for each thread that it has attached to.
        std::thread::sleep(Duration::from_millis(500));
        if strace.ended().is_some() || !tail(&log, 100).contains("attached") {
            return Err(format!("strace cannot attach: {}", tail(&log, 1)));
        }
        Ok(Self { strace, folder })
    }

    pub fn stop(mut self, queries: u64) -> Result<Calls, String> {
        // TERM and not INT, which a child of a shell's background ignores.
        self.strace.signal("TERM");
        if self.strace.wait(Duration::from_secs(10)).is_none() {
            return Err("strace does not stop".to_owned());
        }
        let report = fs::read_to_string(self.folder.path().join("calls"));
        read(&report.map_err(|why| why.to_string())?, queries)
            .ok_or_else(|| "strace counted nothing".to_owned())
    }
}

/// Lines of `% time, seconds, usecs/call, calls, errors, syscall`, errors left blank where none is.
fn read(report: &str, queries: u64) -> Option<Calls> {
    let mut calls = Calls { waiting: 0.0, others: 0.0 };
    let queries = u32::try_from(queries.max(1)).map_or(f64::MAX, f64::from);
    for line in report.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, _, _, count, .., name] = fields.as_slice() else { continue };
        let Ok(count) = count.parse::<f64>() else { continue };
        if *name == "total" {
            continue;
        }
        let count = count / queries;
        if WAITING.contains(name) {
            calls.waiting += count;
        } else {
            calls.others += count;
        }
    }
    (calls.others > 0.0).then_some(calls)
}
