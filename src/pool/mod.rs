//! The rack of seats: who may use a server connection, and which one.
//!
//! A seat is the right to use one connection of the target; deadpool counts the seats and queues
//! those who wait, fairly. A permit is the right of one connection to exist, dialing and closing
//! included; the permits are the bound that is never passed. Idle connections, each with its
//! permit, lie on the shelf, where a borrower finds the one that fits best.
//!
//! A connection comes back clean or not at all: a [`Borrowed`] that is dropped without
//! [`Borrowed::give_back`] closes its connection.

mod borrow;
mod borrowed;
mod error;
mod gate;
mod keep;
mod kill;
mod logins;
mod make;
mod rack;
mod reason;
mod shed;
mod shelf;
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
pub use reason::CloseReason;
pub use view::{IdleView, PoolView};

use crate::backend::{Connection, Credentials, Dialer};
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::net::Lever;
use gate::Gate;
use rack::Rack;
use shelf::Shelf;
use turns::Turns;

/// One target's connections, all users together. Cheap to clone.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

/// Settings with every share resolved against the target's own limit.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The bound, side connections included.
    pub max_connections: u32,
    pub max_idle: u32,
    pub min_idle: u32,
    pub idle_timeout: Duration,
    pub max_lifetime: Duration,
    pub max_waiting: usize,
}

struct Inner {
    /// The target's place among the targets.
    target: usize,
    dialer: Arc<Dialer>,
    /// `false`: its target is not the primary. What is idle is closed, and the rest when it comes
    /// back.
    stands: AtomicBool,
    limits: Limits,
    seats: deadpool::managed::Pool<Rack>,
    /// The right of a connection to exist.
    live: Arc<Semaphore>,
    /// Of those, kept for side connections (KILL), so that a full pool can still be unblocked.
    side: Arc<Semaphore>,
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
}

/// How long a closed connection's slot may take to become free on the server: a rollback may be
/// long, and nobody waits for this but the permit.
const CLOSE_PATIENCE: Duration = Duration::from_secs(600);

/// A server that closes first does so before it has freed the slot.
const LINGER: Duration = Duration::from_millis(250);

/// From this bound on, one connection of it is kept for KILL.
const SIDE_FROM: u32 = 4;

/// Distinct `SET` texts remembered as taken.
const MOST_PROVEN: usize = 4096;

impl Pool {
    pub fn new(
        (target, dialer): (usize, Arc<Dialer>),
        limits: Limits,
        credentials: Arc<Credentials>,
        metrics: Arc<Metrics>,
        lifecycle: Lifecycle,
    ) -> Self {
        let bound = limits.max_connections.max(1);
        let side = u32::from(bound >= SIDE_FROM);
        let usable = (bound - side) as usize;
        metrics.server.connections_max.add(i64::from(bound));
        Self(Arc::new(Inner {
            seats: rack::seats(usable),
            live: Arc::new(Semaphore::new(usable)),
            side: Arc::new(Semaphore::new(side as usize)),
            shelf: Mutex::default(),
            arrived: Notify::new(),
            news: Notify::new(),
            gate: Gate::new(usable),
            waiting: AtomicUsize::new(0),
            turns: Turns::default(),
            dialing: AtomicUsize::new(0),
            closing: AtomicUsize::new(0),
            levers: Mutex::default(),
            proven: Mutex::default(),
            target,
            stands: AtomicBool::new(true),
            dialer,
            limits,
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
        let stood = self.0.stands.swap(stands, Ordering::AcqRel);
        if stood && !stands {
            self.drop_idle(CloseReason::Demoted);
        }
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

    fn stands(&self) -> bool {
        self.0.stands.load(Ordering::Acquire)
    }

    /// Connections that sessions may use.
    pub fn usable(&self) -> usize {
        self.0.seats.status().max_size
    }

    /// Connections in use, or on their way to somebody.
    pub fn in_use(&self) -> usize {
        let seats = self.0.seats.status();
        seats.size.saturating_sub(seats.available)
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
