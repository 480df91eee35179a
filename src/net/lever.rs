//! A hold on a socket from outside: it ends a connection that somebody else waits on.

use socket2::{SockRef, Socket as RawSocket};
use std::io;
use std::net::Shutdown;

/// Takes a descriptor of its own.
pub struct Lever(RawSocket);

impl Lever {
    pub(super) fn of(socket: &impl std::os::fd::AsFd) -> io::Result<Self> {
        SockRef::from(socket).try_clone().map(Self)
    }

    /// Whoever reads finds the end, whoever writes an error. What the peer has not been sent yet it
    /// will not be sent.
    pub fn pull(&self) {
        // An error says that there is no connection any more.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
