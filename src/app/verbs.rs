//! What an operator of the console can have done. A new verb is one more in the list.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::configuration::Taken;
use super::reload::{Ask, Read};
use super::sweep::{account, identity};
use crate::admin::sql::{Argument, Done, Refusal, Running, Takes, Verb};
use crate::backend::BackendError;
use crate::cluster::SwitchoverOrder;
use crate::config::{InForce, Mistakes};
use crate::frontend::Shared;
use crate::registry::{Doom, Entry};

/// What verbs are done to.
pub struct Hands {
    pub shared: Arc<Shared>,
    pub settings: Arc<InForce>,
    /// Rung, it ends the process as a signal does.
    pub stop: Arc<Notify>,
    pub reload: Ask,
}

pub fn verbs(hands: Hands) -> Vec<Verb> {
    let hands = Arc::new(hands);
    vec![
        verb(
            &hands,
            "PAUSE",
            Takes::Nothing,
            "let nobody borrow; transactions under way finish",
            pause,
        ),
        verb(&hands, "RESUME", Takes::Nothing, "end a PAUSE", resume),
        verb(
            &hands,
            "SWITCHOVER TO",
            Takes::Move,
            "make it the primary, while statements wait; see docs/operations.md",
            switch_over,
        ),
        verb(&hands, "DRAIN", Takes::Target, "borrow nothing new there, close what is idle", drain),
        verb(&hands, "UNDRAIN", Takes::Target, "use it again", undrain),
        verb(&hands, "KILL", Takes::Client, "end a client, and its statement on the server", kill),
        verb(
            &hands,
            "KILL QUERY",
            Takes::Client,
            "end its statement; the client lives",
            kill_query,
        ),
        verb(
            &hands,
            "RELOAD",
            Takes::Nothing,
            "read the configuration and the secrets again",
            reload,
        ),
        verb(
            &hands,
            "SHUTDOWN",
            Takes::Nothing,
            "drain, then stop, as SIGTERM does; a second one stops at once",
            shutdown,
        ),
    ]
}

type Does<F> = fn(Arc<Hands>, Argument) -> F;

fn verb<F>(
    hands: &Arc<Hands>,
    words: &'static str,
    takes: Takes,
    does: &'static str,
    run: Does<F>,
) -> Verb
where
    F: Future<Output = Result<Done, Refusal>> + Send + 'static,
{
    let hands = Arc::clone(hands);
    let run = Box::new(move |argument| -> Running { Box::pin(run(Arc::clone(&hands), argument)) });
    Verb { words, takes, does, run }
}

async fn pause(hands: Arc<Hands>, _: Argument) -> Result<Done, Refusal> {
    let cluster = &hands.shared.cluster;
    cluster.pause();
    let until = Instant::now() + hands.settings.load().pool.borrow_timeout;
    let quiet = cluster.until_all_quiet(until).await;
    let left = match (cluster.is_paused(), quiet) {
        (false, _) => "resumed meanwhile".to_owned(),
        (true, true) => "paused; no connection is in use".to_owned(),
        (true, false) => format!(
            "paused; {} connections are still in use: transactions, or clients that hold one \
             (SHOW PINS)",
            cluster.in_use()
        ),
    };
    Ok(Done::Saying(vec![left]))
}

async fn resume(hands: Arc<Hands>, _: Argument) -> Result<Done, Refusal> {
    let was = hands.shared.cluster.resume();
    let said = if was { "resumed" } else { "nothing was paused" };
    Ok(Done::Saying(vec![said.to_owned()]))
}

/// That a switchover may take, in seconds.
const LONGEST: u64 = 3600;

async fn switch_over(hands: Arc<Hands>, order: Argument) -> Result<Done, Refusal> {
    let Argument::Move { to, within, force } = order else { return Ok(Done::Silently) };
    // Who waits from the beginning shall not wait in vain.
    let usual = hands.settings.load().pool.borrow_timeout / 2;
    let within = within.map_or(usual, |seconds| Duration::from_secs(seconds.min(LONGEST)));
    let order = SwitchoverOrder { to, within, force };
    let done = hands.shared.cluster.switch_over(order).await;
    let done = done.map_err(|error| Refusal::Failed(format!("No switchover: {error}")))?;
    Ok(Done::Saying(vec![
        format!("{} is the primary; statements waited for {:?}", done.to, done.paused),
        format!("{} is read-only and replicates from nobody", done.from),
    ]))
}

async fn drain(hands: Arc<Hands>, target: Argument) -> Result<Done, Refusal> {
    set_drained(&hands, &target, true)
}

async fn undrain(hands: Arc<Hands>, target: Argument) -> Result<Done, Refusal> {
    set_drained(&hands, &target, false)
}

