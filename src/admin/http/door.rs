//! Where operators come in: what `admin.http` names, and who comes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;

use super::visit::Visit;
use crate::net::Listener;
use crate::registry::Lobby;

/// A want of descriptors passes; until then there is nothing to do but wait.
const PAUSE: Duration = Duration::from_millis(100);

/// At the same time. Of those above, whoever was told something longest ago makes room.
pub(super) const MOST: usize = 256;

/// Who follows the page is told something every second.
const AT_LEAST: Duration = Duration::from_secs(3);

pub(super) struct Doors {
    listener: Listener,
    lobby: Arc<Lobby>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// From this machine: over a unix socket, or from loopback to loopback.
    pub is_here: bool,
    /// `None` over a unix socket.
    pub address: Option<IpAddr>,
}

impl Doors {
    pub fn new(listener: Listener) -> Self {
        Self { listener, lobby: Arc::new(Lobby::patient(MOST, AT_LEAST)) }
    }
}

impl axum::serve::Listener for Doors {
    type Io = Visit;
    type Addr = Caller;

    async fn accept(&mut self) -> (Visit, Caller) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // Full of others that have only just come: there is no word for that here.
                    let Some(guest) = self.lobby.enter(Instant::now()) else { continue };
                    let unix = matches!(self.listener, Listener::Unix(_));
                    let caller = caller(unix, &peer, stream.local_address());
                    return (Visit::new(stream, guest), caller);
                }
                Err(error) => {
                    tracing::debug!(%error, "an operator could not come in");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Caller> {
        Ok(Caller { is_here: true, address: None })
    }
}

impl Connected<IncomingStream<'_, Doors>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Doors>) -> Self {
        *stream.remote_addr()
    }
}

/// Both ends count: what a sidecar forwards comes from loopback, but often to another address.
fn caller(unix: bool, peer: &str, to: Option<SocketAddr>) -> Caller {
    let address = peer.parse().map(|peer: SocketAddr| peer.ip().to_canonical()).ok();
    let is_loopback = |end: Option<IpAddr>| end.is_some_and(|end| end.to_canonical().is_loopback());
    let is_here = unix || is_loopback(address) && is_loopback(to.map(|to| to.ip()));
    Caller { is_here, address }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_on_this_machine() {
        let here = "127.0.0.1:6034".parse().ok();
        let is_here = |unix: bool, peer: &str| caller(unix, peer, here).is_here;
        assert!(is_here(true, ""));
        assert!(caller(true, "", None).is_here);
        for (to, is_here) in [("[::1]:9", true), ("10.0.0.5:9", false), ("[fe80::1]:9", false)] {
            assert_eq!(caller(false, "127.0.0.1:9", to.parse().ok()).is_here, is_here, "{to}");
        }
        assert!(!caller(false, "127.0.0.1:9", None).is_here);
        for peer in ["127.0.0.1:9", "127.9.9.9:9", "[::1]:9", "[::ffff:127.0.0.1]:9"] {
            assert!(is_here(false, peer), "{peer}");
        }
        for peer in ["10.0.0.9:9", "172.17.0.1:9", "[::ffff:10.0.0.9]:9", "[fe80::1]:9", "", "@"] {
            assert!(!is_here(false, peer), "{peer}");
        }
    }
}
