//! Wiring: the rooms are built bottom-up, and told of signals, a new configuration and the drain.

pub mod check;
pub mod cli;

use crate::config::{Mistake, Settings};
use crate::lifecycle::Lifecycle;
use cli::Failure;

/// Serves until the drain is over. The rooms are not wired yet.
pub async fn run(settings: Settings, lifecycle: Lifecycle) -> Result<(), Failure> {
    lifecycle.wait_all().await;
    Err(Failure::other(format!(
        "{} endpoints, and nothing to serve them",
        settings.endpoints.len()
    )))
}

/// Everything wrong with the files that a configuration names.
pub fn files(settings: &Settings) -> Vec<Mistake> {
    check::unreadable(settings)
}

/// Logs in to each target and says what it is, a line each.
pub fn connect(_: &Settings) -> Result<Vec<String>, Failure> {
    Err(Failure::other("--connect is not available yet"))
}
