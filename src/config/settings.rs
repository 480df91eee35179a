//! What a valid configuration says. Reading one is the only way to a [`Settings`]: its parts have
//! defaults, the whole has none.

use std::path::PathBuf;
use std::time::Duration;

use cidr::IpCidr;

use super::choice::Choice;
use super::{Address, FenceCommand, Mistakes, Promote, Share, Source, TokenRules};

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// At least one; names differ.
    pub endpoints: Vec<Endpoint>,
    /// At least one; names differ.
    pub targets: Vec<Target>,
    /// A file or a folder of them; a relative path was taken from the folder of the file.
    pub secrets: PathBuf,
    /// Prints the secrets in place of the files.
    pub secrets_command: Option<SecretsCommand>,
    pub pool: Pool,
    pub client: Client,
    pub failover: Failover,
    pub tls_client: TlsClient,
    pub tls_target: TlsTarget,
    pub admin: Admin,
    pub upgrade: Upgrade,
    pub log: Log,
    /// Private, so that only this room can put the parts together.
    pub(super) source: Source,
}

impl Settings {
    /// Where these were read from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The same source read again: a whole new value, or everything wrong with it.
    pub fn reread(&self, env: impl Iterator<Item = (String, String)>) -> Result<Self, Mistakes> {
        self.source.load(env)
    }
}

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub name: String,
    pub listen: Address,
    pub access: Access,
    /// Who may connect; empty: everybody.
    pub allow: Vec<IpCidr>,
    /// Who may not, allowed or not.
    pub deny: Vec<IpCidr>,
    /// Load balancers that say first for whom they connect.
    pub proxy_protocol_from: Vec<IpCidr>,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            listen: Address::tcp("127.0.0.1", 6033),
            access: Access::ReadWrite,
            allow: Vec::new(),
            deny: Vec::new(),
            proxy_protocol_from: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    ReadWrite,
    /// Replicas; the server refuses writes.
    ReadOnly,
}

impl Choice for Access {
    const ALL: &'static [(&'static str, Self)] =
        &[("read-write", Self::ReadWrite), ("read-only", Self::ReadOnly)];
}

/// A MySQL or MariaDB server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub name: String,
    pub address: Address,
    pub role: Role,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            name: "primary".to_owned(),
            address: Address::tcp("127.0.0.1", 3306),
            role: Role::Auto,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// The server is asked.
    #[default]
    Auto,
    Primary,
    Replica,
}

impl Choice for Role {
    const ALL: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("primary", Self::Primary), ("replica", Self::Replica)];
}

/// A program that prints the secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretsCommand {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub timeout: Duration,
}

impl SecretsCommand {
    pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
}

/// The connections to each target, all users together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Of the server's own max_connections.
    pub max_connections: Share,
    /// Of `max_connections`.
    pub max_idle: Share,
    pub min_idle: u32,
    pub idle_timeout: Duration,
    pub max_lifetime: Duration,
    pub borrow_timeout: Duration,
    pub max_waiting: usize,
    /// Empty for none.
    pub init_query: String,
    /// Variables whose changes are neither restored nor a reason to hold a connection, in lower
    /// case; user variables with their `@`.
    pub pin_filter: Vec<String>,
    /// End what a Tidegate on this machine has left on the server that is known to have died.
    pub reap_orphans: bool,
    /// Of the server's own max_connections, whoever has them: above it, idle ones of ours go. All of them
    /// is never.
    pub shed_above: Share,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            max_connections: Share::Percent(90),
            max_idle: Share::Percent(50),
            min_idle: 0,
            idle_timeout: Duration::from_secs(5 * 60),
            max_lifetime: Duration::from_secs(24 * 60 * 60),
            borrow_timeout: Duration::from_secs(10),
            max_waiting: 10_000,
            init_query: String::new(),
            pin_filter: Vec::new(),
            reap_orphans: true,
            shed_above: Share::Percent(100),
        }
    }
}

