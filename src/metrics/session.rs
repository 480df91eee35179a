//! What sessions hold: pinned connections, prepared statements.

use prometheus::{Error, IntGauge};

use super::make::Make;
use super::{By, Cure, Family, Labels, PrepareWay};

#[derive(Debug)]
pub struct Session {
    /// By the index in [`Labels::pins`].
    pub pins: Family,
    /// By the index in [`Labels::pins`]: held now.
    pub pinned: Family<IntGauge>,
    pub prepares: By<PrepareWay>,
    pub heals: By<Cure>,
    /// Prepared statements that clients hold.
    pub statements: IntGauge,
    /// Of those, the different ones.
    pub distinct: IntGauge,
    /// What those take.
    pub bytes: IntGauge,
}

impl Session {
    pub(super) fn new(make: &Make<'_>, labels: &Labels<'_>) -> Result<Self, Error> {
        Ok(Self {
            pins: make.counters(
                "tidegate_pins_total",
                "Connections that had to stay with their client, by why.",
                "reason",
                labels.pins,
            )?,
            pinned: make.gauges(
                "tidegate_pinned",
                "Connections that have to stay with their client now, by why.",
                "reason",
                labels.pins,
            )?,
            prepares: make.by(
                "tidegate_prepares_total",
                "Statements prepared on a target, for a client or once more elsewhere.",
                "way",
            )?,
            heals: make.by(
                "tidegate_heals_total",
                "Requests a target refused without running them and was sent again, by why.",
                "cause",
            )?,
            statements: make
                .gauge("tidegate_statements", "Prepared statements that clients hold now.")?,
            distinct: make.gauge(
                "tidegate_statements_distinct",
                "Different prepared statements that clients hold now.",
            )?,
            bytes: make.gauge(
                "tidegate_statements_bytes",
                "Memory of the different prepared statements that clients hold now.",
            )?,
        })
    }
}
