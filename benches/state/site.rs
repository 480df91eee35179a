//! A way to the server with its clients, and what is measured of it.

use std::{collections::BTreeMap, fs, time::Duration};

use crate::{
    calls::{Calls, Counting},
    clients::{self, CLIENTS, Client, Protocol},
    support::{
        servers::Server,
        tidegate::{Config, Tidegate},
    },
};

pub struct Site {
    pub name: String,
    tidegate: Option<Tidegate>,
    clients: Vec<Client>,
}

/// Of one round.
#[derive(Clone, Debug)]
pub struct Figures {
    pub a_second: f64,
    pub p50: Duration,
    pub p99: Duration,
    /// Of the Tidegate process, user and system, in microseconds a query.
    pub cpu: f64,
    /// Of a hundred borrows, by how they were come by.
    pub ways: BTreeMap<String, f64>,
}

impl Site {
    /// `bound`: through a Tidegate with so many server connections. `state`: each client has its own.
    pub fn open(server: &Server, bound: Option<u32>, state: bool) -> Self {
        let tidegate = bound.map(|bound| {
            let pool = format!("max_connections = {bound}");
            Tidegate::start(Config::to(server).section("pool", &pool))
        });
        let address = tidegate.as_ref().map_or(server.address(), Tidegate::address);
        let log_in = |number| Client::log_in(&address, number, state).expect("a client logs in");
        let clients = (0..CLIENTS).map(log_in).collect();
        let name = match bound {
            None => "straight".to_owned(),
            Some(bound) => {
                let state = if state { "a state each" } else { "no state" };
                format!("max_connections = {bound}, {state}")
            }
        };
        Self { name, tidegate, clients }
    }

    pub fn run(&mut self, protocol: Protocol, length: Duration) -> Figures {
        let (cpu, ways) = (self.cpu_ticks(), self.borrows());
        let (latencies, took) = clients::run(&mut self.clients, protocol, length);
        let queries = number(latencies.len());
        let at = |percent: usize| latencies[latencies.len() * percent / 100];
        let later = self.borrows();
        let all: f64 = later.values().sum::<f64>() - ways.values().sum::<f64>();
        let share = |way: &String, count: f64| {
            let before = ways.get(way).copied().unwrap_or_default();
            100.0 * (count - before) / all.max(1.0)
        };
        Figures {
            a_second: queries / took.as_secs_f64(),
            p50: at(50),
            p99: at(99),
            cpu: (self.cpu_ticks() - cpu) * TICK / queries,
            ways: later.iter().map(|(way, count)| (way.clone(), share(way, *count))).collect(),
        }
    }

    /// Whose state is not what it was; none, or the figures are worth nothing.
    pub fn strangers(&mut self) -> usize {
        let clients = self.clients.iter_mut().enumerate();
        clients.filter_map(|(number, client)| client.check(number).ok()).filter(|own| !own).count()
    }

    /// `None` without strace or Tidegate.
    pub fn calls(&mut self, protocol: Protocol, length: Duration) -> Option<Calls> {
        let counting = Counting::start(self.tidegate.as_ref()?.pid()).ok()?;
        let (latencies, _) = clients::run(&mut self.clients, protocol, length);
        counting.stop(latencies.len() as u64).ok()
    }

    fn cpu_ticks(&self) -> f64 {
        let Some(tidegate) = &self.tidegate else { return 0.0 };
        let stat = fs::read_to_string(format!("/proc/{}/stat", tidegate.pid())).unwrap_or_default();
        // The name, in parentheses, may hold spaces; user and system time are the 14th and 15th.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum()
    }

    fn borrows(&self) -> BTreeMap<String, f64> {
        let Some(tidegate) = &self.tidegate else { return BTreeMap::new() };
        let way = |series: &str| {
            let way = series.strip_prefix("tidegate_borrows_total{way=\"")?;
            way.strip_suffix("\"}").map(str::to_owned)
        };
        let metrics = tidegate.metrics().into_iter();
        metrics.filter_map(|(series, count)| Some((way(&series)?, count))).collect()
    }
}

/// In microseconds: Linux counts the time of processes in hundredths of a second.
const TICK: f64 = 10_000.0;

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
