//! One of what a gauge counts, for as long as this lives.

use prometheus::IntGauge;

pub struct Counted<'a>(&'a IntGauge);

impl<'a> Counted<'a> {
    pub fn one(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}
