//! What a new configuration changes, key by key, and whether a running proxy can take it up.
//!
//! Pure. A key that nobody has judged here fails a test.

use std::fmt;

use super::Settings;
use super::listing::HIDDEN;

/// One key that says something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `pool.max_idle`; of endpoints and targets with the name: `endpoint "reads".listen`.
    pub key: String,
    /// `None`: there was none of that name, or there is none any more.
    pub old: Option<String>,
    pub new: Option<String>,
    pub effect: Effect,
}

/// When a change takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Live,
    Restart,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, old, new, effect } = self;
        match (old, new) {
            (Some(old), Some(new)) if old == new => write!(f, "{key}: changed {HIDDEN}")?,
            (Some(old), Some(new)) => write!(f, "{key}: {} → {}", shown(old), shown(new))?,
            (None, Some(new)) => write!(f, "{key}: added, {}", shown(new))?,
            (Some(_), None) => write!(f, "{key}: removed")?,
            (None, None) => f.write_str(key)?,
        }
        match effect {
            Effect::Live => Ok(()),
            Effect::Restart => f.write_str(": needs a restart"),
        }
    }
}

/// An empty value is one, too.
fn shown(value: &str) -> &str {
    if value.is_empty() { "\"\"" } else { value }
}

/// When a change of this key, as the listing has it, takes effect. `None`: nobody has said.
fn effect(key: &str) -> Option<Effect> {
    let (section, name) = key.rsplit_once('.')?;
    let section = section.split_once('[').map_or(section, |(section, _)| section);
    Some(match (section, name) {
        ("endpoint", "name" | "listen" | "access" | "allow" | "deny" | "proxy_protocol_from")
        | ("target", "name" | "address" | "role")
        | ("secrets", "path" | "command" | "command_timeout")
        | (
            "pool",
            "max_connections" | "max_idle" | "min_idle" | "idle_timeout" | "max_lifetime"
            | "borrow_timeout" | "max_waiting" | "shed_above",
        )
        | (
            "client",
            "max_connections"
            | "max_connections_per_user"
            | "login_timeout"
            | "idle_timeout"
            | "idle_in_transaction_timeout"
            | "max_transaction"
            | "max_query"
            | "max_logging_in"
            | "failed_login_delay"
            | "max_failed_logins",
        )
        | (
            "failover",
            "probe_interval" | "probe_timeout" | "failures" | "max_replica_lag"
            | "read_only_fallback" | "username" | "promote" | "fence_command" | "fence_timeout",
        )
        | ("client.tokens", "keys" | "issuer" | "audience" | "user_claim" | "leeway")
        | ("tls.client", "mode" | "certificate" | "key" | "ca" | "require_certificate")
        | ("tls.target", "mode" | "ca" | "certificate" | "key")
        | ("admin", "drain_timeout")
        | ("log", "format" | "level" | "slow_query" | "slow_query_text") => Effect::Live,
        // What is remembered of each session follows from these two.
        ("pool", "init_query" | "pin_filter" | "reap_orphans")
        | ("admin", "http" | "sql" | "digests")
        | ("upgrade", "socket") => Effect::Restart,
        _ => return None,
    })
}

/// Everything that `new` says otherwise, in the order of the listing.
pub fn difference(old: &Settings, new: &Settings) -> Vec<Change> {
    let mut changes = Vec::new();
    let names = |settings: &Settings| named(settings.endpoints.iter().map(|it| &it.name));
    compare("endpoint", (old, names(old)), (new, names(new)), &mut changes);
    let names = |settings: &Settings| named(settings.targets.iter().map(|it| &it.name));
    compare("target", (old, names(old)), (new, names(new)), &mut changes);
    let (before, after) = (rows(old), rows(new));
    let keys = after.iter().map(|(key, _)| key);
    let gone = before.iter().map(|(key, _)| key).filter(|key| value(&after, key).is_none());
    for key in keys.chain(gone) {
        let (old, new) = (value(&before, key), value(&after, key));
        if old != new {
            changes.push(Change::new(key.clone(), key, old, new));
        }
    }
    let arguments = |it: &Settings| it.secrets_command.as_ref().map(|it| it.arguments.clone());
    let fences = |it: &Settings| it.failover.fence_command.as_ref().map(|it| it.arguments.clone());
    for (key, same) in [
        ("pool.init_query", old.pool.init_query == new.pool.init_query),
        ("secrets.command", arguments(old) == arguments(new)),
        ("failover.fence_command", fences(old) == fences(new)),
    ] {
        // What is not shown may differ where what is shown does not.
        if !same && changes.iter().all(|change| change.key != key) {
            let hidden = Some(HIDDEN.to_owned());
            changes.push(Change::new(key.to_owned(), key, hidden.clone(), hidden));
        }
    }
    changes
}

