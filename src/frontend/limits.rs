//! What clients may do, read by plain loads while a reload may change it.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use crate::config::{self, LiveDuration};
use crate::secrets::Account;

#[derive(Debug)]
pub struct Limits {
    max_connections: AtomicUsize,
    /// 0: no limit.
    max_connections_per_user: AtomicU32,
    login_timeout: LiveDuration,
    borrow_timeout: LiveDuration,
}

impl Limits {
    pub fn new(client: &config::Client, pool: &config::Pool) -> Self {
        let limits = Self {
            max_connections: AtomicUsize::new(0),
            max_connections_per_user: AtomicU32::new(0),
            login_timeout: LiveDuration::default(),
            borrow_timeout: LiveDuration::default(),
        };
        limits.set(client, pool);
        limits
    }

    pub fn set(&self, client: &config::Client, pool: &config::Pool) {
        self.max_connections.store(client.max_connections, Ordering::Relaxed);
        self.max_connections_per_user.store(client.max_connections_per_user, Ordering::Relaxed);
        self.login_timeout.set(client.login_timeout.unwrap_or_default());
        self.borrow_timeout.set(pool.borrow_timeout);
    }

    pub fn max_connections(&self) -> usize {
        self.max_connections.load(Ordering::Relaxed)
    }

    /// How many of one user there may be; `None`: as many as like.
    pub(super) fn of_user(&self, account: &Account) -> Option<u32> {
        let all = self.max_connections_per_user.load(Ordering::Relaxed);
        let most = account.bounds.max_connections.unwrap_or(all);
        (most > 0).then_some(most)
    }

    /// `None`: as long as they like.
    pub(super) fn login_timeout(&self) -> Option<Duration> {
        self.login_timeout.limit()
    }

    pub(super) fn borrow_timeout(&self) -> Duration {
        self.borrow_timeout.get()
    }
}
