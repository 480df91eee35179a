//! Keeping: reaps the old, the idle and the dead, trims the surplus, keeps some warm.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{CloseReason, Live, Pool, Want, lock};
use crate::metrics::ServerState;
use crate::session::{Charset, SessionState};

const EVERY: Duration = Duration::from_secs(1);

/// A surplus is trimmed after it was one for so long; a burst's connections serve the next burst.
const SURPLUS_AFTER: u32 = 10;

impl Pool {
    /// Runs until the pool closes.
    pub async fn keep(self) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut round: u32 = 0;
        while !self.0.seats.is_closed() {
            ticks.tick().await;
            round = round.wrapping_add(1);
            self.reap(Instant::now());
            if round.is_multiple_of(SURPLUS_AFTER) {
                self.trim();
            }
            self.warm().await;
        }
    }

    /// No one borrows any more: idle connections are closed, borrowed ones when they come back.
    pub fn close(&self) {
        self.0.seats.close();
        let all = lock(&self.0.shelf).sweep(|_| Some(CloseReason::Shutdown));
        self.retire_all(all);
    }

    fn reap(&self, now: Instant) {
        let gone = lock(&self.0.shelf).sweep(|idle| {
            let age = now.saturating_duration_since(idle.live.connection.opened);
            if !idle.live.connection.stream.looks_idle() {
                Some(CloseReason::Dead)
            } else if now.saturating_duration_since(idle.since) > self.0.limits.idle_timeout {
                Some(CloseReason::IdleTimeout)
            } else if age > self.lifetime_of(&idle.live.connection) {
                Some(CloseReason::MaxLifetime)
            } else {
                None
            }
        });
        self.retire_all(gone);
    }

    fn trim(&self) {
        let mut shelf = lock(&self.0.shelf);
        let mut surplus = shelf.unused().saturating_sub(self.0.limits.max_idle as usize);
        // The oldest lie first.
        let gone = shelf.sweep(|_| {
            surplus = surplus.checked_sub(1)?;
            Some(CloseReason::Surplus)
        });
        drop(shelf);
        self.retire_all(gone);
    }

    fn retire_all(&self, gone: Vec<(Live, CloseReason)>) {
        for (live, reason) in gone {
            self.0.metrics.server.connections.of(ServerState::Idle).dec();
            self.retire(live, reason);
        }
    }

    /// One connection a round, and none while the target refuses them.
    async fn warm(&self) {
        let Some((account, identity)) = &self.0.warm_for else { return };
        let live = self.usable().saturating_sub(self.0.live.available_permits());
        if live >= self.0.limits.min_idle as usize || self.0.gate.admit(Instant::now()).is_err() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.0.live).try_acquire_owned() else { return };
        let state = Arc::new(SessionState::new(None, &Charset::canonical(), false));
        let want =
            Want { identity: identity.clone(), account, state: &state, patience: Duration::ZERO };
        if let Ok(live) = self.dial(&want, permit).await {
            self.0.metrics.server.connections.of(ServerState::Idle).inc();
            lock(&self.0.shelf).put(live, Instant::now());
            self.0.arrived.notify_one();
        }
    }
}
