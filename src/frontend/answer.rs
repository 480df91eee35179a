//! What the proxy answers by itself: OK, numbers about the session, the warnings of a statement whose
//! connection went back.

use bytes::BytesMut;

use super::refuse::Word;
use super::serve::Session;
use crate::session::hints::About;
use crate::session::{Answer, Cell};
use crate::wire::{ColumnType, Extended, Kind, OkReply, Shape, TextResult, put_ok};

impl Session {
    pub(super) fn put_answer(&self, out: &mut BytesMut, seq: u8, answer: &Answer) {
        match answer {
            Answer::Nothing => {}
            Answer::Ok => self.put_plain_ok(out, seq),
            Answer::Row { cells, warnings } => self.put_row(out, seq, cells, *warnings),
            &Answer::Conditions { errors_only, offset, limit } => {
                self.put_conditions(out, seq, errors_only, offset, limit);
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

    fn put_row(&self, out: &mut BytesMut, seq: u8, cells: &[Cell], warnings: u16) {
        let mariadb = self.ledger.is_mariadb();
        let columns: Vec<_> =
            cells.iter().map(|cell| (cell.heading.as_str(), kind(cell.about, mariadb))).collect();
        let id = i64::from(self.presence.id);
        let text = |cell: &Cell| text(cell.about, cell.value.unwrap_or(id));
        let values: Vec<String> = cells.iter().map(text).collect();
        let mut result = self.begin_result(out, seq, &columns);
        result.row(values.iter().map(|value| Some(value.as_bytes())));
        result.end_with(warnings);
    }

    fn put_conditions(
        &self,
        out: &mut BytesMut,
        seq: u8,
        errors_only: bool,
        offset: u32,
        limit: u32,
    ) {
        let columns = condition_columns(self.ledger.is_mariadb());
        let mut result = self.begin_result(out, seq, &columns);
        for condition in self.ledger.diagnostics.list(errors_only, offset, limit) {
            let code = condition.code.to_string();
            result.row([&*condition.level, code.as_bytes(), &*condition.message].map(Some));
        }
        result.end();
    }
}

/// As MySQL 9.7 and MariaDB 10.11 define these columns.
fn kind(about: About, mariadb: bool) -> Kind {
    match about {
        About::RowCount | About::FoundRows => Kind::big_int(true, false),
        About::ConnectionId if mariadb => Kind::Exact {
            kind: ColumnType::MYSQL_TYPE_LONG,
            length: 10,
            not_null: true,
            unsigned: true,
            decimals: 0,
        },
        About::LastInsertId | About::ConnectionId => Kind::big_int(true, true),
        About::Identity | About::WarningCount | About::ErrorCount => Kind::big_int(false, true),
    }
}

fn text(about: About, value: i64) -> String {
    match about {
        About::RowCount | About::FoundRows => value.to_string(),
        _ => value.cast_unsigned().to_string(),
    }
}

fn condition_columns(mariadb: bool) -> [(&'static str, Kind); 3] {
    let text = |characters: u32| Kind::Exact {
        kind: ColumnType::MYSQL_TYPE_VAR_STRING,
        length: 4 * characters,
        not_null: true,
        unsigned: false,
        decimals: if mariadb { 39 } else { 31 },
    };
    let code = Kind::Exact {
        kind: ColumnType::MYSQL_TYPE_LONG,
        length: if mariadb { 4 } else { 5 },
        not_null: true,
        unsigned: true,
        decimals: 0,
    };
    [("Level", text(7)), ("Code", code), ("Message", text(512))]
}
