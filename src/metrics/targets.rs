//! What is said of each target, by its name.

use prometheus::{Error, IntGauge, IntGaugeVec};

/// Targets come and go; who is looked at often keeps its handles.
#[derive(Debug)]
pub struct Targets {
    up: IntGaugeVec,
    primary: IntGaugeVec,
    /// For a name that Prometheus would not take; it is on no registry.
    spare: IntGauge,
}

/// The handles of one.
#[derive(Clone, Debug)]
pub struct Target {
    pub up: IntGauge,
    pub primary: IntGauge,
}

impl Targets {
    pub(super) fn new(
        up: IntGaugeVec,
        primary: IntGaugeVec,
        names: &[&str],
    ) -> Result<Self, Error> {
        let spare = IntGauge::new("spare", "Of no target.")?;
        let targets = Self { up, primary, spare };
        for name in names {
            targets.of(name);
        }
        Ok(targets)
    }

    pub fn of(&self, name: &str) -> Target {
        let handle = |of: &IntGaugeVec| {
            of.get_metric_with_label_values(&[name]).unwrap_or_else(|_| self.spare.clone())
        };
        Target { up: handle(&self.up), primary: handle(&self.primary) }
    }

    /// It is a target no longer.
    pub fn forget(&self, name: &str) {
        for of in [&self.up, &self.primary] {
            // An error says that there is none of that name.
            let _ = of.remove_label_values(&[name]);
        }
    }
}
