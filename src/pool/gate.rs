//! The dial gate: how many dial at once, and how long nobody does after a failure.
//!
//! Owns the backoff. It never dials. Time is handed in.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::lock;

pub(super) struct Gate {
    dialing: Semaphore,
    backoff: Mutex<Backoff>,
}

#[derive(Default)]
struct Backoff {
    failures: u32,
    not_before: Option<Instant>,
    last_error: Option<String>,
}

/// A server that comes up would otherwise meet all waiting sessions at the same moment.
const AT_ONCE: usize = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Gate {
    pub fn new() -> Self {
        Self { dialing: Semaphore::new(AT_ONCE), backoff: Mutex::default() }
    }

    /// `Err`: not before then. While the target is failing, each admission moves the next one
    /// away, so one dial at a time looks whether it is back.
    pub fn admit(&self, now: Instant) -> Result<(), Instant> {
        let mut backoff = lock(&self.backoff);
        match backoff.not_before {
            Some(then) if now < then => Err(then),
            Some(_) => {
                backoff.not_before = Some(now + pause(backoff.failures));
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        self.dialing.acquire().await.ok()
    }

    pub fn succeeded(&self) {
        *lock(&self.backoff) = Backoff::default();
    }

    pub fn failed(&self, now: Instant, error: String) {
        let mut backoff = lock(&self.backoff);
        backoff.failures = backoff.failures.saturating_add(1);
        backoff.not_before = Some(now + pause(backoff.failures));
        backoff.last_error = Some(error);
    }

    pub fn trouble(&self) -> Option<String> {
        lock(&self.backoff).last_error.clone()
    }
}

/// Doubles with each failure; a quarter of it is chance, so that many proxies do not come back in
/// step.
fn pause(failures: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(8));
    doubled.min(LONGEST_PAUSE).mul_f64(0.75 + fastrand::f64() / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_looks_whether_a_failing_target_is_back() {
        let gate = Gate::new();
        let start = Instant::now();
        assert!(gate.admit(start).is_ok());
        assert!(gate.admit(start).is_ok());
        gate.failed(start, "refused".into());
        let then = gate.admit(start).expect_err("held back");
        assert!(then > start && then <= start + FIRST_PAUSE);
        assert!(gate.admit(then).is_ok());
        assert!(gate.admit(then).is_err(), "the second waits for the first one's news");
        assert_eq!(gate.trouble().as_deref(), Some("refused"));
        gate.succeeded();
        assert!(gate.admit(start).is_ok());
        assert_eq!(gate.trouble(), None);
    }

    #[test]
    fn the_pause_has_an_end() {
        assert!((1..100).all(|n| pause(n) <= LONGEST_PAUSE));
        assert!(pause(100) >= LONGEST_PAUSE.mul_f64(0.74));
    }
}