/// What is in force after `new` was taken up by who ran with `old`: all but what waits for a restart.
pub fn taken_up(old: &Settings, new: &Settings) -> Settings {
    let mut next = new.clone();
    next.pool.init_query.clone_from(&old.pool.init_query);
    next.pool.pin_filter.clone_from(&old.pool.pin_filter);
    next.pool.reap_orphans = old.pool.reap_orphans;
    next.admin.http.clone_from(&old.admin.http);
    next.admin.sql.clone_from(&old.admin.sql);
    next.admin.digests = old.admin.digests;
    next.upgrade.clone_from(&old.upgrade);
    next
}

impl Change {
    fn new(shown: String, key: &str, old: Option<String>, new: Option<String>) -> Self {
        // In doubt it is not said to be in force.
        let effect = effect(key).unwrap_or(Effect::Restart);
        Self { key: shown, old, new, effect }
    }
}

fn named<'n>(names: impl Iterator<Item = &'n String>) -> Vec<String> {
    names.cloned().collect()
}

/// Each by its name, wherever it stands.
fn compare(
    what: &str,
    (old, before): (&Settings, Vec<String>),
    (new, after): (&Settings, Vec<String>),
    changes: &mut Vec<Change>,
) {
    let (was, is) = (old.listing(), new.listing());
    let at = |names: &[String], name: &String| names.iter().position(|it| it == name);
    for (place, name) in after.iter().enumerate() {
        let shown = format!("{what} {name:?}");
        let key = format!("{what}[{place}].name");
        let Some(earlier) = at(&before, name) else {
            let says = whole(&is, &format!("{what}[{place}]."));
            changes.push(Change::new(shown, &key, None, Some(says)));
            continue;
        };
        let prefix = format!("{what}[{place}].");
        for (key, new) in is.iter().filter(|(key, _)| key.starts_with(&prefix)) {
            let name = &key[prefix.len()..];
            let old = value(&was, &format!("{what}[{earlier}].{name}"));
            if old.as_ref() != Some(new) {
                let shown = format!("{shown}.{name}");
                changes.push(Change::new(shown, key, old, Some(new.clone())));
            }
        }
    }
    for (place, name) in before.iter().enumerate().filter(|(_, name)| at(&after, name).is_none()) {
        let shown = format!("{what} {name:?}");
        let key = format!("{what}[{place}].name");
        let says = whole(&was, &format!("{what}[{place}]."));
        changes.push(Change::new(shown, &key, Some(says), None));
    }
}

/// All of one endpoint or target but its name.
fn whole(listing: &[(String, String)], prefix: &str) -> String {
    let said = listing.iter().filter_map(|(key, value)| Some((key.strip_prefix(prefix)?, value)));
    let said = said
        .filter(|(key, value)| *key != "name" && !value.is_empty())
        .map(|(_, value)| value.as_str());
    said.collect::<Vec<_>>().join(", ")
}

/// The keys that there are once.
fn rows(settings: &Settings) -> Vec<(String, String)> {
    let mut rows = settings.listing();
    rows.retain(|(key, _)| !key.contains('['));
    rows
}

