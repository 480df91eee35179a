//! Which server an access goes to.
//!
//! Owns the targets, what is seen of them, and who is primary. With one target there is nothing to
//! see: it is the primary. It never borrows by itself.

mod drain;
mod elect;
mod fence;
mod gtid;
mod heirs;
mod hold;
mod member;
mod members;
mod probe;
mod promotion;
mod reload;
mod side;
mod switchover;
mod targets;
mod view;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

pub use elect::{Hold, Lag, Observation, Sighting, Topology, elect};
pub use probe::{replication, sighting};
pub use switchover::{Switched, SwitchoverError, SwitchoverOrder};
pub use view::{ClusterView, Standing, TargetView};

use crate::backend::{BackendError, Credentials, Dialer, Facts};
use crate::config::{self, Access};
use crate::lifecycle::Lifecycle;
use crate::metrics::{Counted, Metrics};
use crate::pool::{BorrowError, Borrowed, Pool, Want};
use hold::Holds;
use member::{Means, Member};
use members::Members;
use probe::{REFUSED, SHORTEST, look, pace};
use promotion::Unpromoted;

pub struct Cluster {
    members: Members,
    /// Rung when targets come or go.
    regrouped: Notify,
    seen: Mutex<Vec<Observation>>,
    topology: watch::Sender<Topology>,
    /// The primary while it may be borrowed from, to be read without a lock; else [`NOBODY`].
    writer: AtomicUsize,
    holds: Mutex<Holds>,
    /// In the hands of the one switchover that is under way.
    switching: tokio::sync::Mutex<()>,
    /// Why no replica takes the place of a dead primary.
    unpromoted: Mutex<Option<Unpromoted>>,
    rules: ArcSwap<Rules>,
    credentials: Arc<Credentials>,
    metrics: Arc<Metrics>,
    lifecycle: Lifecycle,
}

const NOBODY: usize = usize::MAX;

/// What the configuration says of all targets.
#[derive(Clone, Debug)]
pub struct Rules {
    pub pool: config::Pool,
    pub failover: config::Failover,
    /// There are read-only endpoints.
    pub reads: bool,
}

/// Each target, in the order of the configuration.
pub type Targets = Vec<(config::Target, Dialer)>;

impl Cluster {
    pub fn new(
        targets: Targets,
        rules: Rules,
        credentials: Arc<Credentials>,
        metrics: Arc<Metrics>,
        lifecycle: Lifecycle,
    ) -> Self {
        let members = Members::new(targets.len());
        let mut seen = Vec::new();
        for (target, dialer) in targets {
            let watcher = rules.failover.username.clone();
            members.add(|at| Member::new(at, &target, watcher, dialer, &metrics));
            seen.push(Observation { role: target.role, ..Default::default() });
        }
        members.count();
        Self {
            seen: Mutex::new(seen),
            members,
            regrouped: Notify::new(),
            topology: watch::Sender::new(Topology::default()),
            writer: AtomicUsize::new(NOBODY),
            holds: Mutex::default(),
            switching: tokio::sync::Mutex::default(),
            unpromoted: Mutex::default(),
            rules: ArcSwap::from_pointee(rules),
            credentials,
            metrics,
            lifecycle,
        }
    }

    /// Tries until each target has answered once, opens its pool, and then looks at it.
    pub fn start(self: &Arc<Self>) {
        for member in self.members.iter() {
            self.begin(member.at);
        }
        self.lifecycle.spawn("promotion", Arc::clone(self).promote_when_safe());
    }

    fn begin(self: &Arc<Self>, at: usize) {
        let Some(gone) = self.members.get(at).map(|member| member.gone.clone()) else { return };
        let cluster = Arc::clone(self);
        let stopping = self.lifecycle.stopping();
        self.lifecycle.spawn("target", async move {
            // Rare, and large.
            let tended = Box::pin(gone.run_until_cancelled(cluster.tend(at)));
            let _ = stopping.run_until_cancelled(tended).await;
        });
    }

    async fn tend(&self, at: usize) {
        let Some(member) = self.members.get(at) else { return };
        let aside = || self.aside();
        let means = Means {
            rules: &self.rules,
            credentials: &self.credentials,
            metrics: &self.metrics,
            lifecycle: &self.lifecycle,
            aside: &aside,
        };
        member.learn(&means, || self.note(member, None)).await;
        loop {
            // Registered before looking, so that nothing comes unseen.
            let regrouped = self.regrouped.notified();
            if self.may_move() {
                self.look_once(member).await;
            } else {
                self.stand_alone(member);
                regrouped.await;
            }
        }
    }

