//! What is done with any bytes at all: each says what may never come of them.
//!
//! Run with the coverage as a guide by cargo-fuzz, and without one by `tests/fuzz.rs`.

pub mod auth;
pub mod connection_phase;
pub mod console;
pub mod execute;
pub mod files;
pub mod header;
pub mod hints;
pub mod ok;
pub mod proxy_header;
pub mod reply;
