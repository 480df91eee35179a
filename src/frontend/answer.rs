//! What the proxy answers by itself: OK, one number, the diagnostics of a statement whose
//! connection went back.

use bytes::BytesMut;

use super::refuse::Word;
use super::serve::Session;
use crate::session::Answer;
use crate::wire::{Extended, Kind, OkReply, Shape, TextResult, put_ok};

impl Session {
    /// `sql` is the statement as typed, for the name of a result's column.
    pub(super) fn put_answer(&self, out: &mut BytesMut, seq: u8, answer: &Answer, sql: &[u8]) {
        match answer {
            Answer::Nothing => {}
            Answer::Ok => self.put_plain_ok(out, seq),
            Answer::Number(number) => self.put_number(out, seq, &expression_name(sql), *number),
            Answer::ConnectionId => {
                self.put_number(out, seq, &expression_name(sql), i64::from(self.presence.id));
            }
            Answer::Diagnostics { count_only: true, errors_only } => {
                let name =
                    if *errors_only { "@@session.error_count" } else { "@@session.warning_count" };
                let failed = self.ledger.last_error().is_some();
                self.put_number(out, seq, name, i64::from(failed));
            }
            Answer::Diagnostics { .. } => self.put_diagnostics(out, seq),
            Answer::Refuse(refusal) => {
                Word::refusal(*refusal).put(out, seq);
            }
        }
    }

    pub(super) fn put_plain_ok(&self, out: &mut BytesMut, seq: u8) {
        let reply = OkReply { status: self.ledger.status(), ..OkReply::default() };
        put_ok(out, seq, &reply, self.capabilities);
    }

    fn put_number(&self, out: &mut BytesMut, seq: u8, name: &str, number: i64) {
        let mut result = self.begin_result(out, seq, &[(name, Kind::Integer)]);
        result.row([Some(number.to_string().as_bytes())]);
        result.end();
    }

    fn begin_result<'a>(
        &self,
        out: &'a mut BytesMut,
        seq: u8,
        columns: &[(&str, Kind)],
    ) -> TextResult<'a> {
        let unwanted = self.ledger.state().variable("resultset_metadata") == Some("NONE");
        let extended = self.identity.meaning.extended;
        let shape = Shape {
            caps: self.capabilities,
            definitions: !unwanted,
            extended: extended.contains(Extended::MARIADB_CLIENT_EXTENDED_METADATA),
        };
        TextResult::begin_as(out, seq, shape, self.ledger.status(), columns)
    }

    /// What SHOW WARNINGS and SHOW ERRORS list after a statement that failed.
    fn put_diagnostics(&self, out: &mut BytesMut, seq: u8) {
        let columns = [("Level", Kind::Text), ("Code", Kind::Integer), ("Message", Kind::Text)];
        let mut result = self.begin_result(out, seq, &columns);
        if let Some(error) = self.ledger.last_error() {
            let code = error.code.to_string();
            let row = [&b"Error"[..], code.as_bytes(), error.message.as_bytes()];
            result.row(row.map(Some));
        }
        result.end();
    }
}

/// The name MySQL gives the column of `SELECT expression`: the expression as it was typed, without
/// the comments around it.
fn expression_name(sql: &[u8]) -> String {
    let text = String::from_utf8_lossy(sql);
    let select = text.to_ascii_lowercase().find("select").map_or(0, |at| at + "select".len());
    let expression = text.get(select..).unwrap_or_default();
    let end = [";", "/*", "#", "--"].iter().filter_map(|mark| expression.find(mark)).min();
    expression.get(..end.unwrap_or(expression.len())).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_named_as_it_was_typed() {
        assert_eq!(expression_name(b"SELECT ROW_COUNT()"), "ROW_COUNT()");
        assert_eq!(expression_name(b"/* x */ SELECT ROW_COUNT() -- y"), "ROW_COUNT()");
        assert_eq!(expression_name(b"  select  row_count( ) ;"), "row_count( )");
    }
}
