//! How long statements take: of one in eight, for two looks at the clock and a histogram cost some
//! hundred instructions.
//!
//! A watch that runs is four bytes, as it lies in the future of every statement under way.

use std::num::NonZeroU32;
use std::time::Duration;

use super::serve::Session;

/// How many statements there are to one whose time is taken.
const ONE_IN: u8 = 8;

/// Microseconds of the registry's age at the start, modulo 2^32 (more than an hour).
#[derive(Clone, Copy)]
pub(super) struct Stopwatch(Option<NonZeroU32>);

impl Session {
    /// Runs, if it is this statement's turn.
    pub(super) fn start_watch(&mut self) -> Stopwatch {
        self.turn = self.turn.wrapping_add(1);
        let timed = self.turn.is_multiple_of(ONE_IN);
        Stopwatch(timed.then(|| NonZeroU32::new(self.age()).unwrap_or(NonZeroU32::MIN)))
    }

    pub(super) fn stop_watch(&self, watch: Stopwatch) {
        if let Some(began) = watch.0 {
            let took = Duration::from_micros(self.age().wrapping_sub(began.get()).into());
            self.shared.metrics.client.query_seconds.observe(took.as_secs_f64());
        }
    }

    fn age(&self) -> u32 {
        self.shared.registry.age().as_micros() as u32
    }
}
