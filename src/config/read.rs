//! Every key: its name, its bounds, and the rules between keys. Defaults are in `settings`.

use std::path::{Path, PathBuf};

use super::mistake::{Mistake, Mistakes, Place};
use super::networks::networks;
use super::promotion::promotion;
use super::scalar;
use super::section::Section;
use super::settings::{
    Admin, Client, ClientTlsMode, Endpoint, Failover, KeyPair, Log, Pool, SecretsCommand, Settings,
    Target, TlsClient, TlsTarget, Upgrade,
};
use super::tree::Table;
use super::{Address, Share, Source, TokenRules};

/// Relative paths are taken from `base`.
pub(super) fn settings(
    table: &Table,
    place: Place,
    base: &Path,
    source: Source,
) -> Result<Settings, Mistakes> {
    let mut root = Section::root(table, place);
    let mut found = Vec::new();
    let mut taken = Vec::new();
    let endpoints = endpoints(&mut root, &mut found, &mut taken);
    let targets = targets(&mut root, &mut found);
    let (secrets, secrets_command) = secrets(root.child("secrets"), base, &mut found);
    let pool = pool(root.child("pool"), &mut found);
    let client = client(root.child("client"), base, &mut found);
    let failover = failover(root.child("failover"), base, &mut found);
    let mut tls = root.child("tls");
    let tls_client = tls_client(tls.child("client"), base, &mut found);
    let tls_target = tls_target(tls.child("target"), base, &mut found);
    found.extend(tls.close());
    let admin = admin(root.child("admin"), &mut found, &mut taken);
    let upgrade = upgrade(root.child("upgrade"), base, (&mut found, &mut taken));
    let log = log(root.child("log"), &mut found);
    found.extend(root.close());
    collisions(taken, &mut found);
    if !found.is_empty() {
        return Err(Mistakes::new(found));
    }
    Ok(Settings {
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
        source,
    })
}

fn endpoints(
    root: &mut Section<'_>,
    found: &mut Vec<Mistake>,
    taken: &mut Vec<Taken>,
) -> Vec<Endpoint> {
    let Some(sections) = root.list("endpoint") else {
        root.wrong("endpoint", none_of(root, "endpoint", "LISTEN"));
        return Vec::new();
    };
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for mut section in sections {
        let default = Endpoint::default();
        let endpoint = Endpoint {
            name: section.value("name", default.name, scalar::name),
            listen: section.value("listen", default.listen, scalar::address),
            access: section.value("access", default.access, scalar::choice),
            allow: networks(&mut section, "allow"),
            deny: networks(&mut section, "deny"),
            proxy_protocol_from: networks(&mut section, "proxy_protocol_from"),
        };
        let same = endpoints.iter().any(|other| other.name == endpoint.name);
        if same && section.sound(&["name"]) {
            section.wrong("name", format!("another endpoint is named {:?}", endpoint.name));
        }
        taken.extend(Taken::new(&section, "listen", Some(&endpoint.listen)));
        endpoints.push(endpoint);
        found.extend(section.close());
    }
    endpoints
}

fn targets(root: &mut Section<'_>, found: &mut Vec<Mistake>) -> Vec<Target> {
    let Some(sections) = root.list("target") else {
        root.wrong("target", none_of(root, "target", "ADDRESS"));
        return Vec::new();
    };
    let mut targets: Vec<Target> = Vec::new();
    for mut section in sections {
        let default = Target::default();
        let target = Target {
            name: section.value("name", default.name, scalar::name),
            address: section.value("address", default.address, scalar::remote_address),
            role: section.value("role", default.role, scalar::choice),
        };
        if targets.iter().any(|other| other.name == target.name) && section.sound(&["name"]) {
            section.wrong("name", format!("another target is named {:?}", target.name));
        }
        let twin = targets.iter().find(|other| other.address == target.address);
        if let (Some(twin), true) = (twin, section.sound(&["address"])) {
            let why = format!("{} is already target {:?}", target.address, twin.name);
            section.wrong("address", why);
        }
        targets.push(target);
        found.extend(section.close());
    }
    targets
}

fn none_of(root: &Section<'_>, what: &str, key: &str) -> String {
    let variable = format!("{}{}__0__{key}", super::VARIABLE_PREFIX, what.to_uppercase());
    match root.name_of(what) {
        (Place::File { .. }, _) => {
            format!("at least one is needed: write [[{what}]], or set {variable}")
        }
        _ => format!("at least one is needed: set {variable}, or name a file with --config"),
    }
}

