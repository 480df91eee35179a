//! TLS toward clients: we show a certificate and ask for none.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ProducesTickets;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;

use super::super::Stream;
use super::{TlsError, provider};

/// A subject like those mysqld makes, whose clients do not verify it either.
const COMMON_NAME: &str = "Tidegate_Server_auto_generated";

#[derive(Clone)]
pub struct ClientSideTls {
    acceptor: TlsAcceptor,
    /// Outlives a change of certificate, or every client's session would end with it.
    ticketer: Arc<dyn ProducesTickets>,
}

impl ClientSideTls {
    /// From PEM files: the certificate first, then those between it and the root.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let (chain, key) = read(certificate, key)?;
        Self::build(chain, key, Ticketer::new()?, rustls::DEFAULT_VERSIONS)
    }

    /// With a certificate made now and lost at the end, as mysqld does when it is given none.
    pub fn self_signed() -> Result<Self, TlsError> {
        let (chain, key) = make()?;
        Self::build(chain, key, Ticketer::new()?, rustls::DEFAULT_VERSIONS)
    }

    /// Another certificate; sessions begun under this one can still be resumed.
    pub fn renewed(&self, certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let (chain, key) = read(certificate, key)?;
        Self::build(chain, key, Arc::clone(&self.ticketer), rustls::DEFAULT_VERSIONS)
    }

    /// The handshake, after an SSLRequest; the caller bounds its time.
    pub async fn accept(&self, stream: Stream) -> io::Result<Stream> {
        let tls = self.acceptor.accept(stream.into_socket()?).await?;
        Ok(Stream::ClientTls(Box::new(tls)))
    }

    pub(super) fn build(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        ticketer: Arc<dyn ProducesTickets>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.ticketer = Arc::clone(&ticketer);
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), ticketer })
    }
}

pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

pub(super) fn make() -> Result<Identity, TlsError> {
    let mut params = CertificateParams::new(["localhost".to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, COMMON_NAME);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into())))
}

fn read(certificate: &Path, key: &Path) -> Result<Identity, TlsError> {
    let chain = read_certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|source| TlsError::Pem { path: key.to_owned(), source })?;
    Ok((chain, key))
}

pub(super) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |source| TlsError::Pem { path: path.to_owned(), source };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(wrong)?
        .collect::<Result<_, _>>()
        .map_err(wrong)?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(certificates)
}
