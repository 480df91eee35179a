//! The connection itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use super::learn::Facts;
use super::{BackendError, ServerStatements};
use crate::net::{Lever, Stream};
use crate::session::SessionState;
use crate::wire::{
    ClientFormat, Command, Completion, Expect, Meaning, Outcome, Progress, ReplyScanner,
    ServerFormat, Status, put_command,
};

/// Who a connection speaks as. Two sessions may share a connection without a word to the server
/// only when these are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub username: Arc<str>,
    /// Of the secrets: the one that last changed how to log in as this user.
    pub generation: u64,
    /// The capabilities that change what a statement means.
    pub meaning: Meaning,
}

pub struct Connection {
    pub stream: Stream,
    /// Its login has shown that this is the server that is meant.
    pub(super) verified: bool,
    /// The server's own id for it, as KILL takes it.
    pub id: u32,
    pub identity: Identity,
    pub format: ServerFormat,
    /// What it is known to hold.
    pub state: Arc<SessionState>,
    pub statements: ServerStatements,
    pub facts: Arc<Facts>,
    /// A statement may have changed the role, which no reset undoes.
    pub role_in_doubt: bool,
    /// In an XA transaction: one that is prepared outlives a reset on MariaDB.
    pub in_xa: bool,
    /// Its list of conditions may hold some that are not of the session that gets it.
    pub list_left: bool,
    /// Which of the passwords it was offered the server took, counted from 0.
    pub accepted: usize,
    /// To end it from outside, where its server may be found dead before it is.
    pub lever: Option<Arc<Lever>>,
    /// Run after every setup; what it sets every session begins with.
    pub(super) init_query: Arc<str>,
    pub opened: Instant,
    /// Status flags right after the login.
    pub first_status: Status,
}

impl Connection {
    /// How long the server lets it lie without a command.
    pub fn wait_timeout(&self) -> Option<Duration> {
        let set = self.state.variable("wait_timeout").and_then(|seconds| seconds.parse().ok());
        set.or(self.facts.wait_timeout).map(Duration::from_secs)
    }

    /// Sends one command and reads its reply, throwing rows away. Not cancel-safe: a connection
    /// dropped half-way must be closed. Not for COM_QUERY, whose shape is the connection's.
    pub async fn command(
        &mut self,
        command: Command,
        body: &[u8],
        expect: Expect,
    ) -> Result<Completion, BackendError> {
        let mut out = BytesMut::with_capacity(body.len() + 8);
        put_command(&mut out, command, body);
        self.sent(&out, expect).await
    }

    /// A COM_QUERY for which only whether it succeeds matters. Not cancel-safe, as `command`.
    pub async fn statement(&mut self, sql: &str) -> Result<Completion, BackendError> {
        let mut out = BytesMut::with_capacity(sql.len() + 8);
        self.format.put_query(&mut out, sql);
        self.sent(&out, Expect::Query).await
    }

    async fn sent(&mut self, request: &[u8], expect: Expect) -> Result<Completion, BackendError> {
        self.stream.send(request).await?;
        let completion = self.replies(&[expect]).await?.pop();
        refused(completion.unwrap_or_default())
    }

    /// Sends commands that are already framed, in one write, and reads their replies in order.
    pub async fn pipeline(
        &mut self,
        commands: &[u8],
        expected: &[Expect],
    ) -> Result<Vec<Completion>, BackendError> {
        self.stream.send(commands).await?;
        self.replies(expected).await
    }

    /// Reads the replies of commands that were sent together, in order.
    pub(super) async fn replies(
        &mut self,
        expected: &[Expect],
    ) -> Result<Vec<Completion>, BackendError> {
        let mut input = BytesMut::with_capacity(4096);
        let mut done = Vec::with_capacity(expected.len());
        for expect in expected {
            done.push(self.reply(*expect, &mut input, None).await?);
        }
        if input.is_empty() { Ok(done) } else { Err(too_much()) }
    }

    /// Reads one reply; `copy` gets its bytes.
    pub(super) async fn reply(
        &mut self,
        expect: Expect,
        input: &mut BytesMut,
        mut copy: Option<&mut BytesMut>,
    ) -> Result<Completion, BackendError> {
        let mut scanner =
            ReplyScanner::new(expect, self.format, ClientFormat::same_as(self.format));
        let mut edited = BytesMut::new();
        loop {
            let scan = scanner.scan(input, &mut edited)?;
            let seen = input.split_to(scan.consumed);
            if let Some(copy) = copy.as_deref_mut() {
                copy.extend_from_slice(&seen);
            }
            match scan.progress {
                Progress::Complete => {
                    let completion = scanner.completion();
                    self.list_left |= completion.leaves_a_list();
                    return Ok(completion);
                }
                Progress::NeedClientData => return Err(too_much()),
                Progress::More => {
                    input.reserve(4096.max(scanner.needs()));
                    if self.stream.read_buf(input).await? == 0 {
                        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
                    }
                }
            }
        }
    }
}

pub(super) fn refused(completion: Completion) -> Result<Completion, BackendError> {
    match completion.outcome {
        Outcome::Ok => Ok(completion),
        Outcome::Err(error) => Err(BackendError::Refused(error)),
    }
}

pub(super) fn too_much() -> BackendError {
    std::io::Error::new(std::io::ErrorKind::InvalidData, "more bytes than the reply has").into()
}
