//! Borrowing: a seat first, then the connection that fits best.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use deadpool::managed::{PoolError, TimeoutType, Timeouts};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::futures::Notified;

use super::logins::Admission;
use super::rack::Seated;
use super::shelf::Fit;
use super::{BorrowError, Borrowed, CLOSE_PATIENCE, CloseReason, Live, Pool, lock};
use crate::backend::{BackendError, Connection, Identity, identity};
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
    /// The current password, then those before it; the other way round for a server that is known
    /// to lag behind.
    fn passwords(&self, earlier_first: bool) -> Vec<&Password> {
        let mut passwords = self.account.target.passwords();
        if earlier_first {
            passwords.rotate_left(1);
        }
        passwords
    }

    fn is_current(&self, password: Option<&&Password>) -> bool {
        password.is_some_and(|it| **it == self.account.target.password)
    }
}

/// For the secrets to be read once more before a client is told that they do not serve.
const REREAD: Duration = Duration::from_secs(2);

/// Take a seat only if one is free.
const AT_ONCE: Timeouts = Timeouts { wait: Some(Duration::ZERO), create: None, recycle: None };

impl Pool {
    /// The waiting and dialing are boxed: they are rare, and a sleeping session pays for the size
    /// of everything it might do.
    ///
    /// Cancel-safe: a seat, a permit or a half-made connection is let go with the future.
    pub async fn borrow(&self, want: &Want<'_>) -> Result<Borrowed, BorrowError> {
        let borrowed = match self.0.seats.timeout_get(&AT_ONCE).await {
            Ok(seat) => match self.at_once(want, seat) {
                Ok(borrowed) => return Ok(borrowed),
                Err(seat) => Box::pin(self.within_patience(want, Some(seat))).await,
            },
            Err(PoolError::Timeout(TimeoutType::Wait)) => {
                Box::pin(self.within_patience(want, None)).await
            }
            Err(_) => Err(BorrowError::Closed),
        };
        borrowed.inspect_err(|error| self.0.metrics.borrow.failures.of(error.label()).inc())
    }

