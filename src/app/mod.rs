//! Wiring: the rooms are built bottom-up, and told of signals and of the drain.

pub mod check;
pub mod cli;
pub mod status;
pub mod token;

mod boot;
mod certificates;
mod command;
mod configuration;
mod connect;
mod cores;
mod doors;
mod drain;
mod folding;
mod glance;
mod keys;
mod log;
mod reload;
mod renew;
mod sockets;
mod source;
mod sweep;
mod takeover;
mod verbs;
mod watch;
mod workers;

pub use boot::{Start, files, run};
pub use connect::connect;
pub use cores::forbid_cores;
pub use log::Log;
pub use workers::workers;
