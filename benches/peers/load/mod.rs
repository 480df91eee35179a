//! What sends the work.

mod steady;
mod storm;
mod sysbench;

use std::time::Duration;

pub use steady::{Statement, Steady};
pub use storm::Storm;
pub use sysbench::{Sysbench, TABLE_SIZE, prepare};

/// Logged in and ready, as far as it keeps connections.
pub trait Load {
    /// Goes on for so long, and waits for the last answers.
    fn run(&mut self, length: Duration) -> Result<Outcome, String>;
}

pub struct Outcome {
    /// Whole units of work: queries, transactions or connects.
    pub done: u64,
    pub queries: u64,
    pub took: Duration,
    pub latencies: Latencies,
    pub errors: u64,
    pub first_error: Option<String>,
    /// TLS handshakes that took up an earlier session, where that is the question.
    pub resumed: Option<u64>,
}

/// Of whole units, in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Latencies {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
}

impl Latencies {
    /// Of values, each with how often it was seen, in rising order.
    fn of(values: &[(f64, u64)]) -> Self {
        let all: u64 = values.iter().map(|(_, count)| count).sum();
        let at = |percent: u64| {
            let mut rest = all * percent / 100;
            let found = values.iter().find(|(_, count)| {
                let here = rest < *count;
                rest = rest.saturating_sub(*count);
                here
            });
            found.or(values.last()).map_or(0.0, |(value, _)| *value)
        };
        Self { p50: at(50), p95: at(95), p99: at(99) }
    }
}

/// What the tasks of one run add up to.
#[derive(Default)]
struct Tally {
    took: Vec<Duration>,
    errors: u64,
    first_error: Option<String>,
    resumed: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.took.extend(other.took);
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.resumed += other.resumed;
    }

    fn fail(&mut self, why: &crate::support::client::Error) {
        self.errors += 1;
        self.first_error.get_or_insert_with(|| why.to_string());
    }

    /// One query for each unit.
    fn outcome(mut self, took: Duration) -> Outcome {
        self.took.sort_unstable();
        let values: Vec<_> =
            self.took.iter().map(|took| (took.as_secs_f64() * 1000.0, 1)).collect();
        let done = self.took.len() as u64;
        Outcome {
            done,
            queries: done,
            took,
            latencies: Latencies::of(&values),
            errors: self.errors,
            first_error: self.first_error,
            resumed: None,
        }
    }
}

/// Beyond the length of a run, for logins and last answers; then a peer is said to hang.
const GRACE: Duration = Duration::from_secs(30);
