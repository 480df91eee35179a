//! The secrets, as those see them who log in to servers.
//!
//! Owns the two bells between them and whoever reads the secrets: "a server refuses what these
//! say", and "they were read again". It never reads anything itself.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use super::Identity;
use crate::secrets::{Account, Generation, Vault};
use crate::wire::Meaning;

pub struct Credentials {
    vault: Arc<Vault>,
    doubt: Notify,
    /// How often they were read since the start, whatever came of it.
    reads: watch::Sender<u64>,
}

impl Credentials {
    pub fn new(vault: Arc<Vault>) -> Self {
        Self { vault, doubt: Notify::new(), reads: watch::Sender::new(0) }
    }

    pub fn current(&self) -> Arc<Generation> {
        self.vault.current()
    }

    /// A server refuses what the secrets say: they may have changed since they were read.
    pub fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// Returns once somebody has doubted. For the one who reads. Cancel-safe.
    pub async fn doubted(&self) {
        self.doubt.notified().await;
    }

    pub fn tell_read(&self) {
        self.reads.send_modify(|reads| *reads = reads.wrapping_add(1));
    }

    /// Returns once another generation than this is in force. Cancel-safe.
    pub async fn changed_from(&self, generation: u64) {
        let mut reads = self.reads();
        while self.current().number == generation {
            if reads.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Changes whenever the secrets have been read again.
    pub fn reads(&self) -> watch::Receiver<u64> {
        self.reads.subscribe()
    }
}

/// As whom a server is told that `account` comes.
pub fn identity(generation: &Generation, account: &Account, meaning: Meaning) -> Identity {
    let username = Arc::clone(&account.target.username);
    let login = generation.login(&username).unwrap_or(generation.number);
    Identity { username, generation: login, meaning }
}
