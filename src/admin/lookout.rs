//! Keeps a look-out: the last minutes second by second, what happened to the targets, and the status
//! of this moment for whoever asks.
//!
//! Once a second it reads counters and targets, never the clients; the document is made only while
//! somebody listens, once for all of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::clients::ClientList;
use super::digests::DigestList;
use super::events::Events;
use super::meter::{Meter, positive, statements};
use super::samples::Samples;
use super::status::{Clients, Connections, PinUse, Pool, Status, Target, Topology, Totals};
use crate::cluster::{Cluster, ClusterView, Lag, TargetView};
use crate::config::{Choice, InForce, Role};
use crate::lifecycle::{Lifecycle, Phase};
use crate::metrics::{Direction, LoginOutcome, Metrics, ServerState, Side};
use crate::registry::Registry;
use crate::session::{Digests, Pin};

/// What is looked at.
pub struct Sights {
    pub metrics: Arc<Metrics>,
    pub cluster: Arc<Cluster>,
    pub registry: Arc<Registry>,
    pub lifecycle: Lifecycle,
    /// `None`: statements are not told apart.
    pub digests: Option<Arc<Digests>>,
    pub settings: Arc<InForce>,
}

pub struct Lookout {
    sights: Sights,
    started: Instant,
    log: Mutex<Log>,
    /// The last status as JSON, while somebody listens.
    live: watch::Sender<Arc<str>>,
}

#[derive(Default)]
struct Log {
    samples: Samples,
    events: Events,
    seen: Option<ClusterView>,
}

/// What a status is to hold beside what it always does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// How many clients to list.
    pub clients: Option<usize>,
    /// And how many digests.
    pub digests: Option<usize>,
    pub history: bool,
}

const TICK: Duration = Duration::from_secs(1);

/// A failover takes less than a second.
const GLANCE: Duration = Duration::from_millis(100);

impl Lookout {
    pub fn new(sights: Sights) -> Arc<Self> {
        Arc::new(Self {
            sights,
            started: Instant::now(),
            log: Mutex::default(),
            live: watch::Sender::new("".into()),
        })
    }

    /// Runs until the process stops.
    pub async fn keep(self: Arc<Self>) {
        let stopping = self.sights.lifecycle.stopping();
        let _ = stopping.run_until_cancelled(self.watch()).await;
    }

