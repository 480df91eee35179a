//! What two processes say to each other while the one takes over from the other.
//!
//! New words may come; one that a process does not know ends the takeover, and the old one goes on.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use serde::{Deserialize, Serialize};

use crate::frontend::Traveller;
use crate::net::Handover;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    /// First, by both. Another protocol is another tongue.
    Hello { protocol: u32, version: String, process: u32 },
    /// By the old one, with the socket: what listens at this address of the configuration.
    Listener { address: String },
    /// By the old one: that was all.
    All,
    /// By the new one: it listens.
    Ready,
    /// By the old one: it listens no longer, and drains.
    Leaving,
    /// By the old one, with the socket: a client that is to be gone on with.
    Client { traveller: Box<Traveller> },
    /// By the old one: no more of them.
    Gone,
}

const PROTOCOL: u32 = 1;

impl Word {
    pub fn hello() -> Self {
        Self::Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
        }
    }
}

pub(super) fn say(
    handover: &mut Handover,
    word: &Word,
    descriptor: Option<&OwnedFd>,
) -> io::Result<()> {
    handover.send(&serde_json::to_vec(word)?, descriptor.map(AsFd::as_fd))
}

pub(super) fn hear(handover: &mut Handover) -> io::Result<(Word, Option<OwnedFd>)> {
    let Some((words, descriptor)) = handover.receive()? else {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other process has left"));
    };
    Ok((serde_json::from_slice(&words)?, descriptor))
}

/// Both say who they are; returns the other's version and process.
pub(super) fn greet(handover: &mut Handover) -> io::Result<(String, u32)> {
    say(handover, &Word::hello(), None)?;
    match hear(handover)?.0 {
        Word::Hello { protocol: PROTOCOL, version, process } => Ok((version, process)),
        other => Err(unexpected(&other)),
    }
}

pub(super) fn unexpected(word: &Word) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the other process says {word:?}"))
}
