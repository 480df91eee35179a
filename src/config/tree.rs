//! A configuration as it was written: values in tables and lists, each with its place. Nothing
//! here knows a key.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Place};
use super::scalar::Scalar;

pub(super) type Table = BTreeMap<String, Entry>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) origin: Origin,
    pub(super) node: Node,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Scalar(Scalar),
    Table(Table),
    List(Vec<Entry>),
}

/// Where an entry came from, and under what name when that is not its key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Origin {
    pub(super) place: Place,
    /// The variable or the option; `None` in a file, where the key is the name.
    pub(super) name: Option<String>,
}

impl Origin {
    pub(super) fn variable(name: &str) -> Self {
        Self { place: Place::Environment, name: Some(name.to_owned()) }
    }

    pub(super) fn option(name: &str) -> Self {
        Self { place: Place::CommandLine, name: Some(name.to_owned()) }
    }
}

/// The parser recovers, so that a line it cannot read does not hide the mistakes on the others.
pub(super) fn parse(path: &Path, text: &str) -> Parsed {
    let lines = Lines { path, text };
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut mistakes: Vec<Mistake> = Vec::new();
    let mut lost_header = false;
    for error in &errors {
        let line = error.span().map(|span| lines.number(span.start));
        lost_header |= line.is_none_or(|line| lines.is_header(line));
        let why = error.message().lines().collect::<Vec<_>>().join("; ");
        mistakes.push(Mistake::in_file(path, line, "", why));
    }
    Parsed { table: lines.table(document.get_ref()), mistakes, lost_header }
}

pub(super) struct Parsed {
    pub(super) table: Table,
    /// What is not TOML.
    pub(super) mistakes: Vec<Mistake>,
    /// A `[section]` line was not understood: keys below it may be in the wrong table.
    pub(super) lost_header: bool,
}

struct Lines<'t> {
    path: &'t Path,
    text: &'t str,
}

impl Lines<'_> {
    fn number(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
    }

    fn is_header(&self, line: usize) -> bool {
        let line = self.text.lines().nth(line - 1).unwrap_or_default();
        line.trim_start().starts_with('[')
    }

    fn origin(&self, offset: usize) -> Origin {
        let line = Some(self.number(offset));
        Origin { place: Place::File { path: self.path.to_owned(), line }, name: None }
    }

    fn table(&self, table: &DeTable<'_>) -> Table {
        let entry = |(key, value): (&Spanned<_>, &Spanned<_>)| Entry {
            origin: self.origin(key.span().start),
            node: self.node(value.get_ref()),
        };
        table.iter().map(|(key, value)| (key.get_ref().to_string(), entry((key, value)))).collect()
    }

    fn node(&self, value: &DeValue<'_>) -> Node {
        Node::Scalar(match value {
            DeValue::Table(table) => return Node::Table(self.table(table)),
            DeValue::Array(list) => return Node::List(list.iter().map(|e| self.item(e)).collect()),
            DeValue::String(text) => Scalar::Text(text.to_string()),
            DeValue::Integer(number) => {
                Scalar::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
            }
            DeValue::Boolean(value) => Scalar::Bool(*value),
            DeValue::Float(_) => Scalar::Other("number with a fraction"),
            DeValue::Datetime(_) => Scalar::Other("date"),
        })
    }

    fn item(&self, value: &Spanned<DeValue<'_>>) -> Entry {
        Entry { origin: self.origin(value.span().start), node: self.node(value.get_ref()) }
    }
}
