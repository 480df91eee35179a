//! A connection in somebody's hands.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::rack::Seated;
use super::turns::Turn;
use super::view::Underway;
use super::{CLOSE_PATIENCE, CloseReason, LINGER, Live, Pool, lock};
use crate::backend::Connection;
use crate::metrics::ServerState;
use crate::session::SessionState;

/// Dropped without [`Borrowed::give_back`], it closes the connection; when a reply was
/// outstanding, the statement is killed on the server first, so that the slot there is free.
pub struct Borrowed {
    pool: Pool,
    /// Always there until the end.
    live: Option<Live>,
    seat: Option<Seated>,
    /// A request was sent whose reply is not complete.
    pub busy: bool,
    /// It stands on another schema than the session's, which the server would not enter.
    pub astray: bool,
    /// Kept over more than one statement: something of its session is on it.
    pub held: bool,
    account: Option<Arc<crate::secrets::Account>>,
    /// Where the user has a bound. Boxed: few have, and a session sleeps with room for it.
    turn: Option<Box<Turn>>,
}

/// Longer than any rollback that is worth waiting for.
const RESET_PATIENCE: Duration = Duration::from_secs(30);

impl Borrowed {
    pub(super) fn new(pool: Pool, live: Live, seat: Seated) -> Self {
        pool.0.metrics.server.connections.of(ServerState::Borrowed).inc();
        Self {
            pool,
            live: Some(live),
            seat: Some(seat),
            busy: false,
            astray: false,
            held: false,
            account: None,
            turn: None,
        }
    }

    /// Whose password a KILL would log in with.
    pub fn on_behalf_of(&mut self, account: &Arc<crate::secrets::Account>) {
        if self.account.is_none() {
            self.account = Some(Arc::clone(account));
        }
    }

    pub(super) fn in_turn(mut self, turn: Option<Turn>) -> Self {
        self.turn = turn.map(Box::new);
        self
    }

    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Back to the shelf, holding `state` and nothing else.
    pub fn give_back(mut self, state: &Arc<SessionState>) {
        if let Some(live) = &mut self.live
            && !Arc::ptr_eq(&live.connection.state, state)
        {
            live.connection.state = Arc::clone(state);
        }
        self.put_back();
    }

    /// Rolls back and clears whatever is on it, in a task of its own, then gives it back.
    pub fn clean(mut self) {
        let lifecycle = self.pool.0.lifecycle.clone();
        lifecycle.spawn("clean", async move {
            let Some(live) = &mut self.live else { return };
            self.busy = true;
            let reset = tokio::time::timeout(RESET_PATIENCE, live.connection.reset()).await;
            if matches!(reset, Ok(Ok(()))) {
                self.busy = false;
                self.put_back();
            } else {
                self.close(CloseReason::ResetFailed);
            }
        });
    }

    /// For a connection that is known to be gone, or must not be used again.
    pub fn close(mut self, reason: CloseReason) {
        self.let_go(reason);
    }

    fn put_back(&mut self) {
        let Some(live) = self.live.take() else { return };
        let inner = &self.pool.0;
        inner.metrics.server.connections.of(ServerState::Borrowed).dec();
        let now = Instant::now();
        if self.pool.is_too_old(&live.connection, now) {
            self.pool.retire(live, CloseReason::MaxLifetime);
        } else if inner.seats.is_closed() {
            self.pool.retire(live, CloseReason::Shutdown);
        } else if let Some(reason) = inner.standing.objection(live.era) {
            self.pool.retire(live, reason);
        } else {
            inner.metrics.server.connections.of(ServerState::Idle).inc();
            // On the shelf before the seat is free: who gets the seat finds it there.
            lock(&inner.shelf).put(live, now);
        }
        self.seat.take();
        inner.arrived.notify_one();
    }

    fn let_go(&mut self, reason: CloseReason) {
        let Some(live) = self.live.take() else { return };
        self.pool.0.metrics.server.connections.of(ServerState::Borrowed).dec();
        match self.account.take().filter(|_| self.busy) {
            Some(account) => self.pool.abandon(live, account, reason),
            None => self.pool.retire(live, reason),
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        self.let_go(CloseReason::Doubtful);
    }
}

impl Pool {
    /// Closes a connection in a task of its own; its permit is free when the server's slot is.
    pub(super) fn retire(&self, live: Live, reason: CloseReason) {
        self.retire_within(live, reason, CLOSE_PATIENCE);
    }

    /// For one whose permit others wait for.
    pub(super) fn retire_within(&self, live: Live, reason: CloseReason, patience: Duration) {
        self.0.metrics.server.closes.at(reason as usize).inc();
        let pool = self.clone();
        self.0.lifecycle.spawn("close", async move {
            let _closing = Underway::one(&pool.0.closing);
            live.connection.close(patience).await;
            if matches!(reason, CloseReason::Dead | CloseReason::Doubtful) {
                tokio::time::sleep(LINGER).await;
            }
            drop(live.permit);
            pool.0.arrived.notify_one();
        });
    }

    /// The same for one whose statement still runs.
    /// In a pool too small for a side connection the statement runs to its end; the permit is held
    /// for as long.
    fn abandon(&self, live: Live, account: Arc<crate::secrets::Account>, reason: CloseReason) {
        if !self.0.has_side.load(Ordering::Relaxed) {
            return self.retire(live, reason);
        }
        self.0.metrics.server.closes.at(reason as usize).inc();
        let pool = self.clone();
        self.0.lifecycle.spawn("abandon", async move {
            let _closing = Underway::one(&pool.0.closing);
            let (id, identity) = (live.connection.id, live.connection.identity.clone());
            if let Err(error) = pool.kill(&identity, &account, id, false).await {
                tracing::debug!(%error, connection = id, "could not kill an abandoned statement");
            }
            live.connection.close(CLOSE_PATIENCE).await;
            tokio::time::sleep(LINGER).await;
            drop(live.permit);
            pool.0.arrived.notify_one();
        });
    }

    pub(super) fn is_too_old(&self, connection: &Connection, now: Instant) -> bool {
        let age = now.saturating_duration_since(connection.opened);
        // The usual answer, without arithmetic.
        let longest = self.0.limits.max_lifetime.get();
        age > longest / 2 && age > lifetime_of(connection, longest)
    }
}

/// The longest, less up to a tenth, by the connection's own id: those that were dialed together do
/// not end together.
fn lifetime_of(connection: &Connection, longest: Duration) -> Duration {
    let jitter = f64::from(connection.id.wrapping_mul(2_654_435_761) >> 16) / 65_536.0 / 10.0;
    longest.mul_f64(1.0 - jitter)
}

impl Deref for Borrowed {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match &self.live {
            Some(live) => &live.connection,
            None => unreachable!("the connection leaves only with the Borrowed itself"),
        }
    }
}

impl DerefMut for Borrowed {
    fn deref_mut(&mut self) -> &mut Connection {
        match &mut self.live {
            Some(live) => &mut live.connection,
            None => unreachable!("the connection leaves only with the Borrowed itself"),
        }
    }
}
