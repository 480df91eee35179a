//! Which networks may come in by an endpoint, and whose word is taken for where a client comes from.
//!
//! Never asks who somebody is: that is the login's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use cidr::IpCidr;

use super::refuse::Word;
use super::{End, Shared};
use crate::config::Endpoint;
use crate::net::{self, Stream};
use crate::secrets::Account;
use crate::wire::ProxySource;

/// Of one endpoint.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    /// Empty: everybody.
    allow: Vec<IpCidr>,
    deny: Vec<IpCidr>,
    /// Load balancers that say first for whom they connect.
    balancers: Vec<IpCidr>,
}

/// A balancer says it at once.
const PATIENCE: Duration = Duration::from_secs(5);

impl From<&Endpoint> for Gate {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            allow: endpoint.allow.clone(),
            deny: endpoint.deny.clone(),
            balancers: endpoint.proxy_protocol_from.clone(),
        }
    }
}

impl Gate {
    pub(super) fn admits(&self, peer: &str) -> bool {
        !holds(&self.deny, peer) && (self.allow.is_empty() || holds(&self.allow, peer))
    }

    /// Who is really there. A balancer must say it, and nobody else may.
    pub(super) async fn peer(&self, stream: &mut Stream, peer: String) -> Result<String, Unheard> {
        if !holds(&self.balancers, &peer) {
            return Ok(peer);
        }
        let header = tokio::time::timeout(PATIENCE, net::read_proxy_header(stream)).await;
        match header {
            Ok(Ok(ProxySource::Address(address))) => Ok(address.to_string()),
            // Whose own machine is not this one: a unix socket there is not one here.
            Ok(Ok(ProxySource::Unix | ProxySource::Balancer)) => Ok(peer),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => {
                tracing::info!(peer, %error, "refused a connection of a load balancer");
                Err(Unheard { end: End::Malformed, word: Some(Word::bad_proxy_header()) })
            }
            // A port that is only looked at, as health checks do it.
            Ok(Err(_)) => Err(Unheard { end: End::HungUp, word: None }),
            Err(_) => {
                tracing::info!(peer, "refused a connection of a load balancer: no PROXY header");
                Err(Unheard { end: End::LoginTimeout, word: None })
            }
        }
    }
}

/// A balancer that did not say for whom it comes, and what it is told.
pub(super) struct Unheard {
    pub end: End,
    pub word: Option<Word>,
}

/// The user, where they may come from there; else they are as unknown as one that does not exist.
pub(super) fn account(shared: &Shared, user: &str, peer: &str) -> Option<Arc<Account>> {
    let account = shared.vault.current().account(user).cloned()?;
    let networks = &account.bounds.networks;
    (networks.is_empty() || holds(networks, peer)).then_some(account)
}

/// Whether nobody can listen all the way to the client. What a balancer brings over a unix socket
/// has come by a network.
pub(super) fn is_secure(stream: &Stream, peer: &str) -> bool {
    stream.tls().is_some() || stream.is_secure() && peer.parse::<SocketAddr>().is_err()
}

/// Whether somebody is in one of these networks. Who comes by a unix socket is on this machine.
fn holds(networks: &[IpCidr], peer: &str) -> bool {
    let hold = |address: &IpAddr| networks.iter().any(|network| contains(network, address));
    match peer.parse::<SocketAddr>().map(|peer| peer.ip().to_canonical()) {
        Ok(address) => hold(&address),
        Err(_) => LOOPBACK.iter().any(hold),
    }
}

/// A network of IPv4 may be written as IPv6 has it, `::ffff:10.0.0.0/104`. A larger one, such as `::/0`,
/// is not meant for IPv4.
fn contains(network: &IpCidr, address: &IpAddr) -> bool {
    match (network, address) {
        (IpCidr::V6(network), IpAddr::V4(address)) if network.network_length() >= MAPPED => {
            network.contains(&address.to_ipv6_mapped())
        }
        _ => network.contains(address),
    }
}

/// The length of `::ffff:0:0/96`.
const MAPPED: u8 = 96;

