//! Secrets as JSON, the way AWS Secrets Manager holds them: one object or a list.
//! Keys that are not ours (`engine`, `host`, `port`, `dbname`, …) are ignored.
//!
//! <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html>

use serde_json::Value;

use super::text::{Entry, Finding, KEYS, Parsed};

/// Told by content: TOML cannot begin with `{`, and its `[` is followed by a name or a second `[`.
pub(super) fn looks_like(source: &str) -> bool {
    let text = source.trim_start();
    text.starts_with('{')
        || text
            .strip_prefix('[')
            .is_some_and(|rest| matches!(rest.trim_start().as_bytes().first(), Some(b'{' | b']')))
}

pub(super) fn parse(source: &str) -> Parsed {
    let mut parsed = Parsed::default();
    match serde_json::from_str(source) {
        Ok(Value::Array(entries)) => {
            for (i, entry) in entries.into_iter().enumerate() {
                user(format!("entry {}: ", i + 1), entry, &mut parsed);
            }
        }
        Ok(entry) => user(String::new(), entry, &mut parsed),
        Err(error) => {
            // Its texts name a class of error and a place, but that is not promised: only the
            // class and the line are passed on.
            let what = if error.is_eof() { "JSON ends too early" } else { "not valid JSON" };
            parsed.findings.push(Finding::new(Some(error.line()), what));
        }
    }
    parsed
}

fn user(place: String, value: Value, parsed: &mut Parsed) {
    let Value::Object(object) = value else {
        parsed.findings.push(Finding::new(None, format!("{place}must be an object")));
        return;
    };
    let mut entry = Entry { place, ..Entry::default() };
    let mut mistyped = Vec::new();
    for (key, value) in object {
        let Some(known) = KEYS.into_iter().find(|k| *k == key) else { continue };
        if let Value::String(text) = value {
            entry.set(known, text);
        } else {
            mistyped.push(known);
            let what = format!("{}{known} must be a string", entry.place);
            parsed.findings.push(Finding::new(None, what));
        }
    }
    entry.finish(&mistyped, parsed);
}