    async fn watch(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut topology = self.sights.cluster.topology();
        let (mut before, mut then) = (Meter::read(&self.sights.metrics), Instant::now());
        ticks.tick().await;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Ok(()) = topology.changed() => {
                    self.look(unix_ms());
                    tokio::time::sleep(GLANCE).await;
                    continue;
                }
            }
            let (now, passed) = (Meter::read(&self.sights.metrics), then.elapsed());
            let time = unix_ms();
            let sample = now.since(&before, passed, time, &self.sights.metrics);
            (before, then) = (now, then + passed);
            self.log().samples.push(sample);
            self.look(time);
            if self.live.receiver_count() > 0 {
                self.live.send_replace(self.json(Wish::default()));
            }
        }
    }

    /// Notes what has become of the targets.
    fn look(&self, time: u64) {
        let now = self.sights.cluster.view();
        let mut log = self.log();
        let Log { events, seen, .. } = &mut *log;
        events.compare(seen.as_ref(), &now, time);
        *seen = Some(now);
    }

    /// A status each second from now on.
    pub fn listen(&self) -> watch::Receiver<Arc<str>> {
        self.live.subscribe()
    }

    pub fn listeners(&self) -> usize {
        self.live.receiver_count()
    }

    pub fn json(&self, wish: Wish) -> Arc<str> {
        serde_json::to_string(&self.status(wish)).unwrap_or_default().into()
    }

    pub fn status(&self, wish: Wish) -> Status {
        let Sights { metrics, cluster, lifecycle, .. } = &self.sights;
        let view = cluster.view();
        let phase = lifecycle.phase();
        let trouble = match phase {
            Phase::Running => cluster.trouble(),
            _ => None,
        };
        let log = self.log();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time: unix_ms(),
            uptime_seconds: self.started.elapsed().as_secs(),
            phase: phase.to_string(),
            ready: phase == Phase::Running && trouble.is_none(),
            trouble,
            clients: Clients {
                connected: positive(metrics.client.connections.get()),
                max: self.sights.settings.load().client.max_connections as u64,
            },
            connections: connections(metrics),
            pins: pins(metrics),
            topology: topology(&view, metrics),
            rates: log.samples.last(),
            totals: totals(metrics),
            events: log.events.all(),
            history: wish.history.then(|| log.samples.all()),
            digest_list: wish.digests.and_then(|most| self.digests(most)),
            client_list: wish.clients.map(|most| self.clients(most, &view)),
            targets: view.targets.into_iter().filter(|it| !it.is_gone).map(target).collect(),
        }
    }

    fn clients(&self, most: usize, view: &ClusterView) -> ClientList {
        let targets: Vec<String> = view.targets.iter().map(|it| it.name.clone()).collect();
        ClientList::of(
            self.sights.registry.clients(),
            most,
            &targets,
            &self.sights.registry.endpoints(),
        )
    }

    fn digests(&self, most: usize) -> Option<DigestList> {
        self.sights.digests.as_ref().map(|digests| DigestList::of(digests, most))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connections(metrics: &Metrics) -> Connections {
    let of = |state| positive(metrics.server.connections.of(state).get());
    Connections {
        max: positive(metrics.server.connections_max.get()),
        idle: of(ServerState::Idle),
        borrowed: of(ServerState::Borrowed),
        dialing: of(ServerState::Dialing),
        waiting: positive(metrics.borrow.waiting.get()),
    }
}

/// Those there ever were.
fn pins(metrics: &Metrics) -> Vec<PinUse> {
    let of = |(pin, reason): (&Pin, &&str)| PinUse {
        reason: (*reason).to_owned(),
        now: positive(metrics.session.pinned.at(pin.index()).get()),
        total: metrics.session.pins.at(pin.index()).get(),
    };
    let mut pins: Vec<PinUse> = Pin::ALL.iter().zip(&Pin::NAMES).map(of).collect();
    pins.retain(|pin| pin.total > 0);
    pins.sort_by_key(|pin| std::cmp::Reverse((pin.now, pin.total)));
    pins
}

fn topology(view: &ClusterView, metrics: &Metrics) -> Topology {
    let name = |at: &usize| view.targets.get(*at).map(|target| target.name.clone());
    Topology {
        primary: view.topology.primary.as_ref().and_then(name),
        epoch: view.topology.epoch,
        rivals: view.topology.rivals.iter().filter_map(name).collect(),
        failovers: metrics.server.failovers.get(),
    }
}

fn totals(metrics: &Metrics) -> Totals {
    use crate::metrics::BorrowFailure::{Down, QueueFull, Timeout};
    let failed = [Timeout, QueueFull, Down].map(|why| metrics.borrow.failures.of(why).get());
    Totals {
        clients: metrics.client.connections_total.get(),
        logins_denied: metrics.client.logins.of(LoginOutcome::Denied).get(),
        statements: statements(metrics),
        bytes_in: metrics.client.bytes.of(Direction::In).get(),
        bytes_out: metrics.client.bytes.of(Direction::Out).get(),
        borrow_failures: failed.iter().sum(),
        server_errors: metrics.errors.of(Side::Server).get(),
        proxy_errors: metrics.errors.of(Side::Proxy).get(),
    }
}

fn target(view: TargetView) -> Target {
    let pool = |pool: crate::pool::PoolView| Pool {
        max: pool.bound as u64,
        idle: pool.idle as u64,
        borrowed: pool.borrowed as u64,
        dialing: pool.dialing as u64,
        closing: pool.closing as u64,
        waiting: pool.waiting as u64,
    };
    let lag_seconds = match view.lag {
        Lag::Seconds(seconds) => Some(seconds),
        Lag::Stopped | Lag::Unknown => None,
    };
    Target {
        address: view.address.to_string(),
        role: role(view.role).to_owned(),
        standing: view.standing.to_string(),
        up: view.is_up,
        read_only: view.read_only,
        lag_seconds,
        // A primary replicates from nobody either.
        replication_stopped: view.lag == Lag::Stopped && view.read_only == Some(true),
        version: view.version.map(|said| said.trim_start_matches("5.5.5-").to_owned()),
        server_max_connections: view.max_connections.map(u64::from),
        trouble: view.trouble,
        pool: view.pool.map(pool),
        name: view.name,
    }
}

fn role(role: Role) -> &'static str {
    Role::ALL.iter().find(|(_, value)| *value == role).map_or("", |(name, _)| name)
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
