//! Secrets as JSON, the way AWS Secrets Manager holds them: one object or a list.
//! Keys that are not ours (`engine`, `host`, `port`, `dbname`, …) are ignored.
//!
//! <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html>

use std::time::Duration;

use serde_json::Value;

use super::Expiry;
use super::bounds::{Bounds, Written};
use super::text::{Entry, Finding, KEYS, Parsed, is_flag};

/// Told by content: TOML cannot begin with `{`, and its `[` is followed by a name or a second `[`.
pub(super) fn looks_like(source: &str) -> bool {
    let text = source.trim_start();
    text.starts_with('{')
        || text
            .strip_prefix('[')
            .is_some_and(|rest| matches!(rest.trim_start().as_bytes().first(), Some(b'{' | b']')))
}

/// A file is watched, and what it says of an expiry is a key like others that are not ours.
pub(super) fn parse(source: &str) -> Parsed {
    read(source, false)
}

/// What a program has printed.
pub(super) fn parse_printed(source: &str) -> Parsed {
    read(source, true)
}

fn read(source: &str, expires: bool) -> Parsed {
    let mut parsed = Parsed::default();
    match serde_json::from_str(source) {
        Ok(Value::Array(entries)) => {
            for (i, entry) in entries.into_iter().enumerate() {
                user(format!("entry {}: ", i + 1), entry, expires, &mut parsed);
            }
        }
        Ok(entry) => user(String::new(), entry, expires, &mut parsed),
        Err(error) => {
            // Its texts name a class of error and a place, but that is not promised: only the
            // class and the line are passed on.
            let what = if error.is_eof() { "JSON ends too early" } else { "not valid JSON" };
            parsed.findings.push(Finding::new(Some(error.line()), what));
        }
    }
    parsed
}

fn user(place: String, value: Value, expires: bool, parsed: &mut Parsed) {
    let Value::Object(object) = value else {
        parsed.findings.push(Finding::new(None, format!("{place}must be an object")));
        return;
    };
    let mut entry = Entry { place, ..Entry::default() };
    let mut mistyped = Vec::new();
    for (key, value) in object {
        if expires && key.starts_with("expires_") {
            match expiry(&key, &value) {
                Ok(expiry) => parsed.expiry = sooner(parsed.expiry, expiry),
                Err(why) => {
                    parsed.findings.push(Finding::new(None, format!("{}{why}", entry.place)));
                }
            }
        }
        if let Some(bound) = Bounds::KEYS.into_iter().find(|k| *k == key) {
            if let Err(what) = entry.bounds.set(bound, written(value)) {
                parsed.findings.push(Finding::new(None, format!("{}{what}", entry.place)));
            }
            continue;
        }
        let Some(known) = KEYS.into_iter().find(|k| *k == key) else { continue };
        match value {
            Value::Bool(flag) if is_flag(known) => entry.set_flag(known, flag),
            // The form of Secrets Manager's console makes a text of everything.
            Value::String(text) if is_flag(known) && ["true", "false"].contains(&&*text) => {
                entry.set_flag(known, text == "true");
            }
            Value::String(text) if !is_flag(known) => entry.set(known, text),
            _ => {
                mistyped.push(known);
                let kind = if is_flag(known) { "true or false" } else { "a string" };
                let what = format!("{}{known} must be {kind}", entry.place);
                parsed.findings.push(Finding::new(None, what));
            }
        }
    }
    entry.finish(&mistyped, parsed);
}

fn written(value: Value) -> Written {
    match value {
        Value::String(text) => Written::Texts(vec![text]),
        Value::Number(number) => number.as_i64().map_or(Written::Other, Written::Number),
        Value::Array(items) => {
            let texts = items.into_iter().map(|item| match item {
                Value::String(text) => Some(text),
                _ => None,
            });
            texts.collect::<Option<_>>().map_or(Written::Other, Written::Texts)
        }
        _ => Written::Other,
    }
}

/// `expires_in` is in seconds, `expires_at` a time as RFC 3339 writes it; `null` and other keys say
/// nothing.
fn expiry(key: &str, value: &Value) -> Result<Option<Expiry>, &'static str> {
    match (key, value) {
        (_, Value::Null) => Ok(None),
        ("expires_in", Value::Number(seconds)) => {
            let seconds = seconds.as_f64().map(Duration::try_from_secs_f64);
            let Some(Ok(seconds)) = seconds else {
                return Err("expires_in must be a number of seconds");
            };
            Ok(Some(Expiry::In(seconds)))
        }
        ("expires_in", _) => Err("expires_in must be a number of seconds"),
        ("expires_at", Value::String(text)) => match text.parse::<jiff::Timestamp>() {
            Ok(at) => Ok(Some(Expiry::At(at.as_duration().try_into().unwrap_or_default()))),
            Err(_) => Err("expires_at must be a time such as 2030-01-31T12:00:00Z"),
        },
        ("expires_at", _) => Err("expires_at must be a time such as 2030-01-31T12:00:00Z"),
        _ => Ok(None),
    }
}

/// Of two of one kind; what is said in both ways is not weighed, and the first stays.
fn sooner(one: Option<Expiry>, other: Option<Expiry>) -> Option<Expiry> {
    match (one, other) {
        (Some(Expiry::In(one)), Some(Expiry::In(other))) => Some(Expiry::In(one.min(other))),
        (Some(Expiry::At(one)), Some(Expiry::At(other))) => Some(Expiry::At(one.min(other))),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expiry_of(json: &str) -> (Option<Expiry>, Vec<String>) {
        let parsed = parse_printed(json);
        (parsed.expiry, parsed.findings.into_iter().map(|it| it.what).collect())
    }

    #[test]
    fn the_first_to_expire_counts() {
        let two = r#"[{"username":"a","password":"p","expires_in":900},
                      {"username":"b","password":"p","expires_in":60.5}]"#;
        let expected = Some(Expiry::In(Duration::from_millis(60_500)));
        assert_eq!(expiry_of(two), (expected, vec![]));
        let at = |text: &str| {
            expiry_of(&format!(r#"{{"username":"a","password":"p","expires_at":{text}}}"#))
        };
        let expected = Some(Expiry::At(Duration::from_secs(1_893_456_000)));
        assert_eq!(at("\"2030-01-01T00:00:00Z\""), (expected, vec![]));
        assert_eq!(at("\"2030-01-01T02:00:00+02:00\""), (expected, vec![]));
        assert_eq!(at("null"), (None, vec![]));
        for wrong in ["5", "\"tomorrow\"", "\"2030-01-01\""] {
            assert!(at(wrong).1[0].starts_with("expires_at must be"), "{wrong}");
        }
        let negative = r#"{"username":"a","password":"p","expires_in":-1}"#;
        assert_eq!(expiry_of(negative).1, ["expires_in must be a number of seconds"]);
        assert!(parse(negative).findings.is_empty(), "nothing of a file's");
    }
}