fn secrets(
    mut section: Section<'_>,
    base: &Path,
    found: &mut Vec<Mistake>,
) -> (PathBuf, Option<SecretsCommand>) {
    let path = section.value("path", PathBuf::from("secrets.toml"), scalar::path);
    let mut words = section.texts("command").into_iter();
    let timeout = section.value("command_timeout", SecretsCommand::TIMEOUT, scalar::duration);
    let command = words.next().filter(|program| !program.is_empty()).map(|program| {
        if !program.contains('/') {
            let why =
                format!("{program:?} is not a path: write it whole, such as \"/opt/secrets\"");
            section.wrong("command", why);
        } else if section.has("path") {
            section.wrong("command", "the secrets come from a command or from a path: keep one");
        }
        SecretsCommand { program: base.join(program), arguments: words.collect(), timeout }
    });
    found.extend(section.close());
    (base.join(path), command)
}

fn pool(mut section: Section<'_>, found: &mut Vec<Mistake>) -> Pool {
    let default = Pool::default();
    let pool = Pool {
        max_connections: section.value("max_connections", default.max_connections, scalar::share),
        max_idle: section.value("max_idle", default.max_idle, scalar::share),
        min_idle: section.value("min_idle", default.min_idle, scalar::count(0..=100_000)),
        idle_timeout: section.value("idle_timeout", default.idle_timeout, scalar::duration),
        max_lifetime: section.value("max_lifetime", default.max_lifetime, scalar::duration),
        borrow_timeout: section.value("borrow_timeout", default.borrow_timeout, scalar::duration),
        max_waiting: section.value(
            "max_waiting",
            default.max_waiting,
            scalar::count(0..=10_000_000),
        ),
        init_query: section.value("init_query", default.init_query, scalar::text),
        pin_filter: section.value("pin_filter", default.pin_filter, scalar::variables),
        reap_orphans: section.value("reap_orphans", default.reap_orphans, scalar::flag),
        shed_above: section.value("shed_above", default.shed_above, scalar::share),
    };
    let sound = section.sound(&["max_connections", "max_idle", "min_idle"]);
    if let (true, Some((key, why))) = (sound, too_many_idle(&pool)) {
        section.wrong(key, why);
    }
    found.extend(section.close());
    pool
}

/// What can be compared before a server has said how many connections it takes.
fn too_many_idle(pool: &Pool) -> Option<(&'static str, String)> {
    let Pool { max_connections, max_idle, min_idle, .. } = pool;
    if let (Share::Count(idle), Share::Count(all)) = (max_idle, max_connections)
        && idle > all
    {
        return Some(("max_idle", format!("{idle} is more than max_connections, {all}")));
    }
    let most = match (max_idle, max_connections) {
        (Share::Count(idle), _) => *idle,
        (Share::Percent(_), Share::Count(all)) => max_idle.of(*all),
        (Share::Percent(_), Share::Percent(_)) => return None,
    };
    let meant = match max_idle {
        Share::Count(_) => String::new(),
        Share::Percent(_) => format!(" ({max_idle} of {max_connections})"),
    };
    (*min_idle > most)
        .then(|| ("min_idle", format!("{min_idle} is more than max_idle, {most}{meant}")))
}

fn client(mut section: Section<'_>, base: &Path, found: &mut Vec<Mistake>) -> Client {
    let default = Client::default();
    let mut limit = |key, default| section.value(key, default, scalar::limit);
    let client = Client {
        login_timeout: limit("login_timeout", default.login_timeout),
        idle_timeout: limit("idle_timeout", default.idle_timeout),
        idle_in_transaction_timeout: limit(
            "idle_in_transaction_timeout",
            default.idle_in_transaction_timeout,
        ),
        max_transaction: limit("max_transaction", default.max_transaction),
        max_query: limit("max_query", default.max_query),
        max_connections: section.value(
            "max_connections",
            default.max_connections,
            scalar::count(1..=10_000_000),
        ),
        max_connections_per_user: section.value(
            "max_connections_per_user",
            default.max_connections_per_user,
            scalar::count(0..=10_000_000),
        ),
        max_logging_in: section.value(
            "max_logging_in",
            default.max_logging_in,
            scalar::count(1..=10_000_000),
        ),
        failed_login_delay: section.value(
            "failed_login_delay",
            default.failed_login_delay,
            scalar::any_duration,
        ),
        max_failed_logins: section.value(
            "max_failed_logins",
            default.max_failed_logins,
            scalar::count(0..=1_000_000),
        ),
        tokens: TokenRules::read(section.child("tokens"), base, found),
    };
    found.extend(section.close());
    client
}

fn failover(mut section: Section<'_>, base: &Path, found: &mut Vec<Mistake>) -> Failover {
    let default = Failover::default();
    let (promote, fence_command) = promotion(&mut section, base);
    let failover = Failover {
        probe_interval: section.value("probe_interval", default.probe_interval, scalar::duration),
        probe_timeout: section.value("probe_timeout", default.probe_timeout, scalar::duration),
        failures: section.value("failures", default.failures, scalar::count(1..=1000)),
        max_replica_lag: section.value(
            "max_replica_lag",
            default.max_replica_lag,
            scalar::any_duration,
        ),
        read_only_fallback: section.value(
            "read_only_fallback",
            default.read_only_fallback,
            scalar::flag,
        ),
        username: section.value("username", default.username, scalar::text),
        promote,
        fence_command,
    };
    found.extend(section.close());
    failover
}

