//! Moving the primary on purpose, between servers that replicate by GTID: statements wait while the
//! old one is made read-only, the new one applies what is left, and takes writes.
//!
//! Owns the order of the steps and the way back from each. The way back ends where the new one may
//! have taken writes: then nothing is touched any more, and [`super::elect`] says what follows from
//! what is seen.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Cluster;
use super::elect::{Lag, Observation};
use super::member::Member;
use super::probe::look;
use super::side::{MARGIN, STEP, Side};
use crate::backend::{BackendError, Credentials};
use crate::config::Role;
use crate::pool::Pool;

#[derive(Clone, Debug)]
pub struct SwitchoverOrder {
    /// The target's name.
    pub to: String,
    /// How long statements may be kept waiting.
    pub within: Duration,
    /// Who is not done in half of that loses the connection.
    pub force: bool,
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Switched {
    pub from: String,
    pub to: String,
    /// How long statements were kept waiting.
    pub paused: Duration,
    /// Of that, until the last transaction had ended.
    pub quiet_after: Duration,
}

/// But for [`Self::Stuck`], [`Self::Doubtful`] and [`Self::Unseen`] the old primary is what it was.
#[derive(Debug, thiserror::Error)]
pub enum SwitchoverError {
    #[error("there is no target {name:?}; there are {known}")]
    Unknown { name: String, known: String },
    #[error("{0:?} is the primary already")]
    Already(String),
    #[error("there is no primary to move{}", .0.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    NoPrimary(Option<String>),
    #[error("another switchover is under way")]
    UnderWay,
    #[error("{name:?} cannot take over: {why}")]
    Unfit { name: String, why: &'static str },
    #[error(
        "{in_use} connections to {name:?} were still in use after {waited:?}: transactions, or \
         clients that hold one (SHOW PINS); FORCE cuts them"
    )]
    Busy { name: String, in_use: usize, waited: Duration },
    #[error("{name:?} had not applied all of the primary's transactions after {waited:?}")]
    Behind { name: String, waited: Duration },
    #[error("{name:?}, {doing}: {error}")]
    Failed { name: String, doing: &'static str, error: BackendError },
    /// The old primary could not be made what it was.
    #[error("{what}; and {name:?} is still read-only: {error}")]
    Stuck { what: Box<Self>, name: String, error: BackendError },
    #[error("{name:?} may be taking writes or not, and {old:?} is read-only: {error}")]
    Doubtful { name: String, old: String, error: BackendError },
    #[error(
        "{name:?} takes writes now, but is not taken for the primary{}",
        .why.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
    )]
    Unseen { name: String, why: Option<String> },
    #[error("{0:?} is not what it was a moment ago: somebody else moves the primary")]
    Moved(String),
    #[error("Tidegate is stopping")]
    Stopping,
}

/// Until what was done is seen, too.
const SEEN: Duration = Duration::from_secs(5);

impl Cluster {
    /// In a task of its own: whoever asked may leave, and nothing is left half done. Cancel-safe.
    pub async fn switch_over(
        self: &Arc<Self>,
        order: SwitchoverOrder,
    ) -> Result<Switched, SwitchoverError> {
        let (tell, hear) = tokio::sync::oneshot::channel();
        let cluster = Arc::clone(self);
        self.lifecycle.spawn("switchover", async move {
            let done = cluster.move_primary(&order).await;
            match &done {
                Ok(done) => tracing::info!(
                    from = done.from, to = done.to, paused = ?done.paused, "switched over"
                ),
                Err(error) => tracing::error!(to = order.to, %error, "could not switch over"),
            }
            let _ = tell.send(done);
        });
        hear.await.unwrap_or(Err(SwitchoverError::Stopping))
    }

