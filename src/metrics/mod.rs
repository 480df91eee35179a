//! What is counted and measured, and its text for Prometheus.
//!
//! It owns the name, the help and the labels of every metric. It never looks a label up by its
//! words while a client waits: each metric is a handle, resolved once. It never counts by itself;
//! the rooms do.

mod borrow;
mod client;
mod config;
mod counted;
mod distribution;
mod family;
mod glance;
mod labels;
mod make;
mod secrets;
mod server;
mod session;
mod targets;
mod tasks;

use std::sync::Arc;

use prometheus::{Registry, TextEncoder};

pub use borrow::Borrow;
pub use client::Client;
pub use config::Config;
pub use counted::Counted;
pub use distribution::Distribution;
pub use family::{By, Family, Label};
pub use glance::{Glance, PoolGlance};
pub use labels::{
    BorrowFailure, BorrowWay, Cure, DialOutcome, Direction, Labels, LoginOutcome, PrepareWay,
    ServerState, SessionState, Side,
};
use make::Make;
pub use secrets::Secrets;
pub use server::Server;
pub use session::Session;
pub use targets::{Target, Targets};

/// The type of [`Metrics::render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub client: Client,
    pub server: Server,
    pub borrow: Borrow,
    pub session: Session,
    pub secrets: Secrets,
    pub config: Config,
    pub errors: By<Side>,
}

impl Metrics {
    /// Built once, shared by all. An error is a name or a label of ours that Prometheus does not
    /// allow.
    pub fn new(labels: &Labels<'_>) -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let make = Make { registry: &registry };
        make.build_info()?;
        make.process()?;
        let client = Client::new(&make, labels)?;
        let server = Server::new(&make, labels)?;
        let borrow = Borrow::new(&make)?;
        let session = Session::new(&make, labels)?;
        let secrets = Secrets::new(&make)?;
        let config = Config::new(&make)?;
        let errors = make.by("tidegate_errors_total", "Errors, by whose fault.", "side")?;
        Ok(Arc::new(Self { registry, client, server, borrow, session, secrets, config, errors }))
    }

    /// Has the tasks of the process counted whenever the metrics are read.
    pub fn observe_tasks(
        &self,
        count: impl Fn() -> Vec<(&'static str, usize)> + Send + Sync + 'static,
    ) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(tasks::Tasks::new(count)?))
    }

    /// Has the rooms looked at whenever the metrics are read.
    pub fn observe_rooms(
        &self,
        look: impl Fn() -> Glance + Send + Sync + 'static,
    ) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(glance::Glances::new(look)?))
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: Labels<'_> = Labels {
        pins: &["transaction", "lock"],
        client_closes: &["quit"],
        refusals: &["1040"],
        server_closes: &["lifetime"],
        targets: &["primary"],
    };

    #[test]
    fn what_is_counted_is_said() {
        let metrics = Metrics::new(&LABELS).unwrap();
        metrics.client.connections.set(3);
        metrics.client.queries.at(0x03).inc_by(7);
        metrics.session.pins.at(1).inc();
        metrics.session.pinned.at(1).set(2);
        metrics.server.connections.of(ServerState::Dialing).inc();
        metrics.client.bytes.of(Direction::Out).inc_by(100);
        metrics.borrow.wait.observe(0.003);
        let text = metrics.render();
        for line in [
            "tidegate_client_connections 3",
            "tidegate_queries_total{command=\"query\"} 7",
            "tidegate_pins_total{reason=\"lock\"} 1",
            "tidegate_pinned{reason=\"lock\"} 2",
            "tidegate_pinned{reason=\"transaction\"} 0",
            "tidegate_server_connections{state=\"dialing\"} 1",
            "tidegate_client_bytes_total{direction=\"out\"} 100",
            "tidegate_borrow_wait_seconds_bucket{le=\"0.0025\"} 0",
            "tidegate_borrow_wait_seconds_bucket{le=\"0.005\"} 1",
            "tidegate_borrow_wait_seconds_count 1",
            concat!("tidegate_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|said| said == line), "{line}\n{text}");
        }
    }

    #[test]
    fn what_is_on_no_list_is_counted_too() {
        let metrics = Metrics::new(&LABELS).unwrap();
        metrics.session.pins.at(99).inc();
        metrics.client.queries.at(0x00).inc();
        metrics.client.queries.at(0xff).inc();
        let text = metrics.render();
        assert!(text.contains("tidegate_pins_total{reason=\"other\"} 1\n"), "{text}");
        assert!(text.contains("tidegate_queries_total{command=\"other\"} 2\n"), "{text}");
        assert!(!text.contains("command=\"\""), "{text}");
    }

    #[test]
    fn tasks_are_counted_when_asked() {
        let metrics = Metrics::new(&Labels::default()).unwrap();
        metrics.observe_tasks(|| vec![("session", 12), ("probe", 1)]).unwrap();
        let text = metrics.render();
        assert!(text.contains("tidegate_tasks{task=\"session\"} 12\n"), "{text}");
    }

    #[test]
    fn one_process_many_registries() {
        let (one, two) =
            (Metrics::new(&LABELS).unwrap(), Metrics::new(&Labels::default()).unwrap());
        one.client.connections_total.inc();
        assert_eq!(two.client.connections_total.get(), 0);
    }

    /// Base units, counters end in `_total`, every family has a help.
    #[test]
    fn names_follow_the_rules() {
        let text = Metrics::new(&LABELS).unwrap().render();
        for line in text.lines().filter(|line| line.starts_with("# TYPE tidegate_")) {
            let (name, kind) = line["# TYPE ".len()..].split_once(' ').unwrap();
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(kind != "histogram" || name.ends_with("_seconds"), "{line}");
            assert!(text.contains(&format!("# HELP {name} ")), "{line}");
        }
    }
}
