//! HELP: every statement of the console, or the columns of one table.

use super::Console;
use super::answer::{Cell, Table, Type};
use super::tables::FORMS;
use super::words::Word;

/// Beside the tables and the verbs.
const OTHERS: [(&str, &str); 2] = [
    ("SHOW CLIENT id", "one client in full: what it holds, why, what its connection is told"),
    ("HELP [table]", "this list; with the name of a table, its columns"),
];

/// All statements.
pub fn statements(console: &Console) -> Table {
    let shows = FORMS.iter().map(|form| {
        let statement = format!("SHOW {} [LIKE 'pattern']", form.name);
        (statement, "read", form.about.to_owned())
    });
    let others =
        OTHERS.iter().map(|(words, does)| ((*words).to_owned(), "read", (*does).to_owned()));
    let verbs = console.verbs.iter().map(|verb| {
        (format!("{}{}", verb.words, verb.takes.shown()), "write", verb.does.to_owned())
    });
    let rows = shows.chain(others).chain(verbs).map(|(statement, rights, does)| {
        vec![Cell::Text(statement), Cell::text(rights), Cell::Text(does)]
    });
    let note = "LIKE keeps the rows of which any cell is like the pattern: % for anything, _ for one \
                letter; upper and lower case are the same";
    let note = vec![Cell::text("LIKE 'pattern'"), Cell::text(""), Cell::text(note)];
    let columns = ["statement", "rights", "what"].map(|name| (name.into(), Type::Text)).to_vec();
    Table { columns, rows: rows.chain([note]).collect() }
}

/// The columns of a table, or what a verb does.
pub fn about(topic: &str, console: &Console) -> Result<Table, Word> {
    if let Some(form) = FORMS.iter().find(|form| form.name.eq_ignore_ascii_case(topic)) {
        let columns = ["column", "what"].map(|name| (name.into(), Type::Text)).to_vec();
        let rows = form.columns.iter().map(|it| vec![Cell::text(it.name), Cell::text(it.about)]);
        return Ok(Table { columns, rows: rows.collect() });
    }
    let mut all = statements(console);
    let names = |row: &[Cell]| match row.first() {
        Some(Cell::Text(statement)) => {
            statement.to_ascii_uppercase().starts_with(&topic.to_ascii_uppercase())
        }
        _ => false,
    };
    // As the mysql client asks for the top.
    if topic.eq_ignore_ascii_case("contents") {
        return Ok(all);
    }
    all.rows.retain(|row| names(row));
    if all.rows.is_empty() {
        let verbs = console.verbs.iter().map(|verb| verb.words);
        let known: Vec<&str> = FORMS.iter().map(|form| form.name).chain(verbs).collect();
        return Err(Word::unexpected(topic, "HELP", &known));
    }
    Ok(all)
}
