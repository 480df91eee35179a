//! A reply on its way to the client.
//!
//! Owns the reply's buffer and its cursors: received, scanned, sent. Half-duplex: while a reply
//! passes nothing else is done for the session.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncReadExt;

use super::exchange::Sent;
use super::refuse::Word;
use super::restore::{Ahead, Prefix};
use super::serve::{Session, in_time};
use super::stalled;
use crate::metrics::{Cure, Direction};
use crate::pool::Borrowed;
use crate::session::{Forward, NEUTRAL_SCHEMA};
use crate::wire::{
    Capabilities, ClientFormat, Completion, ErrPacket, HEADER_LEN, Header, Malformed, Outcome,
    Progress, ReplyScanner, WHOLE_LIMIT,
};

pub(super) struct Reply {
    /// Received and not sent yet.
    input: BytesMut,
    /// What the client shall see in place of the scanned part, where the two differ.
    edited: BytesMut,
    /// Of `input`, how much is scanned and may be sent.
    scanned: usize,
    /// Of `input`, how much of the scanned part stands in `edited` already.
    is_edited: bool,
    complete: bool,
    begun: bool,
    first_seq: u8,
    server_seq: u8,
    error_seq: Option<u8>,
    completion: Completion,
}

pub(super) enum Broken {
    Client,
    /// The reply is an error that need not be the client's to hear.
    Curable(Cure),
    Server {
        error: io::Error,
    },
}

/// ER_QUERY_INTERRUPTED
const INTERRUPTED: u16 = 1317;

impl Reply {
    pub fn new(buffer: BytesMut, sent: &Sent) -> Self {
        Self {
            input: buffer,
            edited: BytesMut::new(),
            scanned: 0,
            is_edited: false,
            complete: false,
            begun: false,
            first_seq: sent.seq,
            server_seq: sent.server_seq,
            error_seq: Some(sent.seq),
            completion: Completion::default(),
        }
    }

    /// The request was sent once more, with types perhaps that it had not before.
    pub fn follow(&mut self, sent: &Sent) {
        self.server_seq = sent.server_seq;
    }

    pub fn take_completion(&mut self) -> Completion {
        std::mem::take(&mut self.completion)
    }

    /// The client has been sent a part of it.
    pub fn begun(&self) -> bool {
        self.begun
    }

    /// The sequence id of an ERR in place of what is missing; `None` in the middle of a packet.
    pub fn place_for_an_error(&self) -> Option<u8> {
        self.error_seq
    }

    pub fn has_leftover(&self) -> bool {
        self.input.len() > self.scanned
    }

    /// What is left to be sent.
    pub fn last_bytes(&self) -> &[u8] {
        if self.is_edited {
            &self.edited
        } else {
            self.input.get(..self.scanned).unwrap_or_default()
        }
    }

    pub fn into_buffers(self) -> (BytesMut, BytesMut) {
        (self.input, self.edited)
    }

    /// The error packet that ends the reply gives way to another.
    fn end_in(&mut self, word: &Word, seq: u8) {
        let Outcome::Err(error) = &self.completion.outcome else { return };
        let packet = HEADER_LEN + 1 + 2 + 6 + error.message.len();
        let kept = self.last_bytes().len().saturating_sub(packet);
        if !self.is_edited {
            self.edited.extend_from_slice(self.input.get(..kept).unwrap_or_default());
            self.is_edited = true;
        }
        self.edited.truncate(kept);
        word.put(&mut self.edited, seq);
    }

    async fn read(&mut self, borrowed: &mut Borrowed, at_least: usize) -> Result<(), Broken> {
        // It does not grow for long replies: 64 KiB at a time take a fifth of the system calls and a
        // quarter more time than 16, which stay in the nearest cache on their way in and out.
        self.input.reserve(at_least.saturating_sub(self.input.len()).max(1));
        match borrowed.stream.read_buf(&mut self.input).await {
            Ok(0) => Err(Broken::Server { error: io::ErrorKind::UnexpectedEof.into() }),
            Ok(_) => Ok(()),
            Err(error) => Err(Broken::Server { error }),
        }
    }

    fn scan(&mut self, scanner: &mut ReplyScanner) -> Result<Progress, Broken> {
        let rest = self.input.get_mut(self.scanned..).unwrap_or_default();
        let scan = scanner.scan(rest, &mut self.edited).map_err(nonsense)?;
        self.scanned += scan.consumed;
        self.is_edited = scan.edited;
        Ok(scan.progress)
    }

    /// The error that is all of the reply so far, whole; nothing of it is taken.
    pub async fn first_error(
        &mut self,
        borrowed: &mut Borrowed,
    ) -> Result<Option<ErrPacket>, Broken> {
        let Some(header) = Header::peek(&self.input).filter(|header| header.len <= WHOLE_LIMIT)
        else {
            return Ok(None);
        };
        let end = HEADER_LEN + header.len;
        while self.input.len() < end {
            self.read(borrowed, end).await?;
        }
        let only = self.input.get(HEADER_LEN..).filter(|_| self.input.len() == end);
        Ok(only.and_then(|payload| ErrPacket::parse(payload).ok()))
    }

