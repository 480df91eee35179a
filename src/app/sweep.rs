//! On a coarse clock: who has been idle too long, which statement runs too long.

use std::sync::Arc;

use crate::config::{self, InForce};
use crate::frontend::Shared;
use crate::registry::{Entry, Limits, SWEEP};
use crate::secrets::Account;

fn limits(client: &config::Client) -> Limits {
    Limits {
        idle: client.idle_timeout,
        idle_in_transaction: client.idle_in_transaction_timeout,
        transaction: client.max_transaction,
        query: client.max_query,
    }
}

/// Runs until the process stops.
pub async fn sweep(shared: Arc<Shared>, settings: Arc<InForce>) {
    let stopping = shared.lifecycle.stopping();
    let mut ticks = tokio::time::interval(SWEEP);
    while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
        let limits = limits(&settings.load().client);
        let overdue = shared.registry.sweep(&limits).queries;
        for entry in overdue.into_iter().filter(|entry| entry.mark_over_time()) {
            let lifecycle = shared.lifecycle.clone();
            lifecycle.spawn("kill", kill(Arc::clone(&shared), entry));
        }
    }
}

/// Its session hears of it from the server's own error, in other words.
async fn kill(shared: Arc<Shared>, entry: Arc<Entry>) {
    let aim = entry.aim(false);
    let pool = aim.as_ref().and_then(|aim| shared.cluster.pool_of(aim.connection.target));
    let (Some(pool), Some(aim)) = (pool, aim) else {
        entry.interrupt();
        return;
    };
    let Some(account) = account(&shared, &entry) else { return };
    let identity = identity(Arc::clone(&account.target.username));
    if let Err(error) = pool.kill(&identity, &account, aim.connection.id, true).await {
        tracing::warn!(session = entry.id, %error, "could not end a statement that runs too long");
    }
}

/// As it is now, or as it was when the client logged in: one that is in the secrets no longer may still
/// have a statement that must end.
pub(super) fn account(shared: &Shared, entry: &Entry) -> Option<Arc<Account>> {
    let now = shared.vault.current();
    now.account(&entry.user()).cloned().or_else(|| entry.account())
}

pub(super) fn identity(username: Arc<str>) -> crate::backend::Identity {
    crate::backend::Identity { username, generation: 0, meaning: crate::wire::Meaning::default() }
}
