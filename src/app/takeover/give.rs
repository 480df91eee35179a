//! The old process: it gives what it has to whoever comes, one at a time, and leaves when told that
//! the other is ready.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_blocking;

use super::words::{Word, greet, hear, say, unexpected};
use super::{PATIENCE, QUEUE, UNTIL_READY};
use crate::config::Address;
use crate::frontend::{self, Departure, Shared};
use crate::net::{Handover, Listener, own_user};

/// After an accept that failed there is no hurry.
const PAUSE: Duration = Duration::from_millis(50);

/// The task that sees clients off.
pub(in crate::app) const DEPARTURES: &str = "departures";

/// What is given.
pub(in crate::app) type Sockets = dyn Fn() -> Vec<(Address, io::Result<OwnedFd>)> + Send + Sync;

pub(in crate::app) struct Giver {
    pub sockets: Arc<Sockets>,
    pub shared: Arc<Shared>,
    /// Rung, it has this process drain.
    pub stop: Arc<Notify>,
}

impl Giver {
    /// Until somebody has taken over, or the process drains for another reason.
    pub async fn listen(self, listener: Listener) {
        let draining = self.shared.lifecycle.draining();
        loop {
            let accepted = tokio::select! {
                () = draining.cancelled() => return,
                accepted = listener.accept_neighbour() => accepted,
            };
            match accepted {
                Ok((stream, user)) if user == own_user() => {
                    if self.serve(stream).await {
                        return;
                    }
                }
                Ok((_, user)) => tracing::warn!(user, "somebody else may not take over"),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept who takes over");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// `true`: this process is to leave.
    async fn serve(&self, stream: UnixStream) -> bool {
        let sockets = Arc::clone(&self.sockets);
        let given = spawn_blocking(move || give(stream, &sockets())).await;
        let given = given.unwrap_or_else(|gone| Err(io::Error::other(gone)));
        let mut handover = match given {
            Ok(handover) => handover,
            Err(error) => {
                tracing::error!(%error, "a takeover came to nothing; this process goes on");
                return false;
            }
        };
        self.shared.lifecycle.relieve();
        tracing::info!("another process has taken over");
        let (tell, told) = mpsc::channel(QUEUE);
        self.shared.departures.store(Some(Arc::new(tell)));
        let shared = Arc::clone(&self.shared);
        self.shared.lifecycle.spawn(DEPARTURES, async move {
            match spawn_blocking(move || see_off(&mut handover, told, &shared)).await {
                Ok(Ok(clients)) => tracing::info!(clients, "clients went over"),
                Ok(Err(error)) => tracing::error!(%error, "no more clients can go over"),
                Err(_) => {}
            }
        });
        self.stop.notify_one();
        true
    }
}

/// Until there are no more. If that fails, those who had left for the other are told so, and the others
/// leave as in any drain. To be called on the runtime, blocking.
fn see_off(
    handover: &mut Handover,
    mut departures: mpsc::Receiver<Departure>,
    shared: &Arc<Shared>,
) -> io::Result<u32> {
    let gone = say_goodbye(handover, &mut departures, shared);
    departures.close();
    while let Some(Departure { socket, .. }) = departures.blocking_recv() {
        frontend::send_away(socket, shared);
    }
    gone
}

fn say_goodbye(
    handover: &mut Handover,
    departures: &mut mpsc::Receiver<Departure>,
    shared: &Arc<Shared>,
) -> io::Result<u32> {
    say(handover, &Word::Leaving, None)?;
    // The other may wait for its targets before it lets them in.
    handover.be_patient(UNTIL_READY)?;
    let mut clients = 0;
    while let Some(Departure { traveller, socket }) = departures.blocking_recv() {
        let words = serde_json::to_vec(&Word::Client { traveller: Box::new(traveller) })?;
        let is_fit = words.len() <= Handover::MOST;
        if is_fit && let Err(error) = handover.send(&words, Some(socket.as_fd())) {
            frontend::send_away(socket, shared);
            return Err(error);
        }
        if is_fit {
            clients += 1;
        } else {
            tracing::warn!("a client has too much to go over with");
            frontend::send_away(socket, shared);
        }
    }
    say(handover, &Word::Gone, None)?;
    Ok(clients)
}

/// Returns when the other is ready.
fn give(stream: UnixStream, sockets: &[(Address, io::Result<OwnedFd>)]) -> io::Result<Handover> {
    let mut handover = Handover::new(stream, PATIENCE)?;
    let (version, process) = greet(&mut handover)?;
    tracing::info!(process, version, "another process asks for the sockets");
    for (address, socket) in sockets {
        let socket = socket.as_ref().map_err(|error| io::Error::other(error.to_string()))?;
        say(&mut handover, &Word::Listener { address: address.to_string() }, Some(socket))?;
    }
    say(&mut handover, &Word::All, None)?;
    handover.be_patient(UNTIL_READY)?;
    match hear(&mut handover)?.0 {
        Word::Ready => {
            handover.be_patient(PATIENCE)?;
            Ok(handover)
        }
        other => Err(unexpected(&other)),
    }
}
