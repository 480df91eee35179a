//! Targets that an operator has taken out of use.
//!
//! Nothing new is borrowed there; what is in hand goes on and is closed when it comes back. Who is
//! primary is not decided here: a drained primary stays the primary, and what it should serve waits.

use super::Cluster;

impl Cluster {
    /// `false`: it was so already, or there is no such target.
    pub fn set_drained(&self, target: usize, drained: bool) -> bool {
        let Some(member) = self.members.get(target) else { return false };
        // Nobody elects meanwhile.
        let seen = self.seen();
        let mut topology = self.topology.borrow().clone();
        if topology.drained.contains(&target) == drained {
            return false;
        }
        topology.drained.retain(|at| *at != target);
        if drained {
            topology.drained.push(target);
        }
        tracing::info!(target = member.name, drained, "a target was taken out of use or back");
        self.adopt(topology, &seen);
        true
    }
}
