//! Dialing: TCP or Unix socket, TLS, the login, and what is learned on the way.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::BytesMut;

use super::connection::{Connection, Identity};
use super::learn::Facts;
use super::orphans;
use super::{BackendError, ServerStatements};
use crate::auth::{Plugin, Proof, Prover};
use crate::config::Address;
use crate::metrics::Metrics;
use crate::net::{self, Lifeline, Stream, TargetTls};
use crate::secrets::Password;
use crate::session::Defaults;
use crate::wire::{
    CANONICAL, CANONICAL_EXTENDED, Capabilities, ChangeUser, Command, ErrPacket, Extended,
    Greeting, Login, OkPacket, ServerFormat, SslRequest, Status, put_packet,
};

/// A packet of the connection phase is never larger than this.
const LOGIN_PACKET: usize = 64 * 1024;

/// `utf8mb4_general_ci`, which every server of today knows; the setup names the rest.
const LOGIN_COLLATION: u8 = 45;

const WAIT_TIMEOUT: &str = "wait_timeout";

/// For the look at what a dead Tidegate has left, which somebody's login waits for.
const ORPHANS: Duration = Duration::from_secs(2);

/// For the slot of a connection on which that look came to nothing.
const ORPHANS_FAREWELL: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Prepared {
    Ready,
    /// The look for orphans came to nothing, and what the server still says is unknown.
    Spoiled,
}

/// Knows one target: where it is, how to speak TLS with it, and what each account learned there.
pub struct Dialer {
    pub address: Address,
    /// `None`: TLS is off.
    tls: ArcSwapOption<TargetTls>,
    /// For the whole of a dial.
    pub timeout: Duration,
    /// Its connections are to be ended from outside, should the target be found dead.
    severable: AtomicBool,
    /// Run once on each new connection.
    pub init_query: Arc<str>,
    /// `pool.pin_filter`, in lower case.
    pub ignored: Arc<[String]>,
    /// What its connections are tagged with; `None`: no such name could be had.
    pub lifeline: Option<Arc<Lifeline>>,
    /// What a dead Tidegate has left is ended.
    pub reaps_orphans: bool,
    /// In seconds: longer than this no connection lies idle, in use or not.
    pub longest_rest: Option<u64>,
    learned: Mutex<HashMap<String, Arc<Facts>>>,
    metrics: Arc<Metrics>,
}

/// What the login goes over.
struct Secured {
    stream: Stream,
    /// Of the next packet.
    seq: u8,
    /// Whoever is at the other end is the server that is meant. By the settings that this stream was
    /// made with: others may have come since.
    verified: bool,
}

impl Dialer {
    pub fn new(address: Address, tls: Option<TargetTls>, metrics: Arc<Metrics>) -> Self {
        Self {
            address,
            tls: ArcSwapOption::new(tls.map(Arc::new)),
            timeout: Duration::from_secs(10),
            severable: AtomicBool::new(false),
            init_query: "".into(),
            ignored: Arc::default(),
            lifeline: None,
            reaps_orphans: false,
            longest_rest: None,
            learned: Mutex::default(),
            metrics,
        }
    }

    /// Whether the connections that are dialed from here on can be ended from outside. `true`: they
    /// could not before.
    pub fn set_severable(&self, severable: bool) -> bool {
        !self.severable.swap(severable, Ordering::Relaxed) && severable
    }

    /// For the dials to come.
    pub fn set_tls(&self, tls: Option<Arc<TargetTls>>) {
        self.tls.store(tls);
    }

