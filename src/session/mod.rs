//! What one client session is: what it wants a server connection to hold, what keeps it on one,
//! and what each request and each reply means for that.
//!
//! Pure: bytes and values in, decisions out. It never touches a socket, a clock or a pool.

mod defaults;
mod diagnostics;
mod digest;
mod digests;
mod holdings;
mod ledger;
mod library;
mod pin;
mod question;
mod restore;
mod state;
mod statement;

pub mod hints;

pub use defaults::{Defaults, Tracking};
pub use diagnostics::{Condition, Diagnostics};
pub use digest::{Digest, LOOKED_AT};
pub use digests::{Digests, Kind, KindView};
pub use holdings::{Holdings, Inner, Ran};
pub use ledger::{
    Answer, Cell, Disposition, Forward, Ledger, Login, Passport, Plan, Refusal, Request,
};
pub use library::{Library, Statement};
pub use pin::{Pin, Pins};
pub use question::Question;
pub use restore::{NEUTRAL_SCHEMA, Restore, Step};
pub use state::{Charset, SessionState, UserValue, UserVariables};
pub use statement::{Prepared, Statements};
