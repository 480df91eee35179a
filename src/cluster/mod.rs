//! Which server an access goes to.
//!
//! Owns the target's pool, which is made once the target has said how many connections it takes,
//! and what was learned of it. It never borrows by itself.
//!
//! One target for now; roles and failover come in here.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::backend::{BackendError, Dialer, Facts, Identity};
use crate::config;
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::pool::{BorrowError, Borrowed, Limits, Pool, Want};
use crate::secrets::Vault;
use crate::wire::{ErrPacket, Meaning};

pub struct Cluster {
    ready: OnceLock<Ready>,
    is_ready: watch::Sender<bool>,
    /// Why the target is not ready yet.
    trouble: std::sync::Mutex<Option<Trouble>>,
    settings: config::Pool,
    metrics: Arc<Metrics>,
    lifecycle: Lifecycle,
}

/// What the last try to reach the target ended in.
#[derive(Clone)]
struct Trouble {
    text: String,
    /// The server will not have us: waiting helps nobody.
    refusal: Option<ErrPacket>,
}

struct Ready {
    pool: Pool,
    facts: Arc<Facts>,
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Between logins that the server refuses: some lock accounts that try too often.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);

impl Cluster {
    pub fn new(settings: config::Pool, metrics: Arc<Metrics>, lifecycle: Lifecycle) -> Self {
        Self {
            ready: OnceLock::new(),
            is_ready: watch::Sender::new(false),
            trouble: std::sync::Mutex::default(),
            settings,
            metrics,
            lifecycle,
        }
    }

    /// Tries until the target has answered once, then opens its pool.
    pub async fn learn(self: Arc<Self>, dialer: Dialer, vault: Arc<Vault>) {
        let stopping = self.lifecycle.stopping();
        let _ = stopping.run_until_cancelled(self.try_until_ready(dialer, &vault)).await;
    }

    async fn try_until_ready(&self, dialer: Dialer, vault: &Arc<Vault>) {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.ask(&dialer, vault).await {
                Ok(facts) => {
                    self.open(dialer, facts, vault);
                    return;
                }
                Err(error) => {
                    let refused = self.note_trouble(&dialer, &error);
                    let longest = if refused { REFUSED_PAUSE } else { LONGEST_PAUSE };
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(longest);
                }
            }
        }
    }

    /// What the target said of itself, once it has.
    pub fn facts(&self) -> Option<&Arc<Facts>> {
        self.ready.get().map(|ready| &ready.facts)
    }

    pub fn pool(&self) -> Option<&Pool> {
        self.ready.get().map(|ready| &ready.pool)
    }

    /// Why nobody can be served at this moment, if so.
    pub fn trouble(&self) -> Option<String> {
        match self.pool() {
            Some(pool) => pool.trouble(),
            None => Some(self.learning_trouble().unwrap_or_else(|| "no answer yet".into())),
        }
    }

    /// Cancel-safe.
    pub async fn borrow(&self, want: &Want<'_>) -> Result<Borrowed, BorrowError> {
        if let Some(ready) = self.ready.get() {
            return ready.pool.borrow(want).await;
        }
        Box::pin(self.borrow_when_ready(want)).await
    }

    async fn borrow_when_ready(&self, want: &Want<'_>) -> Result<Borrowed, BorrowError> {
        if let Some(refusal) = self.learning().and_then(|trouble| trouble.refusal) {
            return Err(BorrowError::Login(BackendError::Refused(refusal)));
        }
        let started = Instant::now();
        let mut is_ready = self.is_ready.subscribe();
        let opening = tokio::time::timeout(want.patience, is_ready.wait_for(|ready| *ready));
        let opened = opening.await.is_ok_and(|seen| seen.is_ok());
        match self.ready.get() {
            Some(ready) if opened => {
                let patience = want.patience.saturating_sub(started.elapsed());
                ready.pool.borrow(&Want { patience, ..*want }).await
            }
            _ => Err(BorrowError::Timeout {
                waited: started.elapsed(),
                in_use: 0,
                bound: 0,
                trouble: self.learning_trouble(),
            }),
        }
    }

    /// The first account that can log in speaks for all.
    async fn ask(&self, dialer: &Dialer, vault: &Vault) -> Result<Arc<Facts>, BackendError> {
        let generation = vault.current();
        let mut last = BackendError::NoAccount;
        for account in generation.accounts() {
            let identity = Identity {
                username: Arc::clone(&account.target.username),
                generation: generation.number,
                meaning: Meaning::default(),
            };
            let mut passwords = vec![&account.target.password];
            passwords.extend(&account.target.previous);
            match dialer.dial(identity, &passwords, None).await {
                Ok(connection) => {
                    let facts = Arc::clone(&connection.facts);
                    // Its slot is free again before the pool may count on it.
                    connection.close(Duration::from_secs(5)).await;
                    return Ok(facts);
                }
                Err(error) if error.is_outage() => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn open(&self, dialer: Dialer, facts: Arc<Facts>, vault: &Arc<Vault>) {
        let max_connections = self.settings.max_connections.of(facts.max_connections);
        let limits = Limits {
            max_connections,
            max_idle: self.settings.max_idle.of(max_connections),
            min_idle: self.settings.min_idle,
            idle_timeout: self.settings.idle_timeout,
            max_lifetime: self.settings.max_lifetime,
            max_waiting: self.settings.max_waiting,
        };
        tracing::info!(
            target = %dialer.address,
            version = %facts.version,
            server_max_connections = facts.max_connections,
            max_connections,
            "the target is ready"
        );
        let (metrics, lifecycle) = (Arc::clone(&self.metrics), self.lifecycle.clone());
        let pool = Pool::new(dialer, limits, Arc::clone(vault), metrics, lifecycle);
        self.lifecycle.spawn("keep", pool.clone().keep());
        let _ = self.ready.set(Ready { pool, facts });
        self.set_trouble(None);
        self.is_ready.send_replace(true);
    }

    /// Said once, not at every try. `true`: the server refuses the login.
    fn note_trouble(&self, dialer: &Dialer, error: &BackendError) -> bool {
        let refusal = match error {
            BackendError::Refused(refusal) if !error.is_outage() => Some(refusal.clone()),
            _ => None,
        };
        let text = format!("{}: {error}", dialer.address);
        if self.learning_trouble().as_ref() != Some(&text) {
            tracing::warn!(target = %dialer.address, %error, "the target is not ready");
        }
        let refused = refusal.is_some();
        self.set_trouble(Some(Trouble { text, refusal }));
        refused
    }

    fn set_trouble(&self, trouble: Option<Trouble>) {
        *self.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = trouble;
    }

    fn learning(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn learning_trouble(&self) -> Option<String> {
        self.learning().map(|trouble| trouble.text)
    }
}
