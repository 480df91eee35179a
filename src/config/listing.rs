//! What is in force, key by key, as it would be written in the file.
//!
//! Shown to operators. What may hold a secret is left out: the text of `pool.init_query`,
//! and the arguments of `secrets.command` and `failover.fence_command`.

use std::time::Duration;

use super::choice::Choice;
use super::promotion::FenceCommand;
use super::settings::{
    Admin, Client, Endpoint, Failover, KeyPair, Log, Pool, SecretsCommand, Settings, Target,
    TlsClient, TlsTarget, Upgrade,
};
use super::tokens::TokenRules;
use super::{duration, networks};

/// In place of a value that is not shown.
pub const HIDDEN: &str = "(not shown)";

impl Settings {
    /// Every key and its value, in the order of the example.
    pub fn listing(&self) -> Vec<(String, String)> {
        let Self {
            endpoints,
            targets,
            secrets,
            secrets_command,
            pool,
            client,
            failover,
            tls_client,
            tls_target,
            admin,
            upgrade,
            log,
            source: _,
        } = self;
        let mut list = List::default();
        for (at, endpoint) in endpoints.iter().enumerate() {
            endpoint.list(&mut list.at(format!("endpoint[{at}]")));
        }
        for (at, target) in targets.iter().enumerate() {
            target.list(&mut list.at(format!("target[{at}]")));
        }
        match secrets_command {
            None => list.at("secrets").say("path", &secrets.display()),
            // Its arguments may be what a secret is asked for with.
            Some(SecretsCommand { program, arguments: _, timeout }) => {
                let mut at = list.at("secrets");
                at.path("command", Some(program));
                at.lasts("command_timeout", *timeout);
            }
        }
        pool.list(&mut list.at("pool"));
        client.list(&mut list.at("client"));
        if let Some(rules) = &client.tokens {
            rules.list(&mut list.at("client.tokens"));
        }
        failover.list(&mut list.at("failover"));
        tls_client.list(&mut list.at("tls.client"));
        tls_target.list(&mut list.at("tls.target"));
        admin.list(&mut list.at("admin"));
        upgrade.list(&mut list.at("upgrade"));
        log.list(&mut list.at("log"));
        list.rows
    }
}

#[derive(Default)]
struct List {
    rows: Vec<(String, String)>,
}

impl List {
    fn at(&mut self, section: impl Into<String>) -> At<'_> {
        At { list: self, section: section.into() }
    }
}

struct At<'l> {
    list: &'l mut List,
    section: String,
}

impl At<'_> {
    fn say(&mut self, key: &str, value: &(impl ToString + ?Sized)) {
        self.list.rows.push((format!("{}.{key}", self.section), value.to_string()));
    }

    fn lasts(&mut self, key: &str, value: Duration) {
        self.say(key, &duration::text(value));
    }

    /// No limit is written as zero.
    fn limit(&mut self, key: &str, value: Option<Duration>) {
        self.lasts(key, value.unwrap_or_default());
    }

    fn path(&mut self, key: &str, value: Option<&std::path::PathBuf>) {
        self.say(key, &value.map(|path| path.display().to_string()).unwrap_or_default());
    }

    fn pair(&mut self, pair: Option<&KeyPair>) {
        self.path("certificate", pair.map(|pair| &pair.certificate));
        self.path("key", pair.map(|pair| &pair.key));
    }
}

impl Endpoint {
    fn list(&self, at: &mut At<'_>) {
        let Self { name, listen, access, allow, deny, proxy_protocol_from } = self;
        at.say("name", name);
        at.say("listen", listen);
        at.say("access", access.as_str());
        at.say("allow", &networks::text(allow));
        at.say("deny", &networks::text(deny));
        at.say("proxy_protocol_from", &networks::text(proxy_protocol_from));
    }
}

