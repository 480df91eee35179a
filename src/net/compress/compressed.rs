//! A stream inside which the compressed protocol is spoken.
//!
//! Owns the way between the [`Codec`]'s buffers and the stream below. Asleep it has no buffer of
//! its own: one is taken to read into and given up when nothing came.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::super::Stream;
use super::Codec;

/// What is read and unpacked at once.
const STEP: usize = 16 * 1024;

pub struct Compressed {
    below: Stream,
    codec: Codec,
}

impl Compressed {
    pub fn new(below: Stream, codec: Codec) -> Self {
        Self { below, codec }
    }

    pub fn below(&self) -> &Stream {
        &self.below
    }

    /// Ready when at least one byte can be unpacked, or there is an end or an error.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.codec.peek()? {
            if ready!(self.poll_fill(cx))? == 0 {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Packets that have come and that nobody has asked for.
    pub fn waiting(&mut self) -> usize {
        self.codec.raw().len()
    }

    /// Reads packets and leaves them packed; 0 at the end. Cancel-safe.
    pub async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let raw = self.codec.raw();
        raw.reserve(STEP);
        let polled = pin!(self.below.read_buf(raw)).poll(cx);
        if raw.is_empty() {
            *raw = BytesMut::new();
        }
        polled
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let out = self.codec.out();
        while !out.is_empty() {
            let count = ready!(Pin::new(&mut self.below).poll_write(cx, out))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            out.advance(count);
        }
        *out = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Compressed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buf.remaining().min(STEP);
        if room == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            let count = self.codec.unpack(buf.initialize_unfilled_to(room))?;
            if count > 0 {
                buf.advance(count);
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_fill(cx))? == 0 {
                let clean = self.codec.is_between_packets();
                let end = if clean { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
                return Poll::Ready(end);
            }
        }
    }
}

impl AsyncWrite for Compressed {
    /// What is taken is packed at once, and sent by the next write or flush.
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(cx))?;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        Poll::Ready(Ok(self.codec.pack(buf)))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.below).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.below).poll_shutdown(cx)
    }
}
