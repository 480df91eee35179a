//! The new process: it takes what the old one gives.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::words::{Word, greet, hear, overhear, say, unexpected};
use super::{Given, LONGEST_DRAIN, LOOK, PATIENCE, QUEUE, UNTIL_READY, UNTIL_TARGET};
use crate::frontend::{self, Shared, Traveller};
use crate::net::{Handover, own_user};
use crate::registry::Entrance;

/// To the old process.
pub(in crate::app) struct Line(Handover);

/// What the old process listens on. `None`: nobody is there to take over from. Blocking.
pub(in crate::app) fn take(socket: &Path) -> io::Result<Option<(Line, Given)>> {
    let stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error) if is_nobody(&error) => {
            tracing::info!(socket = %socket.display(), "nobody to take over from");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut handover = Handover::new(stream, PATIENCE)?;
    if handover.user()? != own_user() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it is somebody else's process",
        ));
    }
    let (version, process) = greet(&mut handover)?;
    let mut given = Given::default();
    loop {
        match hear(&mut handover)? {
            (Word::Listener { address }, Some(descriptor)) => {
                given.add(address.parse().map_err(io::Error::other)?, descriptor);
            }
            (Word::All, _) => break,
            (other, _) => return Err(unexpected(&other)),
        }
    }
    tracing::info!(process, version, sockets = given.len(), "taking over");
    Ok(Some((Line(handover), given)))
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

impl Line {
    /// Everything listens. Blocking.
    pub fn ready(mut self) -> io::Result<Self> {
        say(&mut self.0, &Word::Ready, None)?;
        Ok(self)
    }
}

/// Clients of the old process come over, until it has no more. Those whose endpoint is not open are
/// sent away.
pub(in crate::app) async fn receive(
    line: Line,
    shared: Arc<Shared>,
    is_open: impl Fn(Entrance) -> bool,
) {
    let (tell, mut told) = mpsc::channel(QUEUE);
    let heard = spawn_blocking(move || hear_out(line, &tell));
    let (mut came, mut stranded) = (0_u32, 0_u32);
    let mut arrival = told.recv().await;
    if arrival.is_some() {
        until_target(&shared).await;
    }
    while let Some(next) = arrival {
        match next {
            Arrival::Client(traveller, socket) => {
                match frontend::arrive(*traveller, socket, &shared, &is_open) {
                    Ok(()) => came += 1,
                    Err(error) => {
                        stranded += 1;
                        tracing::warn!(%error, "a client that came over cannot be served");
                    }
                }
            }
            Arrival::Unusable(socket) => {
                stranded += 1;
                if let Some(socket) = socket {
                    frontend::send_away(socket, &shared);
                }
            }
        }
        arrival = told.recv().await;
    }
    match heard.await {
        Ok(Ok(())) => tracing::info!(clients = came, stranded, "clients came over"),
        Ok(Err(error)) => tracing::warn!(%error, clients = came, stranded, "no more clients come"),
        Err(_) => {}
    }
}

/// Without one nobody can be gone on with.
async fn until_target(shared: &Shared) {
    let known = async {
        while shared.cluster.facts().is_none() {
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(UNTIL_TARGET, known).await.is_err() {
        tracing::warn!("no target has answered yet, and clients come over");
    }
}

enum Arrival {
    Client(Box<Traveller>, OwnedFd),
    Unusable(Option<OwnedFd>),
}

fn hear_out(mut line: Line, tell: &mpsc::Sender<Arrival>) -> io::Result<()> {
    line.0.be_patient(UNTIL_READY)?;
    match hear(&mut line.0)?.0 {
        Word::Leaving => tracing::info!("taken over"),
        other => return Err(unexpected(&other)),
    }
    // As long as the old process drains.
    line.0.be_patient(LONGEST_DRAIN)?;
    loop {
        let arrival = match overhear(&mut line.0)? {
            (Ok(Word::Client { traveller }), Some(socket)) => Arrival::Client(traveller, socket),
            (Ok(Word::Client { .. }), None) => {
                tracing::warn!("a client came over without its socket");
                Arrival::Unusable(None)
            }
            (Ok(Word::Gone), _) => return Ok(()),
            (Ok(other), socket) => {
                tracing::warn!(error = %unexpected(&other), "not a client that comes over");
                Arrival::Unusable(socket)
            }
            (Err(error), socket) => {
                tracing::warn!(%error, "a client that came over cannot be served");
                Arrival::Unusable(socket)
            }
        };
        if tell.blocking_send(arrival).is_err() {
            return Ok(());
        }
    }
}
