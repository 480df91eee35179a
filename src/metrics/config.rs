//! The configuration: which is in force, and since when.

use prometheus::{Error, IntCounter, IntGauge};

use super::make::Make;

#[derive(Debug)]
pub struct Config {
    pub generation: IntGauge,
    pub reload_failures: IntCounter,
    /// Seconds since 1970.
    pub read: IntGauge,
    pub restart_pending: IntGauge,
}

impl Config {
    pub(super) fn new(make: &Make<'_>) -> Result<Self, Error> {
        Ok(Self {
            generation: make.gauge(
                "tidegate_config_generation",
                "How often the configuration in force has changed, and one.",
            )?,
            reload_failures: make.counter(
                "tidegate_config_reload_failures_total",
                "New configurations that were refused as they were wrong, or could not be read.",
            )?,
            read: make.gauge(
                "tidegate_config_read_timestamp_seconds",
                "When the configuration was last read and found good.",
            )?,
            restart_pending: make.gauge(
                "tidegate_config_restart_pending",
                "Settings of the last good configuration that wait for a restart.",
            )?,
        })
    }
}
