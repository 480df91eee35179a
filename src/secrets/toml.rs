//! Secrets as TOML: `[[user]]` and `[[admin]]` tables.
//!
//! Read by hand from the spanned tree, not through serde: serde stops at the first problem, and
//! its "invalid type: string …" repeats the value.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::admin::AdminEntry;
use super::bounds::{Bounds, Written};
use super::text::{Entry, Finding, KEYS, Parsed, is_flag};

pub(super) fn parse(source: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let (document, errors) = DeTable::parse_recoverable(source);
    if !errors.is_empty() {
        for error in errors {
            // The Display of a toml error prints the source line. message() of a syntax error
            // is made of fixed descriptions only; the tests hold that.
            let line = error.span().map(|span| line_at(source, span.start));
            parsed.findings.push(Finding::new(line, error.message()));
        }
        return parsed;
    }
    for (key, value) in document.into_inner() {
        let line = Some(line_at(source, key.span().start));
        match key.get_ref().as_ref() {
            "user" => tables(source, (line, "user"), value, &mut parsed, user),
            "admin" => tables(source, (line, "admin"), value, &mut parsed, admin),
            _ => {
                let what = "unknown key here; entries are [[user]] and [[admin]]";
                parsed.findings.push(Finding::new(line, what));
            }
        }
    }
    parsed
}

/// Reads one table of a list.
type Read = fn(&str, Option<usize>, DeTable<'_>, &mut Parsed);

fn tables(
    source: &str,
    (line, name): (Option<usize>, &str),
    value: Spanned<DeValue<'_>>,
    parsed: &mut Parsed,
    read: Read,
) {
    let DeValue::Array(entries) = value.into_inner() else {
        let what = format!("{name} must be a list: write [[{name}]]");
        parsed.findings.push(Finding::new(line, what));
        return;
    };
    for entry in entries {
        let line = Some(line_at(source, entry.span().start));
        if let DeValue::Table(table) = entry.into_inner() {
            read(source, line, table, parsed);
        } else {
            let what = format!("each {name} must be a table");
            parsed.findings.push(Finding::new(line, what));
        }
    }
}

fn user(source: &str, line: Option<usize>, table: DeTable<'_>, parsed: &mut Parsed) {
    let mut entry = Entry { line, ..Entry::default() };
    let mut mistyped = Vec::new();
    for (key, value) in table {
        let line = Some(line_at(source, key.span().start));
        if let Some(bound) = Bounds::KEYS.into_iter().find(|k| k == key.get_ref()) {
            if let Err(what) = entry.bounds.set(bound, written(value.into_inner())) {
                parsed.findings.push(Finding::new(line, what));
            }
            continue;
        }
        let Some(known) = KEYS.into_iter().find(|k| k == key.get_ref()) else {
            // The key is not repeated: a password pasted at the wrong place would be one.
            let keys = [KEYS.as_slice(), Bounds::KEYS.as_slice()].concat().join(", ");
            let what = format!("unknown key; a user has {keys}");
            parsed.findings.push(Finding::new(line, what));
            continue;
        };
        match value.into_inner() {
            DeValue::Boolean(flag) if is_flag(known) => entry.set_flag(known, flag),
            DeValue::String(text) if !is_flag(known) => entry.set(known, text.into_owned()),
            _ => {
                mistyped.push(known);
                let kind = if is_flag(known) { "true or false" } else { "a string" };
                parsed.findings.push(Finding::new(line, format!("{known} must be {kind}")));
            }
        }
    }
    entry.finish(&mistyped, parsed);
}

fn written(value: DeValue<'_>) -> Written {
    match value {
        DeValue::String(text) => Written::Texts(vec![text.into_owned()]),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            number.map_or(Written::Other, Written::Number)
        }
        DeValue::Array(items) => {
            let texts = items.into_iter().map(|item| match item.into_inner() {
                DeValue::String(text) => Some(text.into_owned()),
                _ => None,
            });
            texts.collect::<Option<_>>().map_or(Written::Other, Written::Texts)
        }
        _ => Written::Other,
    }
}

fn admin(source: &str, line: Option<usize>, table: DeTable<'_>, parsed: &mut Parsed) {
    let mut entry = AdminEntry::at(line);
    for (key, value) in table {
        let line = Some(line_at(source, key.span().start));
        let Some(known) = AdminEntry::KEYS.into_iter().find(|k| k == key.get_ref()) else {
            let what = format!("unknown key; an admin has {}", AdminEntry::KEYS.join(", "));
            parsed.findings.push(Finding::new(line, what));
            continue;
        };
        if let DeValue::String(text) = value.into_inner() {
            entry.set(known, text.into_owned());
        } else {
            entry.mistyped.push(known);
            parsed.findings.push(Finding::new(line, format!("{known} must be a string")));
        }
    }
    entry.finish(parsed);
}

fn line_at(source: &str, offset: usize) -> usize {
    source.bytes().take(offset).filter(|&b| b == b'\n').count() + 1
}
