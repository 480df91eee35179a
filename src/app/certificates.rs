//! The certificates toward clients: ours, and the authorities of theirs. What they are read from, and
//! where the next ones go.
//!
//! Others named by the configuration are the configuration's to take up; from then on those are
//! watched. So are those toward servers, whose change has the configuration read again.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use super::cli::Failure;
use super::renew::Renewal;
use crate::config::{ClientTlsMode, InForce, KeyPair, TlsClient};
use crate::frontend::{ClientTls, Shared};
use crate::net::ClientSideTls;

pub(super) fn toward_clients(settings: &TlsClient) -> Result<ClientTls, Failure> {
    let side = match settings.mode {
        ClientTlsMode::Off => None,
        _ => Some(Arc::new(ClientSideTls::new(settings).map_err(Failure::other)?)),
    };
    Ok(with(settings, side))
}

/// What the settings say of it beside.
pub(super) fn with(settings: &TlsClient, side: Option<Arc<ClientSideTls>>) -> ClientTls {
    let required = settings.mode == ClientTlsMode::Required;
    ClientTls { side, required, certificate_required: settings.require_certificate }
}

pub(super) fn renewal(settings: Arc<InForce>, shared: Arc<Shared>) -> Renewal {
    let metrics = &shared.metrics.secrets;
    Renewal {
        what: "certificate",
        settings,
        paths: |settings| {
            let client = &settings.tls_client;
            files(client.pair.as_ref(), client.ca.as_ref())
        },
        generation: metrics.certificate_generation.clone(),
        failures: metrics.certificate_failures.clone(),
        renew: Box::new(move |settings| renew(settings, &shared)),
    }
}

pub(super) fn files(pair: Option<&KeyPair>, ca: Option<&PathBuf>) -> Vec<PathBuf> {
    let pair = pair.into_iter().flat_map(|pair| [&pair.certificate, &pair.key]);
    pair.chain(ca).cloned().collect()
}

fn renew(settings: &InForce, shared: &Shared) -> Result<(), Box<dyn Error>> {
    let before = shared.tls.load_full();
    let settings = settings.load_full();
    let Some(side) = &before.side else { return Ok(()) };
    let side = Some(Arc::new(side.renewed(&settings.tls_client)?));
    let next = Arc::new(ClientTls { side, ..(*before).clone() });
    // Where the configuration has put another in its place meanwhile, that one has just been read.
    shared.tls.compare_and_swap(&before, next);
    Ok(())
}
