//! Borrowing: a seat first, then the connection that fits best.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::rack::{Seated, sit_down};
use super::shelf::Fit;
use super::{BorrowError, Borrowed, CLOSE_PATIENCE, CloseReason, Live, Pool, lock};
use crate::backend::{BackendError, Connection, Identity};
use crate::metrics::{BorrowWay, Counted, DialOutcome, ServerState};
use crate::secrets::{Account, Password};
use crate::session::SessionState;

/// What a borrower needs.
pub struct Want<'a> {
    pub identity: &'a Identity,
    pub account: &'a Arc<Account>,
    pub state: &'a Arc<SessionState>,
    /// How long it may take.
    pub patience: Duration,
}

/// What a new connection is to be.
pub(super) struct Order {
    pub identity: Identity,
    pub account: Arc<Account>,
    pub schema: Option<String>,
}

/// What it is made from.
enum Source {
    Permit(OwnedSemaphorePermit),
    /// Somebody else's idle connection.
    Other(Live, Fit),
}

impl Order {
    /// The current password, then the one before it.
    fn passwords(&self) -> Vec<&Password> {
        let target = &self.account.target;
        std::iter::once(&target.password).chain(&target.previous).collect()
    }
}

impl Pool {
    /// The waiting and dialing are boxed: they are rare, and a sleeping session pays for the size
    /// of everything it might do.
    ///
    /// Cancel-safe: a seat, a permit or a half-made connection is let go with the future.
    pub async fn borrow(&self, want: &Want<'_>) -> Result<Borrowed, BorrowError> {
        let borrowed = match sit_down(&self.0.seats) {
            Ok(Some(seat)) => match self.at_once(want, seat) {
                Ok(borrowed) => return Ok(borrowed),
                Err(seat) => Box::pin(self.within_patience(want, Some(seat))).await,
            },
            Ok(None) => Box::pin(self.within_patience(want, None)).await,
            Err(_) => Err(BorrowError::Closed),
        };
        borrowed.inspect_err(|error| self.0.metrics.borrow.failures.of(error.label()).inc())
    }

    /// Only what lies ready and fits.
    pub fn borrow_at_once(&self, want: &Want<'_>) -> Option<Borrowed> {
        let seat = sit_down(&self.0.seats).ok()??;
        self.at_once(want, seat).ok()
    }

    /// The usual case: a connection of this login lies on the shelf.
    fn at_once(&self, want: &Want<'_>, seat: Seated) -> Result<Borrowed, Seated> {
        let Some((live, fit)) = self.take_idle(want, Fit::Stained) else { return Err(seat) };
        let way = if fit == Fit::Exact { BorrowWay::Warm } else { BorrowWay::Restored };
        Ok(self.hand_out(live, seat, way))
    }

    async fn within_patience(
        &self,
        want: &Want<'_>,
        seat: Option<Seated>,
    ) -> Result<Borrowed, BorrowError> {
        let started = Instant::now();
        // Who has a seat waits for a dial, not for others.
        let _queued = if seat.is_none() { Some(self.queue()?) } else { None };
        let way_in = async {
            let seat = match seat {
                Some(seat) => seat,
                None => self.0.seats.get().await.map_err(|_| BorrowError::Closed)?,
            };
            self.find(want, seat).await
        };
        let found = match tokio::time::timeout(want.patience, way_in).await {
            Ok(found) => found,
            Err(_) => Err(self.timed_out(started.elapsed())),
        };
        self.0.metrics.borrow.wait.observe(started.elapsed().as_secs_f64());
        found
    }

    fn timed_out(&self, waited: Duration) -> BorrowError {
        let bound = self.usable();
        BorrowError::Timeout {
            waited,
            in_use: bound
                .saturating_sub(self.0.live.available_permits())
                .saturating_sub(self.idle()),
            bound,
            trouble: self.trouble(),
        }
    }

    /// With a seat in hand there is, or will soon be, a connection or the right to dial one.
    async fn find(&self, want: &Want<'_>, seat: Seated) -> Result<Borrowed, BorrowError> {
        loop {
            // Registered before looking, so that nothing comes unseen.
            let arrived = self.0.arrived.notified();
            if let Some((live, fit)) = self.take_idle(want, Fit::Stained) {
                let way = if fit == Fit::Exact { BorrowWay::Warm } else { BorrowWay::Restored };
                return Ok(self.hand_out(live, seat, way));
            }
            if let Err(then) = self.0.gate.admit(Instant::now()) {
                tokio::select! {
                    () = arrived => {}
                    () = tokio::time::sleep_until(then.into()) => {}
                }
                continue;
            }
            let source = if let Ok(permit) = Arc::clone(&self.0.live).try_acquire_owned() {
                Source::Permit(permit)
            } else if let Some((live, fit)) = self.take_idle(want, Fit::Room) {
                Source::Other(live, fit)
            } else {
                // Connections that are being closed hold the permits that are missing.
                tokio::select! {
                    () = arrived => continue,
                    permit = Arc::clone(&self.0.live).acquire_owned() => match permit {
                        Ok(permit) => Source::Permit(permit),
                        Err(_) => return Err(BorrowError::Closed),
                    },
                }
            };
            match self.make(want, source).await {
                Ok((live, way)) => return Ok(self.hand_out(live, seat, way)),
                Err(error) if error.is_outage() => {}
                Err(error) => return Err(BorrowError::Login(error)),
            }
        }
    }

