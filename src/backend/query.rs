//! One small query on a server connection, for the proxy's own questions.

use bytes::BytesMut;

use super::connection::refused;
use super::{BackendError, Connection};
use crate::wire::{Expect, HEADER_LEN, Header, Malformed, ServerFormat, column_count, text_row};

/// Rows of text; `None` is NULL.
pub type Rows = Vec<Vec<Option<String>>>;

impl Connection {
    /// Text protocol, one result set, all in memory: for answers of a few rows. Not cancel-safe.
    pub async fn query(&mut self, sql: &str) -> Result<Rows, BackendError> {
        let mut out = BytesMut::with_capacity(sql.len() + 8);
        self.format.put_query(&mut out, sql);
        self.stream.send(&out).await?;
        let mut input = BytesMut::with_capacity(4096);
        let mut reply = BytesMut::with_capacity(4096);
        let completion = self.reply(Expect::Query, &mut input, Some(&mut reply)).await?;
        refused(completion)?;
        Ok(rows(&reply, self.format)?)
    }
}

fn rows(mut reply: &[u8], format: ServerFormat) -> Result<Rows, Malformed> {
    let mut packets = Vec::new();
    while let Some(header) = Header::peek(reply) {
        let end = HEADER_LEN + header.len;
        packets.push(
            reply
                .get(HEADER_LEN..end)
                .ok_or(Malformed::Short { packet: "text result set", at: end })?,
        );
        reply = reply.get(end..).unwrap_or_default();
    }
    let Some(first) = packets.first().filter(|packet| packet.first() != Some(&0)) else {
        return Ok(Vec::new());
    };
    let (columns, defined) = column_count(first, format.optional_metadata)?;
    let definitions = if defined { columns as usize } else { 0 };
    let before = 1 + definitions + usize::from(!format.deprecate_eof);
    let after = 1;
    let body = packets.get(before..packets.len().saturating_sub(after)).unwrap_or_default();
    body.iter().map(|packet| row(packet)).collect()
}

fn row(packet: &[u8]) -> Result<Vec<Option<String>>, Malformed> {
    let values = text_row(packet)?.into_iter();
    Ok(values.map(|value| value.map(|bytes| String::from_utf8_lossy(bytes).into_owned())).collect())
}