fn set_drained(hands: &Hands, target: &Argument, drained: bool) -> Result<Done, Refusal> {
    let at = place(hands, target)?;
    hands.shared.cluster.set_drained(at, drained);
    Ok(Done::Silently)
}

fn place(hands: &Hands, target: &Argument) -> Result<usize, Refusal> {
    let name = if let Argument::Target(name) = target { name.as_str() } else { "" };
    hands.shared.cluster.place_of(name).ok_or_else(|| {
        let settings = hands.settings.load();
        let known = settings.targets.iter().map(|target| target.name.clone());
        Refusal::UnknownTarget(name.to_owned(), known.collect())
    })
}

async fn kill(hands: Arc<Hands>, client: Argument) -> Result<Done, Refusal> {
    end(&hands.shared, &client, false).await
}

async fn kill_query(hands: Arc<Hands>, client: Argument) -> Result<Done, Refusal> {
    end(&hands.shared, &client, true).await
}

async fn end(shared: &Shared, client: &Argument, query_only: bool) -> Result<Done, Refusal> {
    let id = if let Argument::Client(id) = client { *id } else { 0 };
    let found = u32::try_from(id).ok().and_then(|id| shared.registry.get(id));
    let found = found.filter(|entry| entry.doomed() != Some(Doom::Killed));
    let entry = found.ok_or(Refusal::UnknownClient(id))?;
    if query_only {
        entry.interrupt();
    } else {
        entry.doom(Doom::Killed);
    }
    match end_on_server(shared, &entry, query_only).await {
        Ok(()) => Ok(Done::Silently),
        // It ended before the KILL came.
        Err(BackendError::Refused(error)) if error.code == 1094 => Ok(Done::Silently),
        Err(error) => Err(Refusal::Failed(format!("The KILL could not reach the server: {error}"))),
    }
}

/// With the account of its client: a server lets everybody end their own.
async fn end_on_server(
    shared: &Shared,
    entry: &Arc<Entry>,
    query_only: bool,
) -> Result<(), BackendError> {
    // Held until the KILL is done: the connection cannot pass to another session meanwhile.
    let Some(aim) = entry.aim(!query_only) else { return Ok(()) };
    let Some(pool) = shared.cluster.pool_of(aim.connection.target) else { return Ok(()) };
    let account = account(shared, entry).ok_or(BackendError::NoAccount)?;
    let identity = identity(Arc::clone(&account.target.username));
    pool.kill(&identity, &account, aim.connection.id, query_only).await
}

async fn reload(hands: Arc<Hands>, _: Argument) -> Result<Done, Refusal> {
    let (tell, hear) = oneshot::channel();
    let stopping = || Refusal::Failed("Tidegate is stopping".to_owned());
    hands.reload.send(tell).await.map_err(|_| stopping())?;
    let reloaded = hear.await.map_err(|_| stopping())?;
    match (reloaded.configuration, reloaded.secrets) {
        (Ok(taken), Ok(read)) => {
            let mut lines = said_of_secrets(read);
            lines.extend(said_of_configuration(&taken));
            Ok(Done::Saying(lines))
        }
        (taken, read) => {
            let taken = taken.map(|taken| said_of_configuration(&taken).join("; "));
            let read = read.map(|read| said_of_secrets(read).join("; "));
            let stays = |wrong: Mistakes| {
                let wrong: Vec<String> = wrong.iter().map(ToString::to_string).collect();
                format!(
                    "The configuration was not read again, the old one stays: {}",
                    wrong.join("; ")
                )
            };
            let stay =
                |wrong| format!("The secrets were not read again, the old ones stay: {wrong}");
            let said = [read.unwrap_or_else(stay), taken.unwrap_or_else(stays)];
            Err(Refusal::Failed(said.join("; ")))
        }
    }
}

fn said_of_configuration(taken: &Taken) -> Vec<String> {
    let nothing = if taken.changes.is_empty() { " and says nothing new" } else { "" };
    let mut lines = vec![format!("the configuration was read again{nothing}")];
    lines.extend(taken.changes.iter().map(ToString::to_string));
    lines.extend(taken.notes.iter().cloned());
    lines
}

fn said_of_secrets(read: Read) -> Vec<String> {
    let nothing = if read.is_new { "" } else { " and say nothing new" };
    let generation = read.generation;
    let mut lines = vec![format!("the secrets were read again{nothing}: generation {generation}")];
    lines.extend(read.warnings);
    lines
}

async fn shutdown(hands: Arc<Hands>, _: Argument) -> Result<Done, Refusal> {
    hands.stop.notify_one();
    Ok(Done::Silently)
}
