//! Reads the counters once a second and tells what came since.
//!
//! It costs some dozens of loads, however many clients there are.

use std::time::Duration;

use super::samples::Sample;
use crate::metrics::{Direction, Distribution, LoginOutcome, Metrics, ServerState, Side};
use crate::session::Pin;
use crate::wire::Command;

/// The counters at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    statements: u64,
    errors: u64,
    bytes_in: u64,
    bytes_out: u64,
    logins: u64,
    took: Distribution,
    waited: Distribution,
}

impl Meter {
    pub fn read(metrics: &Metrics) -> Self {
        Self {
            statements: statements(metrics),
            errors: errors(metrics),
            bytes_in: metrics.client.bytes.of(Direction::In).get(),
            bytes_out: metrics.client.bytes.of(Direction::Out).get(),
            logins: metrics.client.logins.of(LoginOutcome::Accepted).get(),
            took: Distribution::of(&metrics.client.query_seconds),
            waited: Distribution::of(&metrics.borrow.wait),
        }
    }

    /// What came since an earlier reading, `passed` ago, and what is so now.
    pub fn since(&self, before: &Self, passed: Duration, time: u64, metrics: &Metrics) -> Sample {
        let seconds = passed.as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        let rate = |now: u64, then: u64| round(now.saturating_sub(then) as f64 / seconds, 10.0);
        let (took, waited) = (self.took.since(&before.took), self.waited.since(&before.waited));
        let ms = |seconds: f64| round(seconds * 1000.0, 1000.0);
        let connections = |state| positive(metrics.server.connections.of(state).get());
        Sample {
            time,
            statements: rate(self.statements, before.statements),
            p50_ms: took.quantile(0.5).map(ms),
            p95_ms: took.quantile(0.95).map(ms),
            p99_ms: took.quantile(0.99).map(ms),
            wait_p95_ms: waited.quantile(0.95).map(ms),
            errors: rate(self.errors, before.errors),
            bytes_in: rate(self.bytes_in, before.bytes_in),
            bytes_out: rate(self.bytes_out, before.bytes_out),
            logins: rate(self.logins, before.logins),
            clients: positive(metrics.client.connections.get()),
            idle: connections(ServerState::Idle),
            borrowed: connections(ServerState::Borrowed),
            dialing: connections(ServerState::Dialing),
            waiting: positive(metrics.borrow.waiting.get()),
            pinned: pinned(metrics),
        }
    }
}

/// Texts and executes.
pub(super) fn statements(metrics: &Metrics) -> u64 {
    let of = |command: Command| metrics.client.queries.at(command as usize).get();
    of(Command::Query) + of(Command::StmtExecute)
}

fn errors(metrics: &Metrics) -> u64 {
    metrics.errors.of(Side::Server).get() + metrics.errors.of(Side::Proxy).get()
}

/// A client with two reasons counts twice.
fn pinned(metrics: &Metrics) -> u64 {
    Pin::ALL.iter().map(|pin| positive(metrics.session.pinned.at(pin.index()).get())).sum()
}

pub(super) fn positive(gauge: i64) -> u64 {
    u64::try_from(gauge).unwrap_or(0)
}

fn round(value: f64, to: f64) -> f64 {
    (value * to).round() / to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Labels;

    #[test]
    fn rates_are_of_what_came_since() {
        let metrics = Metrics::new(&Labels { pins: &Pin::NAMES, ..Labels::default() }).unwrap();
        metrics.client.queries.at(Command::Query as usize).inc_by(100);
        metrics.client.query_seconds.observe(5.0);
        let before = Meter::read(&metrics);
        metrics.client.queries.at(Command::Query as usize).inc_by(10);
        metrics.client.queries.at(Command::StmtExecute as usize).inc_by(20);
        metrics.client.queries.at(Command::Ping as usize).inc_by(7);
        metrics.errors.of(Side::Server).inc_by(4);
        metrics.client.connections.set(3);
        metrics.session.pinned.at(Pin::UserLock.index()).set(2);
        metrics.server.connections.of(ServerState::Borrowed).set(1);
        for _ in 0..100 {
            metrics.client.query_seconds.observe(0.002);
        }
        let sample = Meter::read(&metrics).since(&before, Duration::from_secs(2), 9, &metrics);
        assert_eq!((sample.time, sample.statements, sample.errors), (9, 15.0, 2.0));
        assert_eq!((sample.clients, sample.pinned, sample.borrowed), (3, 2, 1));
        // Within the bounds of its bucket, and the one from before is not in it.
        assert!((1.0..=2.5).contains(&sample.p99_ms.unwrap()), "{sample:?}");
        assert_eq!(sample.wait_p95_ms, None);
    }
}
