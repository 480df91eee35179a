//! One target: its pool, which is made once it has said how many connections it takes, and what was
//! learned of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{MutexGuard, Notify};
use tokio_util::sync::CancellationToken;

use super::Rules;
use crate::backend::{BackendError, Connection, Credentials, Dialer, Facts, identity};
use crate::config::{self, Share};
use crate::lifecycle::Lifecycle;
use crate::metrics::{self, Metrics};
use crate::net::TargetTls;
use crate::pool::{Limits, Pool};
use crate::wire::{ErrPacket, Meaning};

pub(super) struct Member {
    pub name: String,
    /// Whose account looks at it; empty: the first that can log in.
    watcher: ArcSwap<String>,
    /// Its place among the targets.
    pub at: usize,
    /// It is a target no longer.
    pub gone: CancellationToken,
    pub gauges: metrics::Target,
    dialer: Arc<Dialer>,
    ready: OnceLock<Ready>,
    trouble: Mutex<Option<Trouble>>,
    /// Somebody has met what may mean that it is down, or demoted.
    pub suspected: Notify,
    /// The connection that is not the pool's: to look at it, and to move the primary.
    link: tokio::sync::Mutex<Option<Connection>>,
    /// It was made in a way that is not wanted any more.
    stale: AtomicBool,
}

struct Ready {
    pool: Pool,
    facts: Arc<Facts>,
}

/// What the last try to reach it ended in.
#[derive(Clone)]
pub(super) struct Trouble {
    pub text: String,
    /// The server will not have us: waiting helps nobody.
    pub refusal: Option<ErrPacket>,
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Between logins that the server refuses: some lock accounts that try too often.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);

/// How long its slot on the server may take to be free again.
const FAREWELL: Duration = Duration::from_secs(5);

/// What a pool is made of, beside its target.
pub(super) struct Means<'a> {
    /// As they are at the moment.
    pub rules: &'a ArcSwap<Rules>,
    pub credentials: &'a Arc<Credentials>,
    pub metrics: &'a Arc<Metrics>,
    pub lifecycle: &'a Lifecycle,
    /// Connections that the pool leaves to the probe, at the moment.
    pub aside: &'a (dyn Fn() -> u32 + Sync),
}

impl Member {
    pub fn new(
        at: usize,
        target: &config::Target,
        watcher: String,
        dialer: Dialer,
        metrics: &Metrics,
    ) -> Self {
        Self {
            name: target.name.clone(),
            gone: CancellationToken::new(),
            gauges: metrics.server.targets.of(&target.name),
            watcher: ArcSwap::from_pointee(watcher),
            at,
            dialer: Arc::new(dialer),
            ready: OnceLock::new(),
            trouble: Mutex::default(),
            suspected: Notify::new(),
            link: tokio::sync::Mutex::default(),
            stale: AtomicBool::new(false),
        }
    }

    pub fn address(&self) -> &config::Address {
        &self.dialer.address
    }

    /// What it said of itself, once it has.
    pub fn facts(&self) -> Option<&Arc<Facts>> {
        self.ready.get().map(|ready| &ready.facts)
    }

    pub fn pool(&self) -> Option<&Pool> {
        self.ready.get().map(|ready| &ready.pool)
    }

    /// Tries until it has answered once, then opens its pool. `missed` hears of each try in vain.
    pub async fn learn(&self, means: &Means<'_>, missed: impl Fn()) {
        let mut pause = FIRST_PAUSE;
        loop {
            let generation = means.credentials.current().number;
            match self.log_in(means.credentials).await {
                Ok(connection) => {
                    let facts = Arc::clone(&connection.facts);
                    // Its slot is free again before the pool may count on it.
                    connection.close(FAREWELL).await;
                    self.open(facts, means);
                    return;
                }
                Err(error) => {
                    let refused = self.note_trouble(&error);
                    missed();
                    let longest = if refused { REFUSED_PAUSE } else { LONGEST_PAUSE };
                    if refused {
                        means.credentials.doubt();
                    }
                    tokio::select! {
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(longest),
                        () = means.credentials.changed_from(generation) => {}
                    }
                }
            }
        }
    }

