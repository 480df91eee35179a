//! The certificate shown to clients: what it is read from, and where the next one goes.

use std::sync::Arc;

use super::cli::Failure;
use super::renew::Renewal;
use crate::config::{ClientTlsMode, KeyPair, TlsClient};
use crate::frontend::Shared;
use crate::net::{ClientSideTls, TlsError};

/// `None`: TLS is off.
pub(super) fn load(settings: &TlsClient) -> Result<Option<ClientSideTls>, Failure> {
    if settings.mode == ClientTlsMode::Off {
        return Ok(None);
    }
    let tls = match &settings.pair {
        Some(pair) => ClientSideTls::from_files(&pair.certificate, &pair.key),
        None => ClientSideTls::self_signed(),
    };
    tls.map(Some).map_err(Failure::other)
}

pub(super) fn renewal(settings: &TlsClient, shared: &Arc<Shared>) -> Option<Renewal> {
    let pair = settings.pair.clone().filter(|_| shared.tls.is_some())?;
    let (metrics, shared) = (&shared.metrics.secrets, Arc::clone(shared));
    Some(Renewal {
        what: "certificate",
        paths: [pair.certificate.clone(), pair.key.clone()].into(),
        generation: metrics.certificate_generation.clone(),
        failures: metrics.certificate_failures.clone(),
        renew: Box::new(move || Ok(renew(&pair, &shared)?)),
    })
}

fn renew(pair: &KeyPair, shared: &Shared) -> Result<(), TlsError> {
    let Some(tls) = &shared.tls else { return Ok(()) };
    tls.store(Arc::new(tls.load().renewed(&pair.certificate, &pair.key)?));
    Ok(())
}
