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
            Answer::Row { cells, warnings, rows } => {
                self.put_row(out, seq, cells, *warnings, *rows);
            }
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

    /// Behind a login, which tells its schema to who asked for session tracking.
    pub(super) fn put_login_ok(&self, out: &mut BytesMut, seq: u8) {
        let schema = self.ledger.state().schema().filter(|_| self.ledger.track_filter().schema);
        let reply = OkReply { status: self.ledger.status(), schema, ..OkReply::default() };
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

    fn put_row(&self, out: &mut BytesMut, seq: u8, cells: &[Cell], warnings: u16, rows: bool) {
        let mariadb = self.ledger.is_mariadb();
        let columns: Vec<_> =
            cells.iter().map(|cell| (cell.heading.as_str(), kind(cell.about, mariadb))).collect();
        let id = i64::from(self.presence.id);
        let text = |cell: &Cell| text(cell.about, cell.value.unwrap_or(id));
        let values: Vec<String> = cells.iter().map(text).collect();
        let mut result = self.begin_result(out, seq, &columns);
        if rows {
            result.row(values.iter().map(|value| Some(value.as_bytes())));
        }
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
        let columns = condition_columns(
            self.ledger.is_mariadb(),
            self.ledger.state().variable("character_set_results").unwrap_or_default(),
        );
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
            collation: BINARY,
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

fn condition_columns(mariadb: bool, charset: &str) -> [(&'static str, Kind); 3] {
    let (collation, widest) = collation_of(charset, mariadb);
    let text = |characters: u32| Kind::Exact {
        kind: ColumnType::MYSQL_TYPE_VAR_STRING,
        length: widest * characters,
        not_null: true,
        unsigned: false,
        decimals: if mariadb { 39 } else { 31 },
        collation,
    };
    let code = Kind::Exact {
        kind: ColumnType::MYSQL_TYPE_LONG,
        length: if mariadb { 4 } else { 5 },
        not_null: true,
        unsigned: true,
        decimals: 0,
        collation: BINARY,
    };
    [("Level", text(7)), ("Code", code), ("Message", text(512))]
}

/// The collation of what is no text.
const BINARY: u16 = 63;

/// The id of a character set's default collation, and the bytes of its widest character. Without
/// one the server speaks its own, utf8mb3.
fn collation_of(charset: &str, mariadb: bool) -> (u16, u32) {
    match charset {
        "utf8mb4" if mariadb => (45, 4),
        "utf8mb4" => (255, 4),
        "" | "utf8" | "utf8mb3" => (33, 3),
        "latin1" => (8, 1),
        "ascii" => (11, 1),
        "binary" => (BINARY, 1),
        "gbk" => (28, 2),
        "big5" => (1, 2),
        "sjis" => (13, 2),
        "euckr" => (19, 2),
        "gb2312" => (24, 2),
        "ujis" => (12, 3),
        "gb18030" => (248, 4),
        "latin2" => (9, 1),
        "cp1251" => (51, 1),
        "koi8r" => (7, 1),
        _ => (33, 1),
    }
}
