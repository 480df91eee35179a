//! Other rules while targets are in use.
//!
//! What is under way goes on by the rules it began with; each look, borrow and election from here on
//! goes by the new ones.

use std::sync::Arc;

use super::{Cluster, Rules};
use crate::net::TargetTls;

impl Cluster {
    pub fn set_rules(&self, rules: Rules) {
        let rules = Arc::new(rules);
        let before = self.rules.swap(Arc::clone(&rules));
        let watcher = &rules.failover.username;
        for member in self.members.iter() {
            member.set_limits(&rules.pool, self.aside());
            if before.failover.username != *watcher {
                member.set_watcher(watcher);
            }
        }
        {
            // Whether a pool is to be used depends on whether there are readers.
            let seen = self.seen();
            let topology = self.topology.borrow().clone();
            self.adopt(topology, &seen);
        }
        for member in self.members.iter() {
            member.suspected.notify_one();
        }
    }

    /// How targets are dialed from here on; `None`: without TLS. Connections that were dialed
    /// otherwise leave when nobody needs them.
    pub fn set_tls(&self, tls: Option<&Arc<TargetTls>>) {
        for member in self.members.iter() {
            member.set_tls(tls.cloned());
        }
    }

    /// Connections that each pool leaves to the probe.
    pub(super) fn aside(&self) -> u32 {
        u32::from(self.may_move())
    }
}
