//! What a histogram has counted at one moment: two of them tell what came in between.

use prometheus::Histogram;
use prometheus::core::Metric;

/// How many values there were up to each bound, those of the bounds below included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    up_to: Vec<(f64, u64)>,
    all: u64,
}

impl Distribution {
    pub fn of(histogram: &Histogram) -> Self {
        let metric = histogram.metric();
        let counted = metric.get_histogram();
        let buckets = counted.get_bucket().iter();
        Self {
            up_to: buckets.map(|it| (it.upper_bound(), it.cumulative_count())).collect(),
            all: counted.get_sample_count(),
        }
    }

    pub fn count(&self) -> u64 {
        self.all
    }

    /// What has come since.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let then = |at: usize| before.up_to.get(at).map_or(0, |(_, count)| *count);
        let up_to = self.up_to.iter().enumerate();
        let up_to = up_to.map(|(at, (bound, count))| (*bound, count.saturating_sub(then(at))));
        Self { up_to: up_to.collect(), all: self.all.saturating_sub(before.all) }
    }

    /// The value that this share of all is not above, as near as the bounds tell: between two of
    /// them the values are taken to be spread evenly. `None`: there are none.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let float = |count: u64| count as f64;
        if self.all == 0 {
            return None;
        }
        let wanted = share * float(self.all);
        let mut below = (0.0, 0);
        for (bound, count) in self.up_to.iter().copied() {
            if float(count) >= wanted && count > below.1 {
                let into = (wanted - float(below.1)) / float(count - below.1);
                return Some(below.0 + (bound - below.0) * into.clamp(0.0, 1.0));
            }
            below = (bound, count);
        }
        // Above the last bound; how far is not known.
        Some(below.0)
    }
}

#[cfg(test)]
mod tests {
    use prometheus::HistogramOpts;

    use super::*;

    fn histogram() -> Histogram {
        let opts = HistogramOpts::new("seconds", "help").buckets(vec![1.0, 2.0, 4.0]);
        Histogram::with_opts(opts).unwrap()
    }

    #[test]
    fn a_share_of_the_values_is_below() {
        let histogram = histogram();
        assert_eq!(Distribution::of(&histogram).quantile(0.5), None);
        for value in [0.5, 0.5, 1.5, 1.5, 3.0, 3.0, 3.0, 3.0] {
            histogram.observe(value);
        }
        let seen = Distribution::of(&histogram);
        assert_eq!(seen.count(), 8);
        assert_eq!(seen.quantile(0.25), Some(1.0));
        assert_eq!(seen.quantile(0.5), Some(2.0));
        assert_eq!(seen.quantile(0.75), Some(3.0));
        histogram.observe(100.0);
        assert_eq!(Distribution::of(&histogram).quantile(1.0), Some(4.0), "as far as is known");
    }

    #[test]
    fn what_came_between_two_looks() {
        let histogram = histogram();
        histogram.observe(0.5);
        let before = Distribution::of(&histogram);
        histogram.observe(3.0);
        histogram.observe(3.0);
        let between = Distribution::of(&histogram).since(&before);
        assert_eq!((between.count(), between.quantile(0.5)), (2, Some(3.0)));
        assert_eq!(before.since(&before).quantile(0.9), None);
        assert_eq!(before.since(&Distribution::default()), before);
    }
}
