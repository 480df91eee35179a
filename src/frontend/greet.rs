//! The connection phase: greeting, TLS, login.
//!
//! No server is touched before the client has shown who it is, so a stranger costs the database
//! nothing.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use mysql_common::collations::{Collation, CollationId};
use tokio::io::AsyncWriteExt;

use super::listen::Admitted;
use super::refuse::Word;
use super::serve::Session;
use super::{ClientTls, End, Shared, gate};
use crate::auth::{Channel, Nonce, Plugin, Verdict, Verifier};
use crate::backend::{self, Facts, Identity};
use crate::config::Access;
use crate::metrics::LoginOutcome;
use crate::net::{Algorithm, Handshake, HandshakeError, Stream};
use crate::registry::{Activity, Entrance, Presence, Wire};
use crate::secrets::Account;
use crate::session::{self, Charset, Ledger};
use crate::wire::{
    COMPRESSION, Capabilities, Extended, Greeting, Login, Meaning, OFFERED, OkReply, ProxyHeader,
    SslRequest, Status, offered, offered_extended,
};

/// What is said while no target has been reached yet.
const UNKNOWN_VERSION: &str = "8.4.0";

/// And the collation such a server greets with, utf8mb4_0900_ai_ci.
const UNKNOWN_COLLATION: u8 = 255;

/// Of more than one byte a letter: no server reads a text in them.
const NOT_FOR_CLIENTS: [&str; 4] = ["ucs2", "utf16", "utf16le", "utf32"];

const ZSTD_LEVELS: RangeInclusive<u8> = 1..=22;

struct NoSuchLevel;

/// One client on its way in.
struct Guest {
    handshake: Handshake,
    shared: Arc<Shared>,
    presence: Presence,
    access: Access,
    came: Instant,
    tls: Arc<ClientTls>,
    /// What the greeting said.
    offered: Capabilities,
    offered_extended: Extended,
}

impl Session {
    pub(super) async fn greet(
        stream: Stream,
        (peer, entrance): (String, Entrance),
        shared: Arc<Shared>,
    ) -> Result<(Box<Self>, Admitted), End> {
        let presence = shared.registry.enter(peer, entrance);
        let access = entrance.access;
        let limit = shared.limits.login_timeout();
        let tls = shared.tls.load_full();
        let came = Instant::now();
        let (offered, offered_extended) = (OFFERED, Extended::empty());
        let handshake = Handshake::new(stream);
        let guest =
            Guest { handshake, shared, presence, access, came, tls, offered, offered_extended };
        match limit {
            // Whoever is too slow to log in is not told so, as with the server's connect_timeout.
            Some(limit) => {
                let login = tokio::time::timeout(limit, guest.log_in()).await;
                login.unwrap_or(Err(End::LoginTimeout))
            }
            None => guest.log_in().await,
        }
    }
}

impl Guest {
    async fn log_in(mut self) -> Result<(Box<Session>, Admitted), End> {
        let nonce = Nonce::random();
        self.greet(&nonce).await?;
        let payload = self.read().await?;
        let (mut guest, payload) = match SslRequest::parse(&payload) {
            Some(_) => self.secure().await?,
            None => (self, payload),
        };
        if guest.tls.required && !guest.is_secure() {
            return Err(guest.refuse(&Word::tls_required(), End::TlsRequired).await);
        }
        let Ok(login) = Login::parse(&payload) else {
            return Err(guest.refuse(&Word::bad_handshake(), End::Malformed).await);
        };
        let Ok(algorithm) = algorithm(&login, guest.offered) else {
            return Err(guest.refuse(&Word::zstd_level(), End::Malformed).await);
        };
        if let Err(word) = fit_for_clients(&guest.shared, u16::from(login.collation)) {
            return Err(guest.refuse(&word, End::LoginRefused).await);
        }
        let (account, admitted) = guest.authenticate(&login, nonce).await?;
        Ok((Box::new(guest.settle(&login, account, algorithm)), admitted))
    }

