//! Lines of the log that repeat are folded: the first few are said, and how many more there were.
//!
//! Pure: what is alike is told by a key, and the time is handed in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long it is counted before it is said how many more there were.
pub const WINDOW: Duration = Duration::from_secs(10);

/// Of one kind, in one window, that are said.
const SAID: u64 = 5;

/// Kinds that are counted at the same time; what is beyond is said.
const MOST: usize = 1000;

/// Keeps of each kind what is needed to say how many more there were.
pub struct Fold<W> {
    kinds: HashMap<u64, Kind<W>>,
}

struct Kind<W> {
    began: Instant,
    lines: u64,
    what: W,
}

/// How many more lines there were of a kind.
#[derive(Debug, PartialEq, Eq)]
pub struct More<W> {
    pub lines: u64,
    pub what: W,
}

impl<W> Default for Fold<W> {
    fn default() -> Self {
        Self { kinds: HashMap::new() }
    }
}

impl<W> Fold<W> {
    /// Is this line to be said? `what` is for [`More`].
    pub fn says(&mut self, key: u64, now: Instant, what: impl FnOnce() -> W) -> bool {
        if self.kinds.len() >= MOST && !self.kinds.contains_key(&key) {
            return true;
        }
        let fresh = || Kind { began: now, lines: 0, what: what() };
        let kind = self.kinds.entry(key).or_insert_with(fresh);
        kind.lines += 1;
        kind.lines <= SAID
    }

    /// The windows that are over; of those whose lines were not all said, how many were not.
    pub fn over(&mut self, now: Instant) -> Vec<More<W>> {
        let over =
            |_: &u64, kind: &mut Kind<W>| now.saturating_duration_since(kind.began) >= WINDOW;
        more(self.kinds.extract_if(over))
    }

    /// The same of all windows.
    pub fn end(&mut self) -> Vec<More<W>> {
        more(self.kinds.drain())
    }
}

fn more<W>(kinds: impl Iterator<Item = (u64, Kind<W>)>) -> Vec<More<W>> {
    let left = |(_, kind): (u64, Kind<W>)| More {
        lines: kind.lines.saturating_sub(SAID),
        what: kind.what,
    };
    kinds.map(left).filter(|more| more.lines > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_said_and_the_rest_are_counted() {
        let (mut fold, start) = (Fold::default(), Instant::now());
        let said = (0..46).filter(|_| fold.says(1, start, || "refused")).count();
        assert_eq!(said, 5);
        assert!(fold.says(2, start, || "another"), "another kind is not folded into it");
        assert_eq!(fold.over(start + WINDOW / 2), []);
        assert!(!fold.says(1, start + WINDOW / 2, || "refused"));
        let end = start + WINDOW;
        assert_eq!(fold.over(end), [More { lines: 42, what: "refused" }]);
        assert_eq!(fold.over(end), []);
        assert!(fold.says(1, end, || "refused"), "a new window begins");
        assert_eq!(fold.end(), [], "all of it was said");
    }

    #[test]
    fn what_is_left_is_told_at_the_end() {
        let (mut fold, start) = (Fold::default(), Instant::now());
        assert_eq!((0..7).filter(|_| fold.says(1, start, || 'a')).count(), 5);
        assert_eq!(fold.end(), [More { lines: 2, what: 'a' }]);
    }

    #[test]
    fn kinds_beyond_the_bound_are_all_said() {
        let (mut fold, start) = (Fold::default(), Instant::now());
        let kinds = u64::try_from(MOST).unwrap();
        (0..kinds).for_each(|key| assert!(fold.says(key, start, || ())));
        assert!((0..100).all(|_| fold.says(kinds, start, || ())));
    }
}
