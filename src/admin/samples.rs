//! One moment of each second, and the last minutes of them.
//!
//! Pure: what is read from the metrics is handed in.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// One second. Rates are of this second, the rest is what was so at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Milliseconds since 1970.
    pub time: u64,
    /// Statements received, a second.
    pub statements: f64,
    /// Milliseconds from a request to the end of its reply; `None` where none was timed.
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    /// Milliseconds that those waited who had to wait for a connection.
    pub wait_p95_ms: Option<f64>,
    pub errors: f64,
    pub bytes_in: f64,
    pub bytes_out: f64,
    pub logins: f64,
    pub clients: u64,
    pub idle: u64,
    pub borrowed: u64,
    pub dialing: u64,
    pub waiting: u64,
    pub pinned: u64,
}

/// Bounded; the oldest go.
#[derive(Debug, Default)]
pub struct Samples(VecDeque<Sample>);

impl Samples {
    /// Five minutes.
    pub const MOST: usize = 300;

    pub fn push(&mut self, sample: Sample) {
        if self.0.len() >= Self::MOST {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    pub fn last(&self) -> Sample {
        self.0.back().copied().unwrap_or_default()
    }

    pub fn all(&self) -> Vec<Sample> {
        self.0.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minutes_are_kept() {
        let mut samples = Samples::default();
        assert_eq!(samples.last(), Sample::default());
        for time in 0..400 {
            samples.push(Sample { time, ..Sample::default() });
        }
        let all = samples.all();
        assert_eq!((all.len(), all[0].time, samples.last().time), (Samples::MOST, 100, 399));
    }
}
