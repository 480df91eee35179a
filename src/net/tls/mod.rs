//! TLS on both sides: clients to us, us to servers.
//!
//! The provider is always named. The builders that pick one panic when a second provider gets
//! into the tree.

mod clients;
mod targets;
mod verify;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem;

pub use clients::ClientSideTls;
pub use targets::TargetTls;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{}: {}", path.display(), pem_text(source))]
    Pem { path: PathBuf, source: pem::Error },
    #[error("{}: holds no certificate", .0.display())]
    NoCertificate(PathBuf),
    #[error("a ca file is needed to verify servers")]
    NoCa,
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the certificate verifier: {0}")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
    #[error("making a certificate: {0}")]
    Generate(#[from] rcgen::Error),
}

/// The texts of `pem::Error` are lowercase fragments or, for a file, Rust's debug form.
fn pem_text(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "holds nothing of the kind wanted here in PEM".into(),
        other => other.to_string(),
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn invalid_input(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests;
