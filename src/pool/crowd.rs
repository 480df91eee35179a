//! Making room on a server that others are filling too: above `pool.shed_above` of its connections, idle
//! ones of ours go first, before anybody is refused.
//!
//! It asks on a connection that lies idle: where none does there is nothing to give.

use std::time::Duration;

use super::shelf::Idle;
use super::{CloseReason, Pool, lock};
use crate::backend::{BackendError, Connection};
use crate::metrics::ServerState;

/// For one small answer.
const PATIENCE: Duration = Duration::from_secs(2);

const QUESTION: &str = "SHOW GLOBAL STATUS LIKE 'Threads_connected'";

impl Pool {
    /// Those that lay longest go first, and no more than are too many.
    pub(super) async fn make_room(&self) {
        let Some(most) = self.0.limits.shed_above() else { return };
        let Some(mut idle) = lock(&self.0.shelf).take_oldest() else { return };
        self.0.metrics.server.connections.of(ServerState::Idle).dec();
        let asked = tokio::time::timeout(PATIENCE, connected(&mut idle.live.connection)).await;
        let Ok(Ok(connected)) = asked else { return self.retire(idle.live, CloseReason::Dead) };
        self.put_under(idle);
        let mut spare = lock(&self.0.shelf).len().saturating_sub(self.0.limits.min_idle());
        let mut excess = connected.saturating_sub(most);
        let gone = lock(&self.0.shelf).sweep(|_, _| {
            excess = excess.checked_sub(1)?;
            spare = spare.checked_sub(1)?;
            Some(CloseReason::Crowded)
        });
        if !gone.is_empty() {
            tracing::debug!(connected, most, closed = gone.len(), "room is made on the server");
        }
        self.retire_all(gone);
    }

    /// Where it lay, and as old as it was.
    fn put_under(&self, idle: Idle) {
        if let Some(reason) = self.0.standing.objection(idle.live.era) {
            return self.retire(idle.live, reason);
        }
        self.0.metrics.server.connections.of(ServerState::Idle).inc();
        lock(&self.0.shelf).put_under(idle);
        self.0.arrived.notify_one();
    }
}

async fn connected(connection: &mut Connection) -> Result<u32, BackendError> {
    let rows = connection.query(QUESTION).await?;
    let value = rows.into_iter().next().and_then(|row| row.into_iter().nth(1).flatten());
    Ok(value.and_then(|value| value.parse().ok()).unwrap_or(0))
}
