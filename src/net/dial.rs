//! Connects to a server's address; TLS and the login come later.

use std::io;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use super::Stream;
use crate::config::Address;

/// Looks the name up anew each time (a failover may have moved it) and tries every address it
/// has, each with a fair share of what is left of `timeout`: one that swallows packets does not
/// use up the others' time. The stream is tuned.
pub async fn connect(address: &Address, timeout: Duration) -> io::Result<Stream> {
    let deadline = Instant::now() + timeout;
    let late = || {
        let text = format!("no answer from {address} within {timeout:?}");
        io::Error::new(io::ErrorKind::TimedOut, text)
    };
    let stream = match address {
        Address::Unix(path) => {
            let connected = timeout_at(deadline, UnixStream::connect(path)).await;
            Stream::from(connected.map_err(|_| late())??)
        }
        Address::Tcp { host, port } => {
            let found = timeout_at(deadline, lookup_host((host.as_str(), *port))).await;
            let addresses: Vec<_> = found.map_err(|_| late())??.collect();
            let mut last = io::Error::new(io::ErrorKind::NotFound, "no address for this host");
            let mut connected = None;
            for (i, candidate) in addresses.iter().enumerate() {
                let left = deadline.saturating_duration_since(Instant::now());
                let share = left / u32::try_from(addresses.len() - i).unwrap_or(u32::MAX);
                match timeout_at(Instant::now() + share, TcpStream::connect(candidate)).await {
                    Ok(Ok(tcp)) => {
                        connected = Some(tcp);
                        break;
                    }
                    Ok(Err(error)) => last = error,
                    Err(_) => last = late(),
                }
            }
            Stream::from(connected.ok_or(last)?)
        }
    };
    stream.tune()?;
    Ok(stream)
}

/// Whether its name can be looked up at all; of a socket there is nothing to look up.
pub async fn resolve(address: &Address) -> io::Result<()> {
    let Address::Tcp { host, port } = address else { return Ok(()) };
    match lookup_host((host.as_str(), *port)).await?.next() {
        Some(_) => Ok(()),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "no address for this host")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn errors_keep_their_kind() {
        let refused = connect(&Address::tcp("127.0.0.1", 1), Duration::from_secs(5)).await;
        assert_eq!(refused.err().unwrap().kind(), io::ErrorKind::ConnectionRefused);
        let gone = connect(&Address::Unix("/nonexistent/s".into()), Duration::from_secs(5)).await;
        assert_eq!(gone.err().unwrap().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn silence_ends_at_the_timeout() {
        // A listener whose backlog is full does not answer.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = Address::tcp("127.0.0.1", listener.local_addr().unwrap().port());
        let mut held = Vec::new();
        for _ in 0..16 {
            match connect(&address, Duration::from_millis(100)).await {
                Ok(stream) => held.push(stream),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                    assert!(error.to_string().contains("127.0.0.1"));
                    return;
                }
            }
        }
        panic!("the backlog never filled");
    }
}
