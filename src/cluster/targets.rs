//! Targets come and go while others are in use.
//!
//! A new one is looked at like those of the start. One that is gone is borrowed from no more: what is in
//! hand goes on and is closed when it comes back, what is idle at once, and who is primary is decided
//! among the others.

use std::sync::Arc;
use std::time::Duration;

use super::elect::{Observation, Topology, elect};
use super::member::Member;
use super::probe::look;
use super::{Cluster, Targets};
use crate::config;

/// How often a target that is gone looks whether all its connections have come back.
const LOOK: Duration = Duration::from_millis(100);

impl Cluster {
    /// Whether there is room for the new ones among these; a process has room for so many changes.
    pub fn has_room_for(&self, targets: &[config::Target]) -> bool {
        let new = targets.iter().filter(|target| self.member_of(target).is_none());
        new.count() <= self.members.room()
    }

    /// A new target at the address of one that goes or has gone, and has connections in use: a second
    /// pool there would pass its bound. Their names, the new one's first.
    pub fn still_in_use(&self, targets: &[config::Target]) -> Option<(String, String)> {
        let leaves = |member: &&Member| member.is_gone() || !targets.iter().any(|it| member.is(it));
        let is_used = |member: &&Member| member.pool().is_some_and(|pool| pool.in_use() > 0);
        targets.iter().filter(|target| self.member_of(target).is_none()).find_map(|target| {
            let mut old = self.members.all().filter(leaves).filter(is_used);
            let old = old.find(|member| *member.address() == target.address)?;
            Some((target.name.clone(), old.name.clone()))
        })
    }

    /// These are the targets from here on. Who has the name and the address of one that is there is
    /// that one.
    pub async fn set_targets(self: &Arc<Self>, targets: Targets) {
        let stay = |member: &Member| targets.iter().any(|(target, _)| member.is(target));
        let gone: Vec<&Member> = self.members.iter().filter(|member| !stay(member)).collect();
        let comes = targets.iter().any(|(target, _)| self.member_of(target).is_none());
        if gone.is_empty() && !comes && !self.have_other_roles(&targets) {
            return;
        }
        if !self.may_move() && targets.len() > 1 {
            self.look_at_the_only_one(&gone).await;
        }
        let several = targets.len() > 1;
        let mut new = Vec::new();
        {
            // Nobody elects meanwhile.
            let mut seen = self.seen();
            for (target, dialer) in targets {
                if let Some(member) = self.member_of(&target) {
                    if let Some(it) = seen.get_mut(member.at) {
                        it.role = target.role;
                    }
                    continue;
                }
                dialer.set_severable(several);
                let watcher = self.rules.load().failover.username.clone();
                let make = |at| Member::new(at, &target, watcher, dialer, &self.metrics);
                if let Some(member) = self.members.add(make) {
                    seen.push(Observation { role: target.role, ..Observation::default() });
                    new.push(member.at);
                    tracing::info!(target = member.name, "a new target");
                }
            }
            for member in &gone {
                member.gone.cancel();
                if let Some(it) = seen.get_mut(member.at) {
                    *it = Observation::gone();
                }
                tracing::info!(target = member.name, "a target no longer");
            }
            self.members.count();
            let before = self.topology.borrow().clone();
            let left = without(before, |at| gone.iter().any(|member| member.at == at));
            let next = if self.may_move() { elect(&left, &seen) } else { left };
            self.adopt(next, &seen);
        }
        for member in self.members.iter() {
            member.set_severable(several);
            member.set_limits(&self.rules.load().pool, self.aside());
            member.suspected.notify_one();
        }
        for member in gone {
            self.see_off(member.at);
        }
        for at in new {
            self.begin(at);
        }
        self.regrouped.notify_waiters();
    }

    fn member_of(&self, target: &config::Target) -> Option<&Member> {
        self.members.iter().find(|member| member.is(target))
    }

    fn have_other_roles(&self, targets: &Targets) -> bool {
        let seen = self.seen();
        targets.iter().any(|(target, _)| {
            let known = self.member_of(target).and_then(|member| seen.get(member.at));
            known.is_some_and(|known| known.role != target.role)
        })
    }

    /// Nobody has looked at it so far, and an election is by what was seen.
    async fn look_at_the_only_one(&self, gone: &[&Member]) {
        let patience = self.rules.load().failover.probe_timeout;
        let Some(only) = self.members.iter().next() else { return };
        if gone.iter().any(|member| member.at == only.at) || only.pool().is_none() {
            return;
        }
        // The pool leaves room for the link before there is one.
        only.set_limits(&self.rules.load().pool, 1);
        let Ok(sighting) = look(only, &self.credentials, patience).await else { return };
        let max_lag = self.rules.load().failover.max_replica_lag;
        if let Some(it) = self.seen().get_mut(only.at) {
            it.saw(sighting, max_lag);
            it.promoted = false;
        }
    }

    /// Closes the pool of a target that is gone when nobody uses it any more.
    fn see_off(self: &Arc<Self>, at: usize) {
        let cluster = Arc::clone(self);
        let stopping = self.lifecycle.stopping();
        self.lifecycle.spawn("target", async move {
            let Some(member) = cluster.members.get(at) else { return };
            let _ = member.link().await.take();
            if let Some(pool) = member.pool() {
                let back = async {
                    while pool.in_use() > 0 {
                        tokio::time::sleep(LOOK).await;
                    }
                };
                if stopping.run_until_cancelled(back).await.is_none() {
                    return;
                }
                pool.end();
            }
            if cluster.members.iter().all(|other| other.name != member.name) {
                cluster.metrics.server.targets.forget(&member.name);
            }
        });
    }
}

/// The same where some are targets no longer.
fn without(topology: Topology, is_gone: impl Fn(usize) -> bool) -> Topology {
    let keep = |places: Vec<usize>| places.into_iter().filter(|at| !is_gone(*at)).collect();
    Topology {
        primary: topology.primary.filter(|at| !is_gone(*at)),
        rivals: keep(topology.rivals),
        stale: keep(topology.stale),
        replicas: keep(topology.replicas),
        drained: keep(topology.drained),
        ..topology
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_nothing_any_more() {
        let topology = Topology {
            primary: Some(1),
            epoch: 3,
            rivals: vec![1, 2],
            replicas: vec![0, 1],
            drained: vec![1],
            ..Topology::default()
        };
        let left = without(topology, |at| at == 1);
        assert_eq!((left.primary, left.epoch, left.rivals), (None, 3, vec![2]));
        assert_eq!((left.replicas, left.drained), (vec![0], vec![]));
    }
}
