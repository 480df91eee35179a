//! Where a client comes in, as whom, and whether under TLS.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_rustls::TlsConnector;

use crate::support::servers::SCHEMA;

#[derive(Clone)]
pub struct Door {
    pub port: u16,
    pub user: &'static str,
    pub schema: String,
    pub tls: Option<Tls>,
}

impl Door {
    pub fn new(port: u16, user: &'static str) -> Self {
        Self { port, user, schema: SCHEMA.to_owned(), tls: None }
    }

    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    #[must_use]
    pub fn schema(mut self, schema: String) -> Self {
        self.schema = schema;
        self
    }
}

/// Trusts the authority of the server's certificate, which all peers show.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// `resume`: a later handshake takes up the session of an earlier one.
    pub fn new(authority: &Path, resume: bool) -> Result<Self, String> {
        let pem = CertificateDer::from_pem_file(authority).map_err(|why| why.to_string())?;
        let mut roots = RootCertStore::empty();
        roots.add(pem).map_err(|why| why.to_string())?;
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|why| why.to_string())?
                .with_root_certificates(roots)
                .with_no_client_auth();
        if !resume {
            config.resumption = Resumption::disabled();
        }
        Ok(Self { config: Arc::new(config) })
    }

    pub fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.config))
    }
}
