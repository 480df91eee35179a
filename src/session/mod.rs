//! What one client session is: what it wants a server connection to hold, what keeps it on one,
//! and what each request and each reply means for that.
//!
//! Pure: bytes and values in, decisions out. It never touches a socket, a clock or a pool.

mod ledger;
mod library;
mod pin;
mod restore;
mod state;
mod statement;

pub mod hints;

pub use ledger::{Answer, Disposition, Forward, Ledger, Login, Plan, Refusal, Request};
pub use library::{Library, Statement};
pub use pin::{Pin, Pins};
pub use restore::{NEUTRAL_SCHEMA, Restore, Step};
pub use state::{Charset, SessionState};
pub use statement::{Prepared, Statements};
