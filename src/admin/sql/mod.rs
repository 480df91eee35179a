//! The operators' SQL console: who is connected, what is pooled and where it goes, and verbs that
//! change it, over the MySQL protocol.
//!
//! It looks at what the rooms below show of themselves, and never at a server. What a verb does is
//! [`Verb::run`], which `app` gives.

mod answer;
mod door;
mod drivers;
mod help;
mod like;
mod serve;
mod statement;
mod tables;
mod tokens;
mod verbs;
mod words;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use tokio::sync::Semaphore;

pub use door::listen;
pub use statement::Statement;
pub use verbs::{Argument, Done, Run, Running, Takes, Verb};
pub use words::Refusal;

use crate::cluster::Cluster;
use crate::config::{Address, InForce};
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::net::ClientSideTls;
use crate::registry::{Lobby, Registry};
use crate::secrets::Vault;
use crate::session::{Digests, Library};

/// What all operators share.
pub struct Console {
    rooms: Rooms,
    verbs: Vec<Verb>,
    /// Only this machine reaches the door: where no operator is named, anybody may look.
    local: bool,
    started: Instant,
    next_id: AtomicU32,
    seats: Arc<Semaphore>,
    lobby: Arc<Lobby>,
}

/// What is shown to those who want TLS, at this moment.
pub type Tls = dyn Fn() -> Option<Arc<ClientSideTls>> + Send + Sync;

/// What there is to be looked at.
pub struct Rooms {
    pub registry: Arc<Registry>,
    pub cluster: Arc<Cluster>,
    pub library: Arc<Library>,
    pub metrics: Arc<Metrics>,
    /// `None`: statements are not told apart.
    pub digests: Option<Arc<Digests>>,
    pub vault: Arc<Vault>,
    pub settings: Arc<InForce>,
    pub lifecycle: Lifecycle,
    pub tls: Arc<Tls>,
}

/// Operators at the same time, and as many again on their way in.
const SEATS: usize = 32;

impl Console {
    pub fn new(rooms: Rooms, verbs: Vec<Verb>) -> Self {
        let local = rooms.settings.load().admin.sql.as_ref().is_some_and(Address::is_local);
        Self {
            rooms,
            verbs,
            local,
            started: Instant::now(),
            next_id: AtomicU32::new(1),
            seats: Arc::new(Semaphore::new(SEATS)),
            lobby: Arc::new(Lobby::new(SEATS)),
        }
    }
}
