//! The new process: it takes what the old one gives.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::words::{Word, greet, hear, say, unexpected};
use super::{Given, PATIENCE};
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
    pub fn ready(mut self) -> io::Result<()> {
        say(&mut self.0, &Word::Ready, None)?;
        match hear(&mut self.0)?.0 {
            Word::Leaving => Ok(()),
            other => Err(unexpected(&other)),
        }
    }
}
