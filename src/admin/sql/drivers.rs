//! What drivers and the mysql client send by themselves, before anybody has typed anything.
//!
//! The answers say what a server would that has just started and has no data. None of it is state.

use super::answer::{Cell, Row, Table, Type};
use super::statement::{Rest, Statement};
use super::tokens::Token;
use super::words::Word;

/// As a server of the series whose clients are served, or they ask for what is long gone.
pub const SERVER_VERSION: &str = concat!("8.4.0-tidegate-", env!("CARGO_PKG_VERSION"));

/// One expression of a SELECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The alias, or the text as it was written.
    pub heading: String,
    pub about: About,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    Literal(Cell),
    Variable(String),
    Schema,
    User,
    Version,
    ConnectionId,
}

/// Who asks.
pub struct Asker<'a> {
    pub id: u32,
    pub user: &'a str,
    pub peer: &'a str,
    pub schema: Option<&'a str>,
}

const FUNCTIONS: [&str; 8] = [
    "DATABASE",
    "SCHEMA",
    "USER",
    "CURRENT_USER",
    "SESSION_USER",
    "SYSTEM_USER",
    "VERSION",
    "CONNECTION_ID",
];

/// What follows the word SELECT: expressions without a table.
pub fn select(rest: &mut Rest<'_>) -> Result<Vec<Asked>, Word> {
    let mut asked = Vec::new();
    loop {
        asked.push(expression(rest)?);
        if !rest.next_is_sign(',') {
            break;
        }
    }
    if rest.next_is("FROM") && !rest.next_is("DUAL") {
        return Err(Word::syntax("the console has no tables to select from; it has SHOW"));
    }
    if rest.next_is("LIMIT") {
        rest.tokens = &[];
    }
    rest.end("SELECT")?;
    Ok(asked)
}

fn expression(rest: &mut Rest<'_>) -> Result<Asked, Word> {
    let Some(placed) = rest.next_placed() else { return Err(Word::unexpected("", "SELECT", &[])) };
    let mut to = placed.to;
    let about = match &placed.token {
        Token::Variable(name) => About::Variable(name.clone()),
        Token::UserVariable => About::Literal(Cell::Null),
        Token::Text(text) => About::Literal(Cell::text(text)),
        Token::Word(word) if word.eq_ignore_ascii_case("NULL") => About::Literal(Cell::Null),
        Token::Word(word) => {
            if let Ok(number) = word.parse() {
                About::Literal(Cell::Number(number))
            } else {
                let about = function(word)?;
                if rest.next_is_sign('(') {
                    to = rest.tokens.first().map_or(to, |closing| closing.to);
                    if !rest.next_is_sign(')') {
                        return Err(Word::unexpected(word, "SELECT", &[]));
                    }
                }
                about
            }
        }
        other => {
            let known = if other == &Token::Sign('*') { &["SHOW"][..] } else { &[] };
            return Err(Word::unexpected(&other.shown(), "SELECT", known));
        }
    };
    let written = rest.text.get(placed.from..to).unwrap_or_default();
    let named = rest.next_is("AS");
    let heading = match rest.peek() {
        Some(Token::Word(word))
            if !named && ["FROM", "LIMIT"].iter().any(|it| word.eq_ignore_ascii_case(it)) =>
        {
            None
        }
        Some(Token::Word(alias) | Token::Name(alias) | Token::Text(alias)) => Some(alias.clone()),
        _ => None,
    };
    if heading.is_some() {
        rest.next();
    }
    Ok(Asked { heading: heading.unwrap_or_else(|| written.to_owned()), about })
}

fn function(name: &str) -> Result<About, Word> {
    Ok(match name.to_ascii_uppercase().as_str() {
        "DATABASE" | "SCHEMA" => About::Schema,
        "USER" | "CURRENT_USER" | "SESSION_USER" | "SYSTEM_USER" => About::User,
        "VERSION" => About::Version,
        "CONNECTION_ID" => About::ConnectionId,
        _ => return Err(Word::unexpected(name, "SELECT", &FUNCTIONS)),
    })
}

