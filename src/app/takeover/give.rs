//! The old process: it gives what it has to whoever comes, one at a time, and leaves when told that
//! the other is ready.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::words::{Word, greet, hear, say, unexpected};
use super::{PATIENCE, UNTIL_READY};
use crate::config::Address;
use crate::lifecycle::Lifecycle;
use crate::net::{Handover, Listener, own_user};

/// After an accept that failed there is no hurry.
const PAUSE: Duration = Duration::from_millis(50);

/// What is given.
pub(in crate::app) type Sockets = dyn Fn() -> Vec<(Address, io::Result<OwnedFd>)> + Send + Sync;

pub(in crate::app) struct Giver {
    pub sockets: Arc<Sockets>,
    pub lifecycle: Lifecycle,
    /// Rung, it has this process drain.
    pub stop: Arc<Notify>,
}

impl Giver {
    /// Until somebody has taken over, or the process drains for another reason.
    pub async fn listen(self, listener: Listener) {
        let draining = self.lifecycle.draining();
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
        self.lifecycle.relieve();
        tracing::info!("another process has taken over");
        let told = spawn_blocking(move || say(&mut handover, &Word::Leaving, None)).await;
        if !matches!(told, Ok(Ok(()))) {
            tracing::warn!("the other process was not told that this one leaves");
        }
        self.stop.notify_one();
        true
    }
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
