//! Lays environment variables and command line options over a tree.
//!
//! `TIDEGATE__POOL__MAX_IDLE` is `pool.max_idle`, `TIDEGATE__TARGET__0__ADDRESS` the address of the
//! first target. Whether a key exists is not known here: what is laid at an unknown one is found
//! by the reader, as in a file.

use super::VARIABLE_PREFIX;
use super::mistake::{Mistake, Place};
use super::scalar::Scalar;
use super::tree::{Entry, Node, Origin, Table};

/// Lays every variable that has the prefix; the others are not ours.
pub(super) fn environment(
    root: &mut Table,
    variables: impl Iterator<Item = (String, String)>,
) -> Vec<Mistake> {
    let mut ours: Vec<(Vec<Step>, String, String)> = variables
        .filter_map(|(name, value)| Some((steps(name.strip_prefix(VARIABLE_PREFIX)?), name, value)))
        .collect();
    ours.sort(); // so that target 0 is there before target 1 asks for its place
    let mut mistakes = Vec::new();
    for (path, name, value) in ours {
        if let Err(why) = lay(root, &path, Scalar::Word(value), &Origin::variable(&name)) {
            mistakes.push(Mistake::new(Place::Environment, name, why));
        }
    }
    mistakes
}

/// One step down the tree; an index comes before every name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Index(usize),
    Name(String),
}

pub(super) fn steps(name: &str) -> Vec<Step> {
    let step = |part: &str| match part.parse() {
        Ok(index) => Step::Index(index),
        Err(_) => Step::Name(part.to_ascii_lowercase()),
    };
    name.split("__").map(step).collect()
}

/// Puts a value at the end of the path, making what is missing on the way.
pub(super) fn lay(
    table: &mut Table,
    path: &[Step],
    value: Scalar,
    origin: &Origin,
) -> Result<(), String> {
    let (first, rest) = match path {
        [Step::Name(name), rest @ ..] if !name.is_empty() => (name, rest),
        _ => return Err("this is not the name of a key".to_owned()),
    };
    let entry = table.entry(first.clone()).or_insert_with(|| missing(rest, origin));
    lay_in(entry, first, rest, value, origin)
}

fn lay_in(
    entry: &mut Entry,
    name: &str,
    path: &[Step],
    value: Scalar,
    origin: &Origin,
) -> Result<(), String> {
    if path.is_empty() {
        *entry = Entry { origin: origin.clone(), node: Node::Scalar(value) };
        return Ok(());
    }
    match (&mut entry.node, path) {
        (Node::Table(table), _) => lay(table, path, value, origin),
        (Node::List(items), [Step::Index(index), rest @ ..]) => {
            let length = items.len();
            if *index == length {
                items.push(missing(rest, origin));
            }
            let gap = || format!("there is no {name} {index}: the next is {length}");
            let item = items.get_mut(*index).ok_or_else(gap)?;
            lay_in(item, name, rest, value, origin)
        }
        (Node::List(_), _) => {
            let upper = name.to_ascii_uppercase();
            Err(format!("there can be several: write {VARIABLE_PREFIX}{upper}__0__…"))
        }
        // A value where a section belongs: the reader has its own words for that.
        (Node::Scalar(_), _) => Ok(()),
    }
}

/// What the next step needs to stand on.
fn missing(path: &[Step], origin: &Origin) -> Entry {
    let node = match path.first() {
        Some(Step::Index(_)) => Node::List(Vec::new()),
        _ => Node::Table(Table::new()),
    };
    Entry { origin: origin.clone(), node }
}
