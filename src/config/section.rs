//! One table of the configuration while it is read.
//!
//! It is asked for its keys one by one and remembers which, so that what is left at the end is
//! what nobody knows. A value that cannot be read becomes a mistake and its default: reading goes
//! on, and all mistakes are found.

use super::VARIABLE_PREFIX;
use super::mistake::{Mistake, Place};
use super::nearest::nearest;
use super::scalar::{Scalar, text};
use super::tree::{Entry, Node, Origin, Table};

pub(super) struct Section<'t> {
    path: String,
    origin: Origin,
    table: Option<&'t Table>,
    asked: Vec<&'static str>,
    unsound: Vec<&'static str>,
    mistakes: Vec<Mistake>,
}

impl<'t> Section<'t> {
    pub(super) fn root(table: &'t Table, place: Place) -> Self {
        Self::new(String::new(), Origin { place, name: None }, Some(table))
    }

    fn new(path: String, origin: Origin, table: Option<&'t Table>) -> Self {
        let (asked, unsound, mistakes) = (Vec::new(), Vec::new(), Vec::new());
        Self { path, origin, table, asked, unsound, mistakes }
    }

    /// The value of a key, or its default where it is absent or cannot be read.
    pub(super) fn value<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Scalar) -> Result<T, String>,
    ) -> T {
        let result = match self.ask(key).map(|entry| &entry.node) {
            None => return default,
            Some(Node::Scalar(scalar)) => read(scalar),
            Some(Node::Table(_)) => Err("expected a value, found a section".to_owned()),
            Some(Node::List(_)) => Err("expected a value, found a list".to_owned()),
        };
        result.unwrap_or_else(|why| {
            self.unsound.push(key);
            self.wrong(key, why);
            default
        })
    }

    /// A list of texts, or one; empty where it is absent.
    pub(super) fn texts(&mut self, key: &'static str) -> Vec<String> {
        let scalars: Vec<&Node> = match self.ask(key).map(|entry| &entry.node) {
            None => Vec::new(),
            Some(Node::List(items)) => items.iter().map(|item| &item.node).collect(),
            Some(one) => vec![one],
        };
        let read = scalars.into_iter().map(|node| match node {
            Node::Scalar(scalar) => text(scalar),
            _ => Err("expected a list of texts, such as [\"a\", \"b\"]".to_owned()),
        });
        read.collect::<Result<Vec<_>, _>>().unwrap_or_else(|why| {
            self.unsound.push(key);
            self.wrong(key, why);
            Vec::new()
        })
    }

    /// A section inside this one; empty where it is absent.
    pub(super) fn child(&mut self, key: &'static str) -> Section<'t> {
        let path = self.path_of(key);
        let entry = self.ask(key);
        let table = match entry.map(|entry| &entry.node) {
            None => None,
            Some(Node::Table(table)) => Some(table),
            Some(Node::List(_)) => {
                self.wrong(key, format!("there is only one: write [{path}]"));
                None
            }
            Some(Node::Scalar(_)) => {
                self.wrong(key, format!("expected a section: write [{path}] and its keys below"));
                None
            }
        };
        let origin = entry.map_or_else(|| self.origin.clone(), |entry| entry.origin.clone());
        Section::new(path, origin, table)
    }

    /// The sections of a list, or `None` where there is none at all.
    pub(super) fn list(&mut self, key: &'static str) -> Option<Vec<Section<'t>>> {
        let path = self.path_of(key);
        let several = format!("there can be several: write [[{path}]] and its keys below");
        let items = match &self.ask(key)?.node {
            Node::List(items) => items,
            Node::Table(_) | Node::Scalar(_) => {
                self.wrong(key, several);
                return Some(Vec::new());
            }
        };
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            if let Node::Table(table) = &item.node {
                sections.push(Section::new(path, item.origin.clone(), Some(table)));
            } else {
                let name = item.origin.name.clone().unwrap_or(path);
                self.mistakes.push(Mistake::new(item.origin.place.clone(), name, several.clone()));
            }
        }
        (!items.is_empty()).then_some(sections)
    }

    fn ask(&mut self, key: &'static str) -> Option<&'t Entry> {
        self.asked.push(key);
        self.table?.get(key)
    }

    /// Whether a key was written at all.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Whether these keys were all read as they were written, so that they can be compared.
    pub(super) fn sound(&self, keys: &[&str]) -> bool {
        !keys.iter().any(|key| self.unsound.contains(key))
    }

    pub(super) fn wrong(&mut self, key: &str, why: impl Into<String>) {
        let (place, name) = self.name_of(key);
        self.mistakes.push(Mistake::new(place, name, why));
    }

    /// Where a key is and what it is called there; what was never written is called where its
    /// section is.
    pub(super) fn name_of(&self, key: &str) -> (Place, String) {
        let written = self.table.and_then(|table| table.get(key));
        let origin = written.map_or(&self.origin, |entry| &entry.origin);
        let name = match (&origin.name, &origin.place) {
            (Some(name), _) if written.is_some() => name.clone(),
            (_, Place::Environment) => self.variable_of(key),
            _ => self.path_of(key),
        };
        (origin.place.clone(), name)
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn variable_of(&self, key: &str) -> String {
        let path = self.path_of(key).replace(['.', '['], "__").replace(']', "");
        format!("{VARIABLE_PREFIX}{}", path.to_ascii_uppercase())
    }

    /// What was wrong here, and the keys nobody asked for.
    pub(super) fn close(mut self) -> Vec<Mistake> {
        let unknown =
            self.table.into_iter().flatten().filter(|(key, _)| !self.asked.contains(&&***key));
        let mut mistakes: Vec<Mistake> =
            unknown.flat_map(|(key, entry)| self.unknown(key, entry)).collect();
        self.mistakes.append(&mut mistakes);
        self.mistakes
    }

    fn unknown(&self, key: &str, entry: &Entry) -> Vec<Mistake> {
        let near = nearest(key, self.asked.iter().copied());
        let from_environment = entry.origin.place == Place::Environment;
        let shown =
            |key: &str| if from_environment { self.variable_of(key) } else { key.to_owned() };
        let why = match near {
            Some(near) => format!("unknown key; did you mean {}?", shown(near)),
            None if from_environment => "unknown key".to_owned(),
            None => format!("unknown key; {} {}", self.holds(), self.asked.join(", ")),
        };
        let names = match &entry.origin.name {
            Some(_) => written_names(entry),
            None => vec![self.path_of(key)],
        };
        let place = &entry.origin.place;
        names.into_iter().map(|name| Mistake::new(place.clone(), name, &*why)).collect()
    }

    fn holds(&self) -> String {
        if self.path.is_empty() {
            "the sections are".to_owned()
        } else {
            format!("[{}] has", self.path)
        }
    }
}

/// Every variable that wrote something at or under an entry.
fn written_names(entry: &Entry) -> Vec<String> {
    match &entry.node {
        Node::Scalar(_) => entry.origin.name.iter().cloned().collect(),
        Node::Table(table) => table.values().flat_map(written_names).collect(),
        Node::List(items) => items.iter().flat_map(written_names).collect(),
    }
}
