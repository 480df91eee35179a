//! Whether what comes back to the pool may stay: one word, read once at each give-back.
//!
//! It says whether the target is to be used, and which era it is: connections of an earlier one were
//! made in a way that is not wanted any more.

use std::sync::atomic::{AtomicU32, Ordering};

use super::CloseReason;

/// The lowest bit: the target is to be used. The others: the era.
pub(super) struct Standing(AtomicU32);

impl Standing {
    pub fn new() -> Self {
        Self(AtomicU32::new(1))
    }

    /// `true`: the target was to be used, and is no longer.
    pub fn set(&self, stands: bool) -> bool {
        if stands {
            self.0.fetch_or(1, Ordering::AcqRel);
            return false;
        }
        self.0.fetch_and(!1, Ordering::AcqRel) & 1 == 1
    }

    pub fn stands(&self) -> bool {
        self.0.load(Ordering::Acquire) & 1 == 1
    }

    pub fn begin_era(&self) {
        self.0.fetch_add(2, Ordering::AcqRel);
    }

    pub fn era(&self) -> u32 {
        self.0.load(Ordering::Acquire) >> 1
    }

    /// Why a connection of this era has to go.
    pub fn objection(&self, era: u32) -> Option<CloseReason> {
        match self.0.load(Ordering::Acquire) {
            word if word & 1 == 0 => Some(CloseReason::Demoted),
            word if word >> 1 != era => Some(CloseReason::Outdated),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_stay() {
        let standing = Standing::new();
        let first = standing.era();
        assert_eq!(standing.objection(first), None);
        assert!(!standing.set(true));
        standing.begin_era();
        assert_eq!(standing.objection(first), Some(CloseReason::Outdated));
        assert_eq!(standing.objection(standing.era()), None);
        assert!(standing.set(false) && !standing.set(false));
        assert_eq!(standing.objection(standing.era()), Some(CloseReason::Demoted));
        assert!(!standing.stands());
        standing.set(true);
        assert_eq!(standing.objection(standing.era()), None);
    }
}
