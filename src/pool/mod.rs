//! The rack of seats: who may use a server connection, and which one.
//!
//! A seat is the right to use one connection of the target; deadpool counts the seats and queues
//! those who wait, fairly. A permit is the right of one connection to exist, dialing and closing
//! included; the permits are the bound that is never passed. Idle connections, each with its
//! permit, lie on the shelf, where a borrower finds the one that fits best.
//!
//! The bound may change while all this goes on (`resize.rs`); the rack only ever grows, and what is
//! too many of it is parked.
//!
//! A connection comes back clean or not at all: a [`Borrowed`] that is dropped without
//! [`Borrowed::give_back`] closes its connection.

mod borrow;
mod borrowed;
mod crowd;
mod error;
mod gate;
mod keep;
mod kill;
mod limits;
mod logins;
mod make;
mod orphans;
mod rack;
mod reason;
mod resize;
mod shed;
mod shelf;
mod standing;
mod turns;
mod view;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};

pub use borrow::Want;
pub use borrowed::Borrowed;
pub use error::BorrowError;
pub use limits::Limits;
pub use reason::CloseReason;
pub use view::{IdleView, PoolView};

use crate::backend::{Connection, Credentials, Dialer};
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::net::Lever;
use gate::Gate;
use limits::LiveLimits;
use rack::{Rack, Seated};
use shelf::Shelf;
use standing::Standing;
use turns::Turns;

/// One target's connections, all users together. Cheap to clone.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    /// The target's place among the targets.
    target: usize,
    dialer: Arc<Dialer>,
    standing: Standing,
    limits: LiveLimits,
    seats: deadpool::managed::Pool<Rack>,
    /// Seats that nobody is to have since the bound was lowered.
    parked: Mutex<Vec<Seated>>,
    /// In the hands of who moves the bound.
    resizing: tokio::sync::Mutex<()>,
    /// The bound is to be another.
    told: Notify,
    /// The right of a connection to exist.
    live: Arc<Semaphore>,
    /// How many of these rights there are.
    usable: AtomicUsize,
    /// Of those, kept for side connections (KILL), so that a full pool can still be unblocked.
    side: Arc<Semaphore>,
    /// There is one of them.
    has_side: AtomicBool,
    shelf: Mutex<Shelf>,
    /// A connection came to the shelf, or a permit became free.
    arrived: Notify,
    /// The target has said something to a login.
    news: Notify,
    gate: Gate,
    waiting: AtomicUsize,
    /// Of users that have a bound of their own.
    turns: Turns,
    /// Connections that are being made ready, and that are being closed.
    dialing: AtomicUsize,
    closing: AtomicUsize,
    /// Of the connections there are, where the target may be found dead before they are.
    levers: Mutex<Vec<Weak<Lever>>>,
    /// Fingerprints of `SET` texts this target has taken before.
    proven: Mutex<HashSet<u64>>,
    /// Whose first account `min_idle` connections are dialed for.
    credentials: Arc<Credentials>,
    metrics: Arc<Metrics>,
    lifecycle: Lifecycle,
}

/// A connection and its right to exist.
struct Live {
    /// Boxed: it changes hands twice a query.
    connection: Box<Connection>,
    permit: tokio::sync::OwnedSemaphorePermit,
    /// When it was dialed, see [`Pool::renew_all`].
    era: u32,
}

/// How long a closed connection's slot may take to become free on the server: a rollback may be
/// long, and nobody waits for this but the permit.
const CLOSE_PATIENCE: Duration = Duration::from_secs(600);

/// A server that closes first does so before it has freed the slot.
const LINGER: Duration = Duration::from_millis(250);

/// Distinct `SET` texts remembered as taken.
const MOST_PROVEN: usize = 4096;

impl Pool {
    pub fn new(
        (target, dialer): (usize, Arc<Dialer>),
        limits: &Limits,
        credentials: Arc<Credentials>,
        metrics: Arc<Metrics>,
        lifecycle: Lifecycle,
    ) -> Self {
        let (usable, side) = limits.shares();
        metrics.server.connections_max.add(i64::from(limits.bound()));
        Self(Arc::new(Inner {
            seats: rack::seats(usable),
            live: Arc::new(Semaphore::new(usable)),
            usable: AtomicUsize::new(usable),
            parked: Mutex::default(),
            resizing: tokio::sync::Mutex::default(),
            told: Notify::new(),
            side: Arc::new(Semaphore::new(side)),
            has_side: AtomicBool::new(side > 0),
            shelf: Mutex::default(),
            arrived: Notify::new(),
            news: Notify::new(),
            gate: Gate::new(),
            waiting: AtomicUsize::new(0),
            turns: Turns::default(),
            dialing: AtomicUsize::new(0),
            closing: AtomicUsize::new(0),
            levers: Mutex::default(),
            proven: Mutex::default(),
            target,
            standing: Standing::new(),
            dialer,
            limits: LiveLimits::new(limits),
            credentials,
            metrics,
            lifecycle,
        }))
    }

    /// The target's place among the targets.
    pub fn target(&self) -> usize {
        self.0.target
    }

    /// Is its target the one that is to be used? If not, its connections are closed as soon as
    /// nobody needs them.
    pub fn stand(&self, stands: bool) {
        if self.0.standing.set(stands) {
            self.drop_idle(CloseReason::Demoted);
        }
    }

    /// Connections are made otherwise from here on: those there are leave as soon as nobody needs
    /// them.
    pub fn renew_all(&self) {
        self.0.standing.begin_era();
        self.drop_idle(CloseReason::Outdated);
    }

    /// Ends every connection: the target is dead, and whoever waits for it waits in vain.
    pub fn sever(&self) {
        let levers = std::mem::take(&mut *lock(&self.0.levers));
        for lever in levers.iter().filter_map(Weak::upgrade) {
            lever.pull();
        }
        self.drop_idle(CloseReason::Dead);
    }

    fn keep_lever(&self, connection: &Connection) {
        let Some(lever) = &connection.lever else { return };
        let mut levers = lock(&self.0.levers);
        if levers.len() >= 2 * self.usable() + 8 {
            levers.retain(|lever| lever.strong_count() > 0);
        }
        levers.push(Arc::downgrade(lever));
    }

    /// Connections that sessions may use.
    pub fn usable(&self) -> usize {
        self.0.usable.load(Ordering::Relaxed)
    }

    /// Connections in use, or on their way to somebody.
    pub fn in_use(&self) -> usize {
        let parked = lock(&self.0.parked).len();
        let seats = self.0.seats.status();
        seats.size.saturating_sub(seats.available).saturating_sub(parked)
    }

    /// Connections in use, and statements that wait for one.
    pub fn load(&self) -> usize {
        let alive = self.usable().saturating_sub(self.0.live.available_permits());
        alive.saturating_sub(lock(&self.0.shelf).len()) + self.waiting()
    }

    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// The last error a dial ended in, while dialing is held back because of it.
    pub fn trouble(&self) -> Option<String> {
        self.0.gate.trouble()
    }

    /// Has this target taken exactly this `SET` before?
    pub fn is_proven(&self, set: u64) -> bool {
        lock(&self.0.proven).contains(&set)
    }

    pub fn prove(&self, set: u64) {
        let mut proven = lock(&self.0.proven);
        if proven.len() >= MOST_PROVEN {
            proven.clear();
        }
        proven.insert(set);
    }

    pub fn disprove(&self, set: u64) {
        lock(&self.0.proven).remove(&set);
    }
}

/// Nothing that is done under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