fn value(rows: &[(String, String)], key: &str) -> Option<String> {
    rows.iter().find(|(it, _)| it == key).map(|(_, value)| value.clone())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    fn read(text: &str) -> Settings {
        parse(Path::new("t.toml"), text, std::iter::empty()).unwrap()
    }

    const MINIMAL: &str = "[[endpoint]]\n[[target]]\n";

    /// Every key at another value than by default.
    const OTHER: &str = r#"
        [[endpoint]]
        name = "reads"
        listen = "127.0.0.1:7"
        access = "read-only"
        [[target]]
        name = "b"
        address = "b:3306"
        role = "primary"
        [secrets]
        command = ["/bin/secrets"]
        command_timeout = "11s"
        [pool]
        max_connections = 40
        max_idle = 20
        min_idle = 1
        idle_timeout = "1h"
        max_lifetime = "1h"
        borrow_timeout = "1s"
        max_waiting = 5
        init_query = "SET @a = 1"
        pin_filter = "a"
        reap_orphans = false
        shed_above = 9
        [client]
        max_connections = 1
        max_connections_per_user = 7
        login_timeout = "1s"
        idle_timeout = "1s"
        idle_in_transaction_timeout = "1s"
        max_transaction = "1s"
        max_query = "1s"
        max_logging_in = 1
        failed_login_delay = "2s"
        max_failed_logins = 1
        [client.tokens]
        keys = "keys"
        issuer = "i"
        audience = "a"
        user_claim = "name"
        leeway = "1s"
        [failover]
        probe_interval = "2s"
        probe_timeout = "2s"
        failures = 9
        max_replica_lag = "2s"
        read_only_fallback = false
        username = "watcher"
        promote = "when_safe"
        fence_command = ["/bin/fence"]
        fence_timeout = "1s"
        [tls.client]
        mode = "required"
        certificate = "c"
        key = "k"
        ca = "ca"
        require_certificate = true
        [tls.target]
        mode = "verify-ca"
        ca = "ca"
        certificate = "c"
        key = "k"
        [admin]
        http = ""
        sql = ""
        drain_timeout = "1s"
        digests = false
        [upgrade]
        socket = "u.sock"
        [log]
        format = "json"
        level = "debug"
        slow_query = "1s"
        slow_query_text = true
    "#;

    /// A new key needs a word here on when it takes effect.
    #[test]
    fn every_key_has_been_judged() {
        for settings in [read(MINIMAL), read(OTHER)] {
            for (key, _) in settings.listing() {
                assert!(effect(&key).is_some(), "{key}");
            }
        }
    }

    #[test]
    fn every_key_is_seen_to_change() {
        let (old, new) = (read(MINIMAL), read(OTHER));
        let changes = difference(&old, &new);
        for (key, _) in new.listing().iter().filter(|(key, _)| !key.contains('[')) {
            assert!(changes.iter().any(|change| change.key == *key), "{key}");
        }
        assert!(changes.iter().any(|change| change.key == "secrets.path"), "{changes:?}");
        for shown in [
            "endpoint \"reads\": added, 127.0.0.1:7, read-only",
            "endpoint \"default\": removed",
            "target \"b\": added, b:3306, primary",
            "pool.max_connections: 90% → 40",
            "admin.sql: 127.0.0.1:6035 → \"\": needs a restart",
        ] {
            assert!(changes.iter().any(|it| it.to_string() == shown), "{shown}\n{changes:#?}");
        }
        assert_eq!(difference(&new, &new), []);
    }

    /// What is said to be in force is, and nothing else.
    #[test]
    fn what_is_taken_up_is_what_is_live() {
        let (old, new) = (read(MINIMAL), read(OTHER));
        let next = taken_up(&old, &new);
        let all = difference(&old, &new);
        let of = |effect| all.iter().filter(move |it| it.effect == effect).cloned();
        assert_eq!(difference(&old, &next), of(Effect::Live).collect::<Vec<_>>());
        assert_eq!(difference(&next, &new), of(Effect::Restart).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_not_shown_is_seen_to_change() {
        let with = |lines: &str| read(&format!("{MINIMAL}{lines}"));
        let query = |text: &str| with(&format!("[pool]\ninit_query = \"SET @key = '{text}'\""));
        let changes = difference(&query("hunter2"), &query("hunter3"));
        let shown: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["pool.init_query: changed (not shown): needs a restart"]);
        let command = |word: &str| with(&format!("[secrets]\ncommand = [\"/bin/s\", \"{word}\"]"));
        let changes = difference(&command("a"), &command("b"));
        let shown: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["secrets.command: changed (not shown)"]);
    }

    #[test]
    fn an_endpoint_is_known_by_its_name() {
        let old = read(
            "[[endpoint]]\nname='a'\nlisten='127.0.0.1:1'\n[[endpoint]]\nname='b'\nlisten='127.0.0.1:2'\n[[target]]",
        );
        let new = read(
            "[[endpoint]]\nname='b'\nlisten='127.0.0.1:2'\n[[endpoint]]\nname='a'\nlisten='127.0.0.1:3'\n[[target]]",
        );
        let changes = difference(&old, &new);
        let shown: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["endpoint \"a\".listen: 127.0.0.1:1 → 127.0.0.1:3"]);
    }
}
