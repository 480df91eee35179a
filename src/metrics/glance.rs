//! What nobody keeps count of: it is read off the rooms when somebody asks.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Error, GaugeVec, IntGauge, IntGaugeVec, Opts};

use super::{Label, SessionState};

/// One look at the rooms.
#[derive(Clone, Debug, Default)]
pub struct Glance {
    /// As `/readyz` says it.
    pub ready: bool,
    /// Clients, by the place of their [`SessionState`].
    pub sessions: [usize; SessionState::VALUES.len()],
    pub tls_clients: usize,
    pub max_clients: usize,
    pub pools: Vec<PoolGlance>,
}

/// One target and the connections to it.
#[derive(Clone, Debug, Default)]
pub struct PoolGlance {
    pub target: String,
    pub max: usize,
    pub idle: usize,
    pub borrowed: usize,
    pub dialing: usize,
    pub closing: usize,
    pub waiting: usize,
    /// Of a replica that says it.
    pub lag_seconds: Option<f64>,
}

type Look = dyn Fn() -> Glance + Send + Sync;

pub(super) struct Glances {
    look: Box<Look>,
    descriptions: Vec<Desc>,
}

/// Made anew for each look: a target that is gone is not told of, and two who ask at once do not mix.
struct Gauges {
    ready: IntGauge,
    sessions: IntGaugeVec,
    tls_clients: IntGauge,
    max_clients: IntGauge,
    connections: IntGaugeVec,
    max: IntGaugeVec,
    waiting: IntGaugeVec,
    lag: GaugeVec,
}

impl Glances {
    pub(super) fn new(look: impl Fn() -> Glance + Send + Sync + 'static) -> Result<Self, Error> {
        let gauges = Gauges::new()?;
        let descriptions = gauges.all().into_iter().flat_map(Collector::desc).cloned().collect();
        Ok(Self { look: Box::new(look), descriptions })
    }
}

impl Collector for Glances {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let glance = (self.look)();
        let shown = Gauges::new().and_then(|gauges| {
            gauges.show(&glance)?;
            Ok(gauges.all().into_iter().flat_map(Collector::collect).collect())
        });
        shown.unwrap_or_default()
    }
}

impl Gauges {
    fn new() -> Result<Self, Error> {
        let many = |name: &str, help: &str, labels: &[&str]| {
            IntGaugeVec::new(Opts::new(name, help), labels)
        };
        Ok(Self {
            ready: IntGauge::new("tidegate_ready", "1 while statements can be served.")?,
            sessions: many(
                "tidegate_client_sessions",
                "Clients, by what they are at.",
                &["state"],
            )?,
            tls_clients: IntGauge::new(
                "tidegate_client_tls_connections",
                "Clients connected over TLS now.",
            )?,
            max_clients: IntGauge::new(
                "tidegate_client_connections_max",
                "The bound on clients that are logged in.",
            )?,
            connections: many(
                "tidegate_pool_connections",
                "Connections to a target, by state.",
                &["target", "state"],
            )?,
            max: many(
                "tidegate_pool_connections_max",
                "The bound on connections to a target.",
                &["target"],
            )?,
            waiting: many(
                "tidegate_pool_waiting",
                "Statements that wait for a connection to a target.",
                &["target"],
            )?,
            lag: GaugeVec::new(
                Opts::new("tidegate_target_lag_seconds", "How far a replica says it is behind."),
                &["target"],
            )?,
        })
    }

    fn show(&self, glance: &Glance) -> Result<(), Error> {
        self.ready.set(glance.ready.into());
        self.tls_clients.set(whole(glance.tls_clients));
        self.max_clients.set(whole(glance.max_clients));
        for (state, count) in SessionState::VALUES.iter().zip(glance.sessions) {
            self.sessions.get_metric_with_label_values(&[*state])?.set(whole(count));
        }
        for pool in &glance.pools {
            let target = pool.target.as_str();
            let states = [
                ("idle", pool.idle),
                ("borrowed", pool.borrowed),
                ("dialing", pool.dialing),
                ("closing", pool.closing),
            ];
            for (state, count) in states {
                let one = self.connections.get_metric_with_label_values(&[target, state])?;
                one.set(whole(count));
            }
            self.max.get_metric_with_label_values(&[target])?.set(whole(pool.max));
            self.waiting.get_metric_with_label_values(&[target])?.set(whole(pool.waiting));
            if let Some(lag) = pool.lag_seconds {
                self.lag.get_metric_with_label_values(&[target])?.set(lag);
            }
        }
        Ok(())
    }

    fn all(&self) -> [&dyn Collector; 8] {
        let Self { ready, sessions, tls_clients, max_clients, connections, max, waiting, lag } =
            self;
        [ready, sessions, tls_clients, max_clients, connections, max, waiting, lag]
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::metrics::{Labels, Metrics};

    fn pool(target: &str) -> PoolGlance {
        let lag_seconds = (target == "second").then_some(1.5);
        let target = target.to_owned();
        PoolGlance { target, max: 9, borrowed: 3, waiting: 2, lag_seconds, ..PoolGlance::default() }
    }

    #[test]
    fn it_shows_what_is_there_when_asked() {
        let metrics = Metrics::new(&Labels::default()).unwrap();
        let glance = Arc::new(Mutex::new(Glance {
            ready: true,
            sessions: [0, 7, 0, 2, 1],
            tls_clients: 4,
            max_clients: 100,
            pools: vec![pool("first"), pool("second")],
        }));
        let seen = Arc::clone(&glance);
        metrics.observe_rooms(move || seen.lock().unwrap().clone()).unwrap();
        let text = metrics.render();
        for line in [
            "tidegate_ready 1",
            "tidegate_client_sessions{state=\"idle\"} 7",
            "tidegate_client_sessions{state=\"waiting\"} 2",
            "tidegate_client_tls_connections 4",
            "tidegate_client_connections_max 100",
            "tidegate_pool_connections{state=\"borrowed\",target=\"first\"} 3",
            "tidegate_pool_connections_max{target=\"second\"} 9",
            "tidegate_pool_waiting{target=\"first\"} 2",
            "tidegate_target_lag_seconds{target=\"second\"} 1.5",
        ] {
            assert!(text.lines().any(|said| said == line), "{line}\n{text}");
        }
        assert!(!text.contains("tidegate_target_lag_seconds{target=\"first\"}"), "{text}");
        glance.lock().unwrap().pools.pop();
        assert!(!metrics.render().contains("\"second\""), "a target that is gone is not told of");
    }
}
