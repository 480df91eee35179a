//! The end: a first signal drains, a second stops. An operator's SHUTDOWN is one too.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use super::takeover::DEPARTURES;
use crate::config::InForce;
use crate::frontend::Shared;
use crate::lifecycle::Phase;
use crate::registry::Doom;

/// How often the drain looks whether everybody has left.
const LOOK: Duration = Duration::from_millis(20);

/// After a takeover nobody is sent away before.
const FIRST_BELL: Duration = Duration::from_secs(2);

/// For COM_QUITs to the servers at the very end.
const FAREWELL: Duration = Duration::from_secs(2);

pub(super) async fn until_stopped(settings: &InForce, shared: &Arc<Shared>, asked: Arc<Notify>) {
    let mut signals = Signals::new(asked);
    signals.stop().await;
    let limit = settings.load().admin.drain_timeout;
    drain(limit, shared, &mut signals).await;
    // Who sees clients off is done when nobody can send one any more.
    shared.departures.store(None);
    shared.lifecycle.set(Phase::Stopped);
    for pool in shared.cluster.pools() {
        pool.close();
    }
    if tokio::time::timeout(FAREWELL, shared.lifecycle.wait_all()).await.is_err() {
        let mut left = shared.lifecycle.running();
        left.retain(|(_, count)| *count > 0);
        tracing::warn!(?left, "stopping with work under way");
    }
    tracing::info!("stopped");
}

/// No new clients; idle ones leave at once, transactions finish.
async fn drain(limit: Duration, shared: &Arc<Shared>, signals: &mut Signals) {
    let until = Instant::now() + limit;
    tracing::info!(clients = shared.registry.len(), ?limit, "draining");
    shared.lifecycle.set(Phase::Draining);
    let bell = until_bell(shared);
    shared.registry.ring_all();
    if bell.is_zero() {
        shared.registry.doom_all(Doom::Draining);
    }
    let bell = Instant::now() + bell;
    let left = async {
        // A switchover that is cut short may leave nobody to take writes.
        let moving = || runs(shared, "switchover");
        while (!shared.registry.is_empty() || moving()) && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
            // Some were on their way in when the first bell rang.
            if Instant::now() < bell {
                shared.registry.ring_all();
            } else {
                shared.registry.doom_all(Doom::Draining);
            }
        }
        // Who went over is still on the way.
        shared.departures.store(None);
        while runs(shared, DEPARTURES) && Instant::now() < until {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        () = left => {}
        () = signals.stop() => tracing::info!("a second signal: stopping now"),
    }
    let clients = shared.registry.len();
    if clients > 0 {
        tracing::warn!(clients, "clients are cut off");
        shared.registry.doom_all(Doom::Stopping);
    }
}

fn runs(shared: &Shared, task: &str) -> bool {
    shared.lifecycle.running().iter().any(|(name, count)| *name == task && *count > 0)
}

/// Where another process has taken over, whoever comes for a statement or two has them and leaves.
fn until_bell(shared: &Shared) -> Duration {
    if shared.lifecycle.relieved().is_cancelled() { FIRST_BELL } else { Duration::ZERO }
}

struct Signals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
    asked: Arc<Notify>,
}

impl Signals {
    fn new(asked: Arc<Notify>) -> Self {
        Self {
            terminate: listen(SignalKind::terminate()),
            interrupt: listen(SignalKind::interrupt()),
            asked,
        }
    }

    async fn stop(&mut self) {
        let Self { terminate, interrupt, asked, .. } = self;
        tokio::select! {
            () = heard(terminate) => {}
            () = heard(interrupt) => {}
            () = asked.notified() => {}
        }
    }
}

pub(super) fn listen(kind: SignalKind) -> Option<Signal> {
    signal(kind).inspect_err(|error| tracing::warn!(%error, "cannot hear a signal")).ok()
}

pub(super) async fn heard(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => pending().await,
    }
}
