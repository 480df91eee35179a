//! The endpoints that are open, and how others take their place.
//!
//! Owns the listening sockets. One whose address stays is kept, whatever else changes: nobody who
//! knocks is refused. Clients stay as long as there is an endpoint of the name and the access they came
//! in by, and else leave as in a drain.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::takeover::Given;
use crate::config::{Address, Endpoint};
use crate::frontend::{self, Gate, Shared};
use crate::net::Listener;
use crate::registry::{Doom, Entrance};

/// How often a closed endpoint looks whether all have left.
const LOOK: Duration = Duration::from_millis(20);

/// Nobody is on the way in for so long.
const QUIET: Duration = Duration::from_secs(1);

pub(super) struct Doors {
    shared: Arc<Shared>,
    open: Vec<Door>,
    /// What is open, for another process to take over.
    sockets: Arc<Mutex<Sockets>>,
    /// What clients may have come in by.
    entrances: Arc<ArcSwap<Vec<Entrance>>>,
}

struct Door {
    endpoint: Endpoint,
    /// The listening task's, so that it closes with that.
    listener: Weak<Listener>,
    entrance: Entrance,
    closing: CancellationToken,
}

/// Where it listens, and on what.
pub(super) type Sockets = Vec<(Address, Weak<Listener>)>;

/// An endpoint, and the socket it listens on, which is bound and nobody listens on yet.
pub(super) type Bound = (Endpoint, Arc<Listener>);

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {}: {error}", .endpoint.listen)]
pub(super) struct CannotListen {
    pub endpoint: Endpoint,
    error: std::io::Error,
}

impl Doors {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, open: Vec::new(), sockets: Arc::default(), entrances: Arc::default() }
    }

    pub fn sockets(&self) -> Arc<Mutex<Sockets>> {
        Arc::clone(&self.sockets)
    }

    /// What is open, now and later.
    pub fn entrances(&self) -> Arc<ArcSwap<Vec<Entrance>>> {
        Arc::clone(&self.entrances)
    }

    /// Binds what is not bound yet; nothing is changed by it but that.
    pub async fn bind(
        &self,
        endpoints: &[Endpoint],
        given: &mut Given,
    ) -> Result<Vec<Bound>, CannotListen> {
        let listens = |door: &Door| Some((door.endpoint.listen.clone(), door.listener.upgrade()?));
        let mut kept: Vec<(Address, Arc<Listener>)> =
            self.open.iter().filter_map(listens).collect();
        let mut bound = Vec::new();
        for endpoint in endpoints {
            let known = kept.iter().position(|(address, _)| *address == endpoint.listen);
            let listener = if let Some(place) = known {
                kept.swap_remove(place).1
            } else {
                let bound = given_or_bound(&endpoint.listen, given).await;
                let refused = |error| CannotListen { endpoint: endpoint.clone(), error };
                Arc::new(bound.map_err(refused)?)
            };
            bound.push((endpoint.clone(), listener));
        }
        Ok(bound)
    }

    /// These are open from here on, and no others.
    pub fn open(&mut self, endpoints: Vec<Bound>, drain_timeout: Duration) {
        let mut before = std::mem::take(&mut self.open);
        for (endpoint, listener) in endpoints {
            let same = |door: &Door| door.endpoint == endpoint && door.listens_on(&listener);
            let door = match before.iter().position(same) {
                Some(place) => before.swap_remove(place),
                None => self.start(endpoint, &listener),
            };
            self.open.push(door);
        }
        let entrances = self.open.iter().map(|door| door.entrance).collect();
        self.entrances.store(Arc::new(entrances));
        *self.sockets.lock().unwrap_or_else(PoisonError::into_inner) = self
            .open
            .iter()
            .map(|door| (door.endpoint.listen.clone(), Weak::clone(&door.listener)))
            .collect();
        for door in &before {
            door.closing.cancel();
            if self.open.iter().all(|it| !Weak::ptr_eq(&it.listener, &door.listener)) {
                tracing::info!(
                    endpoint = %door.endpoint.name, listen = %door.endpoint.listen, "closed"
                );
                remove_socket(&door.endpoint.listen);
            }
        }
        let gone: Vec<Entrance> = before.iter().map(|door| door.entrance).collect();
        self.show_out(gone, drain_timeout);
    }

    fn start(&self, endpoint: Endpoint, listener: &Arc<Listener>) -> Door {
        let number = self.shared.registry.number_of(&endpoint.name);
        let entrance = Entrance { endpoint: number, access: endpoint.access };
        let closing = self.shared.lifecycle.relieved();
        tracing::info!(endpoint = %endpoint.name, listen = %endpoint.listen, "listening");
        let (heard, shared) = (Arc::clone(listener), Arc::clone(&self.shared));
        let gate = Arc::new(Gate::from(&endpoint));
        let listen = frontend::listen(heard, (entrance, gate), closing.clone(), shared);
        self.shared.lifecycle.spawn("listen", listen);
        Door { endpoint, listener: Arc::downgrade(listener), entrance, closing }
    }

    /// As in a drain: at once outside a transaction, after its end in one, and whatever they are at
    /// when the time is over.
    fn show_out(&self, mut gone: Vec<Entrance>, limit: Duration) {
        let open = Arc::clone(&self.entrances);
        gone.retain(|entrance| !open.load().contains(entrance));
        if gone.is_empty() {
            return;
        }
        let (shared, until) = (Arc::clone(&self.shared), Instant::now() + limit);
        self.shared.lifecycle.spawn("door", async move {
            let stopping = shared.lifecycle.stopping();
            let leave = async {
                let mut quiet = Instant::now();
                loop {
                    // It may have been opened again.
                    gone.retain(|entrance| !open.load().contains(entrance));
                    let over = Instant::now() >= until;
                    let doom = if over { Doom::Stopping } else { Doom::Draining };
                    // Some may still be on their way in when the first bell rings.
                    let left = shared.registry.doom_from(&gone, doom);
                    if over && left > 0 {
                        tracing::warn!(clients = left, "clients of a closed endpoint are cut off");
                    }
                    if left > 0 {
                        quiet = Instant::now();
                    }
                    if over || quiet.elapsed() > QUIET {
                        return;
                    }
                    tokio::time::sleep(LOOK).await;
                }
            };
            stopping.run_until_cancelled(leave).await;
        });
    }
}

impl Door {
    fn listens_on(&self, listener: &Arc<Listener>) -> bool {
        Weak::as_ptr(&self.listener) == Arc::as_ptr(listener)
    }
}

async fn given_or_bound(address: &Address, given: &mut Given) -> std::io::Result<Listener> {
    match given.listener(address).await? {
        Some(listener) => Ok(listener),
        None => Listener::bind(address).await,
    }
}

/// What would be left of a unix socket.
fn remove_socket(address: &Address) {
    if let Address::Unix(path) = address
        && let Err(error) = std::fs::remove_file(path)
    {
        tracing::debug!(%error, path = %path.display(), "cannot remove a socket");
    }
}