    /// The first account that can log in speaks for all, where none is named.
    pub async fn log_in(&self, credentials: &Credentials) -> Result<Connection, BackendError> {
        let watcher = self.watcher.load_full();
        let generation = credentials.current();
        let mut last = BackendError::NoAccount;
        let is_meant = |name: &str| watcher.is_empty() || name == *watcher;
        for account in generation.accounts().filter(|it| is_meant(&it.username)) {
            let identity = identity(&generation, account, Meaning::default());
            let passwords = account.target.passwords();
            match self.dialer.dial(identity, &passwords, None).await {
                Ok(connection) => return Ok(connection),
                Err(error) if error.is_outage() => return Err(error),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn open(&self, facts: Arc<Facts>, means: &Means<'_>) {
        let limits = limits(&means.rules.load().pool, &facts, (means.aside)());
        tracing::info!(
            target = %self.dialer.address,
            version = %facts.version,
            server_max_connections = facts.max_connections,
            max_connections = means.rules.load().pool.max_connections.of(facts.max_connections),
            "the target is ready"
        );
        let pool = Pool::new(
            (self.at, Arc::clone(&self.dialer)),
            &limits,
            Arc::clone(means.credentials),
            Arc::clone(means.metrics),
            means.lifecycle.clone(),
        );
        means.lifecycle.spawn("keep", pool.clone().keep());
        let _ = self.ready.set(Ready { pool, facts });
        // They may have changed while nobody could see the pool.
        self.set_limits(&means.rules.load().pool, (means.aside)());
        self.set_trouble(None);
    }

    /// Before it has answered once there is nothing to set.
    pub fn set_limits(&self, settings: &config::Pool, aside: u32) {
        if let Some(Ready { pool, facts }) = self.ready.get() {
            pool.set_limits(&limits(settings, facts, aside));
        }
    }

    pub fn is(&self, target: &config::Target) -> bool {
        self.name == target.name && *self.address() == target.address
    }

    pub fn is_gone(&self) -> bool {
        self.gone.is_cancelled()
    }

    /// Whether it is worth being able to end its connections from outside; those that cannot be leave
    /// when nobody needs them.
    pub fn set_severable(&self, severable: bool) {
        if self.dialer.set_severable(severable)
            && let Some(pool) = self.pool()
        {
            pool.renew_all();
        }
    }

    /// Whose account looks at it from here on.
    pub fn set_watcher(&self, watcher: &str) {
        self.watcher.store(Arc::new(watcher.to_owned()));
        self.look_anew();
    }

    /// For the dials to come; connections that were dialed otherwise leave when nobody needs them.
    pub fn set_tls(&self, tls: Option<Arc<TargetTls>>) {
        self.dialer.set_tls(tls);
        if let Some(pool) = self.pool() {
            pool.renew_all();
        }
        self.look_anew();
    }

    /// The link is made again by whoever looks next.
    fn look_anew(&self) {
        self.stale.store(true, Ordering::Release);
        self.suspected.notify_one();
    }

    /// The link as it lies there, locked. Cancel-safe.
    pub async fn link(&self) -> MutexGuard<'_, Option<Connection>> {
        let mut link = self.link.lock().await;
        if self.stale.swap(false, Ordering::AcqRel) {
            *link = None;
        }
        link
    }

    /// Said once, not at every try. `true`: the server refuses the login.
    pub fn note_trouble(&self, error: &BackendError) -> bool {
        let refusal = match error {
            BackendError::Refused(refusal) if !error.is_outage() => Some(refusal.clone()),
            _ => None,
        };
        let text = format!("{}: {error}", self.dialer.address);
        if self.trouble().is_none_or(|known| known.text != text) {
            tracing::warn!(target = %self.dialer.address, %error, "the target is not ready");
        }
        let refused = refusal.is_some();
        self.set_trouble(Some(Trouble { text, refusal }));
        refused
    }

    pub fn set_trouble(&self, trouble: Option<Trouble>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn limits(settings: &config::Pool, facts: &Facts, aside: u32) -> Limits {
    let all = settings.max_connections.of(facts.max_connections);
    let max_connections = all.saturating_sub(aside).max(1);
    Limits {
        max_connections,
        max_idle: settings.max_idle.of(max_connections),
        min_idle: settings.min_idle,
        idle_timeout: settings.idle_timeout,
        max_lifetime: settings.max_lifetime,
        max_waiting: settings.max_waiting,
        shed_above: (settings.shed_above != Share::Percent(100))
            .then(|| settings.shed_above.of(facts.max_connections)),
    }
}