    async fn greet(&mut self, nonce: &Nonce) -> Result<(), End> {
        let facts = self.shared.cluster.facts();
        let compression = facts.map_or(COMPRESSION, |facts| facts.capabilities & COMPRESSION);
        self.offered = offered(facts.map(|facts| facts.capabilities)) | compression;
        self.offered_extended =
            facts.map_or(Extended::empty(), |facts| offered_extended(facts.extended));
        let mut capabilities = self.offered;
        if self.tls.side.is_some() && !self.is_secure() {
            capabilities |= Capabilities::CLIENT_SSL;
        }
        self.offered = capabilities;
        let greeting = Greeting {
            version: facts
                .map_or_else(|| UNKNOWN_VERSION.to_owned(), |facts| facts.version.clone()),
            connection_id: self.presence.id,
            nonce: *nonce.as_bytes(),
            capabilities,
            extended: self.offered_extended,
            collation: facts.map_or(UNKNOWN_COLLATION, |facts| facts.collation),
            status: fresh_status(&self.shared),
            plugin: fallback(&self.shared).name().to_owned(),
        };
        self.handshake.greet(&greeting).await.map_err(|_| End::HungUp)
    }

    fn is_secure(&self) -> bool {
        gate::is_secure(&self.handshake.stream, &self.presence.peer)
    }

    async fn secure(mut self) -> Result<(Self, BytesMut), End> {
        let Some(tls) = self.tls.side.clone() else {
            return Err(self.refuse(&Word::bad_handshake(), End::Malformed).await);
        };
        let handshake = self.handshake.secure(&tls).await.map_err(|error| {
            tracing::debug!(session = self.presence.id, peer = %self.presence.peer, %error, "TLS handshake failed");
            End::Malformed
        })?;
        let mut guest = Self { handshake, ..self };
        let payload = guest.read().await?;
        Ok((guest, payload))
    }

    async fn authenticate(
        &mut self,
        login: &Login,
        nonce: Nonce,
    ) -> Result<(Arc<Account>, Admitted), End> {
        let peer = self.presence.peer.clone();
        if self.shared.throttle.is_blocked(&peer, &login.user, Instant::now()) {
            let word = Word::blocked(&login.user, host(&peer));
            return Err(self.refuse(&word, End::Blocked).await);
        }
        let account = gate::account(&self.shared, &login.user, &peer);
        let over = (&self.handshake.stream, &*peer);
        let mut verifier = verifier(&self.shared, nonce, account.clone(), over);
        let verdict = match self.handshake.judge(&mut verifier, login).await {
            Ok(verdict) => verdict,
            Err(error) => return Err(self.broken(&error).await),
        };
        // Others may have guessed meanwhile: what was right is not told either.
        if self.shared.throttle.is_blocked(&peer, &login.user, Instant::now()) {
            let word = Word::blocked(&login.user, host(&peer));
            return Err(self.refuse(&word, End::Blocked).await);
        }
        if let (Verdict::Accept { fast_auth_ok }, Some(account)) = (verdict, account) {
            let Some(admitted) = Admitted::count(&self.shared) else {
                return Err(self.refuse(&Word::too_many_clients(), End::TooMany).await);
            };
            // Before the client knows that its id is good: it may be killed by it at once.
            let most = self.shared.limits.of_user(&account);
            if !self.presence.log_in(&account, most) {
                let word = Word::user_limit(&account.username, most);
                return Err(self.refuse(&word, End::UserLimit).await);
            }
            self.presence.set_attributes(&login.attributes);
            self.accept(fast_auth_ok, login).await?;
            Ok((account, admitted))
        } else if verdict == Verdict::Insecure {
            hold_back(&self.shared, &peer, &login.user).await;
            let word = Word::token_needs_tls(&login.user);
            Err(self.refuse(&word, End::TlsRequired).await)
        } else {
            log_refusal(self.presence.id, &peer, &login.user, &verifier);
            hold_back(&self.shared, &peer, &login.user).await;
            let with_password = !login.auth_response.is_empty();
            let word = Word::bad_login(&login.user, host(&peer), with_password);
            Err(self.refuse(&word, End::LoginRefused).await)
        }
    }

