//! Tidegate: a MySQL connection-pooling proxy.
//!
//! The rooms below stand on floors; each imports only from floors below its own, and
//! `tests/house.rs` holds that. `ARCHITECTURE.md` says what each room owns.

// Floor 0: bytes, values, counters, phases. Pure.
pub mod config;
pub mod lifecycle;
pub mod metrics;
pub mod secrets;
pub mod wire;

// Floor 1: decisions. Pure.
pub mod auth;
pub mod session;

// Floor 2: sockets.
pub mod net;

// Floor 3: one authenticated server connection.
pub mod backend;

// Floor 4: the rack of seats.
pub mod pool;

// Floor 5: who is primary; who is connected.
pub mod cluster;
pub mod registry;

// Floor 6: strangers come in.
pub mod admin;
pub mod frontend;

// Floor 7: wiring.
pub mod app;
