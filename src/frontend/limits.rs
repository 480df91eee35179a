//! What clients may do, read by plain loads while a reload may change it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::config::{self, LiveDuration};

#[derive(Debug)]
pub struct Limits {
    max_connections: AtomicUsize,
    login_timeout: LiveDuration,
    borrow_timeout: LiveDuration,
}

impl Limits {
    pub fn new(client: &config::Client, pool: &config::Pool) -> Self {
        let limits = Self {
            max_connections: AtomicUsize::new(0),
            login_timeout: LiveDuration::default(),
            borrow_timeout: LiveDuration::default(),
        };
        limits.set(client, pool);
        limits
    }

    pub fn set(&self, client: &config::Client, pool: &config::Pool) {
        self.max_connections.store(client.max_connections, Ordering::Relaxed);
        self.login_timeout.set(client.login_timeout.unwrap_or_default());
        self.borrow_timeout.set(pool.borrow_timeout);
    }

    pub(super) fn max_connections(&self) -> usize {
        self.max_connections.load(Ordering::Relaxed)
    }

    /// `None`: as long as they like.
    pub(super) fn login_timeout(&self) -> Option<Duration> {
        self.login_timeout.limit()
    }

    pub(super) fn borrow_timeout(&self) -> Duration {
        self.borrow_timeout.get()
    }
}
