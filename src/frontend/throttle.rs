//! Failed logins, by where they come from.
//!
//! Owns the count of each source for a minute, within a bound on memory. A right password is never
//! made to wait for the wrong ones of others behind the same address: what is slowed is the answer
//! to a wrong one. Only where an operator asks for it is a user's login refused from an address, right
//! or wrong. Time is handed in.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::LiveDuration;

pub struct Throttle {
    delay: LiveDuration,
    /// Failures a minute of one user from one address; 0: as many as they like.
    most: AtomicU32,
    failures: Mutex<Known>,
    hash: RandomState,
}

#[derive(Default)]
struct Known {
    counts: HashMap<Source, Count>,
    /// Nearly all of it is blocked: until then no room is looked for.
    full_until: Option<Instant>,
}

/// A user by a hash: a stranger chooses how long a name is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Source {
    address: IpAddr,
    /// `None`: all of them.
    user: Option<u64>,
}

#[derive(Clone, Copy)]
struct Count {
    since: Instant,
    failures: u32,
}

const WINDOW: Duration = Duration::from_secs(60);

/// A mistyped password is told at once.
const FREE: u32 = 3;

/// Some 80 bytes each.
const MOST_SOURCES: usize = 16_384;

/// So much is made at once, as it takes a look at all.
const ROOM: usize = MOST_SOURCES / 8;
const PAUSE: Duration = Duration::from_secs(1);

impl Throttle {
    pub fn new(delay: Duration, most: u32) -> Self {
        let (failures, hash) = (Mutex::default(), RandomState::new());
        let (delay, most) = (LiveDuration::new(delay), AtomicU32::new(most));
        Self { delay, most, failures, hash }
    }

    /// What was counted stays counted.
    pub fn set(&self, delay: Duration, most: u32) {
        self.delay.set(delay);
        self.most.store(most, Ordering::Relaxed);
    }

    /// Has this user failed too often from there?
    pub(super) fn is_blocked(&self, peer: &str, user: &str, now: Instant) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        if most == 0 {
            return false;
        }
        let source = Source { address: address(peer), user: Some(self.hash.hash_one(user)) };
        let failures = self.failures();
        failures.counts.get(&source).is_some_and(|it| it.is_young(now) && it.blocks(&source, most))
    }

    /// A login has failed; returns how long its answer is to be held back.
    pub(super) fn failed(&self, peer: &str, user: &str, now: Instant) -> Duration {
        let address = address(peer);
        let most = self.most.load(Ordering::Relaxed);
        let mut failures = self.failures();
        if failures.counts.len() + 2 > MOST_SOURCES {
            make_room(&mut failures, most, now);
        }
        if most > 0 {
            let user = Some(self.hash.hash_one(user));
            count(&mut failures.counts, Source { address, user }, now);
        }
        let all = count(&mut failures.counts, Source { address, user: None }, now);
        if all > FREE { self.delay.get() } else { Duration::ZERO }
    }

    fn failures(&self) -> MutexGuard<'_, Known> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    fn is_young(self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < WINDOW
    }

    fn blocks(self, source: &Source, most: u32) -> bool {
        most > 0 && source.user.is_some() && self.failures >= most
    }
}

/// Forgets what is over, and else the oldest of what blocks nobody: many other failures are not to let
/// in who is blocked.
fn make_room(known: &mut Known, most: u32, now: Instant) {
    if known.full_until.is_some_and(|until| now < until) {
        return;
    }
    let counts = &mut known.counts;
    counts.retain(|_, count| count.is_young(now));
    if counts.len() > MOST_SOURCES - ROOM {
        let open = counts.iter().filter(|(source, count)| !count.blocks(source, most));
        let mut ages: Vec<Instant> = open.map(|(_, count)| count.since).collect();
        let last = ages.len().min(ROOM).checked_sub(1);
        if let Some(last) = last {
            let until = *ages.select_nth_unstable(last).1;
            counts.retain(|source, count| count.blocks(source, most) || count.since > until);
        }
    }
    let is_short = counts.len() > MOST_SOURCES - ROOM;
    known.full_until = is_short.then(|| now + PAUSE);
}

