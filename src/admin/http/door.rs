//! Where operators come in: what `admin.http` names, and who comes.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;

use crate::net::{Listener, Stream};

/// A want of descriptors passes; until then there is nothing to do but wait.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Doors(pub Listener);

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// From this machine: over a unix socket or loopback.
    pub is_here: bool,
}

impl axum::serve::Listener for Doors {
    type Io = Stream;
    type Addr = Caller;

    async fn accept(&mut self) -> (Stream, Caller) {
        loop {
            match self.0.accept().await {
                Ok((stream, peer)) => {
                    let is_here = is_here(matches!(self.0, Listener::Unix(_)), &peer);
                    return (stream, Caller { is_here });
                }
                Err(error) => {
                    tracing::debug!(%error, "an operator could not come in");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Caller> {
        Ok(Caller { is_here: true })
    }
}

impl Connected<IncomingStream<'_, Doors>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Doors>) -> Self {
        *stream.remote_addr()
    }
}

fn is_here(unix: bool, peer: &str) -> bool {
    let loopback = |peer: SocketAddr| peer.ip().to_canonical().is_loopback();
    unix || peer.parse().is_ok_and(loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_on_this_machine() {
        assert!(is_here(true, ""));
        for peer in ["127.0.0.1:9", "127.9.9.9:9", "[::1]:9", "[::ffff:127.0.0.1]:9"] {
            assert!(is_here(false, peer), "{peer}");
        }
        for peer in ["10.0.0.9:9", "172.17.0.1:9", "[::ffff:10.0.0.9]:9", "[fe80::1]:9", "", "@"] {
            assert!(!is_here(false, peer), "{peer}");
        }
    }
}
