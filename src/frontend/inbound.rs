//! What a client has sent and nobody has dealt with yet.
//!
//! Owns the session's read buffer: none while the session sleeps, and never more of a request
//! than must be seen at once; the rest streams by.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncReadExt;

use crate::net::{Shelf, Stream};
use crate::wire::{Command, HEADER_LEN, Header, MAX_PAYLOAD};

#[derive(Default)]
pub struct Inbound {
    bytes: BytesMut,
    /// So much at the front was sent, and may have to be sent again.
    kept: usize,
    /// How many bytes stand between the command at the front and its text.
    pub attributes: usize,
}

/// The request that stands at the front of the buffer.
#[derive(Clone, Copy, Debug)]
pub struct Incoming {
    /// Its header said so.
    pub header: Header,
    /// The command byte; `None` for an empty packet.
    pub command: Option<u8>,
    /// Bytes of it in the buffer, header included.
    pub here: usize,
    /// All of the logical packet is in the buffer.
    pub whole: bool,
}

/// A statement up to this long is read as one piece before anything is decided.
const HEAD: usize = 64 * 1024;

/// An execute's parameter types stand behind its null bitmap: with 65,535 parameters they end
/// at 139,275 bytes, and with a nameless name behind each at 204,813.
const EXECUTE_HEAD: usize = 224 * 1024;

/// How long a client that closed its side is taken to be listening.
const HALF_CLOSED: Duration = Duration::from_secs(2);

/// A text to be prepared is kept, so it must be whole.
const PREPARE_HEAD: usize = HEADER_LEN + MAX_PAYLOAD;

impl Inbound {
    /// Gives the buffer back before a sleep.
    pub fn rest(&mut self, shelf: &Shelf) {
        if self.bytes.is_empty() && self.bytes.capacity() > 0 {
            shelf.give(std::mem::take(&mut self.bytes));
        }
    }

    /// The buffer itself, when nothing is in it: a reply needs one just when the request is gone.
    pub fn lend(&mut self) -> Option<BytesMut> {
        let has_one = self.bytes.is_empty() && self.bytes.capacity() > 0;
        if has_one { Shelf::renew(std::mem::take(&mut self.bytes)) } else { None }
    }

    /// Takes it back, or another. What is not needed goes to the shelf.
    pub fn take_back(&mut self, buffer: BytesMut, shelf: &Shelf) {
        if self.bytes.capacity() > 0 {
            return shelf.give(buffer);
        }
        self.bytes = Shelf::renew(buffer).unwrap_or_default();
    }

    /// Nothing has been read that was not dealt with.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next request, once its head is here.
    pub fn ready(&mut self) -> Option<Incoming> {
        let incoming = self.peek()?;
        self.attributes = 0;
        Some(incoming)
    }

