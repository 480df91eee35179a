//! The clients: who comes, what they ask, why they go.

use prometheus::{Error, Histogram, IntCounter, IntGauge};

use super::make::{Make, WAIT_SECONDS, WORK_SECONDS};
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
    /// From the greeting to the OK.
    pub login_seconds: Histogram,
    /// Of those, the ones over TLS.
    pub logins_tls: IntCounter,
    /// By the index in [`Labels::refusals`].
    pub refusals: Family,
    /// Of one statement in eight: from its request to the end of its reply.
    pub query_seconds: Histogram,
    /// Of the same: from when the request was sent to the end of what the target answered.
    pub target_seconds: Histogram,
    /// Of the same: the rest, without the wait for a connection.
    pub added_seconds: Histogram,
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
            login_seconds: make.seconds(
                "tidegate_login_seconds",
                "How long clients took to log in, from the greeting on.",
                &WAIT_SECONDS,
            )?,
            logins_tls: make.counter("tidegate_logins_tls_total", "Logins of clients over TLS.")?,
            refusals: make.counters(
                "tidegate_refusals_total",
                "Errors that clients were told by Tidegate itself, by their code.",
                "code",
                labels.refusals,
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
                &WAIT_SECONDS,
            )?,
            target_seconds: make.seconds(
                "tidegate_query_target_seconds",
                "How long the target took over statements; of one in eight.",
                &WAIT_SECONDS,
            )?,
            added_seconds: make.seconds(
                "tidegate_query_added_seconds",
                "What Tidegate added to statements, without waiting; of one in eight.",
                &WORK_SECONDS,
            )?,
            bytes: make.by(
                "tidegate_client_bytes_total",
                "Bytes from (in) and to (out) clients.",
                "direction",
            )?,
        })
    }
}
