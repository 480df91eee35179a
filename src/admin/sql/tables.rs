//! What can be shown: the name of each table, its columns and what they say.
//!
//! HELP and `docs/console.md` follow from the list here; a test holds that the latter does.

mod clients;
mod process;
mod servers;

use super::Console;
use super::answer::{Row, Table, Type};

pub use clients::client;

#[derive(Debug)]
pub struct Form {
    /// Behind SHOW.
    pub name: &'static str,
    pub about: &'static str,
    pub columns: &'static [Column],
    rows: fn(&Console) -> Vec<Row>,
}

#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Type,
    pub about: &'static str,
}

const fn text(name: &'static str, about: &'static str) -> Column {
    Column { name, kind: Type::Text, about }
}

const fn number(name: &'static str, about: &'static str) -> Column {
    Column { name, kind: Type::Number, about }
}

/// In the order of HELP.
pub const FORMS: [&Form; 10] = [
    &clients::CLIENTS,
    &clients::PINS,
    &servers::SERVERS,
    &servers::POOLS,
    &servers::TARGETS,
    &process::DIGESTS,
    &process::STATEMENTS,
    &process::STATS,
    &process::CONFIG,
    &process::VERSION,
];

impl Form {
    pub fn show(&self, console: &Console) -> Table {
        Table { columns: columns(self.columns), rows: (self.rows)(console) }
    }
}

pub fn columns(columns: &'static [Column]) -> Vec<(std::borrow::Cow<'static, str>, Type)> {
    columns.iter().map(|column| (column.name.into(), column.kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The manual has every table and every column.
    #[test]
    fn the_manual_is_whole() {
        let manual = include_str!("../../../docs/console.md");
        for form in FORMS {
            let begin = format!("### `SHOW {}`", form.name);
            let section = manual.split(&begin).nth(1).unwrap_or_else(|| panic!("{begin}"));
            let section = section.split("\n### ").next().unwrap();
            for column in form.columns {
                let row = format!("| `{}` | ", column.name);
                assert!(section.contains(&row), "SHOW {}: {row}", form.name);
            }
            let rows = section.lines().filter(|line| line.starts_with("| `")).count();
            assert_eq!(rows, form.columns.len(), "SHOW {}", form.name);
        }
    }
}
