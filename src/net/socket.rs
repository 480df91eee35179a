//! A TCP or unix connection, before or below TLS.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::Lever;

/// A peer that vanished without a word is noticed within a minute: idle, by keepalive…
const KEEPALIVE_TIME: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
/// … and with bytes under way, by the time they may stay unacknowledged. tcp(7): this also
/// overrides the count of keepalive retries, so it must not be shorter than they take.
const USER_TIMEOUT: Duration = Duration::from_secs(60);

pub struct Socket {
    io: Io,
    /// The last read filled its buffer, so tokio still believes in readiness that may be spent.
    filled: bool,
}

enum Io {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Ready when there is at least one byte to read, or an end or an error; takes nothing. It wakes
    /// who asked last, be that for a read or for this.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            // Not `readable`: that keeps a list of who waits, under a lock, for each time anew.
            ready!(match &self.io {
                Io::Tcp(tcp) => tcp.poll_read_ready(cx),
                Io::Unix(unix) => unix.poll_read_ready(cx),
            })?;
            // tokio forgets readiness when a read comes back short. After one that filled its
            // buffer (each of a login's exact reads) it would say "readable" once for nothing,
            // and the sleeper would take a buffer and keep it.
            if !self.filled
                || !matches!(self.peek(), Err(e) if e.kind() == io::ErrorKind::WouldBlock)
            {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Writes what there is room for at once. Whoever has more goes on with [`AsyncWrite`].
    pub fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &self.io {
            Io::Tcp(tcp) => tcp.try_write(bytes),
            Io::Unix(unix) => unix.try_write(bytes),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }

    /// Whether nothing has arrived, neither bytes nor an end. A byte found is lost: what does not
    /// look idle is to be closed. No system call unless tokio saw an event.
    pub fn looks_idle(&self) -> bool {
        // Not poll_read_ready: a task whose cooperative budget is spent would be told "pending",
        // and a dead connection would look idle.
        let found = match &self.io {
            Io::Tcp(tcp) => tcp.try_read(&mut [0]),
            Io::Unix(unix) => unix.try_read(&mut [0]),
        };
        matches!(found, Err(e) if e.kind() == io::ErrorKind::WouldBlock)
    }

    pub(super) fn share(&self) -> io::Result<OwnedFd> {
        match &self.io {
            Io::Tcp(tcp) => tcp.as_fd().try_clone_to_owned(),
            Io::Unix(unix) => unix.as_fd().try_clone_to_owned(),
        }
    }

    pub(super) fn adopt(socket: OwnedFd) -> io::Result<Self> {
        let is_unix = SockRef::from(&socket).local_addr()?.is_unix();
        let io = if is_unix {
            let unix = StdUnixStream::from(socket);
            unix.set_nonblocking(true)?;
            Io::Unix(UnixStream::from_std(unix)?)
        } else {
            let tcp = StdTcpStream::from(socket);
            tcp.set_nonblocking(true)?;
            Io::Tcp(TcpStream::from_std(tcp)?)
        };
        // What is in its buffers is not known here.
        Ok(Self { io, filled: true })
    }

    /// A unix socket needs nothing.
    pub fn tune(&self) -> io::Result<()> {
        match &self.io {
            Io::Tcp(tcp) => tune(tcp),
            Io::Unix(_) => Ok(()),
        }
    }

    #[cfg(test)]
    pub fn is_tuned(&self) -> io::Result<bool> {
        let Io::Tcp(tcp) = &self.io else { return Ok(true) };
        let socket = SockRef::from(tcp);
        let patience = [
            socket.tcp_keepalive_time()? == KEEPALIVE_TIME,
            socket.tcp_keepalive_interval()? == KEEPALIVE_INTERVAL,
            socket.tcp_keepalive_retries()? == KEEPALIVE_RETRIES,
            socket.tcp_user_timeout()? == Some(USER_TIMEOUT),
        ];
        Ok(socket.tcp_nodelay()? && socket.keepalive()? && patience == [true; 4])
    }

    pub fn lever(&self) -> io::Result<Lever> {
        match &self.io {
            Io::Tcp(tcp) => Lever::of(tcp),
            Io::Unix(unix) => Lever::of(unix),
        }
    }

    pub fn local_address(&self) -> Option<SocketAddr> {
        let Io::Tcp(tcp) = &self.io else { return None };
        tcp.local_addr().ok()
    }

    /// The other end as `host:port`, or `unix`.
    pub fn peer(&self) -> String {
        match &self.io {
            Io::Tcp(tcp) => tcp.peer_addr().map_or_else(|_| "gone".into(), |a| a.to_string()),
            Io::Unix(_) => "unix".into(),
        }
    }

    pub fn is_unix(&self) -> bool {
        matches!(self.io, Io::Unix(_))
    }

    fn peek(&self) -> io::Result<usize> {
        let mut byte = [MaybeUninit::uninit()];
        match &self.io {
            Io::Tcp(tcp) => tcp.try_io(Interest::READABLE, || SockRef::from(tcp).peek(&mut byte)),
            Io::Unix(unix) => {
                unix.try_io(Interest::READABLE, || SockRef::from(unix).peek(&mut byte))
            }
        }
    }
}

/// No delay, keepalive and a bound on unacknowledged bytes.
pub fn tune(tcp: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(tcp);
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_TIME)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

impl From<TcpStream> for Socket {
    fn from(tcp: TcpStream) -> Self {
        Self { io: Io::Tcp(tcp), filled: false }
    }
}

impl From<UnixStream> for Socket {
    fn from(unix: UnixStream) -> Self {
        Self { io: Io::Unix(unix), filled: false }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Io::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
        };
        if polled.is_ready() {
            self.filled = buf.remaining() == 0;
        }
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Io::Unix(unix) => Pin::new(unix).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Io::Unix(unix) => Pin::new(unix).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Io::Unix(unix) => Pin::new(unix).poll_shutdown(cx),
        }
    }
}