/// One row.
pub fn answer(asked: &[Asked], asker: &Asker<'_>) -> Result<Table, Word> {
    let mut table = Table { rows: vec![Vec::new()], ..Table::default() };
    for Asked { heading, about } in asked {
        let cell = match about {
            About::Literal(cell) => cell.clone(),
            About::Schema => asker.schema.into(),
            About::User => Cell::text(&format!("{}@{}", asker.user, asker.peer)),
            About::Version => Cell::text(SERVER_VERSION),
            About::ConnectionId => Cell::number(asker.id),
            About::Variable(name) => match variable(name) {
                Some(value) => value,
                None => return Err(Word::unknown_variable(name)),
            },
        };
        let kind = if matches!(cell, Cell::Number(_)) { Type::Number } else { Type::Text };
        table.columns.push((heading.clone().into(), kind));
        table.rows.iter_mut().for_each(|row| row.push(cell.clone()));
    }
    Ok(table)
}

/// `SHOW VARIABLES`
pub fn variables() -> Table {
    let rows = VARIABLES.iter().map(|(name, value)| vec![Cell::text(name), Cell::text(value)]);
    Table { columns: texts(&["Variable_name", "Value"]), rows: rows.collect() }
}

fn variable(name: &str) -> Option<Cell> {
    let (_, value) = VARIABLES.iter().find(|(known, _)| *known == name)?;
    Some(value.parse().map_or_else(|_| Cell::text(value), Cell::Number))
}

/// What Connector/J, Connector/Python, mysql_async, PyMySQL and the mysql client ask, and some more.
const VARIABLES: [(&str, &str); 46] = [
    ("auto_increment_increment", "1"),
    ("auto_increment_offset", "1"),
    ("autocommit", "1"),
    ("character_set_client", "utf8mb4"),
    ("character_set_connection", "utf8mb4"),
    ("character_set_database", "utf8mb4"),
    ("character_set_results", "utf8mb4"),
    ("character_set_server", "utf8mb4"),
    ("character_set_system", "utf8mb3"),
    ("collation_connection", "utf8mb4_general_ci"),
    ("collation_database", "utf8mb4_general_ci"),
    ("collation_server", "utf8mb4_general_ci"),
    ("default_storage_engine", ""),
    ("error_count", "0"),
    ("foreign_key_checks", "1"),
    ("have_openssl", "YES"),
    ("hostname", "tidegate"),
    ("init_connect", ""),
    ("interactive_timeout", "1800"),
    ("license", "MIT OR Apache-2.0"),
    ("lower_case_file_system", "OFF"),
    ("lower_case_table_names", "0"),
    ("max_allowed_packet", "65536"),
    ("max_execution_time", "0"),
    ("net_buffer_length", "16384"),
    ("net_read_timeout", "30"),
    ("net_write_timeout", "30"),
    ("performance_schema", "0"),
    ("protocol_version", "10"),
    ("read_only", "1"),
    ("server_id", "0"),
    ("socket", ""),
    ("sql_auto_is_null", "0"),
    ("sql_mode", ""),
    ("sql_select_limit", "18446744073709551615"),
    ("system_time_zone", "UTC"),
    ("time_zone", "SYSTEM"),
    ("transaction_isolation", "REPEATABLE-READ"),
    ("transaction_read_only", "0"),
    ("tx_isolation", "REPEATABLE-READ"),
    ("tx_read_only", "0"),
    ("version", SERVER_VERSION),
    ("version_comment", concat!("Tidegate ", env!("CARGO_PKG_VERSION"), ", the SQL console")),
    ("version_compile_os", std::env::consts::OS),
    ("wait_timeout", "1800"),
    ("warning_count", "0"),
];

