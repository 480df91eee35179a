//! One connection, to a client or to a server, with TLS or without, compressed or not.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rustls::{CommonState, HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::coop::unconstrained;
use tokio_rustls::{client, server};

use super::compress::{Algorithm, Codec, Compressed, Engines};
use super::{Lever, Socket};

pub enum Stream {
    Plain(Socket),
    /// Toward a client: we are the TLS server.
    ClientTls(Box<server::TlsStream<Socket>>),
    /// Toward a server: we are the TLS client.
    ServerTls(Box<client::TlsStream<Socket>>),
    /// Over one of the others.
    Compressed(Box<Compressed>),
}

impl Stream {
    /// Writes all and flushes: TLS keeps the last records to itself until it is told. Not
    /// cancel-safe.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if let Self::Plain(socket) = self {
            // Nearly always there is room for all.
            let sent = socket.write_at_once(bytes)?;
            let rest = bytes.get(sent..).unwrap_or_default();
            return if rest.is_empty() { Ok(()) } else { socket.write_all(rest).await };
        }
        self.write_all(bytes).await?;
        self.flush().await
    }

    /// Returns when at least one byte, an end or an error can be read, without taking it and
    /// without a buffer of the caller's. Cancel-safe.
    pub async fn readable(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    /// The same, polled. It wakes who asked last, be that for a read or for this.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => socket.poll_readable(cx),
            Self::ClientTls(tls) => poll_filled(tls.as_mut(), cx),
            Self::ServerTls(tls) => poll_filled(tls.as_mut(), cx),
            Self::Compressed(compressed) => compressed.poll_readable(cx),
        }
    }

    /// Pending for as long as nothing can be read, not even out of its turn. Ready for certain of a
    /// compressed stream, which only [`Self::readable_ahead`] may be asked of.
    pub fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_compressed() {
            return Poll::Ready(());
        }
        self.poll_readable(cx).map(drop)
    }

    /// As [`Self::readable`], for what has no turn yet. A compressed stream reads it, keeps it packed
    /// and says how much came, 0 at the end: unpacked before its turn it would upset the sequence
    /// ids of the reply under way. Cancel-safe.
    pub async fn readable_ahead(&mut self) -> io::Result<Option<usize>> {
        if let Self::Compressed(compressed) = self {
            return compressed.fill().await.map(Some);
        }
        self.readable().await?;
        Ok(None)
    }

    /// How much of what was read ahead is in the stream.
    pub fn waiting(&mut self) -> usize {
        if let Self::Compressed(compressed) = self { compressed.waiting() } else { 0 }
    }

    /// For a connection nobody uses: false when bytes, an end or an error have arrived, which
    /// on an idle MySQL connection all mean that it is over (a server says why it hangs up). What
    /// does not look idle is to be closed, since a byte may be lost. Costs no system call
    /// unless tokio saw an event; an event not yet polled by the runtime is not seen.
    pub fn looks_idle(&mut self) -> bool {
        match self {
            Self::Plain(socket) => socket.looks_idle(),
            _ => nothing_to_read(self.readable()),
        }
    }

    /// The other end, for logs and the list of clients.
    pub fn peer(&self) -> String {
        self.socket().peer()
    }

    /// This end of it; `None` over a unix socket.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.socket().local_address()
    }

    /// The socket, for another process to go on with; `None` where more than that is to be gone on with.
    pub fn share_plain(&self) -> Option<OwnedFd> {
        let Self::Plain(socket) = self else { return None };
        socket.share().ok()
    }

    /// One that another process has begun. To be called on the runtime.
    pub fn adopt(socket: OwnedFd) -> io::Result<Self> {
        Socket::adopt(socket).map(Self::Plain)
    }

    /// Protocol version and cipher suite, named as `Ssl_version` and IANA do.
    pub fn tls(&self) -> Option<(&'static str, &'static str)> {
        let state = self.tls_state()?;
        let version = match state.protocol_version()? {
            ProtocolVersion::TLSv1_2 => "TLSv1.2",
            ProtocolVersion::TLSv1_3 => "TLSv1.3",
            _ => "unknown",
        };
        let cipher = state.negotiated_cipher_suite()?.suite().as_str().unwrap_or("unknown");
        Some((version, cipher))
    }

    /// What the other end has shown of itself and TLS has verified, in DER.
    pub fn certificate(&self) -> Option<&[u8]> {
        let chain = self.tls_state()?.peer_certificates()?;
        chain.first().map(AsRef::as_ref)
    }

    /// Whether the TLS handshake was an abbreviated one.
    pub fn is_resumed(&self) -> bool {
        self.tls_state().and_then(CommonState::handshake_kind) == Some(HandshakeKind::Resumed)
    }

    /// Whether nobody can listen: TLS, or a unix socket.
    pub fn is_secure(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_unix(),
            Self::ClientTls(_) | Self::ServerTls(_) => true,
            Self::Compressed(compressed) => compressed.below().is_secure(),
        }
    }

    /// Speaks the compressed protocol from here on: the login is over, and nothing is under way.
    #[must_use]
    pub fn compressed(self, algorithm: Algorithm, engines: Arc<Engines>) -> Self {
        let codec = Codec::new(algorithm, engines);
        Self::Compressed(Box::new(Compressed::new(self, codec)))
    }

    pub fn is_compressed(&self) -> bool {
        matches!(self, Self::Compressed(_))
    }

    #[cfg(test)]
    pub fn is_tuned(&self) -> io::Result<bool> {
        self.socket().is_tuned()
    }

    pub fn lever(&self) -> io::Result<Lever> {
        self.socket().lever()
    }

    /// Sets the socket's options; what [`super::connect`] and [`super::Listener::accept`] return
    /// is tuned already.
    pub fn tune(&self) -> io::Result<()> {
        self.socket().tune()
    }

    /// Takes the socket out, to put TLS over it.
    pub(super) fn into_socket(self) -> io::Result<Socket> {
        match self {
            Self::Plain(socket) => Ok(socket),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "TLS inside TLS")),
        }
    }

    fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::ClientTls(tls) => tls.get_ref().0,
            Self::ServerTls(tls) => tls.get_ref().0,
            Self::Compressed(compressed) => compressed.below().socket(),
        }
    }

    fn tls_state(&self) -> Option<&CommonState> {
        match self {
            Self::Plain(_) => None,
            Self::ClientTls(tls) => Some(tls.get_ref().1),
            Self::ServerTls(tls) => Some(tls.get_ref().1),
            Self::Compressed(compressed) => compressed.below().tls_state(),
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(tcp: TcpStream) -> Self {
        Self::Plain(tcp.into())
    }
}

impl From<UnixStream> for Stream {
    fn from(unix: UnixStream) -> Self {
        Self::Plain(unix.into())
    }
}

/// Decrypts until there is plaintext. Readiness of the socket would say neither enough (the
/// plaintext may be buffered already) nor too little (a session ticket is no data).
fn poll_filled(
    tls: &mut (impl AsyncBufRead + Unpin),
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    Pin::new(tls).poll_fill_buf(cx).map_ok(|_| ())
}

/// Asked once. Decrypting is needed: session tickets and key updates may come at
/// any time and do not end a connection.
fn nothing_to_read(readable: impl Future<Output = io::Result<()>>) -> bool {
    // Unconstrained, for a task whose cooperative budget is spent would be told "pending".
    let asked = pin!(unconstrained(readable));
    asked.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// Calls the same method on whichever stream it is.
macro_rules! each {
    ($stream:expr, $io:ident => $call:expr) => {
        match $stream.get_mut() {
            Stream::Plain(socket) => {
                let $io = Pin::new(socket);
                $call
            }
            Stream::ClientTls(tls) => {
                let $io = Pin::new(tls.as_mut());
                $call
            }
            Stream::ServerTls(tls) => {
                let $io = Pin::new(tls.as_mut());
                $call
            }
            Stream::Compressed(compressed) => {
                let $io = Pin::new(compressed.as_mut());
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, io => io.poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, io => io.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, io => io.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        !self.is_compressed()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, io => io.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_millis(50);

    fn pair() -> (Stream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (ours.into(), theirs)
    }

    #[tokio::test]
    async fn readable_takes_nothing() {
        let (mut ours, mut theirs) = pair();
        assert!(timeout(SOON, ours.readable()).await.is_err());
        theirs.write_all(b"abc").await.unwrap();
        ours.readable().await.unwrap();
        ours.readable().await.unwrap();
        let mut read = [0; 3];
        ours.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"abc");
        // The read filled its buffer: tokio's readiness is stale, ours must not be.
        assert!(timeout(SOON, ours.readable()).await.is_err());
        drop(theirs);
        ours.readable().await.unwrap();
        assert_eq!(ours.read(&mut read).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn looks_idle_until_something_comes() {
        for closes in [false, true] {
            let (mut ours, mut theirs) = pair();
            theirs.write_all(b"login").await.unwrap();
            ours.read_exact(&mut [0; 5]).await.unwrap();
            assert!(ours.looks_idle());
            if closes {
                drop(theirs);
            } else {
                theirs.write_all(b"x").await.unwrap();
            }
            ours.readable().await.unwrap();
            assert!(!ours.looks_idle());
        }
    }

    #[tokio::test]
    async fn a_spent_budget_does_not_make_the_dead_look_idle() {
        let (mut ours, theirs) = pair();
        drop(theirs);
        ours.readable().await.unwrap();
        while tokio::task::coop::has_budget_remaining() {
            // Uses the budget up without giving way, as a busy task does.
            let consume = pin!(tokio::task::coop::consume_budget());
            let _ = consume.poll(&mut Context::from_waker(Waker::noop()));
        }
        assert!(!ours.looks_idle());
    }

    #[tokio::test]
    async fn a_unix_socket_is_secure_without_tls() {
        let (ours, _theirs) = pair();
        assert!(ours.is_secure());
        assert_eq!(ours.tls(), None);
        assert!(!ours.is_resumed());
        assert_eq!(ours.peer(), "unix");
        ours.tune().unwrap();
    }

    /// Both speak the compressed protocol, the far one by hand.
    fn compressed_pair(algorithm: Algorithm) -> (Stream, UnixStream) {
        let (ours, theirs) = pair();
        (ours.compressed(algorithm, Engines::new(1)), theirs)
    }

    #[tokio::test]
    async fn compressed_both_ways() {
        for algorithm in [Algorithm::Zlib, Algorithm::Zstd { level: 22 }] {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let mut ours = Stream::from(ours).compressed(algorithm, Engines::new(1));
            let mut theirs = Stream::from(theirs).compressed(algorithm, Engines::new(1));
            let sent = b"a row like the one before, ".repeat(40_000);
            let mut read = vec![0; sent.len()];
            let (sending, reading) = tokio::join!(ours.send(&sent), theirs.read_exact(&mut read));
            sending.unwrap();
            reading.unwrap();
            assert!(read == sent);
            assert!(theirs.looks_idle());
            ours.shutdown().await.unwrap();
            theirs.readable().await.unwrap();
            assert_eq!(theirs.read(&mut read).await.unwrap(), 0);
        }
    }

    #[tokio::test]
    async fn readable_means_that_a_byte_can_be_unpacked() {
        let (mut ours, mut theirs) = compressed_pair(Algorithm::Zlib);
        // An empty packet and half a header are nothing yet.
        theirs.write_all(b"\0\0\0\0\0\0\0\x05\0\0\x01").await.unwrap();
        assert!(timeout(SOON, ours.readable()).await.is_err());
        assert!(ours.looks_idle());
        theirs.write_all(b"\0\0\0hello").await.unwrap();
        ours.readable().await.unwrap();
        ours.readable().await.unwrap();
        assert!(!ours.looks_idle());
        let mut read = [0; 3];
        ours.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"hel");
        // What is left waits in the stream; the socket has nothing more to say.
        ours.readable().await.unwrap();
        let mut read = [0; 2];
        ours.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"lo");
        assert!(timeout(SOON, ours.readable()).await.is_err());
        drop(theirs);
        ours.readable().await.unwrap();
        assert!(!ours.looks_idle());
        assert_eq!(ours.read(&mut read).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn an_end_in_the_middle_of_a_packet_is_an_error() {
        let (mut ours, mut theirs) = compressed_pair(Algorithm::Zlib);
        theirs.write_all(b"\x05\0\0\0\0\0\0hel").await.unwrap();
        drop(theirs);
        let mut read = [0; 5];
        let error = ours.read_exact(&mut read).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(ours.read(&mut read).await.is_err());
    }

    /// A request read while the reply before it passes does not change that reply's sequence ids.
    #[tokio::test]
    async fn what_is_read_ahead_stays_packed() {
        let (mut ours, mut theirs) = compressed_pair(Algorithm::Zlib);
        theirs.write_all(b"\x01\0\0\0\0\0\0a").await.unwrap();
        let mut read = [0; 1];
        ours.read_exact(&mut read).await.unwrap();
        theirs.write_all(b"\x01\0\0\0\0\0\0b").await.unwrap();
        assert_eq!(ours.readable_ahead().await.unwrap(), Some(8));
        assert_eq!(ours.waiting(), 8);
        ours.send(b"A").await.unwrap();
        ours.readable().await.unwrap();
        ours.read_exact(&mut read).await.unwrap();
        ours.send(b"B").await.unwrap();
        let mut sent = [0; 16];
        theirs.read_exact(&mut sent).await.unwrap();
        assert_eq!(&sent, b"\x01\0\0\x01\0\0\0A\x01\0\0\x01\0\0\0B");
    }
}