impl Target {
    fn list(&self, at: &mut At<'_>) {
        let Self { name, address, role } = self;
        at.say("name", name);
        at.say("address", address);
        at.say("role", role.as_str());
    }
}

impl Pool {
    fn list(&self, at: &mut At<'_>) {
        let Self {
            max_connections,
            max_idle,
            min_idle,
            idle_timeout,
            max_lifetime,
            borrow_timeout,
            max_waiting,
            init_query,
            pin_filter,
            reap_orphans,
            shed_above,
        } = self;
        at.say("max_connections", max_connections);
        at.say("max_idle", max_idle);
        at.say("min_idle", min_idle);
        at.lasts("idle_timeout", *idle_timeout);
        at.lasts("max_lifetime", *max_lifetime);
        at.lasts("borrow_timeout", *borrow_timeout);
        at.say("max_waiting", max_waiting);
        at.say("init_query", if init_query.is_empty() { "" } else { HIDDEN });
        at.say("pin_filter", &pin_filter.join(", "));
        at.say("reap_orphans", reap_orphans);
        at.say("shed_above", shed_above);
    }
}

impl Client {
    fn list(&self, at: &mut At<'_>) {
        let Self {
            max_connections,
            login_timeout,
            idle_timeout,
            idle_in_transaction_timeout,
            max_transaction,
            max_query,
            max_connections_per_user,
            max_logging_in,
            failed_login_delay,
            max_failed_logins,
            tokens: _,
        } = self;
        at.say("max_connections", max_connections);
        at.limit("login_timeout", *login_timeout);
        at.limit("idle_timeout", *idle_timeout);
        at.limit("idle_in_transaction_timeout", *idle_in_transaction_timeout);
        at.limit("max_transaction", *max_transaction);
        at.limit("max_query", *max_query);
        at.say("max_connections_per_user", max_connections_per_user);
        at.say("max_logging_in", max_logging_in);
        at.lasts("failed_login_delay", *failed_login_delay);
        at.say("max_failed_logins", max_failed_logins);
    }
}

impl TokenRules {
    fn list(&self, at: &mut At<'_>) {
        let Self { keys, issuer, audience, user_claim, leeway } = self;
        at.path("keys", Some(keys));
        at.say("issuer", issuer);
        at.say("audience", audience);
        at.say("user_claim", user_claim);
        at.lasts("leeway", *leeway);
    }
}

impl Failover {
    fn list(&self, at: &mut At<'_>) {
        let Self {
            probe_interval,
            probe_timeout,
            failures,
            max_replica_lag,
            read_only_fallback,
            username,
            promote,
            fence_command,
        } = self;
        at.lasts("probe_interval", *probe_interval);
        at.lasts("probe_timeout", *probe_timeout);
        at.say("failures", failures);
        at.lasts("max_replica_lag", *max_replica_lag);
        at.say("read_only_fallback", read_only_fallback);
        at.say("username", username);
        at.say("promote", promote.as_str());
        // Its arguments may be what it is let in with.
        at.path("fence_command", fence_command.as_ref().map(|it| &it.program));
        at.lasts(
            "fence_timeout",
            fence_command.as_ref().map_or(FenceCommand::TIMEOUT, |it| it.timeout),
        );
    }
}

impl TlsClient {
    fn list(&self, at: &mut At<'_>) {
        let Self { mode, pair, ca, require_certificate } = self;
        at.say("mode", mode.as_str());
        at.pair(pair.as_ref());
        at.path("ca", ca.as_ref());
        at.say("require_certificate", require_certificate);
    }
}

impl TlsTarget {
    fn list(&self, at: &mut At<'_>) {
        let Self { mode, ca, pair } = self;
        at.say("mode", mode.as_str());
        at.path("ca", ca.as_ref());
        at.pair(pair.as_ref());
    }
}

