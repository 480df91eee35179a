//! One HTTP connection, for as long as it is worth its place.
//!
//! Whoever is told nothing for a minute is closed, as they ask for nothing, or so slowly that it comes
//! to the same; and sooner, if others want the place.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::net::Stream;
use crate::registry::Guest;

pub(super) const IDLE: Duration = Duration::from_secs(60);

pub(super) struct Visit {
    stream: Stream,
    guest: Guest,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
    idle: Pin<Box<Sleep>>,
    over: bool,
}

impl Visit {
    pub fn new(stream: Stream, guest: Guest) -> Self {
        let cut = Box::pin(guest.cut());
        Self { stream, guest, cut, idle: Box::pin(sleep(IDLE)), over: false }
    }

    fn goes_on(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.over = self.over
            || self.cut.as_mut().poll(cx).is_ready()
            || self.idle.as_mut().poll(cx).is_ready();
        if self.over { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    fn told(&mut self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.guest.renew(std::time::Instant::now());
            self.idle.as_mut().reset(Instant::now() + IDLE);
        }
    }
}

impl AsyncRead for Visit {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.goes_on(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Visit {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.goes_on(cx)?;
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.told(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.goes_on(cx)?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.told(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
