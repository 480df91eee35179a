//! Challenge and answer, on bytes alone: the [`Verifier`] judges clients, the [`Prover`] convinces
//! servers.
//!
//! Owns the plugins spoken, `mysql_native_password`, `caching_sha2_password` and MariaDB's
//! `client_ed25519`, and what a token
//! in place of a password, and a certificate beside one, are worth. Never reads or writes a socket, never frames a packet, never logs
//! a payload.

mod certificate;
mod ed25519;
mod mint;
mod nonce;
mod plugin;
mod prover;
mod token;
mod token_keys;
mod verifier;

pub use certificate::CertificateError;
pub use mint::{MintError, Minting, mint};
pub use nonce::Nonce;
pub use plugin::{CLEAR_PASSWORD, Plugin, scramble};
pub use prover::{AuthError, Proof, Prover};
pub use token::{TokenError, Tokens};
pub use token_keys::KeysError;
pub use verifier::{Channel, Refusal, Verdict, Verifier};

#[cfg(test)]
mod tests;
