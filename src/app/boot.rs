//! From validated settings to a running proxy, floor by floor.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};

use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::cli::{self, Failure};
use super::configuration::Configuration;
use super::doors::Doors;
use super::log::Log;
use super::reload::Reload;
use super::sockets::Sockets;
use super::source::SecretsSource;
use super::takeover::{self, Giver};
use super::verbs::{Hands, verbs};
use super::watch::Sight;
use super::{certificates, check, drain, glance, keys, sweep};
use crate::admin::http::{self, HttpState};
use crate::admin::sql::{self, Console, Rooms};
use crate::admin::{Lookout, Sights};
use crate::backend::{Credentials, Dialer};
use crate::cluster::{Cluster, Rules, Targets};
use crate::config::{
    self, Access, InForce, Mistake, Mistakes, Place, Role, Settings, Source, TargetTlsMode,
};
use crate::frontend::{Desks, End, Limits, Notes, REFUSAL_CODES, Shared, Throttle};
use crate::lifecycle::{Lifecycle, Phase};
use crate::metrics::{Labels, Metrics};
use crate::net::{Engines, Lifeline, Listener, Shelf, TargetTls};
use crate::pool::CloseReason;
use crate::registry::{Lobby, Registry};
use crate::secrets::{self, Account, ClientSecret, Secrets, Vault};
use crate::session::{Library, Pin};

/// Buffers of 16 KiB kept for sessions that wake.
const BUFFERS: usize = 1024;

/// Futures of some 2 KiB kept for the same.
const DESKS: usize = 1024;

/// Of each kind, for packets that are packed or unpacked at the same time.
const ENGINES: usize = 16;

/// Until a target is ready, where another process serves meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// How a process begins, beside what is configured.
#[derive(Default)]
pub struct Start {
    /// That of this process, if it has one.
    pub log: Option<Log>,
    /// From the process that listens now, if there is one.
    pub takeover: bool,
}

/// Serves until the drain is over.
pub async fn run(settings: Settings, start: Start, lifecycle: Lifecycle) -> Result<(), Failure> {
    let seen = Sight::of(&Configuration::watched(&settings));
    let mistakes = files(&settings);
    if !mistakes.is_empty() {
        return Err(Mistakes::new(mistakes).into());
    }
    let source = SecretsSource::of(&settings);
    let sight = Sight::of(&[source.path().to_owned()]);
    let secrets = load_secrets(&source).await?;
    let unknown = unknown(&settings, &secrets);
    if !unknown.is_empty() {
        return Err(Mistakes::new(unknown).into());
    }
    let expiry = secrets.expiry;
    let vault = Arc::new(Vault::new(secrets));
    let metrics = metrics(&settings, &lifecycle)?;
    let credentials = Arc::new(Credentials::new(Arc::clone(&vault)));
    let shared = Arc::new(share(&settings, (vault, &credentials), metrics, &lifecycle)?);
    show(&shared, start.log.clone())?;
    let mut doors = Doors::new(Arc::clone(&shared));
    let sockets = Sockets::open(&settings, start.takeover, &doors).await?;
    shared.cluster.start();
    if sockets.line.is_some() {
        until_ready(&shared).await;
    }
    let (endpoints, entrances) = (doors.sockets(), doors.entrances());
    doors.open(sockets.endpoints, settings.admin.drain_timeout);
    let in_force = Arc::new(InForce::from_pointee(settings));
    let configuration =
        Configuration::new(Arc::clone(&in_force), Arc::clone(&shared), (doors, start.log), seen);
    let secrets = (source, sight, expiry);
    let (reload, ask) = Reload::new(secrets, configuration, Arc::clone(&shared), credentials);
    lifecycle.spawn("reload", reload.run());
    tend(&in_force, &shared);
    let stop = Arc::new(Notify::new());
    let hands = Hands {
        shared: Arc::clone(&shared),
        settings: Arc::clone(&in_force),
        stop: Arc::clone(&stop),
        reload: ask,
    };
    let_operators_in((sockets.admin, sockets.console), hands);
    lifecycle.set(Phase::Running);
    if let Some(line) = sockets.line {
        // Until it hears of it, the old process goes on. After that this one does, come what may.
        let line = spawn_blocking(move || line.ready()).await.map_err(Failure::other)??;
        let is_open = move |entrance| entrances.load().contains(&entrance);
        lifecycle.spawn("arrivals", takeover::receive(line, Arc::clone(&shared), is_open));
    }
    if let Some(upgrade) = sockets.upgrade {
        let (listener, sockets) = upgrade.give(endpoints);
        let giver = Giver { sockets, shared: Arc::clone(&shared), stop: Arc::clone(&stop) };
        lifecycle.spawn("upgrade", giver.listen(listener));
    }
    drain::until_stopped(&in_force, &shared, stop).await;
    Ok(())
}

