//! One authenticated server connection: dial it, log in, tell it what to report, reset it, hand
//! it to another user, ask it one small thing, close it, and end what a dead Tidegate has left.
//!
//! Owns [`Connection`]: a stream, who it speaks as and what state it is known to hold. It never
//! decides which connection serves whom, and never sees a client.

mod close;
mod connection;
mod credentials;
mod dial;
mod error;
mod learn;
mod orphans;
mod query;
mod setup;
mod statements;

pub use connection::{Connection, Identity};
pub use credentials::{Credentials, identity};
pub use dial::Dialer;
pub use error::BackendError;
pub use learn::Facts;
pub use query::Rows;
pub use statements::{ServerStatement, ServerStatements, Twin};
