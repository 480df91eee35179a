//! From validated settings to a running proxy, floor by floor.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use arc_swap::ArcSwap;

use tokio::sync::Notify;

use super::cli::{self, Failure};
use super::reload::Reload;
use super::source::SecretsSource;
use super::verbs::{Hands, verbs};
use super::watch::Sight;
use super::{certificates, check, drain, keys, sweep};
use crate::admin::http::{self, HttpState};
use crate::admin::sql::{self, Console, Rooms};
use crate::admin::{Lookout, Sights};
use crate::auth::Tokens;
use crate::backend::{Credentials, Dialer};
use crate::cluster::{Cluster, Rules, Targets};
use crate::config::{
    self, Access, ClientTlsMode, Mistake, Mistakes, Place, Role, Settings, Source,
};
use crate::frontend::{self, Desks, End, Limits, Lobby, Shared, Throttle};
use crate::lifecycle::{Lifecycle, Phase};
use crate::metrics::{Labels, Metrics};
use crate::net::{Engines, Listener, Shelf, TargetTls};
use crate::pool::CloseReason;
use crate::registry::{Entrance, Registry};
use crate::secrets::{self, Account, ClientSecret, Secrets, Vault};
use crate::session::{Library, Pin};

/// Buffers of 16 KiB kept for sessions that wake.
const BUFFERS: usize = 1024;

/// Futures of some 2 KiB kept for the same.
const DESKS: usize = 1024;

/// Of each kind, for packets that are packed or unpacked at the same time.
const ENGINES: usize = 16;

/// Serves until the drain is over.
pub async fn run(settings: Settings, lifecycle: Lifecycle) -> Result<(), Failure> {
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
    let target_tls = certificates::toward_targets(&settings.tls_target)?;
    let targets = targets(&settings, target_tls.as_ref(), &metrics);
    let shared = share(&settings, targets, (vault, &credentials), metrics, &lifecycle)?;
    let shared = Arc::new(shared);
    let (reload, ask) = Reload::new((source, sight, expiry), Arc::clone(&shared), credentials);
    let listeners = listen(&settings).await?;
    let admin = admin(&settings).await?;
    let console = console(&settings).await?;

    shared.cluster.start();
    lifecycle.spawn("reload", reload.run());
    lifecycle.spawn("sweep", sweep::sweep(Arc::clone(&shared), sweep::limits(&settings.client)));
    for renewal in certificates::renewals(&settings, target_tls, &shared) {
        lifecycle.spawn("certificate", renewal.keep(lifecycle.clone()));
    }
    if let Some(rules) = &settings.client.tokens {
        lifecycle.spawn("keys", keys::renewal(rules, &shared).keep(lifecycle.clone()));
    }
    for (listener, entrance) in listeners {
        lifecycle.spawn("listen", frontend::listen(listener, entrance, Arc::clone(&shared)));
    }
    if let Some(listener) = admin {
        let lookout = lookout(&settings, &shared);
        lifecycle.spawn("lookout", Arc::clone(&lookout).keep());
        let state = http_state(&shared, lookout);
        lifecycle.spawn("admin", http::serve(listener, state, lifecycle.clone()));
    }
    let settings = Arc::new(settings);
    let stop = Arc::new(Notify::new());
    if let Some(listener) = console {
        let hands = Hands {
            shared: Arc::clone(&shared),
            settings: Arc::clone(&settings),
            stop: Arc::clone(&stop),
            reload: ask,
        };
        let console = Console::new(rooms(&shared, &settings), verbs(hands));
        lifecycle.spawn("console", sql::listen(listener, Arc::new(console)));
    }
    lifecycle.set(Phase::Running);
    drain::until_stopped(&settings, &shared, stop).await;
    Ok(())
}

