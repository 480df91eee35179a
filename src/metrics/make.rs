//! Makes each kind of metric and puts it on the registry, once.

use prometheus::core::Collector;
use prometheus::{
    Error, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use super::family::{By, Family, Label};
use super::labels::SPARE;

pub(super) struct Make<'r> {
    pub(super) registry: &'r Registry,
}

/// From a statement that finds all it asks for in memory to the longest anybody waits.
pub(super) const WAIT_SECONDS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0, 60.0,
];

/// What passes a proxy takes microseconds, where nothing is wrong.
pub(super) const WORK_SECONDS: [f64; 14] = [
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01,
    0.025, 0.1, 1.0,
];

impl Make<'_> {
    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter, Error> {
        self.register(IntCounter::new(name, help)?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, Error> {
        self.register(IntGauge::new(name, help)?)
    }

    pub(super) fn seconds(
        &self,
        name: &str,
        help: &str,
        bounds: &[f64],
    ) -> Result<Histogram, Error> {
        let opts = HistogramOpts::new(name, help).buckets(bounds.to_vec());
        self.register(Histogram::with_opts(opts)?)
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: &[&str],
    ) -> Result<Family, Error> {
        let vec = self.register(IntCounterVec::new(Opts::new(name, help), &[label])?)?;
        family(values, SPARE, |value| vec.get_metric_with_label_values(&[value]))
    }

    pub(super) fn gauges(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: &[&str],
    ) -> Result<Family<IntGauge>, Error> {
        let vec = self.register(IntGaugeVec::new(Opts::new(name, help), &[label])?)?;
        family(values, SPARE, |value| vec.get_metric_with_label_values(&[value]))
    }

    /// One for each name there will be.
    pub(super) fn gauges_by_name(
        &self,
        name: &str,
        help: &str,
        label: &str,
    ) -> Result<IntGaugeVec, Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help), &[label])?)
    }

    pub(super) fn by<L: Label>(&self, name: &str, help: &str, label: &str) -> Result<By<L>, Error> {
        let vec = self.register(IntCounterVec::new(Opts::new(name, help), &[label])?)?;
        by(|value| vec.get_metric_with_label_values(&[value]))
    }

    pub(super) fn gauges_by<L: Label>(
        &self,
        name: &str,
        help: &str,
        label: &str,
    ) -> Result<By<L, IntGauge>, Error> {
        let vec = self.register(IntGaugeVec::new(Opts::new(name, help), &[label])?)?;
        by(|value| vec.get_metric_with_label_values(&[value]))
    }

    pub(super) fn build_info(&self) -> Result<(), Error> {
        let opts = Opts::new("tidegate_build_info", "Always 1; the version is the label.");
        let info = self.register(IntGaugeVec::new(opts, &["version"])?)?;
        info.get_metric_with_label_values(&[env!("CARGO_PKG_VERSION")])?.set(1);
        Ok(())
    }

    /// Memory, descriptors, threads, CPU time; where the system tells.
    pub(super) fn process(&self) -> Result<(), Error> {
        #[cfg(target_os = "linux")]
        self.registry
            .register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(())
    }

    fn register<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C, Error> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

/// Every value of such a label has its index, so none is spare.
fn by<L: Label, M: Clone>(child: impl Fn(&str) -> Result<M, Error>) -> Result<By<L, M>, Error> {
    let first = L::VALUES.first().copied().unwrap_or(SPARE);
    family(L::VALUES, first, child).map(By::new)
}

/// An empty value is a place in the list that nothing has; it is the spare's.
fn family<M: Clone>(
    values: &[&str],
    spare: &str,
    child: impl Fn(&str) -> Result<M, Error>,
) -> Result<Family<M>, Error> {
    let spare = child(spare)?;
    let one = |value: &&str| if value.is_empty() { Ok(spare.clone()) } else { child(value) };
    let known = values.iter().map(one).collect::<Result<_, _>>()?;
    Ok(Family::new(known, spare))
}