    async fn move_primary(
        self: &Arc<Self>,
        order: &SwitchoverOrder,
    ) -> Result<Switched, SwitchoverError> {
        let (old, new) = self.sides(&order.to)?;
        let _alone = self.switching.try_lock().map_err(|_| SwitchoverError::UnderWay)?;
        for member in [old, new] {
            let timeout = self.rules.load().failover.probe_timeout;
            let seen = look(member, &self.credentials, timeout).await;
            self.note(member, seen.ok());
        }
        self.are_fit(old, new)?;
        try_out(old, new, &self.credentials).await?;
        let began = Instant::now();
        let until = began + order.within;
        let holding = self.hold_primary();
        self.quiet(old, order, began).await?;
        let quiet_after = began.elapsed();
        let mut old_side = Side::of(old, &self.credentials).await?;
        let mut new_side = Side::of(new, &self.credentials).await?;
        // Somebody else may have moved it meanwhile.
        old_side.is_still(false, None).await?;
        let source = self.identity_of(old);
        new_side.is_still(true, source.as_deref()).await?;
        if let Err(error) = hand_over(&mut old_side, &mut new_side, until, &self.credentials).await
        {
            return Err(old_side.back(error, &self.credentials).await);
        }
        // The old one is looked at first: two that take writes would be refused both.
        drop(old_side);
        self.until_seen(old, |primary| primary != Some(old.at)).await;
        drop(new_side);
        let is_seen = self.until_seen(new, |primary| primary == Some(new.at)).await;
        drop(holding);
        if !is_seen {
            return Err(SwitchoverError::Unseen { name: new.name.clone(), why: self.why_nobody() });
        }
        let (from, to) = (old.name.clone(), new.name.clone());
        Ok(Switched { from, to, paused: began.elapsed(), quiet_after })
    }

    fn sides(&self, to: &str) -> Result<(&Member, &Member), SwitchoverError> {
        let new = self.members.iter().find(|member| member.name == to).ok_or_else(|| {
            let names: Vec<&str> = self.members.iter().map(|it| it.name.as_str()).collect();
            SwitchoverError::Unknown { name: to.to_owned(), known: names.join(", ") }
        })?;
        let old = self.primary().ok_or_else(|| SwitchoverError::NoPrimary(self.why_nobody()))?;
        if old.at == new.at {
            return Err(SwitchoverError::Already(new.name.clone()));
        }
        Ok((old, new))
    }

    /// By what was seen of them last, which is now.
    fn are_fit(&self, old: &Member, new: &Member) -> Result<(), SwitchoverError> {
        if self.primary().is_none_or(|primary| primary.at != old.at) {
            return Err(SwitchoverError::NoPrimary(self.why_nobody()));
        }
        let seen = self.seen();
        let why = match (seen.get(old.at), seen.get(new.at)) {
            _ if self.topology.borrow().drained.contains(&new.at) => Some("it is drained"),
            _ if seen.iter().any(|it| it.role == Role::Primary) => {
                Some("the configuration says who is the primary (role = \"primary\")")
            }
            (Some(old), Some(new)) => unfit(old, new),
            _ => Some("it has not been seen"),
        };
        match why {
            Some(why) => Err(SwitchoverError::Unfit { name: new.name.clone(), why }),
            None => Ok(()),
        }
    }

    pub(super) fn identity_of(&self, member: &Member) -> Option<String> {
        self.seen().get(member.at)?.seen.as_ref().map(|seen| seen.identity.clone())
    }

    async fn quiet(
        &self,
        old: &Member,
        order: &SwitchoverOrder,
        began: Instant,
    ) -> Result<(), SwitchoverError> {
        let Some(pool) = old.pool() else { return Ok(()) };
        let patience = if order.force { order.within / 2 } else { order.within };
        if self.until_quiet(pool, began + patience).await {
            return Ok(());
        }
        if order.force {
            // What still runs on the server then commits before it is read-only, or not at all.
            pool.sever();
            return Ok(());
        }
        let (name, waited) = (old.name.clone(), began.elapsed());
        Err(SwitchoverError::Busy { name, in_use: Pool::in_use(pool), waited })
    }

    /// Statements go on once the election knows.
    pub(super) async fn until_seen(
        &self,
        member: &Member,
        is_seen: impl Fn(Option<usize>) -> bool,
    ) -> bool {
        let mut topology = self.topology.subscribe();
        member.suspected.notify_one();
        let seen = topology.wait_for(|now| is_seen(now.primary));
        tokio::time::timeout(SEEN, seen).await.is_ok_and(|seen| seen.is_ok())
    }
}