/// Everything wrong with what a configuration names, and with what this version cannot do yet.
pub fn files(settings: &Settings) -> Vec<Mistake> {
    let mut mistakes = check::unreadable(settings);
    mistakes.extend(super::workers().err());
    if !mistakes.is_empty() {
        return mistakes;
    }
    mistakes.extend(settings.client.tokens.as_ref().and_then(|rules| keys::load(rules).err()));
    let place = place_of(settings);
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

fn place_of(settings: &Settings) -> Place {
    match settings.source() {
        Source::File(path) => Place::File { path: path.clone(), line: None },
        Source::Environment => Place::Environment,
        Source::CommandLine { .. } => Place::CommandLine,
    }
}

/// Who the configuration counts on, and the secrets do not have.
fn unknown(settings: &Settings, secrets: &Secrets) -> Vec<Mistake> {
    let watcher = &settings.failover.username;
    let known = secrets.accounts.iter().any(|it| *it.username == **watcher);
    let why = || format!("no user {watcher:?} in the secrets");
    let mistake = (!watcher.is_empty() && !known)
        .then(|| Mistake::new(place_of(settings), "failover.username", why()));
    let found = mistake.into_iter().chain(open_console(settings, secrets));
    found.chain(without_keys(settings, secrets)).collect()
}

/// A user who is to show a token, and nothing to verify one with.
fn without_keys(settings: &Settings, secrets: &Secrets) -> Option<Mistake> {
    let by_token = |it: &&Account| matches!(it.password, ClientSecret::Token(_));
    let account = secrets.accounts.iter().find(by_token)?;
    let why = || format!("user {:?} logs in with a token: name the keys", account.username);
    settings.client.tokens.is_none().then(|| Mistake::new(place_of(settings), keys::KEY, why()))
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
    targets: Targets,
    (vault, credentials): (Arc<Vault>, &Arc<Credentials>),
    metrics: Arc<Metrics>,
    lifecycle: &Lifecycle,
) -> Result<Shared, Failure> {
    let cluster = Cluster::new(
        targets,
        Rules {
            pool: settings.pool.clone(),
            failover: settings.failover.clone(),
            reads: settings.endpoints.iter().any(|it| it.access == Access::ReadOnly),
        },
        Arc::clone(credentials),
        Arc::clone(&metrics),
        lifecycle.clone(),
    );
    Ok(Shared {
        vault,
        cluster: Arc::new(cluster),
        registry: Arc::new(Registry::new()),
        library: Library::new(Arc::clone(&metrics), Library::MOST_BYTES),
        metrics,
        lifecycle: lifecycle.clone(),
        buffers: Shelf::new(BUFFERS),
        desks: Desks::new(DESKS),
        engines: Engines::new(ENGINES),
        tls: certificates::toward_clients(&settings.tls_client)?.map(ArcSwap::from_pointee),
        tls_required: settings.tls_client.mode == ClientTlsMode::Required,
        certificate_required: settings.tls_client.require_certificate,
        tokens: tokens(settings)?.map(ArcSwap::from_pointee),
        limits: Limits {
            max_connections: settings.client.max_connections,
            login_timeout: settings.client.login_timeout,
            borrow_timeout: settings.pool.borrow_timeout,
        },
        clients: AtomicUsize::new(0),
        lobby: Arc::new(Lobby::new(settings.client.max_logging_in)),
        throttle: Throttle::new(
            // There must be time to be told.
            settings
                .client
                .failed_login_delay
                .min(settings.client.login_timeout.unwrap_or(Duration::MAX) / 2),
            settings.client.max_failed_logins,
        ),
    })
}

fn tokens(settings: &Settings) -> Result<Option<Tokens>, Failure> {
    let rules = settings.client.tokens.as_ref();
    Ok(rules.map(keys::load).transpose().map_err(Mistakes::from)?)
}

fn targets(settings: &Settings, tls: Option<&TargetTls>, metrics: &Arc<Metrics>) -> Targets {
    let targets = settings.targets.iter();
    targets.map(|target| (target.clone(), dialer(target, tls, settings, metrics))).collect()
}

pub(super) fn dialer(
    target: &config::Target,
    tls: Option<&TargetTls>,
    settings: &Settings,
    metrics: &Arc<Metrics>,
) -> Dialer {
    let mut dialer = Dialer::new(target.address.clone(), tls.cloned(), Arc::clone(metrics));
    dialer.severable = settings.targets.len() > 1;
    dialer.init_query = settings.pool.init_query.as_str().into();
    dialer.ignored = settings.pool.pin_filter.clone().into();
    dialer
}

async fn listen(settings: &Settings) -> Result<Vec<(Listener, Entrance)>, Failure> {
    let mut listeners = Vec::new();
    for (endpoint, at) in settings.endpoints.iter().zip(0..) {
        let listener = Listener::bind(&endpoint.listen).await.map_err(|error| {
            Failure::other(format!("cannot listen on {}: {error}", endpoint.listen))
        })?;
        tracing::info!(endpoint = %endpoint.name, listen = %endpoint.listen, "listening");
        listeners.push((listener, Entrance { endpoint: at, access: endpoint.access }));
    }
    Ok(listeners)
}

async fn admin(settings: &Settings) -> Result<Option<Listener>, Failure> {
    let Some(address) = &settings.admin.http else { return Ok(None) };
    let bound = Listener::bind_unguarded(address).await;
    bound.map(Some).map_err(|error| {
        Failure::other(format!("cannot listen on {address} (admin.http): {error}"))
    })
}

async fn console(settings: &Settings) -> Result<Option<Listener>, Failure> {
    let Some(door) = &settings.admin.sql else { return Ok(None) };
    let bound = Listener::bind(door).await;
    bound
        .map(Some)
        .map_err(|error| Failure::other(format!("cannot listen on {door} (admin.sql): {error}")))
}

fn rooms(shared: &Arc<Shared>, settings: &Arc<Settings>) -> Rooms {
    Rooms {
        registry: Arc::clone(&shared.registry),
        cluster: Arc::clone(&shared.cluster),
        library: Arc::clone(&shared.library),
        metrics: Arc::clone(&shared.metrics),
        vault: Arc::clone(&shared.vault),
        settings: Arc::clone(settings),
        lifecycle: shared.lifecycle.clone(),
        tls: tls(shared),
    }
}

/// As it is when somebody comes.
fn tls(shared: &Arc<Shared>) -> Arc<sql::Tls> {
    let shared = Arc::clone(shared);
    Arc::new(move || shared.tls.as_ref().map(ArcSwap::load_full))
}

fn lookout(settings: &Settings, shared: &Shared) -> Arc<Lookout> {
    Lookout::new(Sights {
        metrics: Arc::clone(&shared.metrics),
        cluster: Arc::clone(&shared.cluster),
        registry: Arc::clone(&shared.registry),
        lifecycle: shared.lifecycle.clone(),
        max_clients: settings.client.max_connections,
        endpoints: settings.endpoints.iter().map(|endpoint| endpoint.name.clone()).collect(),
    })
}

fn http_state(shared: &Arc<Shared>, lookout: Arc<Lookout>) -> HttpState {
    let metrics = Arc::clone(&shared.metrics);
    let shared = Arc::clone(shared);
    HttpState {
        metrics,
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