/// What is done on a clock.
fn tend(in_force: &Arc<InForce>, shared: &Arc<Shared>) {
    let lifecycle = &shared.lifecycle;
    lifecycle.spawn("sweep", sweep::sweep(Arc::clone(shared), Arc::clone(in_force)));
    let pair = certificates::renewal(Arc::clone(in_force), Arc::clone(shared));
    lifecycle.spawn("certificate", pair.keep(lifecycle.clone()));
    let keys = keys::renewal(Arc::clone(in_force), Arc::clone(shared));
    lifecycle.spawn("keys", keys.keep(lifecycle.clone()));
}

fn let_operators_in((admin, console): (Option<Listener>, Option<Listener>), hands: Hands) {
    let (shared, in_force) = (Arc::clone(&hands.shared), Arc::clone(&hands.settings));
    let lifecycle = &shared.lifecycle;
    if let Some(listener) = admin {
        let lookout = lookout(&in_force, &shared);
        lifecycle.spawn("lookout", Arc::clone(&lookout).keep());
        let state = http_state(&shared, lookout);
        lifecycle.spawn("admin", http::serve(listener, state, lifecycle.clone()));
    }
    if let Some(listener) = console {
        let console = Console::new(rooms(&shared, &in_force), verbs(hands));
        lifecycle.spawn("console", sql::listen(listener, Arc::new(console)));
    }
}

/// What is read off the rooms when the metrics are asked for, and what is folded in the log.
fn show(shared: &Arc<Shared>, log: Option<Log>) -> Result<(), Failure> {
    if let Some(log) = log {
        shared.lifecycle.spawn("log", log.tell(shared.lifecycle.clone()));
    }
    glance::show_rooms(shared).map_err(Failure::other)
}

/// Everything wrong with what a configuration names, and with what this version cannot do yet.
pub fn files(settings: &Settings) -> Vec<Mistake> {
    let mut mistakes = check::unreadable(settings);
    mistakes.extend(super::workers().err());
    if !mistakes.is_empty() {
        return mistakes;
    }
    mistakes.extend(keys::load(settings).err());
    // A command is run at the start, and not by whoever only looks.
    if settings.secrets_command.is_none() {
        match secrets::load(&settings.secrets) {
            Ok(secrets) => mistakes.extend(unknown(settings, &secrets)),
            Err(error) => mistakes.extend(
                error
                    .problems
                    .into_iter()
                    .map(|problem| Mistake::in_file(problem.file, problem.line, "", problem.what)),
            ),
        }
    }
    mistakes.extend(roles(settings));
    mistakes
}

/// Who may be the primary.
pub(super) fn roles(settings: &Settings) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let place = place_of(settings);
    let mut not_yet = |key: &str, why: &str| mistakes.push(Mistake::new(place.clone(), key, why));
    let primaries = settings.targets.iter().filter(|target| target.role == Role::Primary);
    if primaries.count() > 1 {
        not_yet("target.role", "there can be only one \"primary\"");
    }
    let all_replicas = settings.targets.iter().all(|target| target.role == Role::Replica);
    if settings.targets.len() > 1 && all_replicas {
        not_yet("target.role", "one at least must be able to be the primary");
    }
    mistakes
}

pub(super) fn place_of(settings: &Settings) -> Place {
    match settings.source() {
        Source::File(path) => Place::File { path: path.clone(), line: None },
        Source::Environment => Place::Environment,
        Source::CommandLine { .. } => Place::CommandLine,
    }
}

/// Who the configuration counts on, and the secrets do not have.
fn unknown(settings: &Settings, secrets: &Secrets) -> Vec<Mistake> {
    let is_known = |watcher: &str| secrets.accounts.iter().any(|it| *it.username == *watcher);
    let mistake = unknown_watcher(settings, is_known);
    let found = mistake.into_iter().chain(open_console(settings, secrets));
    found.chain(without_keys(settings, secrets.accounts.iter())).collect()
}

/// A user who is to show a token, and nothing to verify one with.
fn without_keys<'a>(
    settings: &Settings,
    mut accounts: impl Iterator<Item = &'a Account>,
) -> Option<Mistake> {
    if settings.client.tokens.is_some() {
        return None;
    }
    let account = accounts.find(|it| matches!(it.password, ClientSecret::Token(_)))?;
    let why = format!("user {:?} logs in with a token: name the keys", account.username);
    Some(Mistake::new(place_of(settings), keys::KEY, why))
}

