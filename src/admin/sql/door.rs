//! The way in: who may, and how they show who they are.
//!
//! Who is too slow is not waited for. Nobody is told whether a name or a password was wrong.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;

use super::drivers::SERVER_VERSION;
use super::serve::Operator;
use super::words::Word;
use super::{Console, SEATS};
use crate::auth::{Nonce, Plugin, Verdict, Verifier};
use crate::config::ClientTlsMode;
use crate::net::{Handshake, HandshakeError, Listener, Stream};
use crate::secrets::{Account, Password, Rights};
use crate::wire::{CANONICAL, Capabilities, Greeting, Login, OkReply, SslRequest, Status};

const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);

/// As MySQL's.
const LONGEST_NAME: usize = 32;

/// Whoever guesses shall not do so at full speed.
const DENIED: Duration = Duration::from_secs(1);

/// After an accept that failed (no descriptors left, say) there is no hurry.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// For the last words to an operator who may not be listening.
pub const FAREWELL: Duration = Duration::from_secs(1);

/// utf8mb4_general_ci, which all that is told here is in.
const COLLATION: u8 = 45;

/// The console keeps no session state that it could report.
const OFFERED: Capabilities = CANONICAL
    .difference(Capabilities::CLIENT_SESSION_TRACK)
    .union(Capabilities::CLIENT_CONNECT_WITH_DB)
    .union(Capabilities::CLIENT_INTERACTIVE);

/// Serves until the process stops: while it drains, operators still see it drain, but where another
/// process listens in its place.
pub async fn listen(listener: Listener, console: Arc<Console>) {
    let stopping = console.rooms.lifecycle.stopping();
    let relieved = console.rooms.lifecycle.relieved();
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => return,
            () = relieved.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let lifecycle = console.rooms.lifecycle.clone();
                lifecycle.spawn("console", come_in(stream, peer, Arc::clone(&console)));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an operator");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn come_in(mut stream: Stream, peer: String, console: Arc<Console>) {
    let Some(place) = console.lobby.enter(Instant::now()) else {
        let mut out = BytesMut::new();
        Word::too_many(SEATS).put(&mut out, 0);
        return say_farewell(&mut stream, &out).await;
    };
    let stopping = console.rooms.lifecycle.stopping();
    let id = console.next_id.fetch_add(1, Ordering::Relaxed);
    let guest = Guest { handshake: Handshake::new(stream), console, id, peer };
    let login = tokio::time::timeout(LOGIN_TIMEOUT, guest.log_in());
    let login = async {
        tokio::select! {
            biased;
            login = login => login.ok().flatten(),
            // Whoever takes longest makes room for others, and is not told so.
            () = place.cut() => None,
        }
    };
    let Some(Some((operator, _seat))) = stopping.run_until_cancelled(login).await else { return };
    drop(place);
    operator.serve().await;
}

pub async fn say_farewell(stream: &mut Stream, out: &[u8]) {
    let say = async {
        stream.send(out).await?;
        stream.shutdown().await
    };
    let _ = tokio::time::timeout(FAREWELL, say).await;
}

/// Of one operator.
type Seat = tokio::sync::OwnedSemaphorePermit;

/// Somebody on their way in.
struct Guest {
    handshake: Handshake,
    console: Arc<Console>,
    id: u32,
    peer: String,
}

impl Guest {
    /// `None`: it came to nothing, and was told so if that could be.
    async fn log_in(mut self) -> Option<(Operator, Seat)> {
        let nonce = Nonce::random();
        self.greet(&nonce).await?;
        let mut payload = self.read().await?;
        if SslRequest::parse(&payload).is_some() {
            (self, payload) = self.secure().await?;
        }
        let Ok(login) = Login::parse(&payload) else {
            return self.refuse(&Word::bad_handshake()).await;
        };
        let mode = self.console.rooms.settings.load().tls_client.mode;
        let secure = self.handshake.stream.is_secure() || self.console.local;
        if mode == ClientTlsMode::Required && !secure {
            return self.refuse(&Word::tls_required()).await;
        }
        let (rights, seat) = self.authenticate(&login, nonce).await?;
        // Anybody may have a name of any length, and what they do is logged.
        let user = login.user.chars().take(LONGEST_NAME).collect();
        let operator = Operator {
            stream: self.handshake.stream,
            console: self.console,
            id: self.id,
            peer: self.peer,
            user,
            rights,
            capabilities: login.capabilities & OFFERED,
            schema: login.schema,
        };
        Some((operator, seat))
    }

