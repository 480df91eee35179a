//! The configuration and the secrets are read again: when they change, and when an operator asks, by
//! SIGHUP or RELOAD; the secrets also when a server refuses what they say, before they expire, and now
//! and then in case that none of this showed.
//!
//! A bad new version is refused whole and the old one kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::SignalKind;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::boot::seconds_since_1970;
use super::configuration::{Configuration, Prepared, Taken};
use super::drain::{heard, listen};
use super::source::SecretsSource;
use super::watch::{Sight, Then, Watch};
use crate::backend::Credentials;
use crate::config::Mistakes;
use crate::frontend::Shared;
use crate::secrets::{Expiry, Secrets, SecretsError};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// While something changes.
const SOON: Duration = Duration::from_millis(250);

/// What an operator asks through; the answer is the log's, in other words.
pub(super) type Ask = mpsc::Sender<oneshot::Sender<Reloaded>>;

pub(super) struct Reloaded {
    pub configuration: Result<Taken, Mistakes>,
    pub secrets: Result<Read, SecretsError>,
}

/// The secrets in force.
pub(super) struct Read {
    pub generation: u64,
    /// It says something that the one before did not.
    pub is_new: bool,
    pub warnings: Vec<String>,
}

pub(super) struct Reload {
    source: SecretsSource,
    configuration: Configuration,
    asked: mpsc::Receiver<oneshot::Sender<Reloaded>>,
    shared: Arc<Shared>,
    credentials: Arc<Credentials>,
    watch: Watch,
    read: Instant,
    /// When they are read again, whatever they look like.
    due: Instant,
    /// In a row.
    failures: u32,
    /// What was wrong when they were last read, and what was only doubtful; each is told once.
    wrong: Option<SecretsError>,
    warned: BTreeSet<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    Changed,
    /// An operator asks, so an answer is due at once, and in the log.
    Asked,
    /// They look as before, and may not be what they were.
    Doubted,
}

impl Reload {
    /// The secrets in force have just been read, and looked so before.
    pub(super) fn new(
        (source, sight, expiry): (SecretsSource, Sight, Option<Expiry>),
        configuration: Configuration,
        shared: Arc<Shared>,
        credentials: Arc<Credentials>,
    ) -> (Self, Ask) {
        let (ask, asked) = mpsc::channel(1);
        let watch = Watch::new(sight);
        let metrics = &shared.metrics.secrets;
        metrics.generation.set(shared.vault.current().number.cast_signed());
        metrics.read.set(seconds_since_1970().as_secs().cast_signed());
        let (wrong, warned, read) = (None, BTreeSet::new(), Instant::now());
        let due = read + source.pause(expiry, seconds_since_1970());
        let failures = 0;
        let reload = Self {
            source,
            configuration,
            asked,
            shared,
            credentials,
            watch,
            read,
            due,
            failures,
            wrong,
            warned,
        };
        (reload, ask)
    }

    /// Until the process stops.
    pub(super) async fn run(mut self) {
        let stopping = self.shared.lifecycle.stopping();
        stopping.run_until_cancelled(Box::pin(self.go_on())).await;
    }

    async fn go_on(&mut self) {
        let mut hangup = listen(SignalKind::hangup());
        let mut pause = LOOK;
        loop {
            let cause = tokio::select! {
                () = tokio::time::sleep(pause) => Cause::Changed,
                () = self.credentials.doubted(), if self.read.elapsed() >= self.source.rest() => Cause::Doubted,
                () = heard(&mut hangup) => Cause::Asked,
                Some(tell) = self.asked.recv() => {
                    self.answer(tell).await;
                    pause = SOON;
                    continue;
                }
            };
            pause = self.look(cause).await;
        }
    }

    async fn answer(&mut self, tell: oneshot::Sender<Reloaded>) {
        let before = self.shared.vault.current().number;
        let configuration = self.reconfigure(true).await.map_err(Option::unwrap_or_default);
        self.read(Cause::Asked).await;
        let generation = self.shared.vault.current().number;
        let secrets = match self.wrong.clone() {
            Some(wrong) => Err(wrong),
            None => Ok(Read {
                generation,
                is_new: generation != before,
                warnings: self.warned.iter().cloned().collect(),
            }),
        };
        let _ = tell.send(Reloaded { configuration, secrets });
    }

