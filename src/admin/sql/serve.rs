//! One operator, logged in: a statement after the other, until they leave, idle too long, or the
//! process stops.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use super::Console;
use super::answer::{Answer, Cell, Table, Type};
use super::door::say_farewell;
use super::drivers::{self, Asker};
use super::help;
use super::statement::Statement;
use super::tables;
use super::verbs::{Argument, Done, Verb};
use super::words::{Refusal, Word};
use crate::net::{self, Stream};
use crate::secrets::Rights;
use crate::wire::{Capabilities, Command, Status, put_eof, put_packet};

pub struct Operator {
    pub stream: Stream,
    pub console: Arc<Console>,
    pub id: u32,
    pub peer: String,
    pub user: String,
    pub rights: Rights,
    pub capabilities: Capabilities,
    /// As they named it; there is none.
    pub schema: Option<String>,
}

/// Nobody types more.
const LONGEST: usize = 64 * 1024;

const IDLE: Duration = Duration::from_secs(30 * 60);

/// How long an operator may take to read an answer.
const READING: Duration = Duration::from_secs(30);

/// What follows a command.
enum Next {
    Say(Answer),
    Refuse(Word),
    /// Packets that are neither.
    Raw(BytesMut),
    Nothing,
    End,
}

impl Operator {
    pub async fn serve(mut self) {
        let stopping = self.console.rooms.lifecycle.stopping();
        loop {
            let reading = net::read_packet(&mut self.stream, LONGEST);
            let read = tokio::select! {
                () = stopping.cancelled() => return self.leave(&Word::stopping()).await,
                read = tokio::time::timeout(IDLE, reading) => read,
            };
            let payload = match read {
                Ok(Ok((0, payload))) => payload,
                Ok(Ok(_)) => return self.leave(&Word::out_of_order()).await,
                Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    return self.leave(&Word::too_large()).await;
                }
                Ok(Err(_)) => return,
                Err(_) => return self.leave(&Word::idle(IDLE)).await,
            };
            let next = self.on_command(&payload).await;
            if !self.carry_out(next).await {
                return;
            }
        }
    }

    /// `false`: the connection is at its end.
    async fn carry_out(&mut self, next: Next) -> bool {
        let mut out = BytesMut::new();
        match next {
            Next::Say(answer) => answer.put(&mut out, self.capabilities),
            Next::Refuse(word) => {
                word.put(&mut out, 1);
            }
            Next::Raw(packets) => out = packets,
            Next::Nothing => return true,
            Next::End => return false,
        }
        let said = tokio::time::timeout(READING, self.stream.send(&out)).await;
        said.is_ok_and(|said| said.is_ok())
    }

    async fn leave(mut self, word: &Word) {
        let mut out = BytesMut::new();
        word.put(&mut out, 0);
        say_farewell(&mut self.stream, &out).await;
    }

    async fn on_command(&mut self, payload: &[u8]) -> Next {
        let (first, body) = payload.split_first().unwrap_or((&0, &[]));
        let Some(command) = Command::from_byte(*first) else {
            return Next::Refuse(Word::unknown_command("such command"));
        };
        match command {
            Command::Quit => Next::End,
            Command::Query => match std::str::from_utf8(body) {
                Ok(text) => match self.on_text(text).await {
                    Ok(answer) => Next::Say(answer),
                    Err(word) => Next::Refuse(word),
                },
                Err(_) => Next::Refuse(Word::not_text()),
            },
            Command::Ping | Command::ResetConnection => Next::Say(Answer::Ok),
            Command::InitDb => {
                self.schema = Some(String::from_utf8_lossy(body).into_owned());
                Next::Say(Answer::Ok)
            }
            Command::SetOption => {
                let mut out = BytesMut::new();
                put_eof(&mut out, 1, Status::SERVER_STATUS_AUTOCOMMIT, 0);
                Next::Raw(out)
            }
            Command::Statistics => {
                let mut out = BytesMut::new();
                put_packet(&mut out, 1, self.statistics().as_bytes());
                Next::Raw(out)
            }
            Command::StmtPrepare => Next::Refuse(Word::no_prepared_statements()),
            // They have no reply.
            Command::StmtClose | Command::StmtSendLongData => Next::Nothing,
            other => Next::Refuse(Word::unknown_command(other.manual_name())),
        }
    }

    fn statistics(&self) -> String {
        let rooms = &self.console.rooms;
        let uptime = self.console.started.elapsed().as_secs();
        format!(
            "Uptime: {uptime}  Clients: {}  Phase: {}",
            rooms.registry.len(),
            rooms.lifecycle.phase()
        )
    }

    async fn on_text(&mut self, text: &str) -> Result<Answer, Word> {
        let console = Arc::clone(&self.console);
        Ok(match Statement::parse(text, &console.verbs)? {
            Statement::Nothing => Answer::Ok,
            Statement::Use(schema) => {
                self.schema = Some(schema);
                Answer::Ok
            }
            Statement::Verb(at, argument) => {
                let Some(verb) = console.verbs.get(at) else { return Err(Word::empty()) };
                self.perform(verb, argument).await?
            }
            Statement::Show { form, like } => {
                // There may be ten thousand clients, and those are not to wait for this.
                let show = move || form.show(&console).like(like.as_deref());
                let shown = tokio::task::spawn_blocking(show).await;
                Answer::Table(shown.map_err(|error| Refusal::Failed(error.to_string()))?)
            }
            Statement::ShowClient(id) => {
                Answer::Table(tables::client(id, &console).ok_or_else(|| Word::unknown_client(id))?)
            }
            Statement::Help { topic: Some(topic), .. } => {
                Answer::Table(help::about(&topic, &console)?)
            }
            Statement::Help { topic: None, like } => {
                Answer::Table(help::statements(&console).like(like.as_deref()))
            }
            Statement::Select(asked) => Answer::Table(drivers::answer(&asked, &self.asker())?),
            Statement::Variables { like } => {
                Answer::Table(drivers::variables().like(like.as_deref()))
            }
            Statement::Fixed { table, like } => Answer::Table(table.like(like.as_deref())),
        })
    }

    fn asker(&self) -> Asker<'_> {
        Asker { id: self.id, user: &self.user, peer: &self.peer, schema: self.schema.as_deref() }
    }

    /// In a task of its own: what has begun is brought to its end.
    async fn perform(&self, verb: &Verb, argument: Argument) -> Result<Answer, Word> {
        let statement = match &argument {
            Argument::None => verb.words.to_owned(),
            Argument::Client(id) => format!("{} {id}", verb.words),
            Argument::Target(name) => format!("{} {name}", verb.words),
            Argument::Move { to, force: false, .. } => format!("{} {to}", verb.words),
            Argument::Move { to, force: true, .. } => format!("{} {to} FORCE", verb.words),
        };
        let (operator, peer) = (self.user.clone(), self.peer.clone());
        if self.rights < Rights::Write {
            tracing::warn!(operator, peer, statement, "an operator may not do this");
            return Err(Word::read_only(verb.words));
        }
        tracing::info!(operator, peer, statement, "an operator's command");
        let running = (verb.run)(argument);
        let (tell, hear) = tokio::sync::oneshot::channel();
        self.console.rooms.lifecycle.spawn("verb", async move {
            let done = running.await;
            match &done {
                Ok(_) => tracing::info!(operator, peer, statement, "done"),
                Err(why) => tracing::warn!(operator, peer, statement, ?why, "not done"),
            }
            let _ = tell.send(done);
        });
        // The task ends without a word only when the process does.
        let done = hear.await.unwrap_or_else(|_| Err(Refusal::Failed("Tidegate stops".into())));
        match done? {
            Done::Silently => Ok(Answer::Ok),
            Done::Saying(lines) => {
                let rows = lines.into_iter().map(|line| vec![Cell::Text(line)]).collect();
                Ok(Answer::Table(Table { columns: vec![("result".into(), Type::Text)], rows }))
            }
        }
    }
}
