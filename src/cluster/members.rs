//! The targets there are, and those there were.
//!
//! Each keeps its place for the life of the process, for a connection in hand says by it whose it is.
//! So there is room for only so many changes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::member::Member;

pub(super) struct Members {
    places: Box<[OnceLock<Member>]>,
    taken: Mutex<usize>,
    /// How many of them are targets now.
    here: AtomicUsize,
}

/// Targets that may come while the process runs.
const SPARE: usize = 64;

impl Members {
    pub fn new(count: usize) -> Self {
        let places = std::iter::repeat_with(OnceLock::new).take(count + SPARE).collect();
        Self { places, taken: Mutex::default(), here: AtomicUsize::new(0) }
    }

    /// At a place of its own. `None`: there is none left.
    pub fn add(&self, make: impl FnOnce(usize) -> Member) -> Option<&Member> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.places.get(*taken)?;
        let member = place.get_or_init(|| make(*taken));
        *taken += 1;
        Some(member)
    }

    pub fn room(&self) -> usize {
        self.places.len() - *self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Also one that is a target no longer.
    pub fn get(&self, place: usize) -> Option<&Member> {
        self.places.get(place)?.get()
    }

    /// Also those that are targets no longer.
    pub fn all(&self) -> impl Iterator<Item = &Member> {
        self.places.iter().map_while(OnceLock::get)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.all().filter(|member| !member.is_gone())
    }

    /// As of the last [`Self::count`].
    pub fn here(&self) -> usize {
        self.here.load(Ordering::Relaxed)
    }

    pub fn count(&self) {
        self.here.store(self.iter().count(), Ordering::Relaxed);
    }
}
