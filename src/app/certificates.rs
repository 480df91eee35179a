//! The certificates: those shown and those believed, on both sides. What they are read from, and where
//! the next ones go.

use std::path::PathBuf;
use std::sync::Arc;

use super::cli::Failure;
use super::renew::Renewal;
use crate::config::{ClientTlsMode, KeyPair, Settings, TargetTlsMode, TlsClient, TlsTarget};
use crate::frontend::Shared;
use crate::metrics::Metrics;
use crate::net::{ClientSideTls, TargetTls, TlsError};

/// `None`: TLS is off.
pub(super) fn toward_clients(settings: &TlsClient) -> Result<Option<ClientSideTls>, Failure> {
    if settings.mode == ClientTlsMode::Off {
        return Ok(None);
    }
    ClientSideTls::new(settings).map(Some).map_err(Failure::other)
}

/// The same, toward servers.
pub(super) fn toward_targets(settings: &TlsTarget) -> Result<Option<TargetTls>, Failure> {
    if settings.mode == TargetTlsMode::Off {
        return Ok(None);
    }
    TargetTls::new(settings).map(Some).map_err(Failure::other)
}

/// Of what is in use, what comes from files.
pub(super) fn renewals(
    settings: &Settings,
    targets: Option<TargetTls>,
    shared: &Arc<Shared>,
) -> Vec<Renewal> {
    let mut renewals = Vec::new();
    let client = settings.tls_client.clone();
    let paths = paths(client.pair.as_ref(), client.ca.as_ref());
    if shared.tls.is_some() && !paths.is_empty() {
        let clients = Arc::clone(shared);
        let renew = move || Ok(renew(&client, &clients)?);
        renewals.push(renewal("certificate", paths, &shared.metrics, renew));
    }
    let target = settings.tls_target.clone();
    let paths = self::paths(target.pair.as_ref(), target.ca.as_ref());
    if let Some(tls) = targets.filter(|_| !paths.is_empty()) {
        let renew = move || Ok(tls.renew(&target)?);
        renewals.push(renewal("certificates toward targets", paths, &shared.metrics, renew));
    }
    renewals
}

fn paths(pair: Option<&KeyPair>, ca: Option<&PathBuf>) -> Vec<PathBuf> {
    let pair = pair.into_iter().flat_map(|pair| [&pair.certificate, &pair.key]);
    pair.chain(ca).cloned().collect()
}

fn renewal(
    what: &'static str,
    paths: Vec<PathBuf>,
    metrics: &Metrics,
    renew: impl Fn() -> Result<(), Box<dyn std::error::Error>> + Send + Sync + 'static,
) -> Renewal {
    Renewal {
        what,
        paths: paths.into(),
        renew: Box::new(renew),
        generation: metrics.secrets.certificate_generation.clone(),
        failures: metrics.secrets.certificate_failures.clone(),
    }
}

fn renew(settings: &TlsClient, shared: &Shared) -> Result<(), TlsError> {
    let Some(tls) = &shared.tls else { return Ok(()) };
    tls.store(Arc::new(tls.load().renewed(settings)?));
    Ok(())
}
