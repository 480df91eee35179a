//! The certificate shown to clients is read again when its files change, and at SIGHUP.
//!
//! A pair that does not fit, or cannot be read, is refused and the old one kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::SignalKind;
use tokio::task::spawn_blocking;

use super::drain::{heard, listen};
use super::watch::{Sight, Then, Watch};
use crate::config::KeyPair;
use crate::frontend::Shared;
use crate::net::TlsError;

const LOOK: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(250);

/// Until the process stops.
pub(super) async fn keep_fresh(pair: KeyPair, shared: Arc<Shared>) {
    let paths = [pair.certificate.clone(), pair.key.clone()];
    let stopping = shared.lifecycle.stopping();
    stopping.run_until_cancelled(watch(paths, &pair, &shared)).await;
}

async fn watch(paths: [PathBuf; 2], pair: &KeyPair, shared: &Shared) {
    let mut hangup = listen(SignalKind::hangup());
    let mut watch = Watch::new(look(&paths).await);
    let mut pause = LOOK;
    loop {
        let asked = tokio::select! {
            () = tokio::time::sleep(pause) => false,
            () = heard(&mut hangup) => true,
        };
        let sight = look(&paths).await;
        let then = watch.look(sight.clone(), Instant::now());
        pause = if then == Then::Rest { LOOK } else { SOON };
        if then != Then::Read && !asked {
            continue;
        }
        let renewed = renew(pair, shared);
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

async fn look(paths: &[PathBuf; 2]) -> Sight {
    let paths = paths.clone();
    spawn_blocking(move || Sight::of(&paths)).await.unwrap_or_else(|_| Sight::of(&[]))
}

fn renew(pair: &KeyPair, shared: &Shared) -> Result<(), TlsError> {
    let Some(tls) = &shared.tls else { return Ok(()) };
    tls.store(Arc::new(tls.load().renewed(&pair.certificate, &pair.key)?));
    Ok(())
}
