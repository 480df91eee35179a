//! Clients at rest change the process: their sockets and what their sessions are go over, and they
//! notice nothing.
//!
//! Only those whose session is nowhere else: in no transaction, without a pin, over plain TCP or a unix
//! socket. The others leave as in any drain.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::greet::identity;
use super::listen::{Admitted, count, refuse};
use super::refuse::Word;
use super::serve::Session;
use super::{Shared, gate};
use crate::backend::Identity;
use crate::config::{Access, Choice};
use crate::metrics::Counted;
use crate::net::Stream;
use crate::registry::{Activity, Doom, Entrance, Presence, Wire};
use crate::secrets::Account;
use crate::session::{Ledger, Passport};
use crate::wire::{Capabilities, Extended, Meaning};

/// One client on its way out.
pub struct Departure {
    pub traveller: Traveller,
    pub socket: OwnedFd,
}

/// Where those who can are to go.
pub type Departures = Sender<Departure>;

/// All of a client but its socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Traveller {
    id: u32,
    peer: String,
    endpoint: String,
    access: String,
    user: String,
    capabilities: u32,
    meaning: (u32, u32),
    attributes: Vec<(String, String)>,
    session: Passport,
}

/// Why a client that came over is not served.
#[derive(Debug, thiserror::Error)]
pub enum Stranded {
    #[error("its socket: {0}")]
    Socket(#[from] std::io::Error),
    #[error("no user {0:?} in the secrets who may come from there")]
    NoUser(String),
    #[error("no room for its prepared statements")]
    NoRoom,
    #[error("an access that is not known: {0:?}")]
    Access(String),
    #[error("no target has answered yet")]
    NoTarget,
    #[error("TLS is required here")]
    TlsRequired,
    #[error("no endpoint {0:?} is open with that access")]
    Closed(String),
}

impl Stranded {
    fn word(&self) -> Word {
        match self {
            Self::NoUser(_) => Word::doomed(Doom::Revoked),
            Self::TlsRequired => Word::tls_required(),
            _ => Word::draining(),
        }
    }
}

/// What came of a wish to leave.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// It is gone, and lives elsewhere.
    Gone,
    /// Others go first; the bell rings again.
    Later,
    /// It cannot go as it is.
    Stays,
}

impl Session {
    pub(super) fn depart(&self) -> Leave {
        let Some(departures) = self.shared.departures.load_full() else { return Leave::Stays };
        // What is cheap to see comes first: a client is asked many times a second.
        let is_plain = matches!(self.stream, Stream::Plain(_));
        if !is_plain || self.borrowed.is_some() || !self.inbound.is_empty() {
            return Leave::Stays;
        }
        let place = match departures.try_reserve() {
            Ok(place) => place,
            Err(TrySendError::Full(())) => return Leave::Later,
            Err(TrySendError::Closed(())) => return Leave::Stays,
        };
        let (Some(session), Some(socket)) = (self.ledger.passport(), self.stream.share_plain())
        else {
            return Leave::Stays;
        };
        let entrance = self.presence.entrance();
        let traveller = Traveller {
            id: self.presence.id,
            peer: self.presence.peer.clone(),
            endpoint: self.shared.registry.endpoint(entrance.endpoint).unwrap_or_default(),
            access: self.access.as_str().to_owned(),
            user: self.account.username.to_string(),
            capabilities: self.capabilities.bits(),
            meaning: (self.identity.meaning.common.bits(), self.identity.meaning.extended.bits()),
            attributes: self.presence.attributes().to_vec(),
            session,
        };
        place.send(Departure { traveller, socket });
        Leave::Gone
    }
}

/// Goes on with a client of another process, in a task of its own, or tells it why not. To be called on
/// the runtime.
pub fn arrive(
    traveller: Traveller,
    socket: OwnedFd,
    shared: &Arc<Shared>,
    is_open: impl Fn(Entrance) -> bool,
) -> Result<(), Stranded> {
    let stream = Stream::adopt(socket)?;
    match admit(traveller, stream.is_secure(), shared, is_open) {
        Ok(Admission { presence, account, identity, capabilities, access, ledger }) => {
            let own = Arc::clone(shared);
            let mut session = Box::new(Session::new(
                stream,
                own,
                presence,
                account,
                identity,
                capabilities,
                ledger,
            ));
            session.access = access;
            session.count_state(session.ledger.statements.len(), session.ledger.pins());
            shared.lifecycle.spawn("session", serve(session, Arc::clone(shared)));
            Ok(())
        }
        Err(stranded) => {
            tell(stream, stranded.word(), shared);
            Err(stranded)
        }
    }
}

/// A client that was to go on in another process, and cannot, is told so. To be called on the runtime.
pub fn send_away(socket: OwnedFd, shared: &Arc<Shared>) {
    match Stream::adopt(socket) {
        Ok(stream) => tell(stream, Word::draining(), shared),
        Err(error) => tracing::debug!(%error, "a client that cannot be told"),
    }
}

/// All of a session but its stream.
struct Admission {
    presence: Presence,
    account: Arc<Account>,
    identity: Identity,
    capabilities: Capabilities,
    access: Access,
    ledger: Ledger,
}

/// By the rules of this process, which may be others than those it came in by.
fn admit(
    traveller: Traveller,
    is_secure: bool,
    shared: &Arc<Shared>,
    is_open: impl Fn(Entrance) -> bool,
) -> Result<Admission, Stranded> {
    let Traveller { id, peer, endpoint, access, user, session, .. } = traveller;
    let account = gate::account(shared, &user, &peer).ok_or(Stranded::NoUser(user))?;
    let access = Access::from_word(&access).ok_or(Stranded::Access(access))?;
    if shared.tls.load().required && !is_secure {
        return Err(Stranded::TlsRequired);
    }
    let entrance = Entrance { endpoint: shared.registry.number_of(&endpoint), access };
    if !is_open(entrance) {
        return Err(Stranded::Closed(endpoint));
    }
    let facts = shared.cluster.facts().ok_or(Stranded::NoTarget)?;
    let ledger = Ledger::resume(session, Arc::clone(&facts.defaults), &shared.library);
    let ledger = ledger.ok_or(Stranded::NoRoom)?;
    let presence = shared.registry.enter_as(Some(id), peer, entrance);
    // It was counted where it came from.
    presence.log_in(&account, None);
    presence.set_attributes(&traveller.attributes);
    presence.set_wire(Wire { tls: false, compressed: false });
    presence.set_activity(Activity::Idle);
    let (common, extended) = traveller.meaning;
    let meaning = Meaning {
        common: Capabilities::from_bits_retain(common),
        extended: Extended::from_bits_retain(extended),
    };
    let identity = identity(shared, &account, meaning);
    let capabilities = Capabilities::from_bits_retain(traveller.capabilities);
    Ok(Admission { presence, account, identity, capabilities, access, ledger })
}

fn tell(stream: Stream, word: Word, shared: &Arc<Shared>) {
    let told = Arc::clone(shared);
    shared.lifecycle.spawn("farewell", async move { refuse(&told, stream, &word).await });
}

/// As one that came in by the door.
async fn serve(session: Box<Session>, shared: Arc<Shared>) {
    let _counted = Counted::one(&shared.metrics.client.connections);
    let _admitted = Admitted::without_limit(&shared);
    let (session, end) = session.serve().await;
    Box::pin(session.finish()).await;
    count(&shared, end);
}
