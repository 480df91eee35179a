//! Everything a process listens on, bound by itself or given to it.
//!
//! What was given and this configuration has no more is closed.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::spawn_blocking;

use super::cli::{self, Failure};
use super::doors::{self, Bound, Doors};
use super::takeover::{self, Given, Line};
use crate::config::{Address, Mistake, Mistakes, Settings};
use crate::net::Listener;

pub(super) struct Sockets {
    pub endpoints: Vec<Bound>,
    pub admin: Option<Listener>,
    pub console: Option<Listener>,
    pub upgrade: Option<Upgrade>,
    /// To the process that is taken over from.
    pub line: Option<Line>,
}

/// Where the next process asks, and what it is given beside the endpoints.
pub(super) struct Upgrade {
    listener: Listener,
    fixed: Vec<(Address, OwnedFd)>,
}

impl Sockets {
    pub async fn open(settings: &Settings, takeover: bool, doors: &Doors) -> Result<Self, Failure> {
        let (line, mut given) = given(settings, takeover).await?;
        let endpoints =
            doors.bind(&settings.endpoints, &mut given).await.map_err(Failure::other)?;
        let admin = admin(settings, &mut given).await?;
        let console = console(settings, &mut given).await?;
        let upgrade = upgrade(settings, &mut given, (admin.as_ref(), console.as_ref())).await?;
        Ok(Self { endpoints, admin, console, upgrade, line })
    }
}

impl Upgrade {
    /// The endpoints are given as they are then.
    pub fn give(self, endpoints: Arc<Mutex<doors::Sockets>>) -> (Listener, Arc<takeover::Sockets>) {
        let fixed = self.fixed;
        let sockets = move || {
            let endpoints = endpoints.lock().unwrap_or_else(PoisonError::into_inner);
            let open = endpoints.iter().filter_map(|(address, listener)| {
                Some((address.clone(), listener.upgrade()?.share()))
            });
            let fixed = fixed.iter().map(|(address, socket)| (address.clone(), socket.try_clone()));
            open.chain(fixed).collect()
        };
        (self.listener, Arc::new(sockets))
    }
}

async fn given(settings: &Settings, takeover: bool) -> Result<(Option<Line>, Given), Failure> {
    let given = Given::by_who_started_us()?;
    if !takeover {
        return Ok((None, given));
    }
    let Some(socket) = settings.upgrade.socket.clone() else {
        let (place, name) = settings.source().place_of("upgrade", "socket", cli::environment());
        let why = "--takeover needs the socket of the process it takes over from";
        return Err(Mistakes::from(Mistake::new(place, name, why)).into());
    };
    let said = socket.display().to_string();
    let taken = spawn_blocking(move || takeover::take(&socket)).await.map_err(Failure::other)?;
    let taken = taken.map_err(|error| Failure::other(format!("no takeover at {said}: {error}")))?;
    Ok(taken.map_or((None, given), |(line, given)| (Some(line), given)))
}

async fn admin(settings: &Settings, given: &mut Given) -> Result<Option<Listener>, Failure> {
    let Some(address) = &settings.admin.http else { return Ok(None) };
    if let Some(listener) = given.listener(address).await? {
        return Ok(Some(listener));
    }
    let bound = Listener::bind_unguarded(address).await;
    bound.map(Some).map_err(|error| {
        Failure::other(format!("cannot listen on {address} (admin.http): {error}"))
    })
}

async fn console(settings: &Settings, given: &mut Given) -> Result<Option<Listener>, Failure> {
    let Some(door) = &settings.admin.sql else { return Ok(None) };
    if let Some(listener) = given.listener(door).await? {
        return Ok(Some(listener));
    }
    let bound = Listener::bind(door).await;
    bound
        .map(Some)
        .map_err(|error| Failure::other(format!("cannot listen on {door} (admin.sql): {error}")))
}

async fn upgrade(
    settings: &Settings,
    given: &mut Given,
    (admin, console): (Option<&Listener>, Option<&Listener>),
) -> Result<Option<Upgrade>, Failure> {
    let Some(path) = &settings.upgrade.socket else { return Ok(None) };
    let address = Address::Unix(path.clone());
    let listener = match given.listener(&address).await? {
        Some(listener) => listener,
        None => Listener::bind_private(path).map_err(|error| {
            Failure::other(format!("cannot listen on {address} (upgrade.socket): {error}"))
        })?,
    };
    let mut fixed = vec![(address, listener.share()?)];
    for (address, listener) in [(&settings.admin.http, admin), (&settings.admin.sql, console)] {
        if let (Some(address), Some(listener)) = (address, listener) {
            fixed.push((address.clone(), listener.share()?));
        }
    }
    Ok(Some(Upgrade { listener, fixed }))
}
