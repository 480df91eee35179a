//! What a running proxy says of itself: the document at `/status`, which the page and
//! `tidegate status` read too. `docs/status.md` explains each field.
//!
//! Values only. Names never change their meaning; new ones may come.

use serde::{Deserialize, Serialize};

use super::clients::ClientList;
use super::digests::DigestList;
use super::events::Event;
use super::samples::Sample;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    /// Milliseconds since 1970.
    pub time: u64,
    pub uptime_seconds: u64,
    /// `starting`, `running`, `draining`, `stopped`.
    pub phase: String,
    pub ready: bool,
    /// Why it is not ready.
    pub trouble: Option<String>,
    pub clients: Clients,
    pub connections: Connections,
    pub pins: Vec<PinUse>,
    pub targets: Vec<Target>,
    pub topology: Topology,
    /// The last second.
    pub rates: Sample,
    pub totals: Totals,
    /// The last ones, the oldest first.
    pub events: Vec<Event>,
    /// Where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_list: Option<ClientList>,
    /// Where they were asked for, and are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest_list: Option<DigestList>,
    /// The last minutes, a second each, where they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<Sample>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clients {
    pub connected: u64,
    pub max: u64,
}

/// To all targets together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    pub max: u64,
    pub idle: u64,
    pub borrowed: u64,
    pub dialing: u64,
    /// Statements that wait for one.
    pub waiting: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinUse {
    pub reason: String,
    pub now: u64,
    pub total: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub name: String,
    pub address: String,
    /// As configured.
    pub role: String,
    /// `primary`, `replica`, `rival`, `drained`, `unused`, `down`, `unknown`.
    pub standing: String,
    pub up: bool,
    pub read_only: Option<bool>,
    /// Behind its source; unknown of what is no replica.
    pub lag_seconds: Option<u64>,
    /// Read-only, and it replicates from nobody.
    pub replication_stopped: bool,
    pub version: Option<String>,
    pub server_max_connections: Option<u64>,
    /// What the last try to reach it ended in.
    pub trouble: Option<String>,
    /// `None` before it has answered once.
    pub pool: Option<Pool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    pub max: u64,
    pub idle: u64,
    pub borrowed: u64,
    pub dialing: u64,
    pub closing: u64,
    pub waiting: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    pub primary: Option<String>,
    /// One more with each new primary.
    pub epoch: u64,
    /// Those that take writes and should not.
    pub rivals: Vec<String>,
    /// Since the start.
    pub failovers: u64,
}

/// Since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub clients: u64,
    pub logins_denied: u64,
    pub statements: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Statements that got no connection.
    pub borrow_failures: u64,
    pub server_errors: u64,
    pub proxy_errors: u64,
}