/// Why it cannot take over from `old`, if so.
fn unfit(old: &Observation, new: &Observation) -> Option<&'static str> {
    let (Some(old), Some(seen)) = (&old.seen, &new.seen) else {
        return Some("it has not been seen");
    };
    if new.role == Role::Replica {
        Some("the configuration says that it is never the primary (role = \"replica\")")
    } else if new.strikes > 0 {
        Some("it does not answer")
    } else if !seen.read_only {
        Some("it takes writes already")
    } else if seen.lag == Lag::Stopped {
        Some("it does not replicate")
    } else if seen.source.as_ref() != Some(&old.identity) {
        Some(
            "it is not known to replicate from the primary (the account that looks needs \
             REPLICATION CLIENT, on MariaDB REPLICA MONITOR, to see it)",
        )
    } else {
        None
    }
}

/// What can be refused is tried while nobody waits yet; nothing is changed by it.
async fn try_out(
    old: &Member,
    new: &Member,
    credentials: &Credentials,
) -> Result<(), SwitchoverError> {
    for member in [old, new] {
        let mut side = Side::of(member, credentials).await?;
        let unfit = |why| Err(SwitchoverError::Unfit { name: member.name.clone(), why });
        let question =
            if side.mariadb() { "SELECT @@GLOBAL.log_bin" } else { "SELECT @@GLOBAL.gtid_mode" };
        let answer = side.ask("asking for its GTIDs", question, STEP).await?;
        if !matches!(answer.as_deref(), Some("ON" | "1")) {
            return unfit("replication there is not by GTID");
        }
        side.ask("trying the privilege to make it read-only", side.same(), STEP).await?;
    }
    Ok(())
}

/// Any error leaves the new one as it was, but [`SwitchoverError::Doubtful`].
async fn hand_over(
    old: &mut Side<'_>,
    new: &mut Side<'_>,
    until: Instant,
    credentials: &Credentials,
) -> Result<(), SwitchoverError> {
    let left = || until.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
    // Transactions of others, which are not ours to wait for. It counts for each of two locks.
    let limit = format!("SET SESSION lock_wait_timeout = {}", (left().as_secs() / 2).max(1));
    old.ask("limiting its wait", &limit, STEP).await?;
    old.ask("making it read-only", old.read_only(), left() + MARGIN).await?;
    let position = old.ask("asking for its position", old.position(), STEP).await?;
    let position = position.unwrap_or_default();
    let waited = left();
    let question = new.applied(&position, waited);
    let applied = new.ask("waiting for its transactions", &question, waited + MARGIN).await?;
    if applied.as_deref() != Some("0") {
        return Err(SwitchoverError::Behind { name: new.member.name.clone(), waited });
    }
    new.take_over(&old.member.name, credentials).await
}

#[cfg(test)]
mod tests {
    use super::super::elect::Sighting;
    use super::*;

    #[test]
    fn only_a_living_replica_of_the_primary_takes_over() {
        let seen = |seen| Observation { seen: Some(seen), ..Observation::default() };
        let old = seen(Sighting { identity: "1".into(), ..Sighting::default() });
        let replica = Sighting {
            read_only: true,
            identity: "2".into(),
            source: Some("1".into()),
            lag: Lag::Seconds(3),
        };
        assert_eq!(unfit(&old, &seen(replica.clone())), None);
        let told = |new: &Observation, word: &str| {
            assert!(unfit(&old, new).is_some_and(|why| why.contains(word)), "{word}");
        };
        told(&Observation::default(), "not been seen");
        told(&Observation { strikes: 1, ..seen(replica.clone()) }, "does not answer");
        let fixed = Observation { role: Role::Replica, ..seen(replica.clone()) };
        told(&fixed, "never the primary");
        told(&seen(Sighting { read_only: false, ..replica.clone() }), "takes writes");
        told(&seen(Sighting { lag: Lag::Stopped, ..replica.clone() }), "does not replicate");
        told(&seen(Sighting { source: Some("3".into()), ..replica.clone() }), "from the primary");
        told(&seen(Sighting { source: None, ..replica }), "REPLICATION CLIENT");
    }
}
