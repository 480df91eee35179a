//! The connections to targets.

use prometheus::{Error, Histogram, IntCounter, IntGauge};

use super::make::{Make, WAIT_SECONDS};
use super::{By, DialOutcome, Family, Labels, ServerState, Targets};

#[derive(Debug)]
pub struct Server {
    pub connections: By<ServerState, IntGauge>,
    /// The bound, over all targets.
    pub connections_max: IntGauge,
    pub dials: By<DialOutcome>,
    /// Of those that became ready: from the connect to the end of the setup.
    pub login_seconds: Histogram,
    /// Of those, the ones over TLS.
    pub logins_tls: IntCounter,
    /// By the index in [`Labels::server_closes`].
    pub closes: Family,
    /// On all connections.
    pub statements: IntGauge,
    pub targets: Targets,
    pub failovers: IntCounter,
    pub orphans: IntCounter,
}

impl Server {
    pub(super) fn new(make: &Make<'_>, labels: &Labels<'_>) -> Result<Self, Error> {
        Ok(Self {
            connections: make.gauges_by(
                "tidegate_server_connections",
                "Connections to targets now, by state.",
                "state",
            )?,
            connections_max: make.gauge(
                "tidegate_server_connections_max",
                "The bound on connections to all targets together.",
            )?,
            dials: make.by(
                "tidegate_server_dials_total",
                "Attempts to connect to a target, by outcome.",
                "outcome",
            )?,
            login_seconds: make.seconds(
                "tidegate_server_login_seconds",
                "How long it took to connect to a target, to log in and to set up.",
                &WAIT_SECONDS,
            )?,
            logins_tls: make.counter(
                "tidegate_server_logins_tls_total",
                "Connections to targets that were made over TLS.",
            )?,
            closes: make.counters(
                "tidegate_server_closes_total",
                "Connections to targets closed, by why.",
                "reason",
                labels.server_closes,
            )?,
            statements: make.gauge(
                "tidegate_server_statements",
                "Prepared statements on all connections to targets now.",
            )?,
            targets: Targets::new(
                make.gauges_by_name(
                    "tidegate_target_up",
                    "1 while the target answers, where there are several.",
                    "target",
                )?,
                make.gauges_by_name(
                    "tidegate_target_primary",
                    "1 for the target that takes the statements.",
                    "target",
                )?,
                labels.targets,
            )?,
            failovers: make.counter(
                "tidegate_failovers_total",
                "How often another target became the primary.",
            )?,
            orphans: make.counter(
                "tidegate_orphans_ended_total",
                "Connections of a dead Tidegate that were ended on a target.",
            )?,
        })
    }
}
