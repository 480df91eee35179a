//! The old process: it gives what it has to whoever comes, one at a time, and leaves when told that
//! the other is ready.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_blocking;

use super::words::{Word, greet, hear, say, unexpected};
use super::{PATIENCE, UNTIL_READY};
use crate::config::Address;
use crate::frontend::{Departure, Shared};
use crate::net::{Handover, Listener, own_user};

/// After an accept that failed there is no hurry.
const PAUSE: Duration = Duration::from_millis(50);

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
        let (tell, told) = mpsc::unbounded_channel();
        self.shared.departures.store(Some(Arc::new(tell)));
        self.shared.lifecycle.spawn("departures", async move {
            match spawn_blocking(move || see_off(&mut handover, told)).await {
                Ok(Ok(clients)) => tracing::info!(clients, "clients went over"),
                Ok(Err(error)) => tracing::error!(%error, "no more clients can go over"),
                Err(_) => {}
            }
        });
        self.stop.notify_one();
        true
    }
}

/// Until there are no more.
fn see_off(
    handover: &mut Handover,
    mut departures: mpsc::UnboundedReceiver<Departure>,
) -> io::Result<u32> {
    say(handover, &Word::Leaving, None)?;
    let mut clients = 0;
    while let Some(Departure { traveller, socket }) = departures.blocking_recv() {
        say(handover, &Word::Client { traveller: Box::new(traveller) }, Some(&socket))?;
        clients += 1;
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