impl Admin {
    fn list(&self, at: &mut At<'_>) {
        let Self { http, sql, drain_timeout, digests } = self;
        for (key, door) in [("http", http), ("sql", sql)] {
            at.say(key, &door.as_ref().map(ToString::to_string).unwrap_or_default());
        }
        at.lasts("drain_timeout", *drain_timeout);
        at.say("digests", digests);
    }
}

impl Upgrade {
    fn list(&self, at: &mut At<'_>) {
        let Self { socket } = self;
        at.path("socket", socket.as_ref());
    }
}

impl Log {
    fn list(&self, at: &mut At<'_>) {
        let Self { format, level, slow_query, slow_query_text } = self;
        at.say("format", format.as_str());
        at.say("level", level.as_str());
        at.limit("slow_query", *slow_query);
        at.say("slow_query_text", slow_query_text);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{VARIABLE_PREFIX, from_environment, parse};

    fn reread(listing: &[(String, String)]) -> Settings {
        let variables = listing.iter().map(|(key, value)| {
            let path = key.replace(['.', '['], "__").replace(']', "").to_uppercase();
            (format!("{VARIABLE_PREFIX}{path}"), value.clone())
        });
        from_environment(variables).unwrap()
    }

    /// Every key at another value than by default.
    const OTHER: &str = r#"
        [[endpoint]]
        name = "reads"
        listen = "unix:/run/t.sock"
        access = "read-only"
        allow = ["10.0.0.0/8", "127.0.0.1"]
        deny = ["10.6.0.0/16"]
        proxy_protocol_from = "2001:db8::/32"
        [[endpoint]]
        [[target]]
        address = "[::1]:3307"
        role = "primary"
        [[target]]
        name = "b"
        address = "b:3306"
        [secrets]
        path = "/s"
        [pool]
        max_connections = 40
        max_idle = "10%"
        min_idle = 1
        idle_timeout = "1h30m"
        pin_filter = "innodb_strict_mode, @a"
        reap_orphans = false
            shed_above = "80%"
        [client]
        login_timeout = "0s"
        max_query = "1s500ms"
        [client.tokens]
        keys = "/keys.json"
        issuer = "https://issuer"
        audience = "db"
        user_claim = "name"
        leeway = "5s"
        [failover]
        failures = 9
        read_only_fallback = false
        username = "watcher"
        promote = "when_safe"
        fence_command = "/bin/fence"
        fence_timeout = "9s"
        [tls.client]
        mode = "required"
        certificate = "/c"
        key = "/k"
        ca = "/clients"
        require_certificate = true
        [tls.target]
        mode = "verify-ca"
        ca = "/ca"
        certificate = "/tc"
        key = "/tk"
        [admin]
        http = ""
        sql = "0.0.0.0:6035"
        digests = false
        [upgrade]
        socket = "/run/u.sock"
        [log]
        format = "json"
        slow_query = "250ms"
        slow_query_text = true
    "#;

    /// Nothing is missing and nothing is written in another way than it is read.
    #[test]
    fn what_is_listed_is_the_same_configuration() {
        let settings = parse(Path::new("t.toml"), OTHER, std::iter::empty()).unwrap();
        let listing = settings.listing();
        let mut again = reread(&listing);
        again.source = settings.source.clone();
        assert_eq!(again, settings);
        let value = |key: &str| &listing.iter().find(|(it, _)| it == key).unwrap().1;
        assert_eq!(value("pool.idle_timeout"), "1h30m");
        assert_eq!(value("endpoint[0].access"), "read-only");
    }

    #[test]
    fn what_may_hold_a_secret_is_not_shown() {
        let text = "[[endpoint]]\n[[target]]\n[pool]\ninit_query = \"SET @key = 'hunter2'\"";
        let settings = parse(Path::new("t.toml"), text, std::iter::empty()).unwrap();
        let listing = settings.listing();
        assert!(!format!("{listing:?}").contains("hunter2"));
        assert!(listing.contains(&("pool.init_query".to_owned(), HIDDEN.to_owned())));
    }
}
