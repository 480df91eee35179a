//! The life of the process: its phase, and its tasks.
//!
//! It owns the phase, the two signals that go with it, and the count of every task by name. It
//! never decides that a phase ends, and never knows what a task does.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// In the order of life; none is entered twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    Starting,
    Running,
    /// No new clients; the others leave at their next boundary.
    Draining,
    /// Every task is told to end now: after the drain, its time-out, or a second signal.
    Stopped,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        })
    }
}

/// A handle on the one life of the process; clones share it.
#[derive(Clone)]
pub struct Lifecycle(Arc<Inner>);

struct Inner {
    phase: AtomicU8,
    draining: CancellationToken,
    stopping: CancellationToken,
    /// Another process listens in the place of this one.
    relieved: CancellationToken,
    /// A tracker a name: it counts without making the task's future larger.
    tasks: Mutex<BTreeMap<&'static str, TaskTracker>>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl Lifecycle {
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            phase: AtomicU8::new(Phase::Starting as u8),
            draining: CancellationToken::new(),
            stopping: CancellationToken::new(),
            relieved: CancellationToken::new(),
            tasks: Mutex::new(BTreeMap::new()),
        }))
    }

    pub fn phase(&self) -> Phase {
        match self.0.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Running,
            2 => Phase::Draining,
            _ => Phase::Stopped,
        }
    }

    /// Enters a phase and fires its signal; a phase that is past is not entered again.
    pub fn set(&self, phase: Phase) {
        self.0.phase.fetch_max(phase as u8, Ordering::AcqRel);
        if phase >= Phase::Draining {
            self.0.draining.cancel();
        }
        if phase >= Phase::Stopped {
            self.0.stopping.cancel();
        }
    }

    /// Fires when [`Phase::Draining`] is entered, or passed over.
    pub fn draining(&self) -> CancellationToken {
        self.0.draining.child_token()
    }

    /// Another process listens in the place of this one from here on.
    pub fn relieve(&self) {
        self.0.relieved.cancel();
    }

    /// Fires when that is so.
    pub fn relieved(&self) -> CancellationToken {
        self.0.relieved.child_token()
    }

    /// Fires when [`Phase::Stopped`] is entered.
    pub fn stopping(&self) -> CancellationToken {
        self.0.stopping.child_token()
    }

    /// Starts a task and counts it under a name until it ends, however it ends. Must be called on
    /// the runtime.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker(name).spawn(task);
    }

    /// How many tasks of each name are running; a name once used stays, at 0.
    pub fn running(&self) -> Vec<(&'static str, usize)> {
        self.trackers().into_iter().map(|(name, tracker)| (name, tracker.len())).collect()
    }

    /// Waits until no task is left, those included that are spawned meanwhile. Nobody is told to
    /// end by this. Cancel-safe.
    pub async fn wait_all(&self) {
        loop {
            let trackers = self.trackers();
            if trackers.iter().all(|(_, tracker)| tracker.is_empty()) {
                return;
            }
            for (_, tracker) in trackers {
                tracker.close();
                tracker.wait().await;
            }
        }
    }

    fn tracker(&self, name: &'static str) -> TaskTracker {
        let mut tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.entry(name).or_default().clone()
    }

    fn trackers(&self) -> Vec<(&'static str, TaskTracker)> {
        let tasks = self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().map(|(name, tracker)| (*name, tracker.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_go_forward_and_fire_once() {
        let life = Lifecycle::new();
        let (draining, stopping) = (life.draining(), life.stopping());
        assert_eq!(life.phase(), Phase::Starting);
        life.set(Phase::Running);
        assert!(!draining.is_cancelled());
        life.set(Phase::Draining);
        assert!(draining.is_cancelled() && !stopping.is_cancelled());
        life.set(Phase::Running);
        assert_eq!(life.phase(), Phase::Draining);
        life.clone().set(Phase::Stopped);
        assert!(stopping.is_cancelled());
        assert_eq!(life.phase(), Phase::Stopped);
    }

    #[test]
    fn stopping_at_once_passes_over_the_drain() {
        let life = Lifecycle::new();
        life.set(Phase::Stopped);
        assert!(life.draining().is_cancelled() && life.stopping().is_cancelled());
    }

    /// Tokens are handed out freely; one that is cancelled by its holder ends nobody else.
    #[test]
    fn a_token_is_only_its_holders() {
        let life = Lifecycle::new();
        life.draining().cancel();
        assert!(!life.draining().is_cancelled());
    }
}
