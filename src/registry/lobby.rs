//! Who is on the way in: those that have not shown yet who they are.
//!
//! Owns their bound, apart from the one of those that are in, and who has to go when it is reached:
//! whoever has taken longest, which an honest one never does. Time is handed in.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

pub struct Lobby {
    most: AtomicUsize,
    /// Nobody has to go sooner.
    at_least: Duration,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    next: u64,
    /// In the order in which they came.
    guests: BTreeMap<u64, (Instant, Arc<Notify>)>,
}

/// A storm of honest clients is not thinned out, the last are refused.
const AT_LEAST: Duration = Duration::from_secs(1);

impl Lobby {
    pub fn new(most: usize) -> Self {
        Self::patient(most, AT_LEAST)
    }

    pub fn patient(most: usize, at_least: Duration) -> Self {
        Self { most: AtomicUsize::new(most), at_least, inside: Mutex::default() }
    }

    /// Whoever is in stays.
    pub fn set(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// `None`: it is full of others that have only just come.
    pub fn enter(self: &Arc<Self>, now: Instant) -> Option<Guest> {
        let mut inside = self.inside();
        if inside.guests.len() >= self.most.load(Ordering::Relaxed) {
            let oldest = inside.guests.first_entry()?;
            if now.saturating_duration_since(oldest.get().0) < self.at_least {
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
pub struct Guest {
    lobby: Arc<Lobby>,
    number: u64,
    cut: Arc<Notify>,
}

impl Guest {
    /// Returns when it has to make room. Cancel-safe.
    pub fn cut(&self) -> impl Future<Output = ()> + Send + use<> {
        let cut = Arc::clone(&self.cut);
        async move { cut.notified().await }
    }

    /// It is as good as one that has only just come.
    pub fn renew(&mut self, now: Instant) {
        let mut inside = self.lobby.inside();
        // Who has to go is not let in again.
        if let Some((_, cut)) = inside.guests.remove(&self.number) {
            self.number = inside.next;
            inside.next += 1;
            inside.guests.insert(self.number, (now, cut));
        }
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
        let mut cut = tokio_test::task::spawn(slow.cut());
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

    #[test]
    fn whoever_has_done_something_stays() {
        let (lobby, start) = (Arc::new(Lobby::new(2)), Instant::now());
        let mut busy = lobby.enter(start).unwrap();
        let idle = lobby.enter(start).unwrap();
        let late = start + AT_LEAST;
        busy.renew(late);
        let (mut kept, mut cut) =
            (tokio_test::task::spawn(busy.cut()), tokio_test::task::spawn(idle.cut()));
        let _next = lobby.enter(late).unwrap();
        assert!(cut.poll().is_ready() && kept.poll().is_pending());
        assert!(lobby.enter(late).is_none());
        assert_eq!(lobby.len(), 2);
        drop(busy);
        assert_eq!(lobby.len(), 1);
    }
}
