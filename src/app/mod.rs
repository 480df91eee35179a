//! Wiring: the rooms are built bottom-up, and told of signals and of the drain.

pub mod check;
pub mod cli;
pub mod status;
pub mod token;

mod boot;
mod certificates;
mod command;
mod connect;
mod cores;
mod drain;
mod keys;
mod reload;
mod renew;
mod source;
mod sweep;
mod verbs;
mod watch;
mod workers;

pub use boot::{files, run};
pub use connect::connect;
pub use cores::forbid_cores;
pub use workers::workers;
