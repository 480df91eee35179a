//! The configuration is read again, judged as at the start, and taken up: all of it that can be, or
//! nothing.
//!
//! Owns the order of that. What can be refused comes first; from there on nothing can fail.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::spawn_blocking;

use super::doors::{Bound, Doors};
use super::log::Log;
use super::source::SecretsSource;
use super::takeover::Given;
use super::watch::{Sight, Then, Watch};
use super::{boot, certificates, check, cli, keys};
use crate::auth::Tokens;
use crate::cluster::Targets;
use crate::config::{
    Change, ClientTlsMode, Effect, InForce, Mistake, Mistakes, Settings, Source, TargetTlsMode,
    difference, taken_up,
};
use crate::frontend::{ClientTls, Shared};
use crate::net::{ClientSideTls, TargetTls};
use crate::secrets::Secrets;

pub(super) struct Configuration {
    in_force: Arc<InForce>,
    shared: Arc<Shared>,
    doors: Doors,
    log: Option<Log>,
    watch: Watch,
    /// What the files toward servers looked like when they were read.
    authority: Sight,
    /// What servers have been told since the start.
    longest_rest: Option<u64>,
    /// What was wrong when it was last read; told once.
    wrong: Option<Mistakes>,
}

/// What came of reading it.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    pub changes: Vec<Change>,
    /// What an operator should know beside.
    pub notes: Vec<String>,
}

/// Fit to be taken up.
pub(super) struct Prepared {
    changes: Vec<Change>,
    /// Without what waits for a restart.
    settings: Settings,
    client_tls: Option<ClientTls>,
    /// Where they are verified by other rules.
    tokens: Option<Judge>,
    dialing: Option<Dialing>,
    authority: Sight,
    doors: Vec<Bound>,
    targets: Targets,
    /// Where the secrets come from somewhere else now.
    pub secrets: Option<(SecretsSource, Sight, Secrets)>,
}

/// Who judges tokens; `None`: nobody, there are none.
struct Judge(Option<Arc<Tokens>>);

/// How targets are dialed; `None`: without TLS.
struct Dialing(Option<Arc<TargetTls>>);

impl Configuration {
    /// What is in force was just read, and looked so before.
    pub fn new(
        in_force: Arc<InForce>,
        shared: Arc<Shared>,
        (doors, log): (Doors, Option<Log>),
        sight: Sight,
    ) -> Self {
        let metrics = &shared.metrics.config;
        metrics.generation.set(1);
        metrics.read.set(boot::seconds_since_1970().as_secs().cast_signed());
        let authority = Sight::of(&authority_of(&in_force.load()));
        let watch = Watch::new(sight);
        let longest_rest = boot::longest_rest(&in_force.load());
        Self { in_force, shared, doors, log, watch, authority, longest_rest, wrong: None }
    }

    /// The files whose change has it read again.
    pub fn watched(settings: &Settings) -> Vec<PathBuf> {
        let mut paths = authority_of(settings);
        if let Source::File(path) = settings.source() {
            paths.push(path.clone());
        }
        paths
    }

    pub async fn look(&mut self) -> Then {
        let sight = self.sight().await;
        self.watch.look(sight, Instant::now())
    }

    pub fn is_at_rest(&self) -> bool {
        self.watch.is_at_rest()
    }

    /// Reads and judges it; nothing has changed yet. `None`: it was refused, and nobody is to be told,
    /// for it may not be whole yet or was told before.
    pub async fn prepare(&mut self, asked: bool) -> Result<Prepared, Option<Mistakes>> {
        let before = self.sight().await;
        let prepared = self.judge().await;
        if !asked && self.sight().await != before {
            // It was written to meanwhile, and is looked at anew.
            return Err(None);
        }
        let told = self.watch.done(before, prepared.is_ok(), Instant::now());
        prepared.map_err(|wrong| {
            let is_news = self.wrong.as_ref() != Some(&wrong);
            if !(asked || told && is_news) {
                return None;
            }
            self.shared.metrics.config.reload_failures.inc();
            tracing::error!(%wrong, "the configuration was not read again, the old one stays");
            self.wrong = Some(wrong.clone());
            Some(wrong)
        })
    }

