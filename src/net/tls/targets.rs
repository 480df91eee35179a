//! TLS toward servers, with the modes of `--ssl-mode`.
//!
//! <https://dev.mysql.com/doc/refman/8.4/en/connection-options.html#option_general_ssl-mode>

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, SupportedProtocolVersion};
use tokio_rustls::TlsConnector;

use super::super::Stream;
use super::clients::{read, roots};
use super::verify::{ChainOnly, Unverified};
use super::{TlsError, invalid_input, provider};
use crate::config::{TargetTlsMode, TlsTarget};

/// Sessions kept to be resumed, one set a server name.
const SESSIONS: usize = 256;

#[derive(Clone)]
pub struct TargetTls {
    connector: TlsConnector,
    mode: TargetTlsMode,
}

impl TargetTls {
    pub fn new(settings: &TlsTarget) -> Result<Self, TlsError> {
        Self::build(settings, rustls::DEFAULT_VERSIONS)
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
        settings: &TlsTarget,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self, TlsError> {
        Ok(Self { connector: connector(settings, versions)?, mode: settings.mode })
    }
}

fn connector(
    settings: &TlsTarget,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<TlsConnector, TlsError> {
    let provider = provider();
    let algorithms = provider.signature_verification_algorithms;
    let roots = || roots(settings.ca.as_deref().ok_or(TlsError::NoCa)?);
    let verifier: Arc<dyn ServerCertVerifier> = match settings.mode {
        TargetTlsMode::Off | TargetTlsMode::Preferred | TargetTlsMode::Required => {
            Arc::new(Unverified(algorithms))
        }
        TargetTlsMode::VerifyCa => Arc::new(ChainOnly { roots: roots()?, algorithms }),
        TargetTlsMode::VerifyIdentity => {
            let roots = Arc::new(roots()?);
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?
        }
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &settings.pair {
        Some(pair) => {
            let (chain, key) = read(pair)?;
            builder.with_client_auth_cert(chain, key)?
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(TlsConnector::from(Arc::new(config)))
}