const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;

    use super::*;

    fn networks(texts: &[&str]) -> Vec<IpCidr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn who_may_come_in() {
        let open = Gate::default();
        assert!(open.admits("203.0.113.9:1") && open.admits("unix"));
        let allow = networks(&["10.0.0.0/8", "2001:db8::/32", "127.0.0.1"]);
        let gate = Gate { allow, deny: networks(&["10.6.6.0/24"]), ..Gate::default() };
        for peer in ["10.1.2.3:4", "[::ffff:10.1.2.3]:4", "[2001:db8::9]:4", "unix"] {
            assert!(gate.admits(peer), "{peer}");
        }
        for peer in ["10.6.6.6:4", "[::ffff:10.6.6.6]:4", "11.0.0.1:4", "[2001:db9::9]:4"] {
            assert!(!gate.admits(peer), "{peer}");
        }
        let gate = Gate { deny: networks(&["::1"]), ..Gate::default() };
        assert!(!gate.admits("unix") && gate.admits("127.0.0.1:9"));
    }

    #[test]
    fn a_network_of_ipv4_as_ipv6_writes_it() {
        let gate = Gate { deny: networks(&["::ffff:10.6.6.0/120"]), ..Gate::default() };
        for peer in ["10.6.6.6:4", "[::ffff:10.6.6.6]:4"] {
            assert!(!gate.admits(peer), "{peer}");
        }
        assert!(gate.admits("10.6.7.6:4") && gate.admits("[::10.6.6.6]:4") && gate.admits("unix"));
        let gate = Gate { allow: networks(&["::ffff:0:0/96"]), ..Gate::default() };
        assert!(gate.admits("10.6.7.6:4") && gate.admits("unix") && !gate.admits("[::9]:4"));
        let gate = Gate { allow: networks(&["::/0"]), ..Gate::default() };
        assert!(!gate.admits("10.6.7.6:4") && gate.admits("[::9]:4"));
    }

    #[tokio::test]
    async fn what_came_by_a_network_is_not_secure_for_a_balancer_on_this_machine() {
        let gate = Gate { balancers: networks(&["127.0.0.1"]), ..Gate::default() };
        for (said, secure) in [
            (b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 3306\r\n".as_slice(), false),
            (b"PROXY TCP6 ::1 ::1 4711 3306\r\n", false),
            (b"PROXY UNKNOWN\r\n", true),
        ] {
            let (near, mut far) = UnixStream::pair().unwrap();
            far.write_all(said).await.unwrap();
            let mut near = Stream::from(near);
            let balancer = near.peer();
            let peer = gate.peer(&mut near, balancer).await.ok().unwrap();
            assert_eq!(is_secure(&near, &peer), secure, "{peer}");
        }
    }

    #[tokio::test]
    async fn only_a_balancer_is_asked_for_whom_it_comes() {
        let gate = Gate { balancers: networks(&["10.0.0.0/8"]), ..Gate::default() };
        let ask = async |peer: &str, said: &[u8]| {
            let (near, mut far) = UnixStream::pair().unwrap();
            far.write_all(said).await.unwrap();
            drop(far);
            let peer = gate.peer(&mut near.into(), peer.to_owned()).await;
            peer.map_err(|unheard| unheard.end)
        };
        let header = b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 3306\r\n";
        assert_eq!(ask("10.0.0.1:5", header).await.unwrap(), "192.0.2.7:4711");
        assert_eq!(ask("11.0.0.1:5", header).await.unwrap(), "11.0.0.1:5");
        assert_eq!(ask("10.0.0.1:5", b"PROXY UNKNOWN\r\n").await.unwrap(), "10.0.0.1:5");
        let unix = [b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xD8".as_slice(), &[0; 216]].concat();
        assert_eq!(ask("10.0.0.1:5", &unix).await.unwrap(), "10.0.0.1:5");
        assert_eq!(ask("10.0.0.1:5", b"PROXY WHAT 1 2 3\r\n").await, Err(End::Malformed));
        assert_eq!(ask("10.0.0.1:5", b"").await, Err(End::HungUp));
    }

    #[tokio::test(start_paused = true)]
    async fn a_balancer_that_says_nothing_is_not_waited_for() {
        let gate = Gate { balancers: networks(&["127.0.0.0/8"]), ..Gate::default() };
        let (near, _far) = UnixStream::pair().unwrap();
        let told = gate.peer(&mut near.into(), "unix".to_owned()).await.err().unwrap();
        assert_eq!((told.end, told.word), (End::LoginTimeout, None));
    }
}
