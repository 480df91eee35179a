//! A door clients come in by: a TCP port or a unix socket.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::Path;

use socket2::{Domain, SockAddr, Socket as RawSocket, Type};
use tokio::net::{TcpListener, TcpSocket, UnixListener, lookup_host};

use super::Stream;
use super::socket::tune;
use crate::config::Address;

/// The kernel caps it at `net.core.somaxconn`. A storm of functions connects all at once.
const BACKLOG: u16 = 4096;

/// On Linux an accepted socket has the options of the listening one, which saves six system calls a
/// client. No manual promises it; a test looks.
const INHERITS: bool = cfg!(target_os = "linux");

pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// A host name that stands for several addresses is bound at the first that can be.
    pub async fn bind(address: &Address) -> io::Result<Self> {
        match address {
            // As mysqld does: who may log in is told by the password, not by the file.
            Address::Unix(path) => bind_unix(path, 0o777).map(Self::Unix),
            Address::Tcp { host, port } => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "no address for this host");
                for address in lookup_host((host.as_str(), *port)).await? {
                    match bind_tcp(address) {
                        Ok(listener) => return Ok(Self::Tcp(listener)),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    /// For a door that asks for no password: a unix socket is its owner's and the group's.
    pub async fn bind_unguarded(address: &Address) -> io::Result<Self> {
        match address {
            Address::Unix(path) => bind_unix(path, 0o660).map(Self::Unix),
            Address::Tcp { .. } => Self::bind(address).await,
        }
    }

    /// For other processes of the same user only.
    pub fn bind_private(path: &Path) -> io::Result<Self> {
        bind_unix(path, 0o600).map(Self::Unix)
    }

    /// One that was bound before this process came.
    pub fn adopt(socket: OwnedFd, address: &Address) -> io::Result<Self> {
        let is_unix = RawSocket::from(socket.try_clone()?).local_addr()?.is_unix();
        match address {
            Address::Tcp { .. } if !is_unix => {
                let listener = StdTcpListener::from(socket);
                listener.set_nonblocking(true)?;
                if INHERITS {
                    tune(&listener)?;
                }
                TcpListener::from_std(listener).map(Self::Tcp)
            }
            Address::Unix(_) if is_unix => {
                let listener = StdUnixListener::from(socket);
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(Self::Unix)
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "a socket of another kind")),
        }
    }

    /// The same socket, for another process to adopt.
    pub fn share(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(listener) => listener.as_fd().try_clone_to_owned(),
            Self::Unix(listener) => listener.as_fd().try_clone_to_owned(),
        }
    }

    /// The next process of this machine, and its user. Cancel-safe.
    pub async fn accept_neighbour(&self) -> io::Result<(StdUnixStream, u32)> {
        let Self::Unix(listener) = self else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a unix socket"));
        };
        let (stream, _) = listener.accept().await?;
        let user = stream.peer_cred()?.uid();
        Ok((stream.into_std()?, user))
    }

    /// The next client, tuned, and its address. Cancel-safe. An error may be the client's
    /// (it was gone already) or a want of descriptors: wait a little and accept again.
    pub async fn accept(&self) -> io::Result<(Stream, String)> {
        match self {
            Self::Tcp(listener) => {
                let (tcp, peer) = listener.accept().await?;
                if !INHERITS {
                    tune(&tcp)?;
                }
                Ok((tcp.into(), peer.to_string()))
            }
            Self::Unix(listener) => {
                let stream = Stream::from(listener.accept().await?.0);
                let peer = stream.peer();
                Ok((stream, peer))
            }
        }
    }

    /// Where it really listens, which is how a port of 0 is learned.
    pub fn address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => {
                let address = listener.local_addr()?;
                Ok(Address::tcp(address.ip().to_string(), address.port()))
            }
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                Ok(Address::Unix(address.as_pathname().unwrap_or(Path::new("")).to_owned()))
            }
        }
    }
}

/// Whose process this is.
pub fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    if INHERITS {
        tune(&socket)?;
    }
    socket.listen(BACKLOG.into())
}

fn bind_unix(path: &Path, mode: u32) -> io::Result<UnixListener> {
    remove_stale(path)?;
    // Through socket2, for the standard library's backlog is fixed.
    let socket = RawSocket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.listen(BACKLOG.into())?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket.into())
}

/// Removes the socket that a killed process left behind; what somebody listens on, or what is
/// not a socket, stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(meta) if !meta.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "exists and is not a socket"))
        }
        Ok(_) => match StdUnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
            _ => Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens on this socket")),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::connect;
    use super::*;

    async fn round_trip(address: &Address) {
        let listener = Listener::bind(address).await.unwrap();
        let address = listener.address().unwrap();
        let dialled = connect(&address, Duration::from_secs(5));
        let (dialled, accepted) = tokio::join!(dialled, listener.accept());
        let (mut near, (mut far, peer)) = (dialled.unwrap(), accepted.unwrap());
        assert_eq!(peer, far.peer());
        near.write_all(b"ping").await.unwrap();
        let mut read = [0; 4];
        far.read_exact(&mut read).await.unwrap();
        far.write_all(&read).await.unwrap();
        near.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"ping");
        if let Address::Tcp { .. } = &address {
            assert!(far.is_tuned().unwrap());
        }
        assert!(near.looks_idle());
        drop(far);
        near.readable().await.unwrap();
        assert!(!near.looks_idle());
    }

    #[tokio::test]
    async fn over_tcp() {
        round_trip(&"127.0.0.1:0".parse().unwrap()).await;
        round_trip(&"localhost:0".parse().unwrap()).await;
    }

    #[tokio::test]
    async fn over_a_unix_socket_even_a_stale_one() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("s");
        let address = Address::Unix(path.clone());
        round_trip(&address).await;
        assert!(path.exists());
        round_trip(&address).await;
    }

    #[tokio::test]
    async fn a_door_without_a_password_is_not_for_everybody() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("s");
        let _listener = Listener::bind_unguarded(&Address::Unix(path.clone())).await.unwrap();
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o660);
    }

    #[tokio::test]
    async fn a_unix_socket_in_use_or_a_file_stays() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("s");
        let address = Address::Unix(path.clone());
        let held = Listener::bind(&address).await.unwrap();
        let error = Listener::bind(&address).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(held);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        let error = Listener::bind(&address).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }
}