/// Where all there is room for is blocked, another is not counted, and slowed from the first.
fn count(failures: &mut HashMap<Source, Count>, source: Source, now: Instant) -> u32 {
    if failures.len() >= MOST_SOURCES && !failures.contains_key(&source) {
        return u32::MAX;
    }
    let count = failures.entry(source).or_insert(Count { since: now, failures: 0 });
    if !count.is_young(now) {
        *count = Count { since: now, failures: 0 };
    }
    count.failures = count.failures.saturating_add(1);
    count.failures
}

/// Of IPv6 the network, which is what one customer has. All of a unix socket are one source.
fn address(peer: &str) -> IpAddr {
    match peer.parse::<SocketAddr>().map(|peer| peer.ip().to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        Ok(address) => address,
        Err(_) => Ipv4Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(1);

    #[test]
    fn the_fourth_failure_of_an_address_is_answered_later() {
        let (throttle, now) = (Throttle::new(DELAY, 0), Instant::now());
        for user in ["a", "b", "c"] {
            assert_eq!(throttle.failed("10.0.0.1:5", user, now), Duration::ZERO);
        }
        assert_eq!(throttle.failed("10.0.0.1:6", "d", now), DELAY);
        assert_eq!(throttle.failed("[::ffff:10.0.0.1]:7", "e", now), DELAY);
        assert_eq!(throttle.failed("10.0.0.2:5", "a", now), Duration::ZERO);
        assert_eq!(throttle.failed("10.0.0.1:5", "a", now + WINDOW), Duration::ZERO);
        assert!(!throttle.is_blocked("10.0.0.1:5", "a", now), "nobody has asked for that");
    }

    #[test]
    fn a_user_is_blocked_from_one_address_where_that_is_asked_for() {
        let (throttle, now) = (Throttle::new(DELAY, 2), Instant::now());
        let (here, there) = ("[2001:db8::1]:5", "[2001:db8:0:1::1]:5");
        throttle.failed(here, "app", now);
        assert!(!throttle.is_blocked(here, "app", now));
        throttle.failed("[2001:db8::2]:5", "app", now);
        assert!(throttle.is_blocked(here, "app", now));
        assert!(!throttle.is_blocked(there, "app", now));
        assert!(!throttle.is_blocked(here, "other", now));
        assert!(!throttle.is_blocked(here, "app", now + WINDOW));
    }

    #[test]
    fn memory_has_a_bound() {
        let (throttle, now) = (Throttle::new(DELAY, 9), Instant::now());
        for n in 0..40_000_u32 {
            throttle.failed(&format!("{}:1", Ipv4Addr::from(n)), "app", now);
        }
        assert!(throttle.failures().counts.len() <= MOST_SOURCES);
    }

    #[test]
    fn who_is_blocked_stays_so_whatever_else_fails() {
        let (throttle, now) = (Throttle::new(DELAY, 2), Instant::now());
        let blocked = "10.0.0.1:5";
        for _ in 0..2 {
            throttle.failed(blocked, "app", now);
        }
        for n in 0..40_000_u32 {
            let later = now + Duration::from_micros(n.into());
            throttle.failed(&format!("{}:1", Ipv4Addr::from(n)), "app", later);
        }
        assert!(throttle.is_blocked(blocked, "app", now));
        assert!(throttle.failures().counts.len() <= MOST_SOURCES);
        // All at once, all blocked.
        for n in 0..40_000_u32 {
            let peer = format!("{}:1", Ipv4Addr::from(n));
            throttle.failed(&peer, "app", now);
            throttle.failed(&peer, "app", now);
        }
        assert!(throttle.is_blocked(blocked, "app", now));
        assert!(throttle.failures().counts.len() <= MOST_SOURCES);
        assert_eq!(throttle.failed("192.0.2.1:1", "app", now), DELAY);
    }
}
