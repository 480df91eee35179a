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
mod greet;
mod heal;
mod inbound;
mod kill;
mod listen;
mod lobby;
mod prepare;
mod recut;
mod refuse;
mod relay;
mod restore;
mod serve;
mod stalled;
mod stopwatch;
mod throttle;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use arc_swap::ArcSwap;

pub use desk::Desks;
pub use end::End;
pub use listen::listen;
pub use lobby::Lobby;
pub use throttle::Throttle;

use crate::auth::Tokens;
use crate::cluster::Cluster;
use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::net::{ClientSideTls, Engines, Shelf};
use crate::registry::Registry;
use crate::secrets::Vault;
use crate::session::Library;

/// What all sessions of the process share.
pub struct Shared {
    pub vault: Arc<Vault>,
    pub cluster: Arc<Cluster>,
    pub registry: Arc<Registry>,
    pub metrics: Arc<Metrics>,
    pub lifecycle: Lifecycle,
    pub buffers: Arc<Shelf>,
    pub desks: Desks,
    pub library: Arc<Library>,
    pub engines: Arc<Engines>,
    /// Another certificate takes the place of the one before.
    pub tls: Option<ArcSwap<ClientSideTls>>,
    pub tls_required: bool,
    /// Of every client, whatever the secrets ask of its user.
    pub certificate_required: bool,
    /// Other keys take the place of those before; `None`: nobody logs in with a token.
    pub tokens: Option<ArcSwap<Tokens>>,
    pub limits: Limits,
    /// Clients that are logged in.
    pub clients: AtomicUsize,
    /// And those that are not yet.
    pub lobby: Arc<Lobby>,
    pub throttle: Throttle,
}

#[derive(Clone, Debug)]
pub struct Limits {
    pub max_connections: usize,
    pub login_timeout: Option<Duration>,
    pub borrow_timeout: Duration,
}