    /// Cancel-safe in that the half-made connection is closed; the server may see a login that
    /// goes away.
    pub async fn dial(
        &self,
        identity: Identity,
        passwords: &[&Password],
        schema: Option<&str>,
    ) -> Result<Connection, BackendError> {
        let deadline = tokio::time::timeout(self.timeout, async {
            let mut last = None;
            for (place, password) in passwords.iter().enumerate() {
                let mut connection = match self.log_in(identity.clone(), password, schema).await {
                    // Only a refused password makes the next one worth a try.
                    Err(error) if error.is_denial() => {
                        last = Some(error);
                        continue;
                    }
                    // The session will hear of a missing schema from its own first statement.
                    Err(BackendError::Refused(error)) if schema.is_some() && error.code == 1049 => {
                        self.log_in(identity, password, None).await?
                    }
                    other => other?,
                };
                connection.accepted = place;
                return Ok(connection);
            }
            Err(last.unwrap_or(BackendError::NoAccount))
        });
        deadline.await.unwrap_or(Err(BackendError::Timeout(self.timeout)))
    }

    /// Forgets what was learned, for a target that may have become another server.
    pub fn forget(&self) {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    async fn log_in(
        &self,
        identity: Identity,
        password: &Password,
        schema: Option<&str>,
    ) -> Result<Connection, BackendError> {
        let mut connection = self.reach(identity.clone(), password, schema).await?;
        if self.prepare(&mut connection, true).await? == Prepared::Spoiled {
            // The pool looks again, on a clock; whoever wants this login does not wait for that.
            connection.close(ORPHANS_FAREWELL).await;
            connection = self.reach(identity, password, schema).await?;
            self.prepare(&mut connection, false).await?;
        }
        Ok(connection)
    }

    async fn reach(
        &self,
        identity: Identity,
        password: &Password,
        schema: Option<&str>,
    ) -> Result<Connection, BackendError> {
        let stream = net::connect(&self.address, self.timeout).await?;
        let severable = self.severable.load(Ordering::Relaxed);
        let lever = severable.then(|| stream.lever()).transpose()?.map(Arc::new);
        let mut connection = self.authenticate(stream, identity, password, schema).await?;
        connection.lever = lever;
        Ok(connection)
    }

    async fn authenticate(
        &self,
        mut stream: Stream,
        identity: Identity,
        password: &Password,
        schema: Option<&str>,
    ) -> Result<Connection, BackendError> {
        let (seq, payload) = net::read_packet(&mut stream, LOGIN_PACKET).await?;
        if payload.first() == Some(&0xFF) {
            return Err(BackendError::Refused(ErrPacket::parse(&payload)?));
        }
        let greeting = Greeting::parse(&payload)?;
        let mut capabilities = (CANONICAL | identity.meaning.common) & greeting.capabilities;
        let extended = (CANONICAL_EXTENDED | identity.meaning.extended) & greeting.extended;
        if schema.is_some() {
            capabilities |= Capabilities::CLIENT_CONNECT_WITH_DB;
        }
        let Secured { mut stream, seq, verified } =
            self.secure(stream, seq, &greeting, (&mut capabilities, extended)).await?;
        let mut prover = Prover::new(password.clone(), stream.is_secure()).to(verified);
        let (plugin, auth_response) = prover.first(greeting.plugin.as_bytes(), &greeting.nonce);
        let login = Login {
            capabilities,
            max_packet: 0x4000_0000,
            collation: LOGIN_COLLATION,
            extended,
            user: identity.username.to_string(),
            auth_response,
            schema: schema.map(str::to_owned),
            plugin: plugin.name().to_owned(),
            attributes: self.attributes(),
            zstd_level: None,
        };
        let mut out = BytesMut::with_capacity(512);
        login.put(&mut out, seq);
        stream.send(&out).await?;
        let first_status = finish(&mut stream, &mut prover, capabilities).await?;
        let statements = ServerStatements::new(self.metrics.server.statements.clone());
        let peer = (stream, verified);
        Ok(fresh(peer, identity, schema, &greeting, capabilities, first_status, statements))
    }

    async fn secure(
        &self,
        mut stream: Stream,
        seq: u8,
        greeting: &Greeting,
        (capabilities, extended): (&mut Capabilities, Extended),
    ) -> Result<Secured, BackendError> {
        let plain = seq.wrapping_add(1);
        if stream.is_secure() {
            // A unix socket: who listens there the file's rights say.
            return Ok(Secured { stream, seq: plain, verified: true });
        }
        let tls = self.tls.load_full();
        let offered = greeting.capabilities.contains(Capabilities::CLIENT_SSL);
        let Some(tls) = tls.filter(|tls| offered || tls.is_required()) else {
            return Ok(Secured { stream, seq: plain, verified: false });
        };
        if !offered {
            return Err(BackendError::NoTls);
        }
        *capabilities |= Capabilities::CLIENT_SSL;
        let request = SslRequest {
            capabilities: *capabilities,
            max_packet: 0x4000_0000,
            collation: LOGIN_COLLATION,
            extended,
        };
        let mut out = BytesMut::with_capacity(40);
        request.put(&mut out, plain);
        stream.send(&out).await?;
        let stream = tls.connect(stream, self.address.host().unwrap_or_default()).await?;
        Ok(Secured { stream, seq: seq.wrapping_add(2), verified: tls.mode().verifies() })
    }

    async fn prepare(
        &self,
        connection: &mut Connection,
        looks_for_orphans: bool,
    ) -> Result<Prepared, BackendError> {
        let known = {
            let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
            learned.get(&*connection.identity.username).cloned()
        };
        connection.init_query = Arc::clone(&self.init_query);
        if let Some(facts) = known.filter(|facts| facts.version == connection.facts.version) {
            connection.facts = facts;
            return connection.set_up().await.map(|()| Prepared::Ready);
        }
        let mut facts = connection.learn().await?;
        if looks_for_orphans {
            let looked = tokio::time::timeout(ORPHANS, self.end_orphans(connection)).await;
            if !matches!(looked, Ok(Ok(()))) {
                return Ok(Prepared::Spoiled);
            }
        }
        let shorter = |rest: &u64| facts.wait_timeout.is_some_and(|theirs| *rest < theirs);
        facts.our_wait_timeout = self.longest_rest.filter(shorter);
        connection.facts = Arc::new(facts.clone());
        let mut variables = connection.set_up_after(Some(Command::ResetConnection)).await?;
        let is_set = variables.iter().any(|(name, _)| name == WAIT_TIMEOUT);
        let wait_timeout = facts.our_wait_timeout.filter(|_| !is_set).map(|it| it.to_string());
        variables.extend(wait_timeout.iter().map(|it| (WAIT_TIMEOUT.to_owned(), it.clone())));
        let (ignored, setup) = (Arc::clone(&self.ignored), connection.tracking_statement());
        let learned = (*facts.defaults).clone();
        // MariaDB returns to that of the login.
        let charset = facts.charset.clone().filter(|_| !facts.mariadb);
        facts.defaults =
            Arc::new(Defaults { charset, variables, wait_timeout, setup, ignored, ..learned });
        let facts = Arc::new(facts);
        connection.facts = Arc::clone(&facts);
        let multi_statements = connection.state.multi_statements();
        let schema = connection.state.schema();
        connection.state = Arc::new(facts.baseline(schema, multi_statements));
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        learned.insert(connection.identity.username.to_string(), facts);
        Ok(Prepared::Ready)
    }

    pub fn reaps_orphans(&self) -> bool {
        self.reaps_orphans && self.lifeline.is_some()
    }

    /// Those of the connection's account. Not cancel-safe.
    pub async fn end_orphans(&self, connection: &mut Connection) -> Result<(), BackendError> {
        let Some(lifeline) = self.lifeline.as_ref().filter(|_| self.reaps_orphans) else {
            return Ok(());
        };
        let ended = connection.end_orphans(lifeline).await?;
        if ended > 0 {
            self.metrics.server.orphans.inc_by(ended as u64);
            let (target, user) = (&self.address, &*connection.identity.username);
            tracing::warn!(%target, user, ended, "connections of a Tidegate that has died are ended");
        }
        Ok(())
    }

    /// What performance_schema.session_connect_attrs shows of us.
    fn attributes(&self) -> Vec<(String, String)> {
        let known = [
            ("_client_name", "tidegate"),
            ("_client_version", env!("CARGO_PKG_VERSION")),
            ("program_name", "tidegate"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let tag = self.lifeline.iter().map(|it| (orphans::TAG.to_owned(), it.name()));
        known.into_iter().chain(tag).collect()
    }
}

impl Connection {
    /// COM_CHANGE_USER: another account on the same wire. Everything that was on the connection
    /// is gone. Not cancel-safe; after an error the connection must be closed.
    pub async fn change_user(
        &mut self,
        dialer: &Dialer,
        identity: Identity,
        password: &Password,
        schema: Option<&str>,
    ) -> Result<(), BackendError> {
        let capabilities = CANONICAL | identity.meaning.common;
        let mut prover = Prover::new(password.clone(), self.stream.is_secure()).to(self.verified);
        // The server answers with a nonce of its own whatever is sent here.
        let plugin =
            if self.facts.mariadb { Plugin::NativePassword } else { Plugin::CachingSha2Password };
        let body = ChangeUser {
            user: identity.username.to_string(),
            auth_response: Vec::new(),
            schema: schema.map(str::to_owned),
            collation: u16::from(LOGIN_COLLATION),
            plugin: plugin.name().to_owned(),
            attributes: dialer.attributes(),
        };
        let mut out = BytesMut::with_capacity(256);
        body.put(&mut out, capabilities);
        self.stream.send(&out).await?;
        self.first_status = finish(&mut self.stream, &mut prover, capabilities).await?;
        self.identity = identity;
        self.statements.clear();
        self.state = Arc::new(self.facts.baseline(schema, self.state.multi_statements()));
        match dialer.prepare(self, true).await? {
            Prepared::Ready => Ok(()),
            Prepared::Spoiled => Err(BackendError::Timeout(ORPHANS)),
        }
    }
}

/// The rest of an authentication, up to the server's OK.
async fn finish(
    stream: &mut Stream,
    prover: &mut Prover,
    capabilities: Capabilities,
) -> Result<Status, BackendError> {
    loop {
        let (seq, payload) = net::read_packet(stream, LOGIN_PACKET).await?;
        match payload.first() {
            Some(0x00) => return Ok(OkPacket::parse(&payload, capabilities)?.status),
            Some(0xFF) => {
                return Err(BackendError::Refused(ErrPacket::parse(&payload)?));
            }
            _ => {
                if let Proof::Send(answer) = prover.on_packet(&payload)? {
                    let mut out = BytesMut::with_capacity(answer.len() + 4);
                    put_packet(&mut out, seq.wrapping_add(1), &answer);
                    stream.send(&out).await?;
                }
            }
        }
    }
}

fn fresh(
    (stream, verified): (Stream, bool),
    identity: Identity,
    schema: Option<&str>,
    greeting: &Greeting,
    capabilities: Capabilities,
    first_status: Status,
    statements: ServerStatements,
) -> Connection {
    let mariadb = greeting.version.contains("MariaDB");
    let facts = Facts {
        mariadb,
        defaults: Arc::new(Defaults { mariadb, ..Defaults::default() }),
        version: greeting.version.clone(),
        capabilities: greeting.capabilities,
        extended: greeting.extended,
        collation: greeting.collation,
        status: first_status,
        ..Facts::default()
    };
    Connection {
        stream,
        verified,
        id: greeting.connection_id,
        identity,
        format: ServerFormat::of(capabilities),
        state: Arc::new(facts.baseline(schema, false)),
        role_in_doubt: false,
        in_xa: false,
        list_left: false,
        accepted: 0,
        lever: None,
        init_query: "".into(),
        statements,
        facts: Arc::new(facts),
        opened: Instant::now(),
        first_status,
    }
}
