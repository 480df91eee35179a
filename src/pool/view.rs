//! A pool as others may look at it: values copied at one moment, with no hold on any connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::shelf::Idle;
use super::{Pool, lock};
use crate::session::SessionState;

/// How many connections do what. Counted one after the other while they change hands: the sum may
/// be off by those that did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolView {
    /// What is never passed, side connections included.
    pub bound: usize,
    pub idle: usize,
    pub borrowed: usize,
    pub dialing: usize,
    /// Their places are not free before the server has closed them too.
    pub closing: usize,
    /// Statements that wait for one.
    pub waiting: usize,
}

/// A connection that nobody uses.
#[derive(Clone, Debug)]
pub struct IdleView {
    /// The server's own id for it.
    pub id: u32,
    /// Who it is logged in as there.
    pub user: Arc<str>,
    /// Nobody has used it for so long.
    pub idle: Duration,
    pub age: Duration,
    pub tls: bool,
    /// What it holds.
    pub state: Arc<SessionState>,
}

impl Pool {
    pub fn view(&self) -> PoolView {
        let inner = &self.0;
        let dialing = inner.dialing.load(Ordering::Relaxed);
        let closing = inner.closing.load(Ordering::Relaxed);
        let idle = lock(&inner.shelf).len();
        let alive = self.usable().saturating_sub(inner.live.available_permits());
        PoolView {
            bound: inner.limits.bound() as usize,
            idle,
            borrowed: alive.saturating_sub(idle).saturating_sub(dialing).saturating_sub(closing),
            dialing,
            closing,
            waiting: self.waiting(),
        }
    }

    /// Those on the shelf, the one that was idle longest first.
    pub fn idle_connections(&self) -> Vec<IdleView> {
        let now = Instant::now();
        lock(&self.0.shelf).iter().map(|idle| idle.view(now)).collect()
    }
}

impl Idle {
    fn view(&self, now: Instant) -> IdleView {
        let connection = &self.live.connection;
        IdleView {
            id: connection.id,
            user: Arc::clone(&connection.identity.username),
            idle: now.saturating_duration_since(self.since),
            age: now.saturating_duration_since(connection.opened),
            tls: connection.stream.tls().is_some(),
            state: Arc::clone(&connection.state),
        }
    }
}

/// One of what a number counts, for as long as this lives.
pub(super) struct Underway<'a>(&'a AtomicUsize);

impl<'a> Underway<'a> {
    pub fn one(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_while_under_way() {
        let count = AtomicUsize::new(0);
        let one = Underway::one(&count);
        let two = Underway::one(&count);
        assert_eq!(count.load(Ordering::Relaxed), 2);
        drop((one, two));
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