    async fn accept(&mut self, fast_auth_ok: bool, login: &Login) -> Result<(), End> {
        self.shared.metrics.client.logins.of(LoginOutcome::Accepted).inc();
        let status = fresh_status(&self.shared);
        let schema = login.schema.as_deref().filter(|schema| !schema.is_empty());
        let schema = schema.filter(|_| tells_schema(&self.shared));
        let reply = OkReply { status, schema, ..OkReply::default() };
        let capabilities = login.capabilities & self.offered;
        let told = self.handshake.accept(fast_auth_ok, &reply, capabilities).await;
        told.map_err(|_| End::HungUp)?;
        let metrics = &self.shared.metrics.client;
        metrics.login_seconds.observe(self.came.elapsed().as_secs_f64());
        if self.handshake.stream.tls().is_some() {
            metrics.logins_tls.inc();
        }
        Ok(())
    }

    fn settle(self, login: &Login, account: Arc<Account>, algorithm: Option<Algorithm>) -> Session {
        self.presence.set_activity(Activity::Idle);
        let capabilities = login.capabilities & (self.offered - COMPRESSION);
        let meaning = Meaning::of(capabilities, login.extended & self.offered_extended);
        let identity = identity(&self.shared, &account, meaning);
        let schema = login.schema.as_deref();
        let collation = u16::from(login.collation);
        let as_logged_in =
            ledger_login(&self.shared, schema, collation, (capabilities, self.access));
        let ledger = Ledger::new(as_logged_in, Arc::clone(&self.shared.library));
        let stream = self.handshake.stream;
        let stream = match algorithm {
            Some(algorithm) => stream.compressed(algorithm, Arc::clone(&self.shared.engines)),
            None => stream,
        };
        let (tls, compressed) = (stream.tls().is_some(), stream.is_compressed());
        self.presence.set_wire(Wire { tls, compressed });
        let mut session = Session::new(
            stream,
            self.shared,
            self.presence,
            account,
            identity,
            capabilities,
            ledger,
        );
        session.access = self.access;
        session
    }

    async fn read(&mut self) -> Result<BytesMut, End> {
        match self.handshake.read().await {
            Ok(payload) => Ok(payload),
            Err(error) => Err(self.broken(&error).await),
        }
    }

    async fn broken(&mut self, error: &HandshakeError) -> End {
        let word = match error {
            HandshakeError::TooLarge(Some(header)) if ProxyHeader::begins(*header) => {
                tracing::info!(peer = %self.presence.peer, "refused a PROXY header");
                Word::stray_proxy_header()
            }
            HandshakeError::TooLarge(_) => Word::packet_too_large(),
            HandshakeError::Io(_) => return End::HungUp,
        };
        self.refuse(&word, End::Malformed).await
    }

    async fn refuse(&mut self, word: &Word, end: End) -> End {
        self.say(word).await;
        end
    }

    async fn say(&mut self, word: &Word) {
        self.shared.count_refusal(word);
        let mut out = BytesMut::with_capacity(128);
        word.put(&mut out, self.handshake.next_seq());
        if self.handshake.stream.send(&out).await.is_ok() {
            let _ = self.handshake.stream.shutdown().await;
        }
    }
}

pub(super) fn verifier(
    shared: &Shared,
    nonce: Nonce,
    account: Option<Arc<Account>>,
    (stream, peer): (&Stream, &str),
) -> Verifier {
    let channel = Channel {
        secure: gate::is_secure(stream, peer),
        certificate: stream.certificate().map(<[u8]>::to_vec),
        certificate_required: shared.tls.load().certificate_required,
        now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
    };
    let tokens = shared.tokens.load_full();
    Verifier::new(nonce, account, fallback(shared)).over(channel, tokens)
}

pub(super) fn log_refusal(session: u32, peer: &str, user: &str, verifier: &Verifier) {
    let user: String = user.chars().take(32).collect();
    let why = verifier.why().map(tracing::field::display);
    tracing::info!(session, peer, user, why, "refused a login");
}

