//! Wiring: the rooms are built bottom-up, and told of signals and of the drain.

pub mod check;
pub mod cli;
pub mod status;

mod boot;
mod connect;
mod drain;
mod reload;
mod sweep;
mod verbs;
mod workers;

pub use boot::{files, run};
pub use connect::connect;
pub use workers::workers;
