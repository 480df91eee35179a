//! Who is on the way in: the clients that have not logged in yet.
//!
//! Owns their bound, apart from the one of those that are in, and who has to go when it is reached:
//! whoever has taken longest, which an honest client never does. Time is handed in.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

pub struct Lobby {
    most: AtomicUsize,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    next: u64,
    /// In the order in which they came.
    guests: BTreeMap<u64, (Instant, Arc<Notify>)>,
}

/// Nobody has to go sooner: a storm of honest clients is not thinned out, the last are refused.
const AT_LEAST: Duration = Duration::from_secs(1);

impl Lobby {
    pub fn new(most: usize) -> Self {
        Self { most: AtomicUsize::new(most), inside: Mutex::default() }
    }

    /// Whoever is in stays.
    pub fn set(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// `None`: it is full of others that have only just come.
    pub(super) fn enter(self: &Arc<Self>, now: Instant) -> Option<Guest> {
        let mut inside = self.inside();
        if inside.guests.len() >= self.most.load(Ordering::Relaxed) {
            let oldest = inside.guests.first_entry()?;
            if now.saturating_duration_since(oldest.get().0) < AT_LEAST {
                return None;
            }
            let (_, cut) = oldest.remove();
            cut.notify_one();
        }
        let (number, cut) = (inside.next, Arc::new(Notify::new()));
        inside.next += 1;
        inside.guests.insert(number, (now, Arc::clone(&cut)));
        Some(Guest { lobby: Arc::clone(self), number, cut })
    }

    pub fn len(&self) -> usize {
        self.inside().guests.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the lobby, given up with this.
pub(super) struct Guest {
    lobby: Arc<Lobby>,
    number: u64,
    cut: Arc<Notify>,
}

impl Guest {
    /// Returns when it has to make room. Cancel-safe.
    pub async fn cut(&self) {
        self.cut.notified().await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.lobby.inside().guests.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_takes_longest_makes_room() {
        let (lobby, start) = (Arc::new(Lobby::new(2)), Instant::now());
        let slow = lobby.enter(start).unwrap();
        let mut cut = tokio_test::task::spawn(async { slow.cut().await });
        assert!(cut.poll().is_pending());
        let quick = lobby.enter(start).unwrap();
        assert!(lobby.enter(start).is_none(), "both have only just come");
        drop(quick);
        let late = start + AT_LEAST;
        let _quick = lobby.enter(late).unwrap();
        assert!(cut.poll().is_pending());
        let _next = lobby.enter(late).unwrap();
        assert!(cut.poll().is_ready());
        drop(cut);
        assert_eq!(lobby.len(), 2);
        drop(slow);
        assert_eq!(lobby.len(), 2);
        assert!(lobby.enter(late).is_none());
    }
}