fn tls_client(mut section: Section<'_>, base: &Path, found: &mut Vec<Mistake>) -> TlsClient {
    let default = TlsClient::default();
    let mode = section.value("mode", default.mode, scalar::choice);
    let pair = pair(&mut section, base);
    let ca = section.value("ca", default.ca, scalar::maybe_path);
    let require = default.require_certificate;
    let require_certificate = section.value("require_certificate", require, scalar::flag);
    if require_certificate && ca.is_none() && section.sound(&["ca"]) {
        section.wrong("require_certificate", "there is nothing to verify against: set ca too");
    }
    if ca.is_some() && mode == ClientTlsMode::Off && section.sound(&["mode"]) {
        section.wrong("ca", "nobody can show a certificate without TLS: set another mode");
    }
    found.extend(section.close());
    TlsClient { mode, pair, ca: ca.map(|ca| base.join(ca)), require_certificate }
}

fn tls_target(mut section: Section<'_>, base: &Path, found: &mut Vec<Mistake>) -> TlsTarget {
    let default = TlsTarget::default();
    let mode = section.value("mode", default.mode, scalar::choice);
    let ca = section.value("ca", default.ca, scalar::maybe_path);
    let pair = pair(&mut section, base);
    if mode.verifies() && ca.is_none() && section.sound(&["ca"]) {
        section.wrong("mode", "there is nothing to verify against: set ca too");
    }
    found.extend(section.close());
    TlsTarget { mode, ca: ca.map(|ca| base.join(ca)), pair }
}

/// The one without the other is of no use.
fn pair(section: &mut Section<'_>, base: &Path) -> Option<KeyPair> {
    let certificate = section.value("certificate", None, scalar::maybe_path);
    let key = section.value("key", None, scalar::maybe_path);
    let sound = section.sound(&["certificate", "key"]);
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            Some(KeyPair { certificate: base.join(certificate), key: base.join(key) })
        }
        (Some(_), None) if sound => {
            section.wrong("certificate", "a certificate needs its key: set key too");
            None
        }
        (None, Some(_)) if sound => {
            section.wrong("key", "a key needs its certificate: set certificate too");
            None
        }
        _ => None,
    }
}

fn admin(mut section: Section<'_>, found: &mut Vec<Mistake>, taken: &mut Vec<Taken>) -> Admin {
    let default = Admin::default();
    let admin = Admin {
        http: section.value("http", default.http, scalar::door),
        sql: section.value("sql", default.sql, scalar::door),
        drain_timeout: section.value("drain_timeout", default.drain_timeout, scalar::any_duration),
        digests: section.value("digests", default.digests, scalar::flag),
    };
    taken.extend(Taken::new(&section, "http", admin.http.as_ref()));
    taken.extend(Taken::new(&section, "sql", admin.sql.as_ref()));
    found.extend(section.close());
    admin
}

fn upgrade(
    mut section: Section<'_>,
    base: &Path,
    (found, taken): (&mut Vec<Mistake>, &mut Vec<Taken>),
) -> Upgrade {
    let socket = section.value("socket", None, scalar::maybe_path).map(|path| base.join(path));
    let address = socket.clone().map(Address::Unix);
    taken.extend(Taken::new(&section, "socket", address.as_ref()));
    found.extend(section.close());
    Upgrade { socket }
}

fn log(mut section: Section<'_>, found: &mut Vec<Mistake>) -> Log {
    let default = Log::default();
    let log = Log {
        format: section.value("format", default.format, scalar::choice),
        level: section.value("level", default.level, scalar::choice),
        slow_query: section.value("slow_query", default.slow_query, scalar::limit),
        slow_query_text: section.value("slow_query_text", default.slow_query_text, scalar::flag),
    };
    found.extend(section.close());
    log
}

/// An address somebody listens on.
struct Taken {
    address: Address,
    written: bool,
    place: Place,
    name: String,
}

impl Taken {
    fn new(section: &Section<'_>, key: &'static str, address: Option<&Address>) -> Option<Self> {
        let address = address.filter(|_| section.sound(&[key]))?.clone();
        let (place, name) = section.name_of(key);
        Some(Self { address, written: section.has(key), place, name })
    }
}

/// Of two that collide the later one is told, and one that was written rather than a default.
fn collisions(mut taken: Vec<Taken>, found: &mut Vec<Mistake>) {
    taken.sort_by_key(|taken| taken.written);
    for (index, late) in taken.iter().enumerate() {
        let earlier =
            taken[..index].iter().find(|early| early.address.collides_with(&late.address));
        if let Some(early) = earlier {
            let why = format!("{} is already taken by {}", late.address, early.name);
            found.push(Mistake::new(late.place.clone(), &*late.name, why));
        }
    }
}
