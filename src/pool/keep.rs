//! Keeping: reaps the old, the idle and the dead, trims the surplus, keeps some warm.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::logins::Admission;
use super::make::Order;
use super::view::Underway;
use super::{CLOSE_PATIENCE, CloseReason, Live, Pool, lock};
use tokio::sync::OwnedSemaphorePermit;

use crate::backend::{BackendError, Connection, identity};
use crate::metrics::ServerState;
use crate::wire::Meaning;

/// Retired connections are closed by this part of the idle ones a second, or by so few.
const A_PART: usize = 4;
const FEW: usize = 4;

const EVERY: Duration = Duration::from_secs(1);

/// A surplus is trimmed after it was one for so long; a burst's connections serve the next burst.
const SURPLUS_AFTER: u32 = 10;

/// How often it is looked for connections that a dead Tidegate has left.
const ORPHANS_AFTER: u32 = 30;

/// The server closes what lies for too long: this much before, so that nobody gets it just then.
const BEFORE: Duration = Duration::from_secs(2);

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
            self.renew().await;
            if round.is_multiple_of(SURPLUS_AFTER) {
                self.trim();
                self.make_room().await;
            }
            if round.is_multiple_of(ORPHANS_AFTER) {
                self.look_for_orphans((round / ORPHANS_AFTER) as usize);
            }
            self.warm().await;
        }
    }

    /// No one borrows any more: idle connections are closed, borrowed ones when they come back.
    pub fn close(&self) {
        self.0.seats.close();
        self.0.turns.close();
        self.drop_idle(CloseReason::Shutdown);
    }

    /// Of a target that is one no longer, and that nobody uses.
    pub fn end(&self) {
        self.0.metrics.server.connections_max.sub(i64::from(self.0.limits.bound()));
        self.close();
    }

    pub fn is_closed(&self) -> bool {
        self.0.seats.is_closed()
    }

    pub(super) fn drop_idle(&self, reason: CloseReason) {
        let all = lock(&self.0.shelf).sweep(|_, _| Some(reason));
        self.retire_all(all);
    }

    fn reap(&self, now: Instant) {
        let mut shelf = lock(&self.0.shelf);
        let mut spare = shelf.len().saturating_sub(self.0.limits.min_idle());
        let idle_timeout = self.0.limits.idle_timeout.get();
        let gone = shelf.sweep(|idle, _| {
            if !idle.live.connection.stream.looks_idle() {
                Some(CloseReason::Dead)
            } else if let Some(reason) = self.0.standing.objection(idle.live.era) {
                // It came back at the moment when this began to be so.
                Some(reason)
            } else if spare > 0 && now.saturating_duration_since(idle.since) > idle_timeout {
                spare -= 1;
                Some(CloseReason::IdleTimeout)
            } else if is_overdue(&idle.live.connection, idle.since, now) {
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
        let mut surplus = shelf.unused().saturating_sub(self.0.limits.max_idle());
        // The oldest lie first.
        let gone = shelf.sweep(|_, _| {
            surplus = surplus.checked_sub(1)?;
            Some(CloseReason::Surplus)
        });
        drop(shelf);
        self.retire_all(gone);
    }

    pub(super) fn retire_all(&self, gone: Vec<(Live, CloseReason)>) {
        for (live, reason) in gone {
            self.0.metrics.server.connections.of(ServerState::Idle).dec();
            self.retire(live, reason);
        }
    }

    /// One connection a round: for `min_idle`, or to see whether a target that failed is back,
    /// which nobody else may be asking.
    async fn warm(&self) {
        if !self.0.standing.stands() {
            return;
        }
        let live = self.usable().saturating_sub(self.0.live.available_permits());
        let enough = live >= self.0.limits.min_idle() && self.trouble().is_none();
        if enough || self.0.gate.admit(Instant::now()).is_err() {
            return;
        }
        let generation = self.0.credentials.current();
        let Some(account) = generation.accounts().next() else { return };
        let identity = identity(&generation, account, Meaning::default());
        let order = Order { identity, account: Arc::clone(account), schema: None };
        let Ok(permit) = Arc::clone(&self.0.live).try_acquire_owned() else { return };
        self.dial_aside(order, permit).await;
    }

    /// After a rotation: tries the new password, so that it is known to serve before what was made
    /// with the old one goes; then closes that, some at a time, as all the others need not be missed
    /// at once.
    async fn renew(&self) {
        let generation = self.0.credentials.current();
        let unproven = {
            let mut shelf = lock(&self.0.shelf);
            shelf.logins.forget_others(&generation);
            shelf.logins.unproven(&generation, Instant::now())
        };
        if let Some(username) = unproven
            && let Some(account) = generation.accounts_as(&username).next()
        {
            let identity = identity(&generation, account, Meaning::default());
            self.prove_login(Order { identity, account: Arc::clone(account), schema: None }).await;
        }
        let gone = {
            let mut shelf = lock(&self.0.shelf);
            let mut some = (shelf.len() / A_PART).max(FEW);
            shelf.sweep(|idle, logins| {
                let current = logins.is_current(&idle.live.connection.identity);
                some = some.checked_sub(usize::from(!current))?;
                (!current).then_some(CloseReason::Rotated)
            })
        };
        self.retire_all(gone);
    }

    /// A connection that nobody waits for. Where every permit is taken and one is kept for KILL, that
    /// one serves; in a pool too small for that an idle connection makes room.
    async fn prove_login(&self, order: Order) {
        let live = Arc::clone(&self.0.live).try_acquire_owned();
        let is_side = live.is_err();
        let Ok(permit) = live.or_else(|_| Arc::clone(&self.0.side).try_acquire_owned()) else {
            return self.prove_in_place_of_another(order);
        };
        match self.dial_if_admitted(&order, permit).await {
            // Of a server that still lags behind one more would come of each try.
            Some(Ok(live)) if is_side || live.connection.accepted > 0 => {
                self.retire(live, CloseReason::Surplus);
            }
            Some(Ok(live)) => self.shelve(live),
            _ => self.0.arrived.notify_one(),
        }
    }

    /// In a task of its own: the server may take its time to hang up.
    fn prove_in_place_of_another(&self, order: Order) {
        let Some(live) = self.take_oldest() else { return };
        self.0.metrics.server.closes.at(CloseReason::Rotated as usize).inc();
        let pool = self.clone();
        self.0.lifecycle.spawn("dial", async move {
            live.connection.close(CLOSE_PATIENCE).await;
            pool.dial_aside(order, live.permit).await;
        });
    }

    async fn dial_aside(&self, order: Order, permit: OwnedSemaphorePermit) {
        match self.dial_if_admitted(&order, permit).await {
            Some(Ok(live)) => self.shelve(live),
            // Its permit is free for those who wait.
            _ => self.0.arrived.notify_one(),
        }
    }

    pub(super) async fn dial_if_admitted(
        &self,
        order: &Order,
        permit: OwnedSemaphorePermit,
    ) -> Option<Result<Live, BackendError>> {
        let admission = lock(&self.0.shelf).logins.admit(&order.identity, Instant::now());
        let Admission::Go { earlier_first } = admission else { return None };
        let _dialing = Underway::one(&self.0.dialing);
        Some(self.dial(order, permit, earlier_first).await)
    }
}

/// A tenth of the time is for clocks that differ.
fn is_overdue(connection: &Connection, since: Instant, now: Instant) -> bool {
    let Some(most) = connection.wait_timeout() else { return false };
    let most = most.saturating_sub(BEFORE.max(most / 10));
    now.saturating_duration_since(since) > most
}
