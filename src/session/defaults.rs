//! What a session of one target begins with, and what must be known of that target to read its
//! texts and replies.
//!
//! Owns values that the first connection learned. It never asks.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Charset, Condition};
use crate::wire::{TrackFilter, Variables};

/// Shared by all sessions of a target.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    pub mariadb: bool,
    /// The server's own, for reading texts while a session has set none.
    pub sql_mode: String,
    /// Of a connection after COM_RESET_CONNECTION; `None`: that of the login.
    pub charset: Option<Charset>,
    /// What `pool.init_query` sets on every connection.
    pub variables: Vec<(String, String)>,
    /// Of those, the `wait_timeout` that is the proxy's and no client is to see.
    pub wait_timeout: Option<String>,
    /// Variables whose changes the server reports, in lower case.
    pub tracked: HashSet<String>,
    /// What a client that changes nothing about it is told by the session trackers.
    pub tracking: Arc<Tracking>,
    /// The statement that makes the server report what the proxy needs.
    pub setup: String,
    /// The warning that `FOUND_ROWS()` leaves, where it is deprecated.
    pub found_rows_warning: Option<Condition>,
    /// `pool.pin_filter`: names in lower case, those of user variables with their `@`.
    pub ignored: Arc<[String]>,
}

impl Defaults {
    pub fn ignores(&self, name: &str) -> bool {
        self.ignored.iter().any(|ignored| ignored == name)
    }

    pub fn ignores_user_variable(&self, name: &str) -> bool {
        self.ignored.iter().any(|ignored| ignored.strip_prefix('@') == Some(name))
    }
}

/// The `session_track_…` variables as a client sees them. The server's own are the proxy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracking {
    pub schema: String,
    pub state_change: String,
    pub transaction_info: String,
    pub system_variables: String,
    /// The same, read once: every reply to a client with SESSION_TRACK is filtered by it.
    variables: Variables,
}

impl Default for Tracking {
    fn default() -> Self {
        const USUAL: &str = "time_zone,autocommit,character_set_client,character_set_results,\
                             character_set_connection";
        Self {
            schema: "ON".into(),
            state_change: "OFF".into(),
            transaction_info: "OFF".into(),
            system_variables: USUAL.into(),
            variables: named(USUAL),
        }
    }
}

impl Tracking {
    pub const NAMES: [&'static str; 4] = [
        "session_track_schema",
        "session_track_state_change",
        "session_track_transaction_info",
        "session_track_system_variables",
    ];

    /// Notes one of them; `false` for any other name.
    pub fn set(&mut self, name: &str, value: &str) -> bool {
        let place = match name {
            "session_track_schema" => &mut self.schema,
            "session_track_state_change" => &mut self.state_change,
            "session_track_transaction_info" => &mut self.transaction_info,
            "session_track_system_variables" => &mut self.system_variables,
            _ => return false,
        };
        value.clone_into(place);
        if name == "session_track_system_variables" {
            self.variables = named(value);
        }
        true
    }

    /// The `SET` that gives a server connection exactly these. Names of variables and settings hold
    /// no quote; one that does is none.
    pub fn statement(&self) -> String {
        let quoted = |value: &str| value.replace(['\'', '\\'], "");
        format!(
            "SET SESSION session_track_schema='{}',session_track_state_change='{}',\
             session_track_transaction_info='{}',session_track_system_variables='{}'",
            quoted(&self.schema),
            quoted(&self.state_change),
            quoted(&self.transaction_info),
            quoted(&self.system_variables),
        )
    }

    /// What of the proxy's trackers a client with these is told. `gtids`: it asked for them.
    pub fn filter(&self, mariadb: bool, gtids: bool) -> TrackFilter {
        let is_on = |value: &str| value.eq_ignore_ascii_case("ON") || value == "1";
        // MySQL 9.7 reports the transaction's state whatever it is told.
        let transaction = !mariadb || !self.transaction_info.eq_ignore_ascii_case("OFF");
        TrackFilter {
            schema: is_on(&self.schema),
            state: is_on(&self.state_change),
            gtids,
            characteristics: self.transaction_info.eq_ignore_ascii_case("CHARACTERISTICS"),
            transaction,
            variables: self.variables.clone(),
        }
    }
}

/// The value of `session_track_system_variables`.
fn named(value: &str) -> Variables {
    let names = value.split(',').map(|name| name.trim().to_ascii_lowercase());
    let names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
    if names.iter().any(|name| name == "*") {
        Variables::All
    } else if names.is_empty() {
        Variables::None
    } else {
        Variables::Named(names.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_what_it_asked_for() {
        let mut tracking = Tracking::default();
        let filter = tracking.filter(true, false);
        assert!(filter.schema && !filter.state && !filter.transaction);
        for (name, value) in [
            ("session_track_state_change", "ON"),
            ("session_track_transaction_info", "STATE"),
            ("session_track_system_variables", "sql_mode, Time_Zone"),
        ] {
            assert!(tracking.set(name, value));
        }
        let filter = tracking.filter(true, true);
        assert!(filter.state && filter.gtids && filter.transaction && !filter.characteristics);
        assert_eq!(
            filter.variables,
            Variables::Named(["sql_mode".to_owned(), "time_zone".to_owned()].into())
        );
        assert!(tracking.statement().contains("transaction_info='STATE'"));
        assert!(!tracking.set("sql_mode", "x"));
    }
}
