//! Shedding: idle connections close their prepared statements, when the server has room for no more.

use std::time::Duration;

use bytes::BytesMut;

use super::{CloseReason, Pool, lock};
use crate::backend::{BackendError, Connection};
use crate::metrics::ServerState;
use crate::wire::{Command, Expect, put_command};

/// For closes and one reply on a connection that was idle.
const PATIENCE: Duration = Duration::from_secs(2);

impl Pool {
    /// Returns when they are closed. In a task of its own, which owns the connection that is being
    /// told: who gives up waiting leaves none half-told.
    pub async fn shed_statements(&self) {
        let (tell, hear) = tokio::sync::oneshot::channel();
        let pool = self.clone();
        self.0.lifecycle.spawn("shed", async move {
            pool.shed().await;
            let _ = tell.send(());
        });
        let _ = hear.await;
    }

    /// One at a time, so that the others can be borrowed meanwhile. No more than there can be: they
    /// come back empty, but somebody may fill them again.
    async fn shed(&self) {
        for _ in 0..self.usable() {
            let mut found = false;
            let mut one = lock(&self.0.shelf).sweep(|idle, _| {
                let full = !found && idle.live.connection.statements.has_shared();
                found |= full;
                full.then_some(())
            });
            let Some((mut live, ())) = one.pop() else { return };
            self.0.metrics.server.connections.of(ServerState::Idle).dec();
            let told = tokio::time::timeout(PATIENCE, close_all(&mut live.connection)).await;
            if matches!(told, Ok(Ok(()))) {
                self.shelve(live);
            } else {
                self.retire(live, CloseReason::Dead);
            }
        }
    }
}

/// The pong says that the server has come to it.
async fn close_all(connection: &mut Connection) -> Result<(), BackendError> {
    connection.statements.drop_shared();
    let mut out = BytesMut::new();
    connection.statements.put_closes(&mut out);
    put_command(&mut out, Command::Ping, b"");
    connection.pipeline(&out, &[Expect::Single]).await.map(drop)
}
