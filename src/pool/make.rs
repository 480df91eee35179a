//! Making a connection: a dial within the bound, or another login on somebody else's.
//!
//! Owns what a target is told about passwords, and tells [`Logins`](super::logins) what it said.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::borrow::Want;
use super::shelf::Fit;
use super::view::Underway;
use super::{CLOSE_PATIENCE, CloseReason, Live, Pool, lock};
use crate::backend::{BackendError, Connection, Identity};
use crate::metrics::{BorrowWay, Counted, DialOutcome, ServerState};
use crate::secrets::{Account, Password};

/// For the slot of a connection on which a look for orphans came to nothing, while a client waits.
const HASTY: Duration = Duration::from_millis(500);

/// What a new connection is to be.
pub(super) struct Order {
    pub identity: Identity,
    pub account: Arc<Account>,
    pub schema: Option<String>,
}

/// What it is made from.
pub(super) enum Source {
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

impl Pool {
    /// In a task of its own, which owns the permit: a borrower that gives up leaves no half-made
    /// connection behind that the server still counts. What comes too late goes to the shelf.
    pub(super) async fn make(
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
            let _dialing = Underway::one(&pool.0.dialing);
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
        if let Some(reason) = self.0.standing.objection(live.era) {
            return self.retire(live, reason);
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
        let mut farewell = CLOSE_PATIENCE;
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
                    if matches!(error, BackendError::Timeout(_)) {
                        farewell = HASTY;
                    }
                    // The same password once more would only be one more failure to be counted there.
                    if error.is_denial() && passwords.len() > 1 {
                        passwords.remove(0);
                    }
                }
                Err(_) => tracing::debug!("COM_CHANGE_USER had no answer, dialing instead"),
            }
        }
        self.0.metrics.server.closes.at(CloseReason::Evicted as usize).inc();
        live.connection.close(farewell).await;
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
        let began = Instant::now();
        let era = self.0.standing.era();
        let outcome = self.0.dialer.dial(order.identity.clone(), passwords, schema).await;
        self.0.metrics.server.dials.of(label(&outcome)).inc();
        match outcome {
            Ok(connection) => {
                self.0.metrics.server.login_seconds.observe(began.elapsed().as_secs_f64());
                if connection.stream.tls().is_some() {
                    self.0.metrics.server.logins_tls.inc();
                }
                self.0.gate.succeeded();
                self.note_accepted(order, order.is_current(passwords.get(connection.accepted)));
                self.keep_lever(&connection);
                Ok(Live { connection: Box::new(connection), permit, era })
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
            self.0.news.notify_waiters();
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
        self.0.news.notify_waiters();
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
