//! Clients come in: the connection phase, the command phase, and every word a client reads.
//!
//! Owns the two sides of a session while it lives. What a request means is the ledger's to say;
//! which connection serves it is the pool's.

mod answer;
mod attributes;
mod change_user;
mod desk;
mod end;
mod exchange;
mod gate;
mod greet;
mod heal;
mod inbound;
mod kill;
mod limits;
mod listen;
mod notes;
mod prepare;
mod recut;
mod refuse;
mod relay;
mod restore;
mod serve;
mod stalled;
mod stopwatch;
mod throttle;
mod tls;
mod travel;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use arc_swap::{ArcSwap, ArcSwapOption};
use refuse::Word;

pub use desk::Desks;
pub use end::End;
pub use gate::Gate;
pub use limits::Limits;
pub use listen::listen;
pub use notes::Notes;
pub use refuse::CODES as REFUSAL_CODES;
pub use throttle::Throttle;
pub use tls::ClientTls;
pub use travel::{Departure, Departures, Traveller, arrive, send_away};

use crate::auth::Tokens;
use crate::cluster::Cluster;
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::net::{Engines, Lifeline, Shelf};
use crate::registry::{Lobby, Registry};
use crate::secrets::Vault;
use crate::session::Library;

/// What all sessions of the process share.
pub struct Shared {
    pub vault: Arc<Vault>,
    pub cluster: Arc<Cluster>,
    /// By which the next process will know that this one has ended; `None`: it will not.
    pub lifeline: Option<Arc<Lifeline>>,
    pub registry: Arc<Registry>,
    pub metrics: Arc<Metrics>,
    pub lifecycle: Lifecycle,
    pub buffers: Arc<Shelf>,
    pub desks: Desks,
    pub library: Arc<Library>,
    pub engines: Arc<Engines>,
    /// Another certificate, or another mode, takes the place of the one before.
    pub tls: ArcSwap<ClientTls>,
    /// Other keys take the place of those before; empty: nobody logs in with a token.
    pub tokens: ArcSwapOption<Tokens>,
    pub limits: Limits,
    /// Clients that are logged in.
    pub clients: AtomicUsize,
    /// And those that are not yet.
    pub lobby: Arc<Lobby>,
    pub throttle: Throttle,
    /// Set, clients at rest go there when they are woken.
    pub departures: ArcSwapOption<Departures>,
    pub notes: Notes,
}

impl Shared {
    /// A client is told so.
    fn count_refusal(&self, word: &Word) {
        self.metrics.client.refusals.at(word.label()).inc();
    }
}