    async fn reconfigure(&mut self, asked: bool) -> Result<Taken, Option<Mistakes>> {
        let mut prepared: Prepared = self.configuration.prepare(asked).await?;
        let secrets = prepared.secrets.take();
        let taken = self.configuration.take_up(prepared).await;
        if let Some((source, sight, secrets)) = secrets {
            self.source = source;
            self.watch = Watch::new(sight);
            self.note_read(Ok(secrets.expiry));
            self.put_in_force(&secrets, Cause::Changed);
        }
        Ok(taken)
    }

    /// Returns when to look again.
    async fn look(&mut self, cause: Cause) -> Duration {
        if cause == Cause::Asked {
            let _ = self.reconfigure(true).await;
            self.read(cause).await;
            return SOON;
        }
        if self.configuration.look().await == Then::Read {
            let _ = self.reconfigure(false).await;
        }
        let pause = self.look_at_secrets(cause).await;
        if self.configuration.is_at_rest() { pause } else { SOON }
    }

    async fn look_at_secrets(&mut self, cause: Cause) -> Duration {
        let sight = self.sight().await;
        match self.watch.look(sight, Instant::now()) {
            Then::LookAgain => SOON,
            Then::Read => {
                self.read(Cause::Changed).await;
                if self.watch.is_at_rest() { LOOK } else { SOON }
            }
            Then::Rest => {
                if cause == Cause::Doubted || Instant::now() >= self.due {
                    self.read(Cause::Doubted).await;
                }
                LOOK
            }
        }
    }

    async fn sight(&self) -> Sight {
        let path = self.source.path().to_owned();
        // A network file system may let one wait.
        let looked = spawn_blocking(move || Sight::of(&[path])).await;
        looked.unwrap_or_else(|_| Sight::of(&[]))
    }

    async fn read(&mut self, cause: Cause) {
        let before = self.sight().await;
        let loaded = self.source.load().await;
        self.note_read(loaded.as_ref().map(|secrets| secrets.expiry).map_err(drop));
        if cause != Cause::Asked && self.sight().await != before {
            // It was written to meanwhile, and is looked at anew.
            return;
        }
        let told = self.watch.done(before, loaded.is_ok(), self.read);
        match loaded {
            Ok(secrets) => self.put_in_force(&secrets, cause),
            Err(error) if told || cause != Cause::Changed => self.refuse(error, cause),
            Err(_) => {}
        }
        self.credentials.tell_read();
    }

    fn note_read(&mut self, expiry: Result<Option<Expiry>, ()>) {
        self.read = Instant::now();
        self.failures = if expiry.is_ok() { 0 } else { self.failures.saturating_add(1) };
        self.due = self.read
            + match expiry {
                Ok(expiry) => self.source.pause(expiry, seconds_since_1970()),
                Err(()) => self.source.pause_after(self.failures),
            };
    }

    fn put_in_force(&mut self, secrets: &Secrets, cause: Cause) {
        let warnings: BTreeSet<String> = secrets.warnings.iter().cloned().collect();
        for warning in warnings.difference(&self.warned) {
            tracing::warn!("{warning}");
        }
        self.warned = warnings;
        self.wrong = None;
        let (shared, metrics) = (&self.shared, &self.shared.metrics.secrets);
        metrics.read.set(seconds_since_1970().as_secs().cast_signed());
        if let Some(generation) = shared.vault.replace(secrets) {
            metrics.generation.set(generation.cast_signed());
            tracing::info!(generation, "the secrets were read again");
            let now = shared.vault.current();
            shared.registry.revoke(|user| now.account(user).is_some());
        } else if cause == Cause::Asked {
            tracing::info!("the secrets were read again and say nothing new");
        }
    }

    fn refuse(&mut self, error: SecretsError, cause: Cause) {
        if cause == Cause::Asked || self.wrong.as_ref() != Some(&error) {
            self.shared.metrics.secrets.reload_failures.inc();
            tracing::error!(%error, "the secrets were not read again, the old ones stay");
        }
        self.wrong = Some(error);
    }
}
