//! Keeping: reaps the old, the idle and the dead, trims the surplus, keeps some warm.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::borrow::Order;
use super::view::Underway;
use super::{CloseReason, Live, Pool, lock};
use crate::backend::Identity;
use crate::metrics::ServerState;
use crate::wire::Meaning;

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
        self.drop_idle(CloseReason::Shutdown);
    }

    pub(super) fn drop_idle(&self, reason: CloseReason) {
        let all = lock(&self.0.shelf).sweep(|_| Some(reason));
        self.retire_all(all);
    }

    fn reap(&self, now: Instant) {
        let mut shelf = lock(&self.0.shelf);
        let mut spare = shelf.len().saturating_sub(self.0.limits.min_idle as usize);
        let gone = shelf.sweep(|idle| {
            if !idle.live.connection.stream.looks_idle() {
                Some(CloseReason::Dead)
            } else if spare > 0
                && now.saturating_duration_since(idle.since) > self.0.limits.idle_timeout
            {
                spare -= 1;
                Some(CloseReason::IdleTimeout)
            } else if self.is_too_old(&idle.live.connection, now) {
                Some(CloseReason::MaxLifetime)
            } else {
                None
            }
        });
        drop(shelf);
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

    /// One connection a round: for `min_idle`, or to see whether a target that failed is back,
    /// which nobody else may be asking.
    async fn warm(&self) {
        if !self.stands() {
            return;
        }
        let live = self.usable().saturating_sub(self.0.live.available_permits());
        let enough = live >= self.0.limits.min_idle as usize && self.trouble().is_none();
        if enough || self.0.gate.admit(Instant::now()).is_err() {
            return;
        }
        let generation = self.0.vault.current();
        let Some(account) = generation.accounts().next() else { return };
        let Ok(permit) = Arc::clone(&self.0.live).try_acquire_owned() else { return };
        let identity = Identity {
            username: Arc::clone(&account.target.username),
            generation: generation.number,
            meaning: Meaning::default(),
        };
        let order = Order { identity, account: Arc::clone(account), schema: None };
        let _dialing = Underway::one(&self.0.dialing);
        match self.dial(&order, permit).await {
            Ok(live) => self.shelve(live),
            // Its permit is free for those who wait.
            Err(_) => self.0.arrived.notify_one(),
        }
    }
}
