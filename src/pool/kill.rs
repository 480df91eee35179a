//! KILL on a side connection, within the bound.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::{CLOSE_PATIENCE, CloseReason, Live, Pool, lock};
use crate::backend::{BackendError, Identity};
use crate::metrics::ServerState;
use crate::secrets::Account;
use crate::wire::Meaning;

/// A side connection that cannot be had by then would come too late.
const PATIENCE: Duration = Duration::from_secs(10);

impl Pool {
    /// The caller makes sure that `id` is still whose it means it to be until this returns.
    pub async fn kill(
        &self,
        identity: &Identity,
        account: &Arc<Account>,
        id: u32,
        query_only: bool,
    ) -> Result<(), BackendError> {
        let kill = async {
            let permit = self.side_permit().await?;
            let identity = Identity { meaning: Meaning::default(), ..identity.clone() };
            let passwords = account.target.passwords();
            let mut side = self.0.dialer.dial(identity, &passwords, None).await?;
            // A server's ids only grow: this one has begun anew since, and whoever has that id now is
            // somebody else.
            if side.id < id {
                side.close(CLOSE_PATIENCE).await;
                drop(permit);
                return Ok(());
            }
            let what = if query_only { "KILL QUERY" } else { "KILL" };
            let killed = side.query(&format!("{what} {id}")).await.map(drop);
            side.close(CLOSE_PATIENCE).await;
            drop(permit);
            self.0.arrived.notify_one();
            killed
        };
        match tokio::time::timeout(PATIENCE, kill).await {
            Ok(killed) => killed,
            Err(_) => Err(BackendError::Timeout(PATIENCE)),
        }
    }

    /// Small pools have no side connection of their own: an idle one makes room.
    async fn side_permit(&self) -> Result<OwnedSemaphorePermit, BackendError> {
        let lane = if self.0.has_side.load(Ordering::Relaxed) {
            &self.0.side
        } else {
            if let Some(live) = self.take_oldest() {
                self.retire(live, CloseReason::Evicted);
            }
            &self.0.live
        };
        Ok(Arc::clone(lane).acquire_owned().await.map_err(std::io::Error::other)?)
    }

    pub(super) fn take_oldest(&self) -> Option<Live> {
        let live = lock(&self.0.shelf).oldest()?;
        self.0.metrics.server.connections.of(ServerState::Idle).dec();
        Some(live)
    }
}