    async fn judge(&self) -> Result<Prepared, Mistakes> {
        let old = self.in_force.load_full();
        let reread = Arc::clone(&old);
        // A network file system may let one wait.
        let read = spawn_blocking(move || {
            let new = reread.reread(cli::environment())?;
            // What is in the secrets is judged where they are read.
            let mut wrong = check::unreadable(&new);
            wrong.extend(boot::roles(&new));
            let authority = Sight::of(&authority_of(&new));
            if wrong.is_empty() { Ok((new, authority)) } else { Err(Mistakes::new(wrong)) }
        });
        let (new, authority) = read.await.unwrap_or_else(|gone| Err(unread(&old, &gone)))?;
        let changes = difference(&old, &new);
        let settings = taken_up(&old, &new);
        let secrets = self.other_secrets(&old, &settings).await?;
        boot::known(
            &settings,
            secrets.as_ref().map(|(_, _, secrets)| secrets),
            &self.shared.vault,
        )?;
        let client_tls = self.client_tls(&old, &settings).map_err(Mistakes::from)?;
        let tokens = if old.client.tokens == settings.client.tokens {
            None
        } else {
            Some(Judge(keys::load(&settings).map_err(Mistakes::from)?))
        };
        let same = old.tls_target == settings.tls_target && authority == self.authority;
        let dialing = if same { None } else { Some(Dialing::of(&settings)?) };
        let bound = self.doors.bind(&settings.endpoints, &mut Given::default()).await;
        let doors = bound.map_err(|refused| {
            let key = format!("endpoint {:?}.listen", refused.endpoint.name);
            mistake(&settings, &key, refused.to_string())
        })?;
        if !self.shared.cluster.has_room_for(&settings.targets) {
            let why = "so many targets have come and gone that a restart is needed";
            return Err(mistake(&settings, "target", why.to_owned()));
        }
        if let Some((new, old)) = self.shared.cluster.still_in_use(&settings.targets) {
            let why = format!(
                "{new:?} has the address of {old:?}, which has connections in use; once it has \
                 none, this can be loaded"
            );
            return Err(mistake(&settings, "target", why));
        }
        let targets = boot::targets(&settings, &self.shared.metrics, self.shared.lifeline.as_ref())
            .map_err(|error| mistake(&settings, "tls.target", error.to_string()))?;
        Ok(Prepared {
            changes,
            settings,
            client_tls,
            tokens,
            dialing,
            authority,
            doors,
            targets,
            secrets,
        })
    }

    async fn other_secrets(
        &self,
        old: &Settings,
        new: &Settings,
    ) -> Result<Option<(SecretsSource, Sight, Secrets)>, Mistakes> {
        let source = SecretsSource::of(new);
        if source == SecretsSource::of(old) {
            return Ok(None);
        }
        let sight = Sight::of(&[source.path().to_owned()]);
        let loaded = source.load().await;
        let secrets = loaded.map_err(|error| mistake(new, "secrets", error.to_string()))?;
        Ok(Some((source, sight, secrets)))
    }

    fn client_tls(&self, old: &Settings, new: &Settings) -> Result<Option<ClientTls>, Mistake> {
        let (was, is) = (&old.tls_client, &new.tls_client);
        if was == is {
            // Another content of the same files is for whoever watches them.
            return Ok(None);
        }
        let now = self.shared.tls.load().side.clone();
        let side = match (&is.pair, now) {
            _ if is.mode == ClientTlsMode::Off => None,
            // One that was made at the start is kept.
            (Some(_), Some(now)) => Some(now.renewed(is)),
            (None, Some(now)) if was.pair.is_none() => Some(now.renewed(is)),
            _ => Some(ClientSideTls::new(is)),
        };
        let side = side
            .transpose()
            .map_err(|error| Mistake::new(boot::place_of(new), "tls.client", error.to_string()))?;
        Ok(Some(certificates::with(is, side.map(Arc::new))))
    }

