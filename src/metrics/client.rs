//! The clients: who comes, what they ask, why they go.

use prometheus::{Error, Histogram, IntCounter, IntGauge};

use super::make::Make;
use super::{By, Direction, Family, Labels, LoginOutcome, labels};

#[derive(Debug)]
pub struct Client {
    pub connections: IntGauge,
    pub connections_total: IntCounter,
    /// By the index in [`Labels::client_closes`].
    pub closes: Family,
    pub logins: By<LoginOutcome>,
    /// That failed, and were told so late.
    pub logins_delayed: IntCounter,
    pub logging_in: IntGauge,
    /// By the command's byte on the wire.
    pub queries: Family,
    /// Of one statement in eight: from its request to the end of its reply.
    pub query_seconds: Histogram,
    pub bytes: By<Direction>,
}

impl Client {
    pub(super) fn new(make: &Make<'_>, labels: &Labels<'_>) -> Result<Self, Error> {
        Ok(Self {
            connections: make.gauge("tidegate_client_connections", "Clients connected now.")?,
            connections_total: make
                .counter("tidegate_client_connections_total", "Clients ever accepted.")?,
            closes: make.counters(
                "tidegate_client_closes_total",
                "Clients gone, by why.",
                "reason",
                labels.client_closes,
            )?,
            logins: make.by(
                "tidegate_logins_total",
                "Logins of clients, by outcome.",
                "outcome",
            )?,
            logins_delayed: make.counter(
                "tidegate_logins_delayed_total",
                "Failed logins whose answer was held back.",
            )?,
            logging_in: make
                .gauge("tidegate_client_logging_in", "Clients that have not logged in yet.")?,
            queries: make.counters(
                "tidegate_queries_total",
                "Commands of clients, by kind.",
                "command",
                labels::COMMANDS,
            )?,
            query_seconds: make.seconds(
                "tidegate_query_seconds",
                "How long statements took as clients see it, waiting included; of one in eight.",
            )?,
            bytes: make.by(
                "tidegate_client_bytes_total",
                "Bytes from (in) and to (out) clients.",
                "direction",
            )?,
        })
    }
}
