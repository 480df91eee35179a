//! What the statements of all clients are like, and how long each kind takes.
//!
//! Owns the bound on how many kinds are remembered: one that has not been seen for longest makes room.
//! It never knows whose a statement was, nor any value of it.

use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use sha2::{Digest as _, Sha256};

use super::digest::Digest;

/// Powers of two of a microsecond, up to a minute and more.
const STEPS: usize = 27;

/// One kind of statement.
#[derive(Debug)]
pub struct Kind {
    pub text: Box<str>,
    /// The same wherever the text is.
    pub id: Box<str>,
    count: AtomicU64,
    failed: AtomicU64,
    micros: AtomicU64,
    worst: AtomicU32,
    /// How many took less than two to this power.
    steps: [AtomicU32; STEPS],
}

/// A kind at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindView {
    pub id: String,
    pub text: String,
    pub count: u64,
    /// Ended in an error.
    pub failed: u64,
    /// How long they took, together.
    pub micros: u64,
    pub mean: u64,
    /// As near as powers of two tell.
    pub p95: u64,
    pub worst: u64,
}

pub struct Digests {
    hasher: foldhash::fast::RandomState,
    kinds: Mutex<LruCache<u64, Arc<Kind>, foldhash::fast::RandomState>>,
}

impl Default for Digests {
    fn default() -> Self {
        Self::new(Self::MOST)
    }
}

impl Digests {
    /// An application has some hundreds.
    pub const MOST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);

    pub fn new(most: NonZeroUsize) -> Self {
        let hasher = foldhash::fast::RandomState::default();
        let kinds = Mutex::new(LruCache::with_hasher(most, hasher.clone()));
        Self { hasher, kinds }
    }

    /// Allocates for one that was not seen before only.
    pub fn kind(&self, digest: &Digest) -> Arc<Kind> {
        let key = self.hasher.hash_one(digest.bytes());
        let mut kinds = self.lock();
        Arc::clone(kinds.get_or_insert(key, || Arc::new(Kind::new(&digest.text()))))
    }

    /// Those that took most time together come first.
    pub fn view(&self) -> Vec<KindView> {
        let kinds: Vec<Arc<Kind>> = self.lock().iter().map(|(_, kind)| Arc::clone(kind)).collect();
        let mut views: Vec<KindView> = kinds.iter().map(|kind| kind.view()).collect();
        views.retain(|view| view.count > 0);
        views.sort_by_key(|view| std::cmp::Reverse(view.micros));
        views
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<u64, Arc<Kind>, foldhash::fast::RandomState>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kind {
    fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            id: id(text).into(),
            count: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            micros: AtomicU64::new(0),
            worst: AtomicU32::new(0),
            steps: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    pub fn note(&self, micros: u32, failed: bool) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros.into(), Ordering::Relaxed);
        self.worst.fetch_max(micros, Ordering::Relaxed);
        if failed {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        let step = (u32::BITS - micros.leading_zeros()) as usize;
        if let Some(step) = self.steps.get(step.min(STEPS - 1)) {
            step.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn view(&self) -> KindView {
        let worst = self.worst.load(Ordering::Relaxed);
        let count = self.count.load(Ordering::Relaxed);
        let micros = self.micros.load(Ordering::Relaxed);
        KindView {
            id: self.id.to_string(),
            text: self.text.to_string(),
            count,
            failed: self.failed.load(Ordering::Relaxed),
            micros,
            mean: micros / count.max(1),
            p95: self.p95().min(worst).into(),
            worst: worst.into(),
        }
    }

    /// The end of the step in which it lies.
    fn p95(&self) -> u32 {
        let steps = self.steps.each_ref().map(|step| u64::from(step.load(Ordering::Relaxed)));
        let wanted = steps.iter().sum::<u64>() * 95;
        let mut passed = 0;
        let reached = steps.iter().position(|step| {
            passed += step * 100;
            passed >= wanted
        });
        reached.map_or(0, |step| (1 << step) - 1)
    }
}

/// The first eight bytes of SHA-256.
fn id(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    hash.iter().take(8).fold(String::with_capacity(16), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(digests: &Digests, text: &str) -> Arc<Kind> {
        digests.kind(&Digest::of(text.as_bytes(), true))
    }

    #[test]
    fn what_is_alike_is_one_kind() {
        let digests = Digests::default();
        for (id, micros) in [(1, 100), (2, 300), (3, 200)] {
            kind(&digests, &format!("SELECT * FROM t WHERE id = {id}")).note(micros, id == 2);
        }
        kind(&digests, "SELECT 1").note(10_000, false);
        let views = digests.view();
        let shown: Vec<_> = views.iter().map(|it| (&*it.text, it.count, it.failed)).collect();
        assert_eq!(shown, [("SELECT ?", 1, 0), ("SELECT * FROM t WHERE id = ?", 3, 1)]);
        assert_eq!((views[1].micros, views[1].mean, views[1].worst), (600, 200, 300));
        assert_eq!(views[1].p95, 300, "in the step up to 511, and no more than the worst");
        assert_eq!(views[0].id, id("SELECT ?"));
        assert_eq!(views[0].id.len(), 16);
    }

    #[test]
    fn most_are_below_the_share() {
        let digests = Digests::default();
        let one = kind(&digests, "SELECT 1");
        (0..98).for_each(|_| one.note(100, false));
        (0..2).for_each(|_| one.note(1_000_000, false));
        let view = &digests.view()[0];
        assert_eq!((view.p95, view.worst), (127, 1_000_000));
    }

    #[test]
    fn whoever_was_not_seen_for_longest_makes_room() {
        let digests = Digests::new(NonZeroUsize::new(3).unwrap());
        let note = |text: &str| kind(&digests, text).note(1, false);
        for text in ["SELECT a", "SELECT b", "SELECT c", "SELECT a", "SELECT d", "SELECT e"] {
            note(text);
        }
        let mut texts: Vec<String> = digests.view().into_iter().map(|view| view.text).collect();
        texts.sort();
        assert_eq!(texts, ["SELECT a", "SELECT d", "SELECT e"]);
    }
}
