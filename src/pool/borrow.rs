//! Borrowing: a seat first, then the connection that fits best.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::futures::Notified;
use tokio::sync::watch;

use super::logins::Admission;
use super::make::Source;
use super::rack::{Seated, sit_down};
use super::shelf::Fit;
use super::turns::Turn;
use super::{BorrowError, Borrowed, CloseReason, Live, Pool, lock};
use crate::backend::{BackendError, Identity, identity};
use crate::metrics::{BorrowWay, ServerState};
use crate::secrets::Account;
use crate::session::SessionState;

/// What a borrower needs.
pub struct Want<'a> {
    pub identity: &'a Identity,
    pub account: &'a Arc<Account>,
    pub state: &'a Arc<SessionState>,
    /// How long it may take.
    pub patience: Duration,
}

/// For the secrets to be read once more before a client is told that they do not serve.
const REREAD: Duration = Duration::from_secs(2);

/// How often whoever waits for a login looks for a connection that has come back.
const PEEK: Duration = Duration::from_millis(100);

impl Pool {
    /// The waiting and dialing are boxed: they are rare, and a sleeping session pays for the size
    /// of everything it might do.
    ///
    /// Cancel-safe: a seat, a permit or a half-made connection is let go with the future.
    pub async fn borrow(&self, want: &Want<'_>) -> Result<Borrowed, BorrowError> {
        let borrowed = match self.0.turns.at_once(want.account, &self.0.credentials) {
            Ok(turn) => self.borrow_in_turn(want, turn).await,
            Err(()) => Box::pin(self.wait_and_borrow(want)).await,
        };
        borrowed.inspect_err(|error| self.0.metrics.borrow.failures.of(error.label()).inc())
    }

    /// Others of this user have all that the user may have.
    async fn wait_and_borrow(&self, want: &Want<'_>) -> Result<Borrowed, BorrowError> {
        let started = Instant::now();
        let turn = {
            let _queued = self.queue()?;
            self.0.turns.wait(want.account, &self.0.credentials, want.patience).await?
        };
        let patience = want.patience.saturating_sub(started.elapsed());
        self.borrow_in_turn(&Want { patience, ..*want }, turn).await
    }

    async fn borrow_in_turn(
        &self,
        want: &Want<'_>,
        turn: Option<Turn>,
    ) -> Result<Borrowed, BorrowError> {
        let borrowed = match sit_down(&self.0.seats) {
            Ok(Some(seat)) => match self.at_once(want, seat) {
                Ok(borrowed) => Ok(borrowed),
                Err(seat) => Box::pin(self.within_patience(want, Some(seat))).await,
            },
            Ok(None) => Box::pin(self.within_patience(want, None)).await,
            Err(_) => Err(BorrowError::Closed),
        };
        borrowed.map(|borrowed| borrowed.in_turn(turn))
    }

    /// Only what lies ready and fits.
    pub fn borrow_at_once(&self, want: &Want<'_>) -> Option<Borrowed> {
        let turn = self.0.turns.at_once(want.account, &self.0.credentials).ok()?;
        let seat = sit_down(&self.0.seats).ok()??;
        self.at_once(want, seat).ok().map(|borrowed| borrowed.in_turn(turn))
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
                None => self.seat().await?,
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
    async fn find(&self, want: &Want<'_>, mut seat: Seated) -> Result<Borrowed, BorrowError> {
        let mut reads = self.0.credentials.reads();
        // Whoever was never let in here hears so as soon as the secrets were read once more.
        let mut reread = false;
        loop {
            // Registered before looking, so that nothing comes unseen.
            let mut arrived = pin!(self.0.arrived.notified());
            let news = self.0.news.notified();
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
                    drop(seat);
                    self.wait_for_login(news, &mut reads, then).await;
                    seat = self.seat().await?;
                    continue;
                }
                Admission::Refused(error) if reread => {
                    self.put_by(source);
                    return Err(BorrowError::Login(BackendError::Refused(error)));
                }
                Admission::Refused(_) => {
                    self.put_by(source);
                    drop(seat);
                    reread = true;
                    reads.mark_unchanged();
                    self.0.credentials.doubt();
                    let _ = tokio::time::timeout(REREAD, reads.changed()).await;
                    seat = self.seat().await?;
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

    async fn seat(&self) -> Result<Seated, BorrowError> {
        self.0.seats.get().await.map_err(|_| BorrowError::Closed)
    }

    /// Without a seat: others log in as somebody else, and need it. So an idle connection that comes
    /// is looked for, not waited for; its bell is for those who have a seat. Cancel-safe.
    async fn wait_for_login(
        &self,
        news: Notified<'_>,
        reads: &mut watch::Receiver<u64>,
        then: Instant,
    ) {
        let then = then.min(Instant::now() + PEEK);
        tokio::select! {
            () = news => {}
            _ = reads.changed() => {}
            () = tokio::time::sleep_until(then.into()) => {}
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

    /// What a connection was to be made from is not needed now, but somebody may have looked for it
    /// meanwhile. The borrower itself does not listen: it has given up its seat.
    fn put_by(&self, source: Source) {
        if let Source::Other(live, _) = source {
            self.0.metrics.server.connections.of(ServerState::Idle).inc();
            lock(&self.0.shelf).put(live, Instant::now());
            self.0.arrived.notify_one();
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
        if waiting >= self.0.limits.max_waiting() {
            return Err(BorrowError::QueueFull { waiting });
        }
        Ok(queued)
    }

    fn idle(&self) -> usize {
        lock(&self.0.shelf).len()
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
