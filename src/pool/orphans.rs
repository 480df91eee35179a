//! Looking for connections that a dead Tidegate has left, on a clock: one login of the pool each time.
//!
//! Each login's first connection has looked before it served anybody (`backend/dial.rs`); this is for
//! those that die later. What is ended, and why it may be, is `backend/orphans.rs`'s to say.

use std::sync::Arc;
use std::time::Duration;

use super::make::Order;
use super::{CloseReason, Pool, lock};
use crate::backend::identity;
use crate::wire::Meaning;

/// For a question and some KILLs on a connection that was just made.
const PATIENCE: Duration = Duration::from_secs(10);

/// For its slot to be free again. Nothing runs on it, and whoever wants to KILL waits for it.
const FAREWELL: Duration = Duration::from_secs(2);

impl Pool {
    /// The login whose turn it is. In a task of its own, on the connection that is kept for KILL; where
    /// there is none or it is in use, the next turn will do.
    pub(super) fn look_for_orphans(&self, turn: usize) {
        if !self.0.dialer.reaps_orphans() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.0.side).try_acquire_owned() else { return };
        let generation = self.0.credentials.current();
        let username = lock(&self.0.shelf).logins.taken(turn);
        let account = username.and_then(|it| generation.accounts_as(&it).next().cloned());
        let Some(account) = account else { return };
        let identity = identity(&generation, &account, Meaning::default());
        let order = Order { identity, account, schema: None };
        let pool = self.clone();
        self.0.lifecycle.spawn("orphans", async move {
            let Some(Ok(mut live)) = pool.dial_if_admitted(&order, permit).await else { return };
            let looked = pool.0.dialer.end_orphans(&mut live.connection);
            match tokio::time::timeout(PATIENCE, looked).await {
                Ok(Ok(())) => pool.retire_within(live, CloseReason::Surplus, FAREWELL),
                _ => pool.retire_within(live, CloseReason::Doubtful, Duration::ZERO),
            }
        });
    }
}