/// What is shown the same to everybody: its name, its columns, and a row where there is one.
const FIXED: [(&str, &[&str], &[&str]); 11] = [
    (
        "CHARSET",
        &["Charset", "Description", "Default collation", "Maxlen"],
        &["utf8mb4", "UTF-8 Unicode", "utf8mb4_general_ci", "4"],
    ),
    (
        "COLLATION",
        &["Collation", "Charset", "Id", "Default", "Compiled", "Sortlen", "Pad_attribute"],
        &["utf8mb4_general_ci", "utf8mb4", "45", "Yes", "Yes", "1", "PAD SPACE"],
    ),
    ("DATABASES", &["Database"], &[]),
    ("SCHEMAS", &["Database"], &[]),
    ("ENGINES", &["Engine", "Support", "Comment", "Transactions", "XA", "Savepoints"], &[]),
    ("ERRORS", &["Level", "Code", "Message"], &[]),
    ("GRANTS", &["Grants"], &[]),
    ("PLUGINS", &["Name", "Status", "Type", "Library", "License"], &[]),
    ("STATUS", &["Variable_name", "Value"], &[]),
    ("TABLES", &["Tables_in_tidegate", "Table_type"], &[]),
    ("WARNINGS", &["Level", "Code", "Message"], &[]),
];

pub fn is_fixed(name: &str) -> bool {
    FIXED.iter().any(|(known, ..)| *known == name)
}

/// `name` is a fixed one.
pub fn fixed(name: &str, rest: &mut Rest<'_>) -> Result<Statement, Word> {
    let like = rest.like_or_where()?;
    let mut table = Table::default();
    if let Some((_, columns, row)) = FIXED.iter().find(|(known, ..)| *known == name) {
        table.columns = texts(columns);
        let row: Row = row.iter().map(Cell::text).collect();
        table.rows.extend(Some(row).filter(|row| !row.is_empty()));
    }
    Ok(Statement::Fixed { table, like })
}

fn texts(names: &[&'static str]) -> Vec<(std::borrow::Cow<'static, str>, Type)> {
    names.iter().map(|name| ((*name).into(), Type::Text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> Result<Vec<(String, Cell)>, String> {
        let statement = Statement::parse(text, &[]).map_err(|word| word.message)?;
        let Statement::Select(asked) = statement else { panic!("{text}: {statement:?}") };
        let asker = Asker { id: 7, user: "ops", peer: "127.0.0.1:1", schema: None };
        let mut table = answer(&asked, &asker).map_err(|word| word.message)?;
        let names = table.columns.into_iter().map(|(name, _)| name.into_owned());
        Ok(names.zip(table.rows.remove(0)).collect())
    }

    #[test]
    fn what_clients_ask_at_their_start() {
        let one = |text: &str| ask(text).unwrap().remove(0);
        assert_eq!(one("select @@version_comment limit 1").0, "@@version_comment");
        assert_eq!(one("SELECT DATABASE()"), ("DATABASE()".into(), Cell::Null));
        assert_eq!(one("select USER()").1, Cell::text("ops@127.0.0.1:1"));
        assert_eq!(one("SELECT 1"), ("1".into(), Cell::Number(1)));
        assert_eq!(one("SELECT CONNECTION_ID() AS id FROM DUAL"), ("id".into(), Cell::Number(7)));
        assert_eq!(one("SELECT 'x' `a b`"), ("a b".into(), Cell::text("x")));
        let many = ask("/* mysql-connector-j-9.1.0 */SELECT  @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS character_set_client, @@init_connect AS init_connect, @@transaction_isolation AS transaction_isolation").unwrap();
        assert_eq!(many[0], ("auto_increment_increment".into(), Cell::Number(1)));
        assert_eq!(many[3].1, Cell::text("REPEATABLE-READ"));
    }

    #[test]
    fn what_there_is_not() {
        assert!(ask("SELECT @@no_such").unwrap_err().contains("'no_such'"));
        assert!(ask("SELECT * FROM clients").unwrap_err().contains("SHOW"));
        assert!(ask("SELECT 1 FROM clients").unwrap_err().contains("no tables"));
        assert!(ask("SELECT USR()").unwrap_err().contains("did you mean USER?"));
        assert!(ask("SELECT").unwrap_err().contains("missing behind SELECT"));
    }

    #[test]
    fn variables_are_in_order() {
        assert!(VARIABLES.is_sorted_by_key(|(name, _)| *name));
        assert_eq!(variables().rows.len(), VARIABLES.len());
    }
}
