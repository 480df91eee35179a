//! Files that the configuration names are read again when they change, and at SIGHUP.
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
use crate::config::{InForce, Settings};
use crate::lifecycle::Lifecycle;

const LOOK: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(250);

type Renew = Box<dyn Fn(&InForce) -> Result<(), Box<dyn Error>> + Send + Sync>;

pub(super) struct Renewal {
    /// As the log calls it.
    pub what: &'static str,
    pub settings: Arc<InForce>,
    /// Those that belong together, for the one may be there before the other; others when the
    /// configuration changes.
    pub paths: fn(&Settings) -> Vec<PathBuf>,
    /// Reads them, and puts what they say in force. The settings are to be looked at after what they are
    /// to replace: then what belongs to others is replaced by nothing of these.
    pub renew: Renew,
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
        let mut watched: Option<(Vec<PathBuf>, Watch)> = None;
        let mut pause = Duration::ZERO;
        loop {
            let asked = tokio::select! {
                () = tokio::time::sleep(pause) => false,
                () = heard(&mut hangup) => true,
            };
            pause = LOOK;
            let settings = self.settings.load_full();
            let paths = (self.paths)(&settings);
            if paths.is_empty() {
                continue;
            }
            let sight = look(paths.clone()).await;
            let (_, watch) = match &mut watched {
                Some(known) if known.0 == paths => known,
                _ => watched.insert((paths.clone(), Watch::new(sight.clone()))),
            };
            let then = watch.look(sight.clone(), Instant::now());
            if then != Then::Rest {
                pause = SOON;
            }
            if then != Then::Read && !asked {
                continue;
            }
            let wrong = (self.renew)(&self.settings).err().map(|error| error.to_string());
            let told = watch.done(sight, wrong.is_none(), Instant::now());
            self.tell(&paths, wrong, told || asked);
        }
    }

    fn tell(&self, files: &[PathBuf], wrong: Option<String>, due: bool) {
        let what = self.what;
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
}

async fn look(paths: Vec<PathBuf>) -> Sight {
    // A network file system may let one wait.
    spawn_blocking(move || Sight::of(&paths)).await.unwrap_or_else(|_| Sight::of(&[]))
}
