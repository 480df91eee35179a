//! The listener: accepts, counts, refuses one too many, and leaves the rest to the session.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;

use super::gate::{Gate, Unheard};
use super::greet::host;
use super::refuse::Word;
use super::serve::Session;
use super::{End, Shared};
use crate::metrics::{Counted, LoginOutcome, Side};
use crate::net::{Listener, Stream};
use crate::registry::Entrance;

/// After an accept that failed (no descriptors left, say) there is no hurry.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Runs until draining begins, or this endpoint is to be closed. Clients that have knocked and were
/// not let in yet are the listener's, whoever has it next.
pub async fn listen(
    listener: Arc<Listener>,
    (entrance, gate): (Entrance, Arc<Gate>),
    closing: CancellationToken,
    shared: Arc<Shared>,
) {
    let draining = shared.lifecycle.draining();
    loop {
        let accepted = tokio::select! {
            biased;
            () = draining.cancelled() => return,
            () = closing.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (gate, shared) = (Arc::clone(&gate), Arc::clone(&shared));
                let lifecycle = shared.lifecycle.clone();
                // A future keeps the place of its arguments to its end.
                let arrival = Box::new(Arrival { stream, peer, entrance, gate, shared });
                lifecycle.spawn("session", come_in(arrival));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a client");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

struct Arrival {
    stream: Stream,
    peer: String,
    entrance: Entrance,
    gate: Arc<Gate>,
    shared: Arc<Shared>,
}

impl Arrival {
    /// The box is gone with this, and not only at the end of whoever had it.
    #[allow(clippy::boxed_local, reason = "it is here to end")]
    fn unpack(self: Box<Self>) -> Self {
        *self
    }
}

async fn come_in(arrival: Box<Arrival>) {
    let Arrival { stream, peer, entrance, gate, shared } = arrival.unpack();
    let _counted = Counted::one(&shared.metrics.client.connections);
    shared.metrics.client.connections_total.inc();
    // The login is rare and its future large: kept apart, so that a sleeping session is small.
    let greeted = Box::pin(greet(stream, (peer, entrance), gate, &shared)).await;
    let (session, _admitted) = match greeted {
        Ok(greeted) => greeted,
        Err(end) => {
            shared.metrics.client.logins.of(outcome(end)).inc();
            return count(&shared, end);
        }
    };
    let (session, end) = session.serve().await;
    Box::pin(session.finish()).await;
    count(&shared, end);
}

pub(super) fn count(shared: &Shared, end: End) {
    if end == End::Malformed {
        shared.metrics.errors.of(Side::Client).inc();
    }
    shared.metrics.client.closes.at(end as usize).inc();
}

/// The connection phase, within the bounds on how many are in it and on how many may come of it.
async fn greet(
    stream: Stream,
    from: (String, Entrance),
    gate: Arc<Gate>,
    shared: &Arc<Shared>,
) -> Result<(Box<Session>, Admitted), End> {
    let Some(guest) = shared.lobby.enter(Instant::now()) else {
        refuse(shared, stream, &Word::too_many_clients()).await;
        return Err(End::TooMany);
    };
    let _counted = Counted::one(&shared.metrics.client.logging_in);
    tokio::select! {
        biased;
        greeted = pass(stream, from, &gate, shared) => greeted,
        // Whoever is too slow is not told so.
        () = guest.cut() => Err(End::Crowded),
    }
}

/// Who comes from where they may not, and who is one too many, is told so in place of the greeting.
async fn pass(
    mut stream: Stream,
    (peer, entrance): (String, Entrance),
    gate: &Gate,
    shared: &Arc<Shared>,
) -> Result<(Box<Session>, Admitted), End> {
    let peer = match gate.peer(&mut stream, peer).await {
        Ok(peer) => peer,
        Err(Unheard { end, word }) => {
            if let Some(word) = word {
                refuse(shared, stream, &word).await;
            }
            return Err(end);
        }
    };
    if !gate.admits(&peer) {
        tracing::debug!(peer, "refused a connection from a network that is not allowed");
        refuse(shared, stream, &Word::host_not_allowed(host(&peer))).await;
        return Err(End::NotAllowed);
    }
    if Admitted::is_full(shared) {
        refuse(shared, stream, &Word::too_many_clients()).await;
        return Err(End::TooMany);
    }
    Session::greet(stream, (peer, entrance), Arc::clone(shared)).await
}

/// Of a login that came to nothing.
fn outcome(end: End) -> LoginOutcome {
    match end {
        End::LoginRefused => LoginOutcome::Denied,
        End::TlsRequired => LoginOutcome::TlsRequired,
        End::LoginTimeout => LoginOutcome::Timeout,
        End::TooMany => LoginOutcome::TooMany,
        End::Blocked => LoginOutcome::Blocked,
        End::Crowded => LoginOutcome::Crowded,
        End::NotAllowed => LoginOutcome::NotAllowed,
        End::UserLimit => LoginOutcome::UserLimit,
        _ => LoginOutcome::Broken,
    }
}

pub(super) async fn refuse(shared: &Shared, mut stream: Stream, word: &Word) {
    shared.count_refusal(word);
    let mut out = BytesMut::with_capacity(64);
    word.put(&mut out, 0);
    let say = async {
        stream.send(&out).await?;
        stream.shutdown().await
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), say).await;
}

/// One client that is logged in, counted as long as it is here.
pub(super) struct Admitted(Arc<Shared>);

impl Admitted {
    /// `None`: there are as many as there may be.
    pub fn count(shared: &Arc<Shared>) -> Option<Self> {
        let admitted = Self(Arc::clone(shared));
        let before = shared.clients.fetch_add(1, Ordering::Relaxed);
        (before < shared.limits.max_connections()).then_some(admitted)
    }

    /// One that was admitted by another process.
    pub fn without_limit(shared: &Arc<Shared>) -> Self {
        shared.clients.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }

    fn is_full(shared: &Shared) -> bool {
        shared.clients.load(Ordering::Relaxed) >= shared.limits.max_connections()
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.clients.fetch_sub(1, Ordering::Relaxed);
    }
}