/// The same in a process that runs: with other secrets, or with those in force.
pub(super) fn known(
    settings: &Settings,
    other: Option<&Secrets>,
    vault: &Vault,
) -> Result<(), Mistakes> {
    let mistakes = if let Some(secrets) = other {
        unknown(settings, secrets)
    } else {
        let now = vault.current();
        let mistake = unknown_watcher(settings, |it| now.account(it).is_some());
        let by_token = without_keys(settings, now.accounts().map(|account| &**account));
        mistake.into_iter().chain(by_token).collect()
    };
    if mistakes.is_empty() { Ok(()) } else { Err(Mistakes::new(mistakes)) }
}

fn unknown_watcher(settings: &Settings, is_known: impl Fn(&str) -> bool) -> Option<Mistake> {
    let watcher = &settings.failover.username;
    let why = || format!("no user {watcher:?} in the secrets");
    (!watcher.is_empty() && !is_known(watcher))
        .then(|| Mistake::new(place_of(settings), "failover.username", why()))
}

/// A console that strangers can reach asks who they are.
fn open_console(settings: &Settings, secrets: &Secrets) -> Option<Mistake> {
    let door = settings.admin.sql.as_ref().filter(|door| !door.is_local())?;
    if !secrets.admins.is_empty() {
        return None;
    }
    let (place, name) = settings.source().place_of("admin", "sql", cli::environment());
    let why = format!(
        "{door} can be reached from other machines, and {} names no [[admin]]: name one there, or \
         listen on loopback",
        settings.secrets.display()
    );
    Some(Mistake::new(place, name, why))
}

async fn load_secrets(source: &SecretsSource) -> Result<Secrets, Failure> {
    let secrets = source.load().await.map_err(Failure::other)?;
    for warning in &secrets.warnings {
        tracing::warn!("{warning}");
    }
    Ok(secrets)
}

pub(super) fn metrics(settings: &Settings, lifecycle: &Lifecycle) -> Result<Arc<Metrics>, Failure> {
    let targets: Vec<&str> = settings.targets.iter().map(|it| it.name.as_str()).collect();
    let metrics = Metrics::new(&Labels {
        pins: &Pin::NAMES,
        client_closes: &End::NAMES,
        refusals: &REFUSAL_CODES,
        server_closes: &CloseReason::NAMES,
        targets: &targets,
    })
    .map_err(Failure::other)?;
    let tasks = lifecycle.clone();
    metrics.observe_tasks(move || tasks.running()).map_err(Failure::other)?;
    Ok(metrics)
}

fn share(
    settings: &Settings,
    (vault, credentials): (Arc<Vault>, &Arc<Credentials>),
    metrics: Arc<Metrics>,
    lifecycle: &Lifecycle,
) -> Result<Shared, Failure> {
    let lifeline = lifeline();
    let cluster = Cluster::new(
        targets(settings, &metrics, lifeline.as_ref())?,
        rules(settings),
        Arc::clone(credentials),
        Arc::clone(&metrics),
        lifecycle.clone(),
    );
    Ok(Shared {
        vault,
        cluster: Arc::new(cluster),
        lifeline,
        registry: Arc::new(Registry::new()),
        library: Library::new(Arc::clone(&metrics), Library::MOST_BYTES),
        metrics,
        lifecycle: lifecycle.clone(),
        buffers: Shelf::new(BUFFERS),
        desks: Desks::new(DESKS),
        engines: Engines::new(ENGINES),
        tls: ArcSwap::from_pointee(certificates::toward_clients(&settings.tls_client)?),
        tokens: ArcSwapOption::new(keys::load(settings).map_err(Mistakes::from)?),
        limits: Limits::new(&settings.client, &settings.pool),
        clients: AtomicUsize::new(0),
        departures: ArcSwapOption::empty(),
        lobby: Arc::new(Lobby::new(settings.client.max_logging_in)),
        throttle: Throttle::new(
            failed_login_delay(&settings.client),
            settings.client.max_failed_logins,
        ),
        notes: Notes::new(settings.admin.digests.then(Arc::default), &settings.log),
    })
}

pub(super) fn rules(settings: &Settings) -> Rules {
    Rules {
        pool: settings.pool.clone(),
        failover: settings.failover.clone(),
        reads: settings.endpoints.iter().any(|it| it.access == Access::ReadOnly),
    }
}

