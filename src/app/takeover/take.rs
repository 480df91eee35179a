//! The new process: it takes what the old one gives.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::words::{Word, greet, hear, say, unexpected};
use super::{Given, LONGEST_DRAIN, PATIENCE};
use crate::frontend::{self, Shared, Traveller};
use crate::net::Handover;

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
    /// Everything listens. Returns when the old process does no longer. Blocking.
    pub fn ready(mut self) -> io::Result<Self> {
        say(&mut self.0, &Word::Ready, None)?;
        match hear(&mut self.0)?.0 {
            Word::Leaving => Ok(self),
            other => Err(unexpected(&other)),
        }
    }
}

/// Clients of the old process come over, until it has no more.
pub(in crate::app) async fn receive(line: Line, shared: Arc<Shared>) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let heard = spawn_blocking(move || hear_out(line, &tell));
    let (mut came, mut stranded) = (0_u32, 0_u32);
    while let Some((traveller, socket)) = told.recv().await {
        match frontend::arrive(*traveller, socket, &shared) {
            Ok(()) => came += 1,
            Err(error) => {
                stranded += 1;
                tracing::warn!(%error, "a client that came over cannot be served");
            }
        }
    }
    match heard.await {
        Ok(Ok(())) => tracing::info!(clients = came, stranded, "clients came over"),
        Ok(Err(error)) => tracing::warn!(%error, clients = came, stranded, "no more clients come"),
        Err(_) => {}
    }
}

type Arrival = (Box<Traveller>, OwnedFd);

fn hear_out(mut line: Line, tell: &mpsc::UnboundedSender<Arrival>) -> io::Result<()> {
    // As long as the old process drains.
    line.0.be_patient(LONGEST_DRAIN)?;
    loop {
        match hear(&mut line.0)? {
            (Word::Client { traveller }, Some(socket)) => {
                if tell.send((traveller, socket)).is_err() {
                    return Ok(());
                }
            }
            (Word::Gone, _) => return Ok(()),
            (other, _) => return Err(unexpected(&other)),
        }
    }
}
