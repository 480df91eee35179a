//! A duration that others read while a reload changes it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// In milliseconds, as a configuration is written. Zero is no limit, where that is allowed. Reading it
/// is a plain load.
#[derive(Debug, Default)]
pub struct LiveDuration(AtomicU64);

impl LiveDuration {
    pub fn new(duration: Duration) -> Self {
        let live = Self::default();
        live.set(duration);
        live
    }

    pub fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }

    /// `None`: as long as it likes.
    pub fn limit(&self) -> Option<Duration> {
        Some(self.get()).filter(|limit| !limit.is_zero())
    }

    pub fn set(&self, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.0.store(millis, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_it_was_set_to() {
        let live = LiveDuration::new(Duration::from_millis(1500));
        assert_eq!(live.get(), Duration::from_millis(1500));
        live.set(Duration::ZERO);
        assert_eq!(live.limit(), None);
        live.set(Duration::from_secs(2));
        assert_eq!(live.limit(), Some(Duration::from_secs(2)));
    }
}
