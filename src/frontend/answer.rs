//! What the proxy answers by itself: OK, one number, the diagnostics of a statement whose
//! connection went back.

use bytes::BytesMut;

use super::refuse::Word;
use super::serve::Session;
use crate::session::Answer;
use crate::wire::{OkReply, TextResult, put_ok};

impl Session {
    /// `sql` is the statement as typed, for the name of a result's column.
    pub(super) fn put_answer(&self, out: &mut BytesMut, seq: u8, answer: &Answer, sql: &[u8]) {
        match answer {
            Answer::Nothing => {}
            Answer::Ok => self.put_plain_ok(out, seq),
            Answer::Number(number) => {
                let name = expression_name(sql);
                self.put_rows(out, seq, &[&name], &[vec![number.to_string()]]);
            }
            Answer::Diagnostics { count_only: true, errors_only } => {
                let name =
                    if *errors_only { "@@session.error_count" } else { "@@session.warning_count" };
                let count = self.error_rows().len().to_string();
                self.put_rows(out, seq, &[name], &[vec![count]]);
            }
            Answer::Diagnostics { .. } => {
                self.put_rows(out, seq, &["Level", "Code", "Message"], &self.error_rows());
            }
            Answer::Refuse(refusal) => {
                Word::refusal(*refusal).put(out, seq);
            }
        }
    }

    pub(super) fn put_plain_ok(&self, out: &mut BytesMut, seq: u8) {
        let reply = OkReply { status: self.ledger.status(), ..OkReply::default() };
        put_ok(out, seq, &reply, self.capabilities);
    }

    fn put_rows(&self, out: &mut BytesMut, seq: u8, columns: &[&str], rows: &[Vec<String>]) {
        let status = self.ledger.status();
        let mut result = TextResult::begin(out, seq, self.capabilities, status, columns);
        for row in rows {
            result.row(row.iter().map(|value| Some(value.as_bytes())));
        }
        result.end();
    }

    fn error_rows(&self) -> Vec<Vec<String>> {
        let row = |error: &crate::wire::ErrPacket| {
            vec!["Error".to_owned(), error.code.to_string(), error.message.clone()]
        };
        self.ledger.last_error().map(row).into_iter().collect()
    }
}

/// The name MySQL gives the column of `SELECT expression`: the expression as it was typed.
fn expression_name(sql: &[u8]) -> String {
    let text = String::from_utf8_lossy(sql);
    let text = text.trim().trim_end_matches(';').trim_end();
    let rest = text.split_once(char::is_whitespace).map_or(text, |(_, rest)| rest);
    rest.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_named_as_it_was_typed() {
        assert_eq!(expression_name(b"SELECT ROW_COUNT()"), "ROW_COUNT()");
        assert_eq!(expression_name(b"  select  row_count( ) ;"), "row_count( )");
    }
}