    pub async fn take_up(&mut self, prepared: Prepared) -> Taken {
        let Prepared {
            changes,
            settings,
            client_tls,
            tokens,
            dialing,
            authority,
            doors,
            targets,
            secrets: _,
        } = prepared;
        let mut notes = Vec::new();
        let shared = &self.shared;
        let before = self.in_force.load_full();
        if let Some(log) = self.log.as_ref().filter(|_| before.log != settings.log) {
            notes.extend(log.set(&settings.log));
        }
        notes.extend(outgrown(self.longest_rest, boot::longest_rest(&settings)));
        let settings = Arc::new(settings);
        // Before what is made of it: who renews that goes by the settings it belongs to.
        self.in_force.store(Arc::clone(&settings));
        shared.limits.set(&settings.client, &settings.pool);
        shared.notes.set(&settings.log);
        shared.lobby.set(settings.client.max_logging_in);
        let delay = boot::failed_login_delay(&settings.client);
        shared.throttle.set(delay, settings.client.max_failed_logins);
        if let Some(tls) = client_tls {
            shared.tls.store(Arc::new(tls));
        }
        if let Some(Judge(tokens)) = tokens {
            shared.tokens.store(tokens);
        }
        if let Some(Dialing(tls)) = dialing {
            shared.cluster.set_tls(tls.as_ref());
        }
        self.authority = authority;
        shared.cluster.set_rules(boot::rules(&settings));
        shared.cluster.set_targets(targets).await;
        self.doors.open(doors, settings.admin.drain_timeout);
        shared.registry.look_soon();
        self.wrong = None;
        self.tell(&changes, &notes);
        Taken { changes, notes }
    }

    fn tell(&self, changes: &[Change], notes: &[String]) {
        let metrics = &self.shared.metrics.config;
        metrics.read.set(boot::seconds_since_1970().as_secs().cast_signed());
        let waiting = changes.iter().filter(|change| change.effect == Effect::Restart).count();
        metrics.restart_pending.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        if changes.len() > waiting {
            metrics.generation.inc();
        }
        tracing::info!(changes = changes.len(), waiting, "the configuration was read again");
        for change in changes {
            match change.effect {
                Effect::Live => tracing::info!(%change, "a setting"),
                Effect::Restart => tracing::warn!(%change, "a setting"),
            }
        }
        for note in notes {
            tracing::warn!("{note}");
        }
    }

    async fn sight(&self) -> Sight {
        let paths = Self::watched(&self.in_force.load());
        let looked = spawn_blocking(move || Sight::of(&paths)).await;
        looked.unwrap_or_else(|_| Sight::of(&[]))
    }
}

/// Whether the limits are longer than servers have been told at the start, and what is said then.
fn outgrown(told: Option<u64>, now: Option<u64>) -> Option<String> {
    let told = told.filter(|told| now.is_none_or(|now| now > *told))?;
    Some(format!(
        "servers go on closing connections that rest for {told} s: longer client.idle_timeout, \
         client.idle_in_transaction_timeout and pool.idle_timeout than at the start need a restart"
    ))
}

fn authority_of(settings: &Settings) -> Vec<PathBuf> {
    let target = &settings.tls_target;
    certificates::files(target.pair.as_ref(), target.ca.as_ref())
}

impl Dialing {
    fn of(settings: &Settings) -> Result<Self, Mistakes> {
        let tls = &settings.tls_target;
        if tls.mode == TargetTlsMode::Off {
            return Ok(Self(None));
        }
        let made = TargetTls::new(tls);
        let made = made.map_err(|error| mistake(settings, "tls.target", error.to_string()))?;
        Ok(Self(Some(Arc::new(made))))
    }
}

fn mistake(settings: &Settings, key: &str, why: String) -> Mistakes {
    Mistake::new(boot::place_of(settings), key, why).into()
}

fn unread(settings: &Settings, gone: &tokio::task::JoinError) -> Mistakes {
    mistake(settings, "", gone.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_limits_than_servers_were_told_are_said_to_need_a_restart() {
        for (told, now, said) in [
            (None, Some(9), false),
            (None, None, false),
            (Some(9), Some(9), false),
            (Some(9), Some(8), false),
            (Some(9), Some(10), true),
            (Some(9), None, true),
        ] {
            assert_eq!(outgrown(told, now).is_some(), said, "{told:?} {now:?}");
        }
    }
}