/// What clients may do; `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// That are logged in.
    pub max_connections: usize,
    /// Of one user, where the secrets say nothing else; 0 is no limit.
    pub max_connections_per_user: u32,
    /// That are not yet.
    pub max_logging_in: usize,
    /// How long the answer to a wrong password is held back, after a few of them.
    pub failed_login_delay: Duration,
    /// A minute, of one user from one address; 0 is no limit.
    pub max_failed_logins: u32,
    pub login_timeout: Option<Duration>,
    pub idle_timeout: Option<Duration>,
    pub idle_in_transaction_timeout: Option<Duration>,
    pub max_transaction: Option<Duration>,
    pub max_query: Option<Duration>,
    /// `None`: nobody logs in with a token.
    pub tokens: Option<TokenRules>,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_user: 0,
            max_logging_in: 10_000,
            failed_login_delay: Duration::from_secs(1),
            max_failed_logins: 0,
            login_timeout: Some(Duration::from_secs(10)),
            idle_timeout: Some(Duration::from_secs(30 * 60)),
            idle_in_transaction_timeout: Some(Duration::from_secs(5 * 60)),
            max_transaction: None,
            max_query: None,
            tokens: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    pub probe_interval: Duration,
    pub probe_timeout: Duration,
    /// In a row, before a target is down.
    pub failures: u32,
    pub max_replica_lag: Duration,
    pub read_only_fallback: bool,
    /// Who looks at the targets and moves the primary, by the name clients would log in with; empty:
    /// the first account that can log in.
    pub username: String,
    pub promote: Promote,
    /// Always there when something may be promoted.
    pub fence_command: Option<FenceCommand>,
}

impl Default for Failover {
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(800),
            failures: 3,
            max_replica_lag: Duration::from_secs(30),
            read_only_fallback: true,
            username: String::new(),
            promote: Promote::Never,
            fence_command: None,
        }
    }
}

/// Clients to Tidegate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsClient {
    pub mode: ClientTlsMode,
    /// `None`: a self-signed one is made at start, as mysqld does.
    pub pair: Option<KeyPair>,
    /// Whose certificates of clients are believed; `None`: they are not asked for one.
    pub ca: Option<PathBuf>,
    /// Of every client; never without `ca`.
    pub require_certificate: bool,
}

impl Default for TlsClient {
    fn default() -> Self {
        Self { mode: ClientTlsMode::Preferred, pair: None, ca: None, require_certificate: false }
    }
}

/// PEM files that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientTlsMode {
    Off,
    Preferred,
    Required,
}

impl Choice for ClientTlsMode {
    const ALL: &'static [(&'static str, Self)] =
        &[("off", Self::Off), ("preferred", Self::Preferred), ("required", Self::Required)];
}

/// Tidegate to servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsTarget {
    pub mode: TargetTlsMode,
    /// Always there when the mode verifies.
    pub ca: Option<PathBuf>,
    /// Shown to servers that ask for one.
    pub pair: Option<KeyPair>,
}

impl Default for TlsTarget {
    fn default() -> Self {
        Self { mode: TargetTlsMode::Preferred, ca: None, pair: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetTlsMode {
    Off,
    Preferred,
    Required,
    VerifyCa,
    VerifyIdentity,
}

impl TargetTlsMode {
    pub fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyIdentity)
    }
}

impl Choice for TargetTlsMode {
    const ALL: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("preferred", Self::Preferred),
        ("required", Self::Required),
        ("verify-ca", Self::VerifyCa),
        ("verify-identity", Self::VerifyIdentity),
    ];
}

/// The operators' doors; `None` is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    pub http: Option<Address>,
    pub sql: Option<Address>,
    /// Zero cuts every client at once.
    pub drain_timeout: Duration,
    /// Are statements told apart by their digests?
    pub digests: bool,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            http: Some(Address::tcp("127.0.0.1", 6034)),
            sql: Some(Address::tcp("127.0.0.1", 6035)),
            drain_timeout: Duration::from_secs(60),
            digests: true,
        }
    }
}

/// From one process to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upgrade {
    /// Where the next one asks for the sockets; `None`: nowhere.
    pub socket: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    pub level: LogLevel,
    /// Statements that take longer; `None`: none.
    pub slow_query: Option<Duration>,
    /// With their text, values and all.
    pub slow_query_text: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: LogLevel::Info,
            slow_query: None,
            slow_query_text: false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl Choice for LogFormat {
    const ALL: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Choice for LogLevel {
    const ALL: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}
