//! TLS toward clients: we show a certificate, and ask for one where there is an authority to hold it
//! against.
//!
//! Who shows none gets in as far as TLS goes: whether one is needed depends on the user.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, ProducesTickets, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;

use super::super::Stream;
use super::{TlsError, provider};
use crate::config::{KeyPair, TlsClient};

/// A subject like those mysqld makes, whose clients do not verify it either.
const COMMON_NAME: &str = "Tidegate_Server_auto_generated";

#[derive(Clone)]
pub struct ClientSideTls {
    acceptor: TlsAcceptor,
    /// Outlives a change of certificate, or every client's session would end with it.
    ticketer: Arc<dyn ProducesTickets>,
    identity: Arc<Identity>,
}

impl ClientSideTls {
    /// From PEM files: the certificate first, then those between it and the root. Without them one is
    /// made now and lost at the end, as mysqld does when it is given none.
    pub fn new(settings: &TlsClient) -> Result<Self, TlsError> {
        let identity = settings.pair.as_ref().map_or_else(make, read)?;
        let ca = settings.ca.as_deref();
        Self::build(Arc::new(identity), ca, Ticketer::new()?, rustls::DEFAULT_VERSIONS)
    }

    /// Another certificate; sessions begun under this one can still be resumed, unless they stand for
    /// certificates of clients: those are not verified anew, and the authorities may be others.
    pub fn renewed(&self, settings: &TlsClient) -> Result<Self, TlsError> {
        let identity = match &settings.pair {
            Some(pair) => Arc::new(read(pair)?),
            None => Arc::clone(&self.identity),
        };
        let ticketer = match settings.ca {
            Some(_) => Ticketer::new()?,
            None => Arc::clone(&self.ticketer),
        };
        Self::build(identity, settings.ca.as_deref(), ticketer, rustls::DEFAULT_VERSIONS)
    }

    /// The handshake, after an SSLRequest; the caller bounds its time.
    pub async fn accept(&self, stream: Stream) -> io::Result<Stream> {
        let tls = self.acceptor.accept(stream.into_socket()?).await?;
        Ok(Stream::ClientTls(Box::new(tls)))
    }

    pub(super) fn build(
        identity: Arc<Identity>,
        ca: Option<&Path>,
        ticketer: Arc<dyn ProducesTickets>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self, TlsError> {
        let (chain, key) = (identity.0.clone(), identity.1.clone_key());
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(verifier(ca)?)
            .with_single_cert(chain, key)?;
        config.ticketer = Arc::clone(&ticketer);
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), ticketer, identity })
    }
}

fn verifier(ca: Option<&Path>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(ca) = ca else { return Ok(Arc::new(NoClientAuth)) };
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider());
    Ok(verifier.allow_unauthenticated().build()?)
}

pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

pub(super) fn make() -> Result<Identity, TlsError> {
    let mut params = CertificateParams::new(["localhost".to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, COMMON_NAME);
    let key = rcgen::KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into())))
}

pub(super) fn read(pair: &KeyPair) -> Result<Identity, TlsError> {
    let chain = read_certificates(&pair.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&pair.key)
        .map_err(|source| TlsError::Pem { path: pair.key.clone(), source })?;
    Ok((chain, key))
}

pub(super) fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // A bundle may hold a few that cannot be parsed, as the one of RDS did.
    let (added, _) = roots.add_parsable_certificates(read_certificates(path)?);
    if added == 0 {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(roots)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
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