    /// With one target there is nothing to see: it is the primary.
    fn stand_alone(&self, member: &Member) {
        let seen = self.seen();
        // Others may be targets since it looked.
        if member.is_gone() || self.may_move() {
            return;
        }
        member.set_limits(&self.rules.load().pool, self.aside());
        // What an operator holds back is held back still.
        let Topology { primary, epoch, hold, drained, .. } = self.topology.borrow().clone();
        let epoch = epoch + u64::from(primary != Some(member.at));
        let alone =
            Topology { primary: Some(member.at), epoch, hold, drained, ..Topology::default() };
        self.adopt(alone, &seen);
    }

    async fn look_once(&self, member: &Member) {
        let generation = self.credentials.current().number;
        let failover = self.rules.load().failover.clone();
        let looked = look(member, &self.credentials, failover.probe_timeout).await;
        let pause = match looked {
            Ok(seen) => {
                self.note(member, Some(seen));
                pace(failover.probe_interval, self.is_calm())
            }
            Err(error) => {
                let refused = member.note_trouble(&error);
                // Who refuses us is alive, and may well serve those who are in.
                let is_alive = matches!(&error, BackendError::Refused(it) if it.code != 1053);
                if !is_alive || !self.has_answered(member) {
                    self.note(member, None);
                }
                let pause = pace(failover.probe_interval, self.is_calm());
                if refused { pause.max(REFUSED) } else { pause }
            }
        };
        tokio::time::sleep(SHORTEST.min(pause)).await;
        tokio::select! {
            () = tokio::time::sleep(pause.saturating_sub(SHORTEST)) => {}
            () = self.credentials.changed_from(generation) => {}
            () = member.suspected.notified() => {}
        }
    }

    /// Tells of each change of who is primary.
    pub fn topology(&self) -> watch::Receiver<Topology> {
        self.topology.subscribe()
    }

    /// May there be another primary one day?
    pub fn may_move(&self) -> bool {
        self.members.here() > 1
    }

    /// What the primary said of itself; before there is one, whoever has answered, be it a target no
    /// longer.
    pub fn facts(&self) -> Option<&Arc<Facts>> {
        let known = self.primary().and_then(Member::facts);
        let known = known.or_else(|| self.members.iter().find_map(Member::facts));
        known.or_else(|| self.members.all().find_map(Member::facts))
    }