    async fn greet(&mut self, nonce: &Nonce) -> Option<()> {
        let mut capabilities = OFFERED;
        if (self.console.rooms.tls)().is_some() && !self.handshake.stream.is_secure() {
            capabilities |= Capabilities::CLIENT_SSL;
        }
        let greeting = Greeting {
            version: SERVER_VERSION.to_owned(),
            connection_id: self.id,
            nonce: *nonce.as_bytes(),
            capabilities,
            extended: crate::wire::Extended::empty(),
            collation: COLLATION,
            status: Status::SERVER_STATUS_AUTOCOMMIT,
            plugin: Plugin::CachingSha2Password.name().to_owned(),
        };
        self.handshake.greet(&greeting).await.ok()
    }

    async fn secure(mut self) -> Option<(Self, BytesMut)> {
        let Some(tls) = (self.console.rooms.tls)() else {
            return self.refuse(&Word::bad_handshake()).await;
        };
        let handshake = self.handshake.secure(&tls).await.ok()?;
        let mut guest = Self { handshake, ..self };
        let payload = guest.read().await?;
        Some((guest, payload))
    }

    async fn authenticate(&mut self, login: &Login, nonce: Nonce) -> Option<(Rights, Seat)> {
        let (account, rights) = self.account(&login.user).unzip();
        let mut verifier = Verifier::new(nonce, account, Plugin::CachingSha2Password);
        let verdict = match self.handshake.judge(&mut verifier, login).await {
            Ok(verdict) => verdict,
            Err(error) => return self.broken(&error).await,
        };
        let shown: String = login.user.chars().take(LONGEST_NAME).collect();
        let (Verdict::Accept { fast_auth_ok }, Some(rights)) = (verdict, rights) else {
            tracing::warn!(peer = %self.peer, operator = shown, "refused a login to the console");
            tokio::time::sleep(DENIED).await;
            let with_password = !login.auth_response.is_empty();
            return self.refuse(&Word::bad_login(&login.user, with_password)).await;
        };
        let Ok(seat) = Arc::clone(&self.console.seats).try_acquire_owned() else {
            return self.refuse(&Word::too_many(SEATS)).await;
        };
        let capabilities = login.capabilities & OFFERED;
        self.handshake.accept(fast_auth_ok, &OkReply::default(), capabilities).await.ok()?;
        let rights_shown = rights.name();
        tracing::info!(peer = %self.peer, operator = shown, rights = rights_shown, "an operator is here");
        Some((rights, seat))
    }

    /// Where no operator is named, anybody on this machine may look, and nobody else.
    fn account(&self, user: &str) -> Option<(Arc<Account>, Rights)> {
        let generation = self.console.rooms.vault.current();
        if generation.has_admins() {
            let admin = generation.admin(user)?;
            return Some((Arc::clone(&admin.account), admin.rights));
        }
        let nobody = Account::new(user.to_owned(), Password::default(), None, None, None);
        self.console.local.then(|| (Arc::new(nobody), Rights::Read))
    }

    async fn read(&mut self) -> Option<BytesMut> {
        match self.handshake.read().await {
            Ok(payload) => Some(payload),
            Err(error) => self.broken(&error).await,
        }
    }

    async fn broken<T>(&mut self, error: &HandshakeError) -> Option<T> {
        match error {
            HandshakeError::TooLarge(_) => self.refuse(&Word::too_large()).await,
            HandshakeError::Io(_) => None,
        }
    }

    async fn refuse<T>(&mut self, word: &Word) -> Option<T> {
        let mut out = BytesMut::with_capacity(128);
        word.put(&mut out, self.handshake.next_seq());
        say_farewell(&mut self.handshake.stream, &out).await;
        None
    }
}
