//! The certificate shown to clients is read again when its files change, and at SIGHUP.
//!
//! A pair that does not fit, or cannot be read, is refused and the old one kept. Another pair of files
//! is the configuration's to take up; from then on that one is watched.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::SignalKind;
use tokio::task::spawn_blocking;

use super::drain::{heard, listen};
use super::watch::{Sight, Then, Watch};
use crate::config::{InForce, KeyPair};
use crate::frontend::{ClientTls, Shared};
use crate::net::TlsError;

const LOOK: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(250);

/// Until the process stops.
pub(super) async fn keep_fresh(settings: Arc<InForce>, shared: Arc<Shared>) {
    let stopping = shared.lifecycle.stopping();
    stopping.run_until_cancelled(watch(&settings, &shared)).await;
}

async fn watch(settings: &InForce, shared: &Shared) {
    let mut hangup = listen(SignalKind::hangup());
    let mut watched: Option<(KeyPair, Watch)> = None;
    let mut pause = Duration::ZERO;
    loop {
        let asked = tokio::select! {
            () = tokio::time::sleep(pause) => false,
            () = heard(&mut hangup) => true,
        };
        pause = LOOK;
        let Some(pair) = settings.load().tls_client.pair.clone() else { continue };
        let sight = look(&pair).await;
        let (_, watch) = match &mut watched {
            Some(known) if known.0 == pair => known,
            _ => watched.insert((pair.clone(), Watch::new(sight.clone()))),
        };
        let then = watch.look(sight.clone(), Instant::now());
        if then != Then::Rest {
            pause = SOON;
        }
        if then != Then::Read && !asked {
            continue;
        }
        let renewed = renew(&pair, shared);
        // Certificate and key are two files: the one may be there before the other.
        let told = watch.done(sight, renewed.is_ok(), Instant::now());
        match renewed {
            Ok(()) => {
                shared.metrics.secrets.certificate_generation.inc();
                tracing::info!(certificate = %pair.certificate.display(), "another certificate");
            }
            Err(error) if told || asked => {
                shared.metrics.secrets.certificate_failures.inc();
                tracing::error!(%error, "the certificate was not read again, the old one stays");
            }
            Err(_) => {}
        }
    }
}

async fn look(pair: &KeyPair) -> Sight {
    let paths = [pair.certificate.clone(), pair.key.clone()];
    spawn_blocking(move || Sight::of(&paths)).await.unwrap_or_else(|_| Sight::of(&[]))
}

fn renew(pair: &KeyPair, shared: &Shared) -> Result<(), TlsError> {
    let before = shared.tls.load_full();
    let Some(side) = &before.side else { return Ok(()) };
    let side = Some(Arc::new(side.renewed(&pair.certificate, &pair.key)?));
    let next = Arc::new(ClientTls { side, required: before.required });
    // Where the configuration has put another in its place meanwhile, that one has just been read.
    shared.tls.compare_and_swap(&before, next);
    Ok(())
}
