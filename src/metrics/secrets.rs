//! The secrets: which are in force, and since when.

use prometheus::{Error, IntCounter, IntGauge};

use super::make::Make;

#[derive(Debug)]
pub struct Secrets {
    pub generation: IntGauge,
    pub reload_failures: IntCounter,
    /// Seconds since 1970.
    pub read: IntGauge,
    pub certificate_generation: IntGauge,
    pub certificate_failures: IntCounter,
    pub token_keys_generation: IntGauge,
    pub token_keys_failures: IntCounter,
}

impl Secrets {
    pub(super) fn new(make: &Make<'_>) -> Result<Self, Error> {
        Ok(Self {
            generation: make.gauge(
                "tidegate_secrets_generation",
                "How often the secrets in force have changed, and one.",
            )?,
            reload_failures: make.counter(
                "tidegate_secrets_reload_failures_total",
                "New secrets that were refused as they were wrong, or could not be read.",
            )?,
            read: make.gauge(
                "tidegate_secrets_read_timestamp_seconds",
                "When the secrets were last read and found good.",
            )?,
            certificate_generation: make.gauge(
                "tidegate_certificate_generation",
                "How often the certificates have been read again.",
            )?,
            certificate_failures: make.counter(
                "tidegate_certificate_reload_failures_total",
                "New certificates that were refused as they were wrong, or could not be read.",
            )?,
            token_keys_generation: make.gauge(
                "tidegate_token_keys_generation",
                "How often the keys of tokens have been read again.",
            )?,
            token_keys_failures: make.counter(
                "tidegate_token_keys_reload_failures_total",
                "New keys of tokens that were refused as they were wrong, or could not be read.",
            )?,
        })
    }
}