    /// The pools of all targets that have answered, and of those that are targets no longer.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.members.all().filter_map(Member::pool)
    }

    /// Of the target at this place, see [`Pool::target`].
    pub fn pool_of(&self, target: usize) -> Option<&Pool> {
        self.members.get(target).and_then(Member::pool)
    }

    /// Why nobody can be served at this moment, if so.
    pub fn trouble(&self) -> Option<String> {
        match self.writer_at().and_then(|at| self.pool_of(at)) {
            Some(pool) => pool.trouble(),
            None => Some(self.why_nobody().unwrap_or_else(|| "no answer yet".into())),
        }
    }

    /// Something has happened on a connection of this pool's that may mean that its target is down,
    /// or no longer the primary.
    pub fn suspect(&self, pool: &Pool) {
        if let Some(member) = self.members.get(pool.target()) {
            member.suspected.notify_one();
        }
    }

    /// Returns when somebody else than this target is primary; `false`: not in time. Cancel-safe.
    pub async fn moved_from(&self, target: usize, patience: Duration) -> bool {
        let mut topology = self.topology.subscribe();
        let moved = topology.wait_for(|now| now.primary.is_some_and(|at| at != target));
        tokio::time::timeout(patience, moved).await.is_ok_and(|seen| seen.is_ok())
    }

    /// The usual case: what lies ready at the primary and fits. Nothing waits here.
    pub fn borrow_at_once(&self, want: &Want<'_>, access: Access) -> Option<Borrowed> {
        if access == Access::ReadOnly {
            return None;
        }
        let pool = self.writer_at().and_then(|at| self.pool_of(at))?;
        self.unless_held(pool.borrow_at_once(want)?)
    }

    /// Cancel-safe.
    pub async fn borrow(&self, want: &Want<'_>, access: Access) -> Result<Borrowed, BorrowError> {
        // Where there is one target, nobody needs to look up from its queue.
        if access == Access::ReadWrite
            && !self.may_move()
            && let Some(pool) = self.writer_at().and_then(|at| self.pool_of(at))
        {
            let started = Instant::now();
            match pool.borrow(want).await {
                Ok(borrowed) => {
                    if let Some(borrowed) = self.unless_held(borrowed) {
                        return Ok(borrowed);
                    }
                }
                Err(BorrowError::Closed) if self.is_gone(pool.target()) => {}
                Err(error) => return Err(error),
            }
            let patience = want.patience.saturating_sub(started.elapsed());
            return self.borrow_from_whoever(&Want { patience, ..*want }, access).await;
        }
        self.borrow_from_whoever(want, access).await
    }

    /// From whoever is or becomes primary in time: who waits for one that is primary no longer goes
    /// over to the next, with what is left of its patience.
    async fn borrow_from_whoever(
        &self,
        want: &Want<'_>,
        access: Access,
    ) -> Result<Borrowed, BorrowError> {
        if let Some(refusal) = self.refusal() {
            let error = BorrowError::Login(BackendError::Refused(refusal));
            self.metrics.borrow.failures.of(error.label()).inc();
            return Err(error);
        }
        let started = Instant::now();
        let mut topology = self.topology.subscribe();
        loop {
            let patience = want.patience.saturating_sub(started.elapsed());
            let before = topology.borrow_and_update().clone();
            let pool = match access {
                Access::ReadWrite => before.writer().and_then(|at| self.pool_of(at)),
                Access::ReadOnly => self.reader(&before),
            };
            let serves = pool.map(Pool::target);
            let is_other = |now: &Topology| match access {
                Access::ReadWrite => now.writer() != serves,
                Access::ReadOnly => match serves {
                    Some(at) => !self.reads(now, at),
                    None => self.reader(now).is_some(),
                },
            };
            let mut changed = std::pin::pin!(async { topology.wait_for(is_other).await.is_ok() });
            let Some(pool) = pool else {
                let _waiting = Counted::one(&self.metrics.borrow.waiting);
                if tokio::time::timeout(patience, changed.as_mut()).await.is_err() {
                    return Err(self.nobody_in_time(started.elapsed()));
                }
                continue;
            };
            let now = Want { patience, ..*want };
            tokio::select! {
                biased;
                borrowed = pool.borrow(&now) => {
                    let borrowed = match borrowed {
                        Ok(borrowed) => borrowed,
                        Err(BorrowError::Closed) if self.is_gone(pool.target()) => {
                            let left = want.patience.saturating_sub(started.elapsed());
                            if tokio::time::timeout(left, changed.as_mut()).await.is_err() {
                                return Err(self.nobody_in_time(started.elapsed()));
                            }
                            continue;
                        }
                        Err(error) => return Err(error),
                    };
                    let serves = match access {
                        Access::ReadWrite => self.unless_held(borrowed),
                        Access::ReadOnly => self.unless_left(borrowed),
                    };
                    if let Some(borrowed) = serves {
                        return Ok(borrowed);
                    }
                }
                _ = changed.as_mut() => {}
            }
        }
    }

    /// The fit replica with the least to do; the primary where there is none, if it may be.
    fn reader(&self, topology: &Topology) -> Option<&Pool> {
        let here = topology.readers().filter(|at| !self.is_gone(*at));
        let replicas = here.filter_map(|at| self.pool_of(at));
        let primary = topology
            .writer()
            .filter(|at| !self.is_gone(*at) && self.rules.load().failover.read_only_fallback);
        replicas.min_by_key(|pool| pool.load()).or_else(|| self.pool_of(primary?))
    }

    fn reads(&self, topology: &Topology, at: usize) -> bool {
        if self.is_gone(at) {
            return false;
        }
        let mut readers = topology.readers().filter(|at| !self.is_gone(*at)).peekable();
        let fallback = readers.peek().is_none() && self.rules.load().failover.read_only_fallback;
        readers.any(|reader| reader == at) || (fallback && topology.writer() == Some(at))
    }

    fn nobody_in_time(&self, waited: Duration) -> BorrowError {
        let error =
            BorrowError::Timeout { waited, in_use: 0, bound: 0, trouble: self.why_nobody() };
        self.metrics.borrow.failures.of(error.label()).inc();
        self.metrics.borrow.wait.observe(waited.as_secs_f64());
        error
    }

    fn primary(&self) -> Option<&Member> {
        let primary = self.topology.borrow().primary;
        primary.and_then(|at| self.members.get(at))
    }

    /// The primary's place, if it may be borrowed from.
    fn writer_at(&self) -> Option<usize> {
        // Against whoever holds it and then counts what is in use.
        let writer = self.writer.load(Ordering::SeqCst);
        (writer != NOBODY).then_some(writer)
    }

    /// Where nobody has answered yet, and all that was heard is that we may not log in.
    fn refusal(&self) -> Option<crate::wire::ErrPacket> {
        if self.members.iter().any(|member| member.pool().is_some()) {
            return None;
        }
        let troubles = self.members.iter().map(|member| member.trouble()?.refusal);
        troubles.collect::<Option<Vec<_>>>()?.pop()
    }

    fn why_nobody(&self) -> Option<String> {
        match self.topology.borrow().hold {
            Hold::Everything => return Some("paused by an operator".to_owned()),
            Hold::Primary => return Some("the primary is being moved by an operator".to_owned()),
            Hold::Nothing => {}
        }
        let names = |places: &[usize]| {
            let named = places.iter().filter_map(|at| self.members.get(*at));
            named.map(|member| member.name.as_str()).collect::<Vec<_>>().join(" and ")
        };
        let rivals = self.topology.borrow().rivals.clone();
        if !rivals.is_empty() {
            return Some(format!(
                "{} take writes, and which is the primary is not known",
                names(&rivals)
            ));
        }
        let troubles = self.members.iter().filter_map(|member| Some(member.trouble()?.text));
        let mut troubles: Vec<String> = troubles.collect();
        let drained = self.topology.borrow().drained.clone();
        if !drained.is_empty() {
            troubles.push(format!("{} drained by an operator", names(&drained)));
        }
        if self.may_move() {
            let read_only: Vec<usize> = {
                let seen = self.seen();
                let is = |it: &Observation| {
                    it.strikes == 0 && it.seen.as_ref().is_some_and(|it| it.read_only)
                };
                seen.iter().enumerate().filter(|(_, it)| is(it)).map(|(at, _)| at).collect()
            };
            if !read_only.is_empty() {
                troubles.push(format!("{} read-only", names(&read_only)));
            }
        }
        troubles.extend(self.unpromoted().map(|it| format!("no replica is promoted: {}", it.why)));
        (!troubles.is_empty()).then(|| troubles.join("; "))
    }

    /// Is it a target no longer?
    fn is_gone(&self, target: usize) -> bool {
        self.members.get(target).is_some_and(Member::is_gone)
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Observation>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing needs a closer look.
    fn is_calm(&self) -> bool {
        let Some(primary) = self.primary() else { return false };
        self.seen().get(primary.at).is_some_and(|it| it.strikes == 0)
    }

    fn has_answered(&self, member: &Member) -> bool {
        self.seen().get(member.at).is_some_and(|it| it.seen.is_some())
    }

    /// `None`: it has not answered.
    fn note(&self, member: &Member, looked: Option<Sighting>) {
        if !self.may_move() || member.is_gone() {
            return;
        }
        let was_calm = self.is_calm();
        {
            // Held over both: two that look at once must not be told in the wrong order.
            let mut seen = self.seen();
            // It may have gone while this waited.
            if member.is_gone() {
                return;
            }
            let Some(it) = seen.get_mut(member.at) else { return };
            if let Some(sighting) = looked {
                member.set_trouble(None);
                it.saw(sighting, self.rules.load().failover.max_replica_lag);
            } else {
                it.missed(self.rules.load().failover.failures);
                if it.is_down
                    && let Some(pool) = member.pool()
                {
                    pool.sever();
                }
            }
            member.gauges.up.set(i64::from(it.strikes == 0));
            let topology = elect(&self.topology.borrow(), &seen);
            if let Some(primary) = topology.primary.and_then(|at| seen.get_mut(at)) {
                primary.promoted = false;
            }
            self.adopt(topology, &seen);
        }
        if was_calm && !self.is_calm() {
            // Whoever is to be the next primary is looked for now.
            for other in self.members.iter().filter(|other| other.at != member.at) {
                other.suspected.notify_one();
            }
        }
    }

    fn adopt(&self, topology: Topology, seen: &[Observation]) {
        let before = self.topology.borrow().clone();
        for member in self.members.all() {
            let is_primary = topology.primary == Some(member.at);
            let it = seen.get(member.at);
            let reads = self.rules.load().reads && it.is_some_and(Observation::reads);
            member.gauges.primary.set(i64::from(is_primary));
            let Some(pool) = member.pool() else { continue };
            pool.stand((is_primary || reads) && !topology.drained.contains(&member.at));
            // What it still takes, the next primary will never have.
            let lost = before.primary == Some(member.at) && !is_primary;
            if lost && it.is_some_and(Observation::takes_writes) {
                pool.sever();
            }
        }
        if before == topology {
            return;
        }
        self.tell(&before, &topology);
        if topology.epoch > before.epoch && before.epoch > 0 {
            self.metrics.server.failovers.inc();
        }
        self.writer.store(topology.writer().unwrap_or(NOBODY), Ordering::SeqCst);
        self.topology.send_replace(topology);
    }

    fn tell(&self, before: &Topology, now: &Topology) {
        if !self.may_move() {
            return;
        }
        let name = |at: usize| self.members.get(at).map_or("", |member| member.name.as_str());
        match now.primary {
            Some(at) if before.primary != Some(at) => {
                let address = self.members.get(at).map(|it| it.address().to_string());
                tracing::info!(primary = name(at), ?address, epoch = now.epoch, "the primary");
            }
            None if before.primary.is_some() => tracing::warn!("there is no primary"),
            _ => {}
        }
        if now.rivals != before.rivals && !now.rivals.is_empty() {
            let rivals: Vec<&str> = now.rivals.iter().map(|at| name(*at)).collect();
            tracing::error!(
                ?rivals,
                primary = now.primary.map(name),
                "several targets take writes; make all but one of them read-only"
            );
        }
    }
}
