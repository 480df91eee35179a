//! What the kernel and the server know of a run: CPU time, context switches, memory, connections.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use crate::{
    load::{Load, Outcome},
    peers::Peer,
    results::Figures,
    support::servers::Server,
};

/// Of all threads that a process has now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub cpu: Duration,
    pub switches: u64,
}

impl Usage {
    /// From the scheduler's books, which count nanoseconds; those of a whole process count ticks.
    pub fn of(pid: u32) -> Self {
        let mut usage = Self::default();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let read = |file| fs::read_to_string(task.path().join(file)).unwrap_or_default();
            let ran = read("schedstat");
            let ran = ran.split_whitespace().next().and_then(|ran| ran.parse().ok());
            usage.cpu += Duration::from_nanos(ran.unwrap_or_default());
            let status = read("status");
            let switches = status.lines().filter_map(|line| {
                let (name, count) = line.split_once(':')?;
                name.ends_with("ctxt_switches").then(|| count.trim().parse::<u64>().ok())?
            });
            usage.switches += switches.sum::<u64>();
        }
        usage
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            switches: self.switches.saturating_sub(earlier.switches),
        }
    }
}

/// User and system time of a whole process, threads that have ended among them; in ticks of 10 ms.
fn cpu_with_ended_threads(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold spaces; user and system time are the 14th and 15th.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Resident bytes.
pub fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kilobytes = line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1024
}

/// Share of one core that a process takes, in percent.
pub fn cpu_percent(pid: u32, length: Duration) -> f64 {
    let (before, began) = (Usage::of(pid), Instant::now());
    thread::sleep(length);
    100.0 * Usage::of(pid).since(before).cpu.as_secs_f64() / began.elapsed().as_secs_f64()
}

/// Runs the load once and watches.
pub fn run(
    server: &Server,
    peer: &Peer,
    load: &mut dyn Load,
    length: Duration,
) -> Result<Figures, String> {
    let usage = || peer.pid().map(Usage::of);
    let (proxy, mysqld) = (usage(), cpu_with_ended_threads(server.pid()));
    let (outcome, peak) = watched(server, peer.user(), || load.run(length));
    let mysqld = cpu_with_ended_threads(server.pid()).saturating_sub(mysqld);
    let proxy = proxy.zip(usage()).map(|(before, after)| after.since(before));
    let outcome = outcome?;
    if outcome.done == 0 || outcome.queries == 0 {
        return Err(outcome.first_error.unwrap_or_else(|| "nothing was done".to_owned()));
    }
    let Outcome { done, queries, took, .. } = outcome;
    let each = |all: f64| all / queries as f64;
    let micros = |time: Duration| each(time.as_secs_f64() * 1e6);
    Ok(Figures {
        rate: done as f64 / took.as_secs_f64(),
        p50: outcome.latencies.p50,
        p95: outcome.latencies.p95,
        p99: outcome.latencies.p99,
        cpu: proxy.map(|usage| micros(usage.cpu)),
        switches: proxy.map(|usage| each(usage.switches as f64)),
        server_cpu: micros(mysqld),
        errors: outcome.errors,
        first_error: outcome.first_error,
        peak,
        resumed: outcome.resumed.map(|resumed| 100.0 * resumed as f64 / done as f64),
    })
}

/// The most connections that a user had, looked at ten times a second.
fn watched<T>(server: &Server, user: &str, run: impl FnOnce() -> T) -> (T, usize) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut peak = 0;
            while !done.load(Relaxed) {
                if let Ok(rows) = server.try_root("SHOW PROCESSLIST") {
                    let own = |row: &&Vec<Option<String>>| {
                        row.get(1).is_some_and(|name| name.as_deref() == Some(user))
                    };
                    peak = peak.max(rows.iter().filter(own).count());
                }
                thread::sleep(Duration::from_millis(100));
            }
            peak
        });
        let outcome = run();
        done.store(true, Relaxed);
        (outcome, watch.join().unwrap_or_default())
    })
}