    /// Reads what is there: how many bytes, 0 if the client hung up. Takes a buffer if it has none,
    /// also for nothing.
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
        shelf: &Shelf,
    ) -> Poll<io::Result<usize>> {
        if self.bytes.capacity() == 0 {
            self.bytes = shelf.take();
        }
        self.bytes.reserve(self.missing());
        pin!(stream.read_buf(&mut self.bytes)).poll(cx)
    }

    /// The bytes of the request that are here, header included.
    pub fn front(&mut self, incoming: Incoming) -> &mut [u8] {
        let here = incoming.here.min(self.bytes.len());
        self.bytes.get_mut(..here).unwrap_or_default()
    }

    /// The text, or whatever else the command is about, as far as it is here.
    pub fn body(&mut self, incoming: Incoming) -> &[u8] {
        let start = HEADER_LEN + 1 + self.attributes;
        self.front(incoming).get(start..).unwrap_or_default()
    }

    /// Blanked, not cut out: the packet keeps its length, be it continued in others, and servers
    /// drop the blanks before a text.
    pub fn blank_attributes(&mut self) {
        let start = HEADER_LEN + 1;
        let end = start + std::mem::take(&mut self.attributes);
        if let Some(block) = self.bytes.get_mut(start..end) {
            block.fill(b' ');
        }
    }

    pub fn consume(&mut self, count: usize) {
        self.bytes.advance(count.min(self.bytes.len()));
    }

    /// In place of [`Inbound::consume`], until [`Inbound::let_go`].
    pub fn keep(&mut self, count: usize) {
        self.kept = count.min(self.bytes.len());
    }

    /// The request that is kept, if one is.
    pub fn kept(&self) -> &[u8] {
        self.bytes.get(..self.kept).unwrap_or_default()
    }

    pub fn let_go(&mut self) {
        let kept = std::mem::take(&mut self.kept);
        self.consume(kept);
    }

    /// Up to `most` further bytes, from the buffer or the client. The caller consumes them.
    pub async fn more(&mut self, stream: &mut Stream, most: usize) -> io::Result<&[u8]> {
        if self.bytes.is_empty() {
            self.bytes.reserve(16 * 1024);
            if stream.read_buf(&mut self.bytes).await? == 0 {
                return Err(truncated());
            }
        }
        let here = self.bytes.len().min(most);
        Ok(self.bytes.get(..here).unwrap_or_default())
    }

    /// Returns when the client has hung up: at once after a reset, after a while when it said only
    /// that it will send no more, since it may still listen. What it sends before that is kept, up
    /// to a bound; past that nobody is told. Cancel-safe.
    pub async fn until_hung_up(&mut self, stream: &mut Stream, shelf: &Shelf) {
        while self.bytes.len() + stream.waiting() < self.kept + HEAD {
            let read = match stream.readable_ahead().await {
                Ok(Some(count)) => Ok(count),
                Ok(None) => {
                    if self.bytes.capacity() == 0 {
                        self.bytes = shelf.take();
                    }
                    self.bytes.reserve(4096);
                    stream.read_buf(&mut self.bytes).await
                }
                Err(error) => Err(error),
            };
            match read {
                Ok(0) => return tokio::time::sleep(HALF_CLOSED).await,
                Ok(_) => {}
                Err(_) => return,
            }
        }
        std::future::pending::<()>().await;
    }

    /// A whole packet's payload, for the packets of an authentication.
    pub async fn packet(
        &mut self,
        stream: &mut Stream,
        limit: usize,
    ) -> io::Result<(u8, BytesMut)> {
        let header = loop {
            match Header::peek(&self.bytes) {
                Some(header) if header.len > limit => return Err(too_large()),
                Some(header) if self.bytes.len() >= HEADER_LEN + header.len => break header,
                _ => self.read_more(stream).await?,
            }
        };
        self.bytes.advance(HEADER_LEN);
        Ok((header.seq, self.bytes.split_to(header.len)))
    }

    /// The next header, consumed.
    pub async fn header(&mut self, stream: &mut Stream) -> io::Result<Header> {
        loop {
            if let Some(header) = Header::peek(&self.bytes) {
                self.bytes.advance(HEADER_LEN);
                return Ok(header);
            }
            self.read_more(stream).await?;
        }
    }

    async fn read_more(&mut self, stream: &mut Stream) -> io::Result<()> {
        self.bytes.reserve(4096);
        if stream.read_buf(&mut self.bytes).await? == 0 { Err(truncated()) } else { Ok(()) }
    }

    fn peek(&self) -> Option<Incoming> {
        let header = Header::peek(&self.bytes)?;
        let end = HEADER_LEN + header.len;
        let command = self.bytes.get(HEADER_LEN).copied().filter(|_| header.len > 0);
        if header.len > 0 && command.is_none() {
            return None;
        }
        let here = self.bytes.len().min(end);
        if here < end.min(head(command)) {
            return None;
        }
        Some(Incoming { header, command, here, whole: here == end && header.len < MAX_PAYLOAD })
    }

    fn missing(&self) -> usize {
        let Some(header) = Header::peek(&self.bytes) else { return HEADER_LEN + 1 };
        let end = HEADER_LEN + header.len;
        let head = head(self.bytes.get(HEADER_LEN).copied());
        // Memory is taken as bytes come, not as the header promises.
        end.min(head).saturating_sub(self.bytes.len()).clamp(1, HEAD)
    }
}

fn head(command: Option<u8>) -> usize {
    match command.and_then(Command::from_byte) {
        Some(Command::StmtPrepare) => PREPARE_HEAD,
        Some(Command::StmtExecute | Command::StmtBulkExecute) => EXECUTE_HEAD,
        _ => HEAD,
    }
}

fn truncated() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the client hung up in the middle of a packet")
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the packet is too large for this phase")
}