    /// What has come is not for the client; `instead` is, if given.
    pub fn start_over(&mut self, instead: Option<&Word>) {
        self.input.clear();
        self.scanned = 0;
        self.edited.clear();
        self.is_edited = false;
        if let Some(word) = instead {
            word.put(&mut self.input, self.first_seq);
        }
    }

    /// Everything scanned has been sent, or is not for the client.
    fn drop_scanned(&mut self) {
        self.input.advance(self.scanned.min(self.input.len()));
        self.scanned = 0;
        self.edited.clear();
        self.is_edited = false;
    }
}

impl Session {
    /// Reads the replies of the prefix, then sends the client its own up to the last bytes, which
    /// stay in `reply`.
    pub(super) async fn relay(
        &mut self,
        borrowed: &mut Borrowed,
        reply: &mut Reply,
        prefix: &Prefix,
        forward: &Forward,
    ) -> Result<(), Broken> {
        let mut refused = None;
        for ahead in &prefix.replies {
            if let Some(error) = self.swallow(borrowed, reply, *ahead).await? {
                refused.get_or_insert(error);
            }
        }
        self.note_reached(borrowed, refused.is_some());
        let instead = self.word_instead(borrowed, reply, refused.as_ref()).await?;
        if instead.is_none()
            && reply.input.get(HEADER_LEN) == Some(&0xFF)
            && let Some(cure) = Box::pin(self.cure_for(borrowed, reply, forward)).await?
        {
            return Err(Broken::Curable(cure));
        }
        self.inbound.let_go();
        let mut to = ClientFormat::of(self.capabilities);
        to.first_seq = reply.first_seq;
        to.statement_id = forward.new_statement;
        to.session_track = to.session_track.map(|_| self.ledger.track_filter());
        if !to.deprecate_eof {
            // Every result set will be edited.
            reply.edited = self.shared.buffers.take();
        }
        let mut scanner = ReplyScanner::new(forward.expect, borrowed.format, to)
            .with_status(self.ledger.status())
            .with_server_seq(reply.server_seq);
        loop {
            let progress = reply.scan(&mut scanner)?;
            if progress == Progress::Complete {
                reply.completion = scanner.completion();
                reply.complete = true;
                break;
            }
            if progress == Progress::NeedClientData && !self.gives_files() {
                return Err(nonsense_text("LOCAL INFILE of a client that offers none"));
            }
            if progress == Progress::NeedClientData {
                self.pass_on(reply, &scanner).await?;
                Box::pin(self.relay_infile(borrowed, &mut scanner)).await?;
            } else {
                self.pass_on(reply, &scanner).await?;
                reply.read(borrowed, scanner.needs()).await?;
            }
        }
        let instead = instead.or_else(|| self.word_at_the_end(reply));
        if let Some(word) = instead {
            reply.end_in(&word, scanner.next_seq().wrapping_sub(1));
        }
        Ok(())
    }

    /// A statement may be ended for its time in the middle of its rows.
    fn word_at_the_end(&self, reply: &Reply) -> Option<Word> {
        let interrupted = matches!(&reply.completion.outcome, Outcome::Err(error)
            if error.code == INTERRUPTED);
        let over_time = interrupted && self.presence.is_over_time();
        over_time.then(Word::over_time).inspect(|word| self.shared.count_refusal(word))
    }

    /// A server may ask for any file: only a client that offers files, in a statement that loads
    /// one, is asked for it.
    fn gives_files(&self) -> bool {
        self.capabilities.contains(Capabilities::CLIENT_LOCAL_FILES) && self.ledger.may_load_file()
    }

    /// While the server thinks the client is watched: nobody waits for the answer of one who hung
    /// up. What it sends meanwhile is for later.
    async fn read_first(
        &mut self,
        borrowed: &mut Borrowed,
        reply: &mut Reply,
    ) -> Result<(), Broken> {
        let quiet = poll_fn(|cx| {
            if let Poll::Ready(read) = pin!(reply.read(borrowed, HEADER_LEN + 1)).poll(cx) {
                return Poll::Ready(Some(read));
            }
            self.stream.poll_quiet(cx).map(|()| None)
        });
        match quiet.await {
            Some(read) => read,
            None => Box::pin(self.read_beside(borrowed, reply)).await,
        }
    }

    /// The same, of a client that says something meanwhile, or may have.
    async fn read_beside(
        &mut self,
        borrowed: &mut Borrowed,
        reply: &mut Reply,
    ) -> Result<(), Broken> {
        tokio::select! {
            biased;
            read = reply.read(borrowed, HEADER_LEN + 1) => read,
            () = self.inbound.until_hung_up(&mut self.stream, &self.shared.buffers) => {
                Err(Broken::Client)
            }
        }
    }

