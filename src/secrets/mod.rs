//! Who may log in and with what: passwords, accounts and the generations that replace each other.
//!
//! Owns parsing of the secrets file or folder and the [`Vault`] everyone asks. Never watches
//! files, never talks to a network, never prints a password nor a line that may hold one.

mod account;
mod admin;
mod bounds;
mod hash;
mod json;
mod load;
mod password;
mod problem;
mod text;
mod toml;
mod vault;

pub use account::{Account, CertificateRule, TargetLogin};
pub use admin::{Admin, Rights};
pub use bounds::Bounds;
pub use hash::{ClientSecret, PasswordHash};
pub use load::{load, read};
pub use password::Password;
pub use problem::{Problem, SecretsError};
pub use vault::{Expiry, Generation, Secrets, Vault};