    /// In a task of its own, which owns the permit: a borrower that gives up leaves no half-made
    /// connection behind that the server still counts. What comes too late goes to the shelf.
    async fn make(
        &self,
        want: &Want<'_>,
        source: Source,
    ) -> Result<(Live, BorrowWay), BackendError> {
        let order = Order {
            identity: want.identity.clone(),
            account: Arc::clone(want.account),
            schema: want.state.schema().map(str::to_owned),
        };
        let (tell, hear) = tokio::sync::oneshot::channel();
        let pool = self.clone();
        self.0.lifecycle.spawn("dial", async move {
            let made = match source {
                Source::Permit(permit) => {
                    pool.dial(&order, permit).await.map(|live| (live, BorrowWay::Dialed))
                }
                Source::Other(live, fit) => pool.make_fit(&order, live, fit).await,
            };
            if let Err(Ok((live, _))) = tell.send(made) {
                pool.shelve(live);
            }
            pool.0.arrived.notify_one();
        });
        // The task ends without a word only when the process does.
        hear.await.unwrap_or_else(|gone| Err(std::io::Error::other(gone).into()))
    }

    pub(super) fn shelve(&self, live: Live) {
        if !self.stands() {
            return self.retire(live, CloseReason::Demoted);
        }
        self.0.metrics.server.connections.of(ServerState::Idle).inc();
        lock(&self.0.shelf).put(live, Instant::now());
        self.0.arrived.notify_one();
    }

    async fn make_fit(
        &self,
        order: &Order,
        mut live: Live,
        fit: Fit,
    ) -> Result<(Live, BorrowWay), BackendError> {
        if fit == Fit::ChangeUser {
            let (dialer, identity) = (&self.0.dialer, order.identity.clone());
            let password = &order.account.target.password;
            let schema = order.schema.as_deref();
            let changed = live.connection.change_user(dialer, identity, password, schema);
            match tokio::time::timeout(self.0.dialer.timeout, changed).await {
                Ok(Ok(())) => return Ok((live, BorrowWay::ChangedUser)),
                // The server hangs up after a refusal; a fresh dial will say what is wrong.
                Ok(Err(error)) => {
                    tracing::debug!(%error, "COM_CHANGE_USER failed, dialing instead");
                }
                Err(_) => tracing::debug!("COM_CHANGE_USER had no answer, dialing instead"),
            }
        }
        self.0.metrics.server.closes.at(CloseReason::Evicted as usize).inc();
        live.connection.close(CLOSE_PATIENCE).await;
        self.dial(order, live.permit).await.map(|live| (live, BorrowWay::Evicted))
    }

    pub(super) async fn dial(
        &self,
        order: &Order,
        permit: OwnedSemaphorePermit,
    ) -> Result<Live, BackendError> {
        let _entered = self.0.gate.enter().await;
        let _counted = Counted::one(self.0.metrics.server.connections.of(ServerState::Dialing));
        let passwords = order.passwords();
        let schema = order.schema.as_deref();
        let outcome = self.0.dialer.dial(order.identity.clone(), &passwords, schema).await;
        self.0.metrics.server.dials.of(label(&outcome)).inc();
        match outcome {
            Ok(connection) => {
                self.0.gate.succeeded();
                self.keep_lever(&connection);
                Ok(Live { connection: Box::new(connection), permit })
            }
            Err(error) => {
                if error.is_outage() {
                    tracing::warn!(target = %self.0.dialer.address, %error, "cannot connect");
                    self.0.gate.failed(Instant::now(), error.to_string());
                }
                Err(error)
            }
        }
    }

    /// The best idle connection that is still quiet and open.
    fn take_idle(&self, want: &Want<'_>, least: Fit) -> Option<(Live, Fit)> {
        loop {
            let (mut idle, fit) = lock(&self.0.shelf).take(want, least)?;
            self.0.metrics.server.connections.of(ServerState::Idle).dec();
            if idle.live.connection.stream.looks_idle() {
                return Some((idle.live, fit));
            }
            self.retire(idle.live, CloseReason::Dead);
        }
    }

    fn hand_out(&self, live: Live, seat: Seated, way: BorrowWay) -> Borrowed {
        self.0.metrics.borrow.ways.of(way).inc();
        Borrowed::new(self.clone(), live, seat)
    }

    fn queue(&self) -> Result<Queued<'_>, BorrowError> {
        let waiting = self.0.waiting.fetch_add(1, Ordering::Relaxed);
        let queued = Queued(self);
        self.0.metrics.borrow.waiting.inc();
        if waiting >= self.0.limits.max_waiting {
            return Err(BorrowError::QueueFull { waiting });
        }
        Ok(queued)
    }

    fn idle(&self) -> usize {
        lock(&self.0.shelf).len()
    }
}

fn label(outcome: &Result<Connection, BackendError>) -> DialOutcome {
    match outcome {
        Ok(_) => DialOutcome::Ready,
        Err(BackendError::Io(_)) => DialOutcome::Unreachable,
        Err(BackendError::Timeout(_)) => DialOutcome::Timeout,
        Err(BackendError::Refused(error)) if error.code == 1045 => DialOutcome::Denied,
        Err(BackendError::Refused(error)) if matches!(error.code, 1040 | 1203 | 1226) => {
            DialOutcome::TooMany
        }
        Err(BackendError::NoTls) => DialOutcome::Tls,
        Err(_) => DialOutcome::Failed,
    }
}

/// One who waits, counted as long as it does.
struct Queued<'a>(&'a Pool);

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.0.metrics.borrow.waiting.dec();
    }
}
