//! Clients at rest change the process: their sockets and what their sessions are go over, and they
//! notice nothing.
//!
//! Only those whose session is nowhere else: in no transaction, without a pin, over plain TCP or a unix
//! socket. The others leave as in any drain.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;

use super::Shared;
use super::greet::identity;
use super::listen::{Admitted, count};
use super::serve::Session;
use crate::config::{Access, Choice};
use crate::metrics::Counted;
use crate::net::Stream;
use crate::registry::{Activity, Entrance, Wire};
use crate::session::{Ledger, Passport};
use crate::wire::{Capabilities, Extended, Meaning};

/// One client on its way out.
pub struct Departure {
    pub traveller: Traveller,
    pub socket: OwnedFd,
}

/// Where those who can are to go.
pub type Departures = UnboundedSender<Departure>;

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
    #[error("no user {0:?} in the secrets")]
    NoUser(String),
    #[error("no room for its prepared statements")]
    NoRoom,
    #[error("an access that is not known: {0:?}")]
    Access(String),
    #[error("no target has answered yet")]
    NoTarget,
}

impl Session {
    /// `true`: it is gone, and lives elsewhere.
    pub(super) fn depart(&self) -> bool {
        let Some(departures) = self.shared.departures.load_full() else { return false };
        if self.borrowed.is_some() || !self.inbound.is_empty() {
            return false;
        }
        let (Some(session), Some(socket)) = (self.ledger.passport(), self.stream.share_plain())
        else {
            return false;
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
        departures.send(Departure { traveller, socket }).is_ok()
    }
}

/// Goes on with a client of another process, in a task of its own. To be called on the runtime.
pub fn arrive(traveller: Traveller, socket: OwnedFd, shared: &Arc<Shared>) -> Result<(), Stranded> {
    let Traveller { id, peer, endpoint, access, user, session, .. } = traveller;
    let stream = Stream::adopt(socket)?;
    let account = shared.vault.current().account(&user).cloned();
    let account = account.ok_or(Stranded::NoUser(user))?;
    let access = Access::from_word(&access).ok_or(Stranded::Access(access))?;
    let facts = shared.cluster.facts().ok_or(Stranded::NoTarget)?;
    let ledger = Ledger::resume(session, Arc::clone(&facts.defaults), &shared.library);
    let ledger = ledger.ok_or(Stranded::NoRoom)?;
    let entrance = Entrance { endpoint: shared.registry.number_of(&endpoint), access };
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
    let mut session = Box::new(Session::new(
        stream,
        Arc::clone(shared),
        presence,
        account,
        identity,
        capabilities,
        ledger,
    ));
    session.access = access;
    session.count_state(session.ledger.statements.len(), session.ledger.pins());
    let shared = Arc::clone(shared);
    shared.lifecycle.clone().spawn("session", serve(session, shared));
    Ok(())
}

/// As one that came in by the door.
async fn serve(session: Box<Session>, shared: Arc<Shared>) {
    let _counted = Counted::one(&shared.metrics.client.connections);
    let _admitted = Admitted::without_limit(&shared);
    let (session, end) = session.serve().await;
    Box::pin(session.finish()).await;
    count(&shared, end);
}
