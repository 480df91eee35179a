//! What is learned once from each target for each account: its version, its limits, and which
//! variables a session can set, so that changes of exactly those are reported.
//!
//! `session_track_system_variables = '*'` would be shorter, but MySQL then reports
//! `statement_id` with every OK, and MariaDB `last_gtid` with every write.

use std::collections::HashSet;

use bytes::BytesMut;

use super::{BackendError, Connection};
use crate::wire::{Capabilities, Expect, Extended, Outcome, Status};

#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// As the greeting gave it.
    pub version: String,
    pub mariadb: bool,
    /// As the greeting offered them.
    pub capabilities: Capabilities,
    pub extended: Extended,
    pub max_connections: u32,
    /// Of a fresh connection.
    pub status: Status,
    /// The comma-separated list.
    pub tracked: String,
    /// Of those, the ones that have no global value.
    pub session_only: HashSet<String>,
    pub sql_mode: String,
    /// What `pool.init_query` sets on every connection.
    pub variables: Vec<(String, String)>,
}

/// Changes of these say nothing about what a statement of the session means.
const NOT_STATE: [&str; 2] = ["last_gtid", "statement_id"];

/// Questions that travel together; their replies stay well below a socket's buffer.
const BATCH: usize = 64;

impl Connection {
    /// Costs some 700 tiny statements on MySQL, once; the connection must be reset afterwards.
    pub(super) async fn learn(&mut self) -> Result<Facts, BackendError> {
        let mut facts = (*self.facts).clone();
        if !self.format.session_track {
            return Err(BackendError::NoTrackers);
        }
        let mut limits =
            self.query("SELECT @@GLOBAL.max_connections, @@GLOBAL.sql_mode").await?.into_iter();
        let mut limits = limits.next().unwrap_or_default().into_iter().flatten();
        facts.max_connections = limits.next().and_then(|most| most.parse().ok()).unwrap_or(0);
        facts.sql_mode = limits.next().unwrap_or_default();
        let names = if facts.mariadb {
            self.names(MARIADB_SETTABLE).await?
        } else {
            let all = self.names("SHOW SESSION VARIABLES").await?;
            self.settable(all).await?
        };
        let global: HashSet<String> =
            self.names("SHOW GLOBAL VARIABLES").await?.into_iter().collect();
        facts.tracked = names.join(",");
        facts.session_only = names.into_iter().filter(|name| !global.contains(name)).collect();
        Ok(facts)
    }

    async fn names(&mut self, sql: &str) -> Result<Vec<String>, BackendError> {
        let rows = self.query(sql).await?;
        let names = rows.into_iter().filter_map(|row| row.into_iter().next().flatten());
        Ok(names
            .map(|name| name.to_ascii_lowercase())
            .filter(|name| !NOT_STATE.contains(&name.as_str()))
            .filter(|name| {
                name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
            })
            .collect())
    }

    /// Sets each to what it is: the server refuses those that no session can set.
    async fn settable(&mut self, names: Vec<String>) -> Result<Vec<String>, BackendError> {
        let mut settable = Vec::new();
        for batch in names.chunks(BATCH) {
            let mut out = BytesMut::with_capacity(8192);
            for name in batch {
                let sql = format!("SET SESSION {name}=@@SESSION.{name}");
                self.format.put_query(&mut out, &sql);
            }
            self.stream.send(&out).await?;
            let replies = self.replies(&vec![Expect::Query; batch.len()]).await?;
            let taken = batch.iter().zip(replies);
            settable.extend(
                taken
                    .filter(|(_, reply)| matches!(reply.outcome, Outcome::Ok))
                    .map(|(name, _)| name.clone()),
            );
        }
        Ok(settable)
    }
}

const MARIADB_SETTABLE: &str = "SELECT VARIABLE_NAME FROM information_schema.SYSTEM_VARIABLES \
     WHERE VARIABLE_SCOPE IN ('SESSION', 'SESSION ONLY') AND READ_ONLY = 'NO'";
