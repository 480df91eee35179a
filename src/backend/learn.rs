//! What is learned once from each target for each account: its version, its limits, and which
//! variables a session can set, so that changes of exactly those are reported.
//!
//! `session_track_system_variables = '*'` would be shorter, but MySQL then reports
//! `statement_id` with every OK, and MariaDB `last_gtid` with every write.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::BytesMut;

use super::{BackendError, Connection};
use crate::session::{Charset, Condition, Defaults, Tracking};
use crate::wire::{Capabilities, Expect, Extended, Outcome, Status};

#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// As the greeting gave it.
    pub version: String,
    pub mariadb: bool,
    /// As the greeting offered them.
    pub capabilities: Capabilities,
    pub extended: Extended,
    /// The low byte of the collation id that it greets with.
    pub collation: u8,
    /// By id; empty where the server did not say.
    pub collations: Arc<HashMap<u16, Charset>>,
    /// What a login gets that names no collation, or one the server does not know.
    pub charset: Option<Charset>,
    pub max_connections: u32,
    /// In seconds.
    pub net_write_timeout: Option<u64>,
    /// In seconds, of a session that sets none.
    pub wait_timeout: Option<u64>,
    /// Of a fresh connection.
    pub status: Status,
    /// The comma-separated list.
    pub tracked: String,
    /// Of those, the ones that have no global value.
    pub session_only: HashSet<String>,
    /// That the login gives this account.
    pub role: Option<String>,
    /// What is set in its place on ours, so that they end by themselves when we have died; less than
    /// it.
    pub our_wait_timeout: Option<u64>,
    /// What its sessions begin with.
    pub defaults: Arc<Defaults>,
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
        let mut limits = self.query(LIMITS).await?.into_iter();
        let mut limits = limits.next().unwrap_or_default().into_iter().flatten();
        facts.max_connections = limits.next().and_then(|most| most.parse().ok()).unwrap_or(0);
        let sql_mode = limits.next().unwrap_or_default();
        facts.net_write_timeout = limits.next().and_then(|seconds| seconds.parse().ok());
        facts.wait_timeout = limits.next().and_then(|seconds| seconds.parse().ok());
        facts.role = self.role().await?;
        self.learn_collations(&mut facts).await?;
        let names = if facts.mariadb {
            // One of them, max_allowed_packet, is refused all the same.
            let all = self.names(MARIADB_SETTABLE).await?;
            self.settable(all).await?
        } else {
            let all = self.names("SHOW SESSION VARIABLES").await?;
            self.settable(all).await?
        };
        let global: HashSet<String> =
            self.names("SHOW GLOBAL VARIABLES").await?.into_iter().collect();
        facts.tracked = names.join(",");
        facts.defaults = Arc::new(Defaults {
            mariadb: facts.mariadb,
            sql_mode,
            tracked: names.iter().cloned().collect(),
            tracking: Arc::new(self.tracking().await?),
            found_rows_warning: self.found_rows_warning().await?,
            ..Defaults::default()
        });
        facts.session_only = names.into_iter().filter(|name| !global.contains(name)).collect();
        Ok(facts)
    }

    /// What a client is told that asks for nothing.
    async fn tracking(&mut self) -> Result<Tracking, BackendError> {
        let mut tracking = Tracking::default();
        let names = Tracking::NAMES.join("','");
        let sql = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ('{names}')");
        for row in self.query(&sql).await? {
            if let [Some(name), Some(value)] = row.as_slice() {
                tracking.set(&name.to_ascii_lowercase(), value);
            }
        }
        Ok(tracking)
    }

    /// The warning that it is deprecated, where it is.
    async fn found_rows_warning(&mut self) -> Result<Option<Condition>, BackendError> {
        self.query("SELECT FOUND_ROWS()").await?;
        let warnings = self.query("SHOW WARNINGS").await?;
        Ok(warnings.into_iter().next().and_then(|row| {
            let mut row = row.into_iter().map(Option::unwrap_or_default);
            let (level, code, message) = (row.next()?, row.next()?, row.next()?);
            let code = code.parse().ok()?;
            Some(Condition {
                level: level.into_bytes().into(),
                code,
                message: message.into_bytes().into(),
            })
        }))
    }

    async fn learn_collations(&mut self, facts: &mut Facts) -> Result<(), BackendError> {
        let default = self.query(DEFAULT_CHARSET).await?.into_iter().next().unwrap_or_default();
        if let [Some(name), Some(collation)] = default.as_slice() {
            facts.charset = Some(Charset { name: name.clone(), collation: collation.clone() });
        }
        let question = if facts.mariadb { MARIADB_COLLATIONS } else { COLLATIONS };
        let mut rows = self.query(question).await;
        // MariaDB before 10.10 knows no full names, and has no need of them.
        if facts.mariadb && matches!(rows, Err(BackendError::Refused(_))) {
            rows = self.query(COLLATIONS).await;
        }
        let collation = |row: Vec<Option<String>>| {
            let [id, name, collation] = <[_; 3]>::try_from(row).ok()?;
            Some((id?.parse().ok()?, Charset { name: name?, collation: collation? }))
        };
        facts.collations = Arc::new(rows?.into_iter().filter_map(collation).collect());
        Ok(())
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

const LIMITS: &str = "SELECT @@GLOBAL.max_connections, @@GLOBAL.sql_mode, \
     @@GLOBAL.net_write_timeout, @@GLOBAL.wait_timeout";

const DEFAULT_CHARSET: &str = "SELECT @@GLOBAL.character_set_client, @@GLOBAL.collation_connection";

const COLLATIONS: &str =
    "SELECT ID, CHARACTER_SET_NAME, COLLATION_NAME FROM information_schema.COLLATIONS";

/// One of uca1400 has an id for each character set, and a short name for all.
const MARIADB_COLLATIONS: &str = "SELECT ID, CHARACTER_SET_NAME, FULL_COLLATION_NAME \
     FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY";

const MARIADB_SETTABLE: &str = "SELECT VARIABLE_NAME FROM information_schema.SYSTEM_VARIABLES \
     WHERE VARIABLE_SCOPE IN ('SESSION', 'SESSION ONLY') AND READ_ONLY = 'NO'";
