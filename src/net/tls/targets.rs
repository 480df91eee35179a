//! TLS toward servers, with the modes of `--ssl-mode`.
//!
//! <https://dev.mysql.com/doc/refman/8.4/en/connection-options.html#option_general_ssl-mode>

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio_rustls::TlsConnector;

use super::super::Stream;
use super::clients::read_certificates;
use super::verify::{ChainOnly, Unverified};
use super::{TlsError, invalid_input, provider};
use crate::config::TargetTlsMode;

/// Sessions kept to be resumed, one set a server name.
const SESSIONS: usize = 256;

#[derive(Clone)]
pub struct TargetTls {
    connector: TlsConnector,
    mode: TargetTlsMode,
}

impl TargetTls {
    /// `ca` is a PEM file, needed by the modes that verify and unused by the others.
    pub fn new(mode: TargetTlsMode, ca: Option<&Path>) -> Result<Self, TlsError> {
        Self::build(mode, ca, rustls::DEFAULT_VERSIONS)
    }

    pub fn mode(&self) -> TargetTlsMode {
        self.mode
    }

    /// Whether a server without TLS has to be refused.
    pub fn is_required(&self) -> bool {
        self.mode != TargetTlsMode::Preferred
    }

    /// The handshake, after an SSLRequest; the caller bounds its time. `server_name` is the host
    /// of the target's address; when no identity is verified, a name no certificate can carry
    /// serves as well.
    pub async fn connect(&self, stream: Stream, server_name: &str) -> io::Result<Stream> {
        let name = match ServerName::try_from(server_name.to_owned()) {
            Ok(name) => name,
            Err(_) if self.mode == TargetTlsMode::VerifyIdentity => {
                return Err(invalid_input("not a name a certificate can carry"));
            }
            // An address is sent to nobody, unlike a name.
            Err(_) => ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        };
        let tls = self.connector.connect(name, stream.into_socket()?).await?;
        Ok(Stream::ServerTls(Box::new(tls)))
    }

    pub(super) fn build(
        mode: TargetTlsMode,
        ca: Option<&Path>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self, TlsError> {
        let provider = provider();
        let algorithms = provider.signature_verification_algorithms;
        let verifier: Arc<dyn ServerCertVerifier> = match mode {
            TargetTlsMode::Off | TargetTlsMode::Preferred | TargetTlsMode::Required => {
                Arc::new(Unverified(algorithms))
            }
            TargetTlsMode::VerifyCa => Arc::new(ChainOnly { roots: roots(ca)?, algorithms }),
            TargetTlsMode::VerifyIdentity => {
                let roots = Arc::new(roots(ca)?);
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?
            }
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), mode })
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let path = ca.ok_or(TlsError::NoCa)?;
    let mut roots = RootCertStore::empty();
    // A bundle may hold a few that cannot be parsed, as the one of RDS did.
    let (added, _) = roots.add_parsable_certificates(read_certificates(path)?);
    if added == 0 {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(roots)
}
