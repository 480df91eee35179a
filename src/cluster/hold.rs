//! Keeping connections from being borrowed: while an operator has paused, and during a switchover.
//!
//! Owns who holds what. Whoever has a connection keeps it to the end of its transaction; whoever
//! wants one waits, within its own patience.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Cluster, NOBODY, elect::Hold};
use crate::pool::{Borrowed, Pool};

/// Both may be at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Holds {
    paused: bool,
    switching: bool,
}

impl Holds {
    fn all(self) -> Hold {
        match self {
            Self { paused: true, .. } => Hold::Everything,
            Self { switching: true, .. } => Hold::Primary,
            Self { .. } => Hold::Nothing,
        }
    }
}

/// The primary's connections are nobody's to borrow until this is dropped.
pub(super) struct Holding(Arc<Cluster>);

impl Drop for Holding {
    fn drop(&mut self) {
        self.0.hold(|holds| holds.switching = false);
    }
}

/// Between two looks at whether all connections are back.
const LOOK: Duration = Duration::from_millis(5);

impl Cluster {
    /// Nobody gets a connection from here on, and transactions under way finish. `false`: it was
    /// paused already.
    pub fn pause(&self) -> bool {
        self.hold(|holds| !std::mem::replace(&mut holds.paused, true))
    }

    /// `false`: it was not paused.
    pub fn resume(&self) -> bool {
        self.hold(|holds| std::mem::replace(&mut holds.paused, false))
    }

    pub fn is_paused(&self) -> bool {
        self.topology.borrow().hold == Hold::Everything
    }

    /// Connections in use, of all targets.
    pub fn in_use(&self) -> usize {
        self.pools().map(Pool::in_use).sum()
    }

    /// By one at a time.
    pub(super) fn hold_primary(self: &Arc<Self>) -> Holding {
        self.hold(|holds| holds.switching = true);
        Holding(Arc::clone(self))
    }

    /// The same of all that is held by a pause.
    pub async fn until_all_quiet(&self, until: Instant) -> bool {
        quiet(|| self.in_use(), until).await
    }

    /// Returns when nobody uses a connection of this pool, which is held; `false`: not in time.
    /// Cancel-safe.
    pub(super) async fn until_quiet(&self, pool: &Pool, until: Instant) -> bool {
        quiet(|| pool.in_use(), until).await
    }

    /// Gives back what came while a hold began, or while its target ceased to be the primary.
    pub(super) fn unless_held(&self, borrowed: Borrowed) -> Option<Borrowed> {
        let serves = self.writer_at() == Some(borrowed.pool().target());
        serves_or_back(borrowed, serves)
    }

    /// The same of one that is to be read from.
    pub(super) fn unless_left(&self, borrowed: Borrowed) -> Option<Borrowed> {
        let serves = self.reads(&self.topology.borrow(), borrowed.pool().target());
        serves_or_back(borrowed, serves)
    }

    fn hold<T>(&self, change: impl FnOnce(&mut Holds) -> T) -> T {
        // Nobody elects meanwhile, with the hold as it was.
        let _seen = self.seen();
        let mut holds = self.holds.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let answer = change(&mut holds);
        let hold = holds.all();
        self.topology.send_modify(|topology| topology.hold = hold);
        let writer = self.topology.borrow().writer().unwrap_or(NOBODY);
        self.writer.store(writer, std::sync::atomic::Ordering::SeqCst);
        answer
    }
}

async fn quiet(in_use: impl Fn() -> usize, until: Instant) -> bool {
    let mut quiet = 0;
    // Twice: who looked at the hold before it was there may have a seat a moment later.
    while quiet < 2 {
        quiet = if in_use() == 0 { quiet + 1 } else { 0 };
        if Instant::now() >= until {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
    true
}

fn serves_or_back(borrowed: Borrowed, serves: bool) -> Option<Borrowed> {
    if serves {
        return Some(borrowed);
    }
    let state = Arc::clone(&borrowed.state);
    borrowed.give_back(&state);
    None
}