    /// Only what lies ready and fits.
    pub async fn borrow_at_once(&self, want: &Want<'_>) -> Option<Borrowed> {
        let seat = self.0.seats.timeout_get(&AT_ONCE).await.ok()?;
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
            Err(_) => Err(self.timed_out(want, started.elapsed())),
        };
        self.0.metrics.borrow.wait.observe(started.elapsed().as_secs_f64());
        found
    }

    fn timed_out(&self, want: &Want<'_>, waited: Duration) -> BorrowError {
        let bound = self.usable();
        BorrowError::Timeout {
            waited,
            in_use: bound
                .saturating_sub(self.0.live.available_permits())
                .saturating_sub(self.idle()),
            bound,
            trouble: self
                .trouble()
                .or_else(|| lock(&self.0.shelf).logins.trouble(&want.identity.username)),
        }
    }

    /// With a seat in hand there is, or will soon be, a connection or the right to dial one.
    async fn find(&self, want: &Want<'_>, seat: Seated) -> Result<Borrowed, BorrowError> {
        let mut reads = self.0.credentials.reads();
        // Whoever was never let in here hears so as soon as the secrets were read once more.
        let mut reread = false;
        loop {
            // Registered before looking, so that nothing comes unseen.
            let mut arrived = pin!(self.0.arrived.notified());
            let (identity, account) = self.as_of_now(want);
            let want = &Want { identity: &identity, account: &account, ..*want };
            if let Some((live, fit)) = self.take_idle(want, Fit::Stained) {
                let way = if fit == Fit::Exact { BorrowWay::Warm } else { BorrowWay::Restored };
                return Ok(self.hand_out(live, seat, way));
            }
            let Some(source) = self.source(want, arrived.as_mut()).await? else { continue };
            let admission = lock(&self.0.shelf).logins.admit(want.identity, Instant::now());
            let earlier_first = match admission {
                Admission::Go { earlier_first } => earlier_first,
                Admission::Wait(then) => {
                    self.put_by(source);
                    tokio::select! {
                        () = arrived.as_mut() => {}
                        _ = reads.changed() => {}
                        () = tokio::time::sleep_until(then.into()) => {}
                    }
                    continue;
                }
                Admission::Refused(error) => {
                    self.put_by(source);
                    if reread {
                        return Err(BorrowError::Login(BackendError::Refused(error)));
                    }
                    reread = true;
                    self.0.credentials.doubt();
                    let _ = tokio::time::timeout(REREAD, reads.changed()).await;
                    continue;
                }
            };
            match self.make(want, source, earlier_first).await {
                Ok((live, way)) => return Ok(self.hand_out(live, seat, way)),
                // What is to be done about a denial the next admission says.
                Err(error) if error.is_outage() || error.is_denial() => {}
                Err(error) => return Err(BorrowError::Login(error)),
            }
        }
    }

    /// `None`: what was waited for has come, or may have. Cancel-safe.
    async fn source(
        &self,
        want: &Want<'_>,
        mut arrived: Pin<&mut Notified<'_>>,
    ) -> Result<Option<Source>, BorrowError> {
        if let Err(then) = self.0.gate.admit(Instant::now()) {
            tokio::select! {
                () = arrived => {}
                () = tokio::time::sleep_until(then.into()) => {}
            }
            return Ok(None);
        }
        if let Ok(permit) = Arc::clone(&self.0.live).try_acquire_owned() {
            return Ok(Some(Source::Permit(permit)));
        }
        if let Some((live, fit)) = self.take_idle(want, Fit::Room) {
            return Ok(Some(Source::Other(live, fit)));
        }
        // Connections that are being closed hold the permits that are missing.
        tokio::select! {
            () = arrived.as_mut() => Ok(None),
            permit = Arc::clone(&self.0.live).acquire_owned() => match permit {
                Ok(permit) => Ok(Some(Source::Permit(permit))),
                Err(_) => Err(BorrowError::Closed),
            },
        }
    }

    /// The secrets may have changed while the borrower waited.
    fn as_of_now(&self, want: &Want<'_>) -> (Identity, Arc<Account>) {
        let now = self.0.credentials.current();
        match now.account(&want.account.username) {
            Some(account) => (identity(&now, account, want.identity.meaning), Arc::clone(account)),
            None => (want.identity.clone(), Arc::clone(want.account)),
        }
    }

    /// What a connection was to be made from is not needed now. Nobody is told: it would be the
    /// borrower itself, over and over.
    fn put_by(&self, source: Source) {
        if let Source::Other(live, _) = source {
            self.0.metrics.server.connections.of(ServerState::Idle).inc();
            lock(&self.0.shelf).put(live, Instant::now());
        }
    }

    /// In a task of its own, which owns the permit: a borrower that gives up leaves no half-made
    /// connection behind that the server still counts. What comes too late goes to the shelf.
    async fn make(
        &self,
        want: &Want<'_>,
        source: Source,
        earlier_first: bool,
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
                    let dialed = pool.dial(&order, permit, earlier_first).await;
                    dialed.map(|live| (live, BorrowWay::Dialed))
                }
                Source::Other(live, fit) => pool.make_fit(&order, live, fit, earlier_first).await,
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
        earlier_first: bool,
    ) -> Result<(Live, BorrowWay), BackendError> {
        let mut passwords = order.passwords(earlier_first);
        if fit == Fit::ChangeUser
            && let Some(password) = passwords.first()
        {
            let (dialer, identity) = (&self.0.dialer, order.identity.clone());
            let schema = order.schema.as_deref();
            let changed = live.connection.change_user(dialer, identity, password, schema);
            match tokio::time::timeout(self.0.dialer.timeout, changed).await {
                Ok(Ok(())) => {
                    self.note_accepted(order, order.is_current(passwords.first()));
                    return Ok((live, BorrowWay::ChangedUser));
                }
                // The server hangs up after a refusal; a fresh dial will say what is wrong.
                Ok(Err(error)) => {
                    tracing::debug!(%error, "COM_CHANGE_USER failed, dialing instead");
                    // The same password once more would only be one more failure to be counted there.
                    if error.is_denial() && passwords.len() > 1 {
                        passwords.remove(0);
                    }
                }
                Err(_) => tracing::debug!("COM_CHANGE_USER had no answer, dialing instead"),
            }
        }
        self.0.metrics.server.closes.at(CloseReason::Evicted as usize).inc();
        live.connection.close(CLOSE_PATIENCE).await;
        let dialed = self.dial_with(order, live.permit, &passwords).await;
        dialed.map(|live| (live, BorrowWay::Evicted))
    }

    /// The login has been admitted.
    pub(super) async fn dial(
        &self,
        order: &Order,
        permit: OwnedSemaphorePermit,
        earlier_first: bool,
    ) -> Result<Live, BackendError> {
        self.dial_with(order, permit, &order.passwords(earlier_first)).await
    }

    async fn dial_with(
        &self,
        order: &Order,
        permit: OwnedSemaphorePermit,
        passwords: &[&Password],
    ) -> Result<Live, BackendError> {
        let _entered = self.0.gate.enter().await;
        let _counted = Counted::one(self.0.metrics.server.connections.of(ServerState::Dialing));
        let schema = order.schema.as_deref();
        let outcome = self.0.dialer.dial(order.identity.clone(), passwords, schema).await;
        self.0.metrics.server.dials.of(label(&outcome)).inc();
        match outcome {
            Ok(connection) => {
                self.0.gate.succeeded();
                self.note_accepted(order, order.is_current(passwords.get(connection.accepted)));
                self.keep_lever(&connection);
                Ok(Live { connection: Box::new(connection), permit })
            }
            Err(error) => {
                self.note_failed(order, &error);
                Err(error)
            }
        }
    }

    fn note_accepted(&self, order: &Order, current: bool) {
        let now = Instant::now();
        if lock(&self.0.shelf).logins.accepted(&order.identity, current, now) {
            self.0.arrived.notify_waiters();
        }
    }

    fn note_failed(&self, order: &Order, error: &BackendError) {
        let (now, target) = (Instant::now(), &self.0.dialer.address);
        match error {
            BackendError::Refused(refusal) if error.is_denial() => {
                let user = &*order.identity.username;
                tracing::warn!(%target, user, %error, "the login is refused");
                lock(&self.0.shelf).logins.refused(&order.identity, refusal, now);
                self.0.credentials.doubt();
            }
            _ => lock(&self.0.shelf).logins.unknown(&order.identity),
        }
        if error.is_outage() {
            tracing::warn!(%target, %error, "cannot connect");
            self.0.gate.failed(now, error.to_string());
        }
        self.0.arrived.notify_waiters();
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
        Err(error) if error.is_denial() => DialOutcome::Denied,
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