/// There must be time to be told.
pub(super) fn failed_login_delay(client: &config::Client) -> Duration {
    client.failed_login_delay.min(client.login_timeout.unwrap_or(Duration::MAX) / 2)
}

pub(super) fn targets(
    settings: &Settings,
    metrics: &Arc<Metrics>,
    lifeline: Option<&Arc<Lifeline>>,
) -> Result<Targets, Failure> {
    let one = |target: &config::Target| -> Result<_, Failure> {
        let mut dialer = dialer(target, settings, metrics)?;
        dialer.lifeline = lifeline.cloned();
        dialer.reaps_orphans = settings.pool.reap_orphans;
        dialer.longest_rest = longest_rest(settings);
        Ok((target.clone(), dialer))
    };
    settings.targets.iter().map(one).collect()
}

/// Nothing of ours lies longer without a command. `None`: where there is no limit, or it is not to be
/// told to the server.
pub(super) fn longest_rest(settings: &Settings) -> Option<u64> {
    // Odd, as a client that sets the very same would be shown the server's.
    const MARGIN: Duration = Duration::from_secs(61);
    let (pool, client) = (&settings.pool, &settings.client);
    let limits = [client.idle_timeout?, client.idle_in_transaction_timeout?, pool.idle_timeout];
    let longest = limits.into_iter().max()? + MARGIN;
    pool.reap_orphans.then_some(longest.as_secs())
}

/// One for the process.
fn lifeline() -> Option<Arc<Lifeline>> {
    let taken = Lifeline::take();
    let why = "what a dead Tidegate has left on a server cannot be told, and is left there";
    taken.inspect_err(|error| tracing::warn!(%error, "{why}")).ok().map(Arc::new)
}

pub(super) fn dialer(
    target: &config::Target,
    settings: &Settings,
    metrics: &Arc<Metrics>,
) -> Result<Dialer, Failure> {
    let tls = match settings.tls_target.mode {
        TargetTlsMode::Off => None,
        _ => Some(TargetTls::new(&settings.tls_target).map_err(Failure::other)?),
    };
    let mut dialer = Dialer::new(target.address.clone(), tls, Arc::clone(metrics));
    dialer.set_severable(settings.targets.len() > 1);
    dialer.init_query = settings.pool.init_query.as_str().into();
    dialer.ignored = settings.pool.pin_filter.clone().into();
    Ok(dialer)
}

/// For as long as the old process may well go on serving.
async fn until_ready(shared: &Shared) {
    let ready = async {
        while shared.cluster.trouble().is_some() {
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(PATIENCE, ready).await.is_err() {
        tracing::warn!("no target is ready yet, and the takeover goes on");
    }
}

fn rooms(shared: &Arc<Shared>, settings: &Arc<InForce>) -> Rooms {
    Rooms {
        registry: Arc::clone(&shared.registry),
        cluster: Arc::clone(&shared.cluster),
        library: Arc::clone(&shared.library),
        metrics: Arc::clone(&shared.metrics),
        digests: shared.notes.digests.clone(),
        vault: Arc::clone(&shared.vault),
        settings: Arc::clone(settings),
        lifecycle: shared.lifecycle.clone(),
        tls: tls(shared),
    }
}

/// As it is when somebody comes.
fn tls(shared: &Arc<Shared>) -> Arc<sql::Tls> {
    let shared = Arc::clone(shared);
    Arc::new(move || shared.tls.load().side.clone())
}

fn lookout(settings: &Arc<InForce>, shared: &Shared) -> Arc<Lookout> {
    Lookout::new(Sights {
        metrics: Arc::clone(&shared.metrics),
        cluster: Arc::clone(&shared.cluster),
        registry: Arc::clone(&shared.registry),
        lifecycle: shared.lifecycle.clone(),
        digests: shared.notes.digests.clone(),
        settings: Arc::clone(settings),
    })
}

fn http_state(shared: &Arc<Shared>, lookout: Arc<Lookout>) -> HttpState {
    let (metrics, vault) = (Arc::clone(&shared.metrics), Arc::clone(&shared.vault));
    let shared = Arc::clone(shared);
    HttpState {
        metrics,
        vault,
        lookout,
        ready: Arc::new(move || match shared.lifecycle.phase() {
            Phase::Starting => Err("starting".into()),
            Phase::Draining | Phase::Stopped => Err("draining".into()),
            Phase::Running => match shared.cluster.trouble() {
                None => Ok(()),
                Some(trouble) => Err(format!("no target: {trouble}").into()),
            },
        }),
    }
}

pub(super) fn seconds_since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
