//! The tasks of the process, counted when somebody asks.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts};

type Count = dyn Fn() -> Vec<(&'static str, usize)> + Send + Sync;

pub(super) struct Tasks {
    gauge: IntGaugeVec,
    count: Box<Count>,
}

impl Tasks {
    pub(super) fn new(
        count: impl Fn() -> Vec<(&'static str, usize)> + Send + Sync + 'static,
    ) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("tidegate_tasks", "Tasks that are running, by name.");
        Ok(Self { gauge: IntGaugeVec::new(opts, &["task"])?, count: Box::new(count) })
    }
}

impl Collector for Tasks {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for (name, running) in (self.count)() {
            let running = i64::try_from(running).unwrap_or(i64::MAX);
            self.gauge.with_label_values(&[name]).set(running);
        }
        self.gauge.collect()
    }
}
