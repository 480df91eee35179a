//! Sockets that were bound before this process came: by the one it takes over from, or by what started
//! it.

use std::io;
use std::os::fd::OwnedFd;

use listenfd::ListenFd;
use tokio::net::lookup_host;

use crate::config::Address;
use crate::net::Listener;

/// Each with where it listens.
#[derive(Default)]
pub(in crate::app) struct Given(Vec<(Address, OwnedFd)>);

impl Given {
    /// From a service manager that passes them (`LISTEN_FDS`), if one does.
    pub fn by_who_started_us() -> io::Result<Self> {
        let mut passed = ListenFd::from_env();
        let mut given = Self::default();
        for place in 0..passed.len() {
            if let Ok(Some(listener)) = passed.take_tcp_listener(place) {
                let address = listener.local_addr()?;
                given.add(Address::tcp(address.ip().to_string(), address.port()), listener.into());
            } else if let Some(listener) = passed.take_unix_listener(place)? {
                let address = listener.local_addr()?;
                let path = address.as_pathname().unwrap_or("".as_ref()).to_owned();
                given.add(Address::Unix(path), listener.into());
            }
        }
        Ok(given)
    }

    pub fn add(&mut self, address: Address, socket: OwnedFd) {
        self.0.push((address, socket));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The one that listens there, if it was given. To be called on the runtime.
    pub async fn listener(&mut self, address: &Address) -> io::Result<Option<Listener>> {
        let Some(place) = self.place_of(address).await else { return Ok(None) };
        Listener::adopt(self.0.swap_remove(place).1, address).map(Some)
    }

    async fn place_of(&self, address: &Address) -> Option<usize> {
        if self.0.is_empty() {
            return None;
        }
        let named = self.0.iter().position(|(known, _)| known == address);
        let (None, Address::Tcp { host, port }) = (named, address) else { return named };
        let resolved = lookup_host((host.as_str(), *port)).await.ok()?;
        let resolved: Vec<Address> =
            resolved.map(|it| Address::tcp(it.ip().to_string(), it.port())).collect();
        self.0.iter().position(|(known, _)| resolved.contains(known))
    }
}
