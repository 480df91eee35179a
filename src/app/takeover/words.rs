//! What two processes say to each other while the one takes over from the other.
//!
//! New words may come; one that a process does not know ends the takeover, and the old one goes on. Once
//! the new one has said that it is ready, a client in words that it does not know costs that client only.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use serde::{Deserialize, Serialize};
use serde_json::error::Category;

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

const PROTOCOL: u32 = 2;

impl Word {
    pub fn hello() -> Self {
        Self::Hello {
            protocol: PROTOCOL,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
        }
    }

    /// What it says of a client is nobody else's.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello { protocol: PROTOCOL, .. } => "hello",
            Self::Hello { .. } => "hello in another protocol",
            Self::Listener { .. } => "listener",
            Self::All => "all",
            Self::Ready => "ready",
            Self::Leaving => "leaving",
            Self::Client { .. } => "client",
            Self::Gone => "gone",
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
    let (word, descriptor) = overhear(handover)?;
    Ok((word?, descriptor))
}

/// What was not understood was still heard to its end.
pub(super) fn overhear(handover: &mut Handover) -> io::Result<(Understood, Option<OwnedFd>)> {
    let Some((words, descriptor)) = handover.receive()? else {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other process has left"));
    };
    Ok((serde_json::from_slice(&words).map_err(NotUnderstood::from), descriptor))
}

pub(super) type Understood = Result<Word, NotUnderstood>;

/// Where, and not what.
#[derive(Debug, thiserror::Error)]
#[error("words that are not understood ({kind:?}, byte {byte})")]
pub(super) struct NotUnderstood {
    kind: Category,
    byte: usize,
}

impl From<serde_json::Error> for NotUnderstood {
    fn from(error: serde_json::Error) -> Self {
        Self { kind: error.classify(), byte: error.column() }
    }
}

impl From<NotUnderstood> for io::Error {
    fn from(error: NotUnderstood) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
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
    io::Error::new(io::ErrorKind::InvalidData, format!("the other process says {:?}", word.name()))
}
