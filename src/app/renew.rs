//! A file that the configuration names is read again when it changes, and at SIGHUP.
//!
//! Owns when, and what the log and the metrics hear of it. What does not fit, or cannot be read, is
//! refused and the old one kept.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::{IntCounter, IntGauge};
use tokio::signal::unix::SignalKind;
use tokio::task::spawn_blocking;

use super::drain::{heard, listen};
use super::watch::{Sight, Then, Watch};
use crate::lifecycle::Lifecycle;

const LOOK: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(250);

pub(super) struct Renewal {
    /// As the log calls it.
    pub what: &'static str,
    /// Files that belong together: the one may be there before the other.
    pub paths: Arc<[PathBuf]>,
    /// Reads them, and puts what they say in force.
    pub renew: Box<dyn Fn() -> Result<(), Box<dyn Error>> + Send + Sync>,
    pub generation: IntGauge,
    pub failures: IntCounter,
}

impl Renewal {
    /// Until the process stops.
    pub(super) async fn keep(self, lifecycle: Lifecycle) {
        lifecycle.stopping().run_until_cancelled(self.watch()).await;
    }

    async fn watch(&self) {
        let mut hangup = listen(SignalKind::hangup());
        let mut watch = Watch::new(self.look().await);
        let mut pause = LOOK;
        loop {
            let asked = tokio::select! {
                () = tokio::time::sleep(pause) => false,
                () = heard(&mut hangup) => true,
            };
            let sight = self.look().await;
            let then = watch.look(sight.clone(), Instant::now());
            pause = if then == Then::Rest { LOOK } else { SOON };
            if then != Then::Read && !asked {
                continue;
            }
            let wrong = (self.renew)().err().map(|error| error.to_string());
            let told = watch.done(sight, wrong.is_none(), Instant::now());
            self.tell(wrong, told || asked);
        }
    }

    fn tell(&self, wrong: Option<String>, due: bool) {
        let (what, files) = (self.what, &self.paths);
        match wrong {
            None => {
                self.generation.inc();
                tracing::info!(?files, "{what}: read again");
            }
            Some(error) if due => {
                self.failures.inc();
                tracing::error!(error, "{what}: not read again, the old one stays");
            }
            Some(_) => {}
        }
    }

    async fn look(&self) -> Sight {
        let paths = Arc::clone(&self.paths);
        // A network file system may let one wait.
        spawn_blocking(move || Sight::of(&paths)).await.unwrap_or_else(|_| Sight::of(&[]))
    }
}
