//! Challenge and answer, on bytes alone: the [`Verifier`] judges clients, the [`Prover`] convinces
//! servers.
//!
//! Owns the two plugins spoken, `mysql_native_password` and `caching_sha2_password`. Never reads
//! or writes a socket, never frames a packet, never logs a payload.

mod nonce;
mod plugin;
mod prover;
mod verifier;

pub use nonce::Nonce;
pub use plugin::{Plugin, scramble};
pub use prover::{AuthError, Proof, Prover};
pub use verifier::{Verdict, Verifier};

#[cfg(test)]
mod tests;