    async fn pass_on(&mut self, reply: &mut Reply, scanner: &ReplyScanner) -> Result<(), Broken> {
        let bytes = reply.last_bytes();
        if !bytes.is_empty() {
            let count = bytes.len() as u64;
            let patience = || stalled::patience(self.ledger.state(), self.shared.cluster.facts());
            let sending = self.stream.send(bytes);
            let sent = stalled::in_time(&self.presence, patience, sending).await;
            sent.map_err(|_| Broken::Client)?;
            if self.stream.is_compressed() {
                // Packing takes milliseconds, and sockets that are always ready never pause.
                tokio::task::yield_now().await;
            }
            self.shared.metrics.client.bytes.of(Direction::Out).inc_by(count);
            reply.begun = true;
            reply.error_seq = scanner.between_packets().then(|| scanner.next_seq());
        }
        reply.drop_scanned();
        Ok(())
    }

    /// One reply that the client never asked for. `Some`: a schema could not be entered.
    async fn swallow(
        &mut self,
        borrowed: &mut Borrowed,
        reply: &mut Reply,
        ahead: Ahead,
    ) -> Result<Option<ErrPacket>, Broken> {
        let format = ClientFormat::same_as(borrowed.format);
        let mut scanner = ReplyScanner::new(ahead.expect(), borrowed.format, format);
        loop {
            let progress = reply.scan(&mut scanner)?;
            reply.drop_scanned();
            match progress {
                Progress::Complete => break,
                Progress::More => reply.read(borrowed, scanner.needs()).await?,
                Progress::NeedClientData => return Err(nonsense_text("LOCAL INFILE unasked")),
            }
        }
        let completion = scanner.completion();
        borrowed.list_left =
            completion.leaves_a_list() || (borrowed.list_left && !matches!(ahead, Ahead::Neutral));
        let Outcome::Err(error) = completion.outcome else { return Ok(None) };
        match ahead {
            Ahead::Use => Ok(Some(error)),
            // Proven, and refused now: the request has run, or will, under another state.
            Ahead::Set(text) => {
                borrowed.pool().disprove(text);
                Err(nonsense_text("a SET that was taken before is refused now"))
            }
            Ahead::Signal => Ok(None),
            Ahead::Other | Ahead::Neutral | Ahead::Always | Ahead::Reset(_) => {
                Err(nonsense_text("a restore is refused"))
            }
        }
    }

    /// The prefix has been answered: what the connection holds now.
    fn note_reached(&self, borrowed: &mut Borrowed, schema_refused: bool) {
        if schema_refused {
            // It stands on neutral ground, or on none.
            let neutral = borrowed.state.schema().map(|_| NEUTRAL_SCHEMA);
            borrowed.state = Arc::new(self.ledger.state().with_schema(neutral));
            borrowed.astray = true;
        } else if !borrowed.astray && !Arc::ptr_eq(&borrowed.state, self.ledger.state()) {
            borrowed.state = Arc::clone(self.ledger.state());
        }
    }

    /// When the reply begins with an error that the client must hear in other words.
    async fn word_instead(
        &mut self,
        borrowed: &mut Borrowed,
        reply: &mut Reply,
        refused: Option<&ErrPacket>,
    ) -> Result<Option<Word>, Broken> {
        // An empty packet is no reply; the scanner will say so.
        let is_empty = |input: &[u8]| Header::peek(input).is_some_and(|header| header.len == 0);
        while reply.input.len() <= HEADER_LEN && !is_empty(&reply.input) {
            self.read_first(borrowed, reply).await?;
        }
        if let Some(error) = refused
            && reply.input.get(HEADER_LEN) == Some(&0xFF)
        {
            return Ok(Some(Word::from_server(error)));
        }
        Ok(None)
    }

    /// The client's data packets, until the empty one that ends them.
    async fn relay_infile(
        &mut self,
        borrowed: &mut Borrowed,
        scanner: &mut ReplyScanner,
    ) -> Result<(), Broken> {
        let shift = scanner.seq_shift();
        let mut server_listens = true;
        loop {
            let header = self.inbound.header(&mut self.stream);
            let header = in_time(&self.presence, header).await.map_err(|_| Broken::Client)?;
            let header = self.numbered(header, scanner.next_seq());
            scanner.client_sent(header.seq);
            let mut bytes = header.bytes();
            if let Some(seq) = bytes.last_mut() {
                *seq = header.seq.wrapping_sub(shift);
            }
            server_listens = server_listens && borrowed.stream.send(&bytes).await.is_ok();
            let mut left = header.len;
            while left > 0 {
                let more = self.inbound.more(&mut self.stream, left);
                let more = in_time(&self.presence, more).await;
                let more = more.map_err(|_| Broken::Client)?;
                server_listens = server_listens && borrowed.stream.send(more).await.is_ok();
                let count = more.len();
                self.inbound.consume(count);
                left -= count;
            }
            if header.len == 0 {
                return Ok(());
            }
        }
    }
}

fn nonsense(error: Malformed) -> Broken {
    Broken::Server { error: io::Error::new(io::ErrorKind::InvalidData, error) }
}

fn nonsense_text(text: &'static str) -> Broken {
    Broken::Server { error: io::Error::new(io::ErrorKind::InvalidData, text) }
}
