//! Small queries on a server connection, for the proxy's own questions.

use bytes::BytesMut;

use super::connection::refused;
use super::{BackendError, Connection};
use crate::wire::{Command, Completion, Expect, Outcome, TextTable, put_command};

/// Rows of text; `None` is NULL.
pub type Rows = Vec<Vec<Option<String>>>;

/// One command of several that are sent together.
pub type Asked<'a> = (Command, &'a str, Expect);

impl Connection {
    /// Text protocol, one result set, all in memory: for answers of a few rows. Not cancel-safe.
    pub async fn query(&mut self, sql: &str) -> Result<Rows, BackendError> {
        let mut answers = self.ask(&[(Command::Query, sql, Expect::Query)]).await?;
        let (completion, table) = answers.pop().unwrap_or_default();
        refused(completion)?;
        let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
        let row =
            |row: Vec<Option<Vec<u8>>>| row.into_iter().map(|value| value.map(text)).collect();
        Ok(table.rows.into_iter().map(row).collect())
    }

    /// Commands that travel together, and what each was answered: one round trip for all. A
    /// refused one has an empty table. Not cancel-safe.
    pub async fn ask(
        &mut self,
        asked: &[Asked<'_>],
    ) -> Result<Vec<(Completion, TextTable)>, BackendError> {
        let mut out =
            BytesMut::with_capacity(asked.iter().map(|(_, body, _)| body.len() + 8).sum());
        for (command, body, _) in asked {
            match command {
                Command::Query => self.format.put_query(&mut out, body),
                other => put_command(&mut out, *other, body.as_bytes()),
            }
        }
        self.stream.send(&out).await?;
        let mut input = BytesMut::with_capacity(4096);
        let mut answers = Vec::with_capacity(asked.len());
        for (_, _, expect) in asked {
            let mut reply = BytesMut::new();
            let completion = self.reply(*expect, &mut input, Some(&mut reply)).await?;
            let answered = completion.outcome == Outcome::Ok && completion.result_set;
            let table = if answered {
                TextTable::parse(&reply, self.format)?
            } else {
                TextTable::default()
            };
            answers.push((completion, table));
        }
        if input.is_empty() { Ok(answers) } else { Err(super::connection::too_much()) }
    }
}
