//! The ways in, and the places to go to.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    client::Resumption,
    pki_types::{CertificateDer, pem::PemObject},
    version::{TLS12, TLS13},
};

use crate::support::client::{Login, RawClient};

pub struct Way {
    pub name: &'static str,
    tls: Option<&'static SupportedProtocolVersion>,
    resumes: bool,
    /// The server knows the password no more.
    pub forgotten: bool,
}

pub const WAYS: [Way; 6] = [
    Way { name: "without TLS", tls: None, resumes: false, forgotten: false },
    Way { name: "TLS 1.3, whole", tls: Some(&TLS13), resumes: false, forgotten: false },
    Way { name: "TLS 1.3, resumed", tls: Some(&TLS13), resumes: true, forgotten: false },
    Way { name: "TLS 1.2, whole", tls: Some(&TLS12), resumes: false, forgotten: false },
    Way { name: "TLS 1.2, resumed", tls: Some(&TLS12), resumes: true, forgotten: false },
    Way {
        name: "TLS 1.3, resumed, the server has forgotten the password",
        tls: Some(&TLS13),
        resumes: true,
        forgotten: true,
    },
];

pub struct Site {
    name: &'static str,
    address: String,
    roots: Arc<RootCertStore>,
    /// One a version: what it has seen is taken up again.
    resuming: [Arc<ClientConfig>; 2],
}

impl Site {
    pub fn new(name: &'static str, address: String, ca: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        let roots = Arc::new(roots);
        let resuming = [&TLS12, &TLS13].map(|version| Arc::new(config(&roots, version)));
        Self { name, address, roots, resuming }
    }

    /// From connecting to the answer.
    pub fn log_in(&self, way: &Way) -> Duration {
        let config = way.tls.map(|version| match (way.resumes, version == &TLS12) {
            (true, true) => Arc::clone(&self.resuming[0]),
            (true, false) => Arc::clone(&self.resuming[1]),
            (false, _) => {
                let mut config = config(&self.roots, version);
                config.resumption = Resumption::disabled();
                Arc::new(config)
            }
        });
        let started = Instant::now();
        let mut client = RawClient::greet(self.address.clone()).unwrap();
        if let Some(config) = &config {
            client.secure(config).unwrap();
        }
        client.answer(&Login::app()).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        client.query("SELECT 1").unwrap();
        let took = started.elapsed();
        client.quit();
        took
    }
}

fn config(roots: &Arc<RootCertStore>, version: &'static SupportedProtocolVersion) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth()
}
