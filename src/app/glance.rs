//! What the metrics find when they look at the rooms.

use std::sync::Arc;

use crate::cluster::{Lag, TargetView};
use crate::frontend::Shared;
use crate::lifecycle::Phase;
use crate::metrics::{Glance, PoolGlance};

/// The metrics belong to the rooms that they look at: they must not keep them.
pub(super) fn show_rooms(shared: &Arc<Shared>) -> Result<(), prometheus::Error> {
    let rooms = Arc::downgrade(shared);
    let glance = move || rooms.upgrade().as_deref().map(look).unwrap_or_default();
    shared.metrics.observe_rooms(glance)
}

fn look(shared: &Shared) -> Glance {
    let census = shared.registry.census();
    let targets = shared.cluster.view().targets.into_iter().filter(|target| !target.is_gone);
    let running = shared.lifecycle.phase() == Phase::Running;
    Glance {
        ready: running && shared.cluster.trouble().is_none(),
        // In the order of the label.
        sessions: [
            census.logging_in,
            census.idle,
            census.in_transaction,
            census.waiting,
            census.active,
        ],
        tls_clients: census.tls,
        max_clients: shared.limits.max_connections(),
        pools: targets.filter_map(pool).collect(),
    }
}

/// `None`: it has not answered once.
fn pool(target: TargetView) -> Option<PoolGlance> {
    let pool = target.pool?;
    let lag_seconds = match target.lag {
        Lag::Seconds(seconds) => Some(seconds),
        Lag::Stopped | Lag::Unknown => None,
    };
    Some(PoolGlance {
        target: target.name,
        max: pool.bound,
        idle: pool.idle,
        borrowed: pool.borrowed,
        dialing: pool.dialing,
        closing: pool.closing,
        waiting: pool.waiting,
        #[expect(clippy::cast_precision_loss, reason = "years of seconds are exact")]
        lag_seconds: lag_seconds.map(|seconds| seconds as f64),
    })
}
