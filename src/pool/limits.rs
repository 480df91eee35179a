//! The limits of a pool: as they are told, and as they are read while a reload may change them.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use crate::config::LiveDuration;

/// Settings with every share resolved against the target's own limit.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The bound, side connections included.
    pub max_connections: u32,
    pub max_idle: u32,
    pub min_idle: u32,
    pub idle_timeout: Duration,
    pub max_lifetime: Duration,
    pub max_waiting: usize,
    /// Of all connections of the server, whoever's: above this, idle ones go. `None`: never.
    pub shed_above: Option<u32>,
}

/// From this bound on, one connection of it is kept for KILL.
const SIDE_FROM: u32 = 4;

/// No server has so many connections.
const NEVER: u32 = u32::MAX;

impl Limits {
    pub(super) fn bound(&self) -> u32 {
        self.max_connections.max(1)
    }

    /// Connections that sessions may use, and those that are kept for KILL.
    pub(super) fn shares(&self) -> (usize, usize) {
        let bound = self.bound();
        let side = u32::from(bound >= SIDE_FROM);
        ((bound - side) as usize, side as usize)
    }
}

/// Each is read by a plain load, and none is read together with another.
pub(super) struct LiveLimits {
    bound: AtomicU32,
    max_idle: AtomicU32,
    min_idle: AtomicU32,
    pub idle_timeout: LiveDuration,
    pub max_lifetime: LiveDuration,
    max_waiting: AtomicUsize,
    shed_above: AtomicU32,
}

impl LiveLimits {
    pub fn new(limits: &Limits) -> Self {
        Self {
            bound: AtomicU32::new(limits.bound()),
            max_idle: AtomicU32::new(limits.max_idle),
            min_idle: AtomicU32::new(limits.min_idle),
            idle_timeout: LiveDuration::new(limits.idle_timeout),
            max_lifetime: LiveDuration::new(limits.max_lifetime),
            max_waiting: AtomicUsize::new(limits.max_waiting),
            shed_above: AtomicU32::new(limits.shed_above.unwrap_or(NEVER)),
        }
    }

    /// Returns what the bound was. That it is kept, `resize.rs` sees to.
    pub fn set(&self, limits: &Limits) -> u32 {
        self.max_idle.store(limits.max_idle, Ordering::Relaxed);
        self.min_idle.store(limits.min_idle, Ordering::Relaxed);
        self.idle_timeout.set(limits.idle_timeout);
        self.max_lifetime.set(limits.max_lifetime);
        self.max_waiting.store(limits.max_waiting, Ordering::Relaxed);
        self.shed_above.store(limits.shed_above.unwrap_or(NEVER), Ordering::Relaxed);
        self.bound.swap(limits.bound(), Ordering::Relaxed)
    }

    pub fn bound(&self) -> u32 {
        self.bound.load(Ordering::Relaxed)
    }

    pub fn max_idle(&self) -> usize {
        self.max_idle.load(Ordering::Relaxed) as usize
    }

    pub fn min_idle(&self) -> usize {
        self.min_idle.load(Ordering::Relaxed) as usize
    }

    pub fn shed_above(&self) -> Option<u32> {
        Some(self.shed_above.load(Ordering::Relaxed)).filter(|most| *most != NEVER)
    }

    pub fn max_waiting(&self) -> usize {
        self.max_waiting.load(Ordering::Relaxed)
    }
}