/// A login has failed: who guesses is to take its time.
pub(super) async fn hold_back(shared: &Shared, peer: &str, user: &str) {
    let delay = shared.throttle.failed(peer, user, Instant::now());
    if !delay.is_zero() {
        shared.metrics.client.logins_delayed.inc();
        tokio::time::sleep(delay).await;
    }
}

/// How the command phase is compressed. As the server has it: zlib where both are asked for, and a
/// level of zstd's that does not exist ends the login before it has begun.
fn algorithm(login: &Login, offered: Capabilities) -> Result<Option<Algorithm>, NoSuchLevel> {
    let asked = login.capabilities & offered;
    if asked.contains(Capabilities::CLIENT_COMPRESS) {
        return Ok(Some(Algorithm::Zlib));
    }
    if !asked.contains(Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM) {
        return Ok(None);
    }
    let level = login.zstd_level.filter(|level| ZSTD_LEVELS.contains(level)).ok_or(NoSuchLevel)?;
    Ok(Some(Algorithm::Zstd { level }))
}

/// What clients that speak neither plugin are asked for: MariaDB's have the one, MySQL's the other.
pub(super) fn fallback(shared: &Shared) -> Plugin {
    if shared.cluster.facts().is_some_and(|facts| facts.mariadb) {
        Plugin::NativePassword
    } else {
        Plugin::CachingSha2Password
    }
}

pub(super) fn identity(shared: &Shared, account: &Account, meaning: Meaning) -> Identity {
    backend::identity(&shared.vault.current(), account, meaning)
}

pub(super) fn ledger_login(
    shared: &Shared,
    schema: Option<&str>,
    collation: u16,
    (capabilities, access): (Capabilities, Access),
) -> session::Login {
    let facts = shared.cluster.facts();
    let defaults = facts.map(|facts| Arc::clone(&facts.defaults)).unwrap_or_default();
    session::Login {
        schema: schema.map(str::to_owned),
        charset: charset(collation, shared),
        capabilities,
        status: fresh_status(shared),
        read_only: access == Access::ReadOnly,
        defaults,
    }
}

/// Do sessions there have `session_track_schema` on from the start?
fn tells_schema(shared: &Shared) -> bool {
    let tracking = |facts: &Arc<Facts>| facts.defaults.tracking.filter(false, false).schema;
    shared.cluster.facts().is_none_or(tracking)
}

fn fresh_status(shared: &Shared) -> Status {
    let known = shared.cluster.facts().map(|facts| facts.status);
    known.unwrap_or(Status::SERVER_STATUS_AUTOCOMMIT)
        & (Status::SERVER_STATUS_AUTOCOMMIT | Status::SERVER_STATUS_NO_BACKSLASH_ESCAPES)
}

/// As the server does it: an id that it does not know, 0 among them, gives its own default.
fn charset(collation: u16, shared: &Shared) -> Charset {
    let facts = shared.cluster.facts();
    let Some(facts) = facts.filter(|facts| !facts.collations.is_empty()) else {
        return charset_of_mysql(collation);
    };
    let known = facts.collations.get(&collation).or(facts.charset.as_ref());
    known.cloned().unwrap_or_else(Charset::canonical)
}

fn charset_of_mysql(collation: u16) -> Charset {
    let known = Collation::resolve(CollationId::from(collation));
    let (name, collation) = (known.charset(), known.collation());
    if name.is_empty() || known.id() == CollationId::UNKNOWN_COLLATION_ID {
        return Charset::canonical();
    }
    Charset { name: name.to_owned(), collation: collation.to_owned() }
}

pub(super) fn fit_for_clients(shared: &Shared, collation: u16) -> Result<(), Word> {
    let charset = charset(collation, shared);
    if NOT_FOR_CLIENTS.contains(&charset.name.as_str()) {
        return Err(Word::charset_not_for_clients(&charset.name));
    }
    Ok(())
}

pub(super) fn host(peer: &str) -> &str {
    peer.rsplit_once(':').map_or("localhost", |(host, _)| host)
}
