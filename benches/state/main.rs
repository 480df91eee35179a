//! `make bench-state`: what it costs to bring a connection to another session's state.
//!
//! Sixteen clients select single rows without a pause, straight and through Tidegate; through
//! Tidegate without a state of their own, and with a schema, a `sql_mode`, a `time_zone` and two user
//! variables each. On few connections a client nearly always gets one that another has left; on
//! many it finds its own. All ways take turns, several rounds; what is printed are medians.
//!
//! `ROUNDS=5 SECONDS_EACH=3`. Loopback only; servers and data are gone at the end.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]
#![allow(clippy::expect_used, reason = "a benchmark that fails has no figures")]

#[path = "../peers/calls.rs"]
mod calls;
mod clients;
mod report;
mod site;
#[path = "../../tests/support/mod.rs"]
mod support;
mod tenant;

use std::time::Duration;

use calls::Calls;
use clients::Protocol;
use report::Column;
use site::{Figures, Site};
use support::servers::{Flavor, Options, Server};

/// Tidegate keeps one of them for KILL.
const FEW: u32 = 4;
const MANY: u32 = 32;

/// Places in `sites`.
const PLAIN_FEW: usize = 1;
const STATE_FEW: usize = 2;
const PLAIN_MANY: usize = 3;
const STATE_MANY: usize = 4;

fn main() {
    let setting = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default).max(1)
    };
    let rounds = setting("ROUNDS", 5);
    let length = Duration::from_secs(setting("SECONDS_EACH", 3));
    let flavor = Flavor::installed()[0];
    let server = Server::start(flavor, Options::default().max_connections(300));
    let version = server.root("SELECT VERSION()")[0][0].clone().unwrap_or_default();
    println!("{flavor:?} {version}, {rounds} rounds of {length:?} for each way and protocol");
    clients::prepare(&server);
    let mut sites = [
        Site::open(&server, None, false),
        Site::open(&server, Some(FEW), false),
        Site::open(&server, Some(FEW), true),
        Site::open(&server, Some(MANY), false),
        Site::open(&server, Some(MANY), true),
    ];
    let mut figures: Vec<[Vec<Figures>; 2]> = sites.iter().map(|_| Default::default()).collect();
    for round in 0..rounds {
        for (which, protocol) in Protocol::ALL.into_iter().enumerate() {
            let first = usize::try_from(round).unwrap_or_default();
            for turn in 0..sites.len() {
                let place = (first + turn) % sites.len();
                figures[place][which].push(sites[place].run(protocol, length));
            }
        }
        println!("round {} of {rounds}", round + 1);
    }
    let calls = count_calls(&mut sites, length);
    for place in [STATE_FEW, STATE_MANY] {
        let strangers = sites[place].strangers();
        assert_eq!(strangers, 0, "{}: clients with another's state", sites[place].name);
    }
    for (which, protocol) in Protocol::ALL.into_iter().enumerate() {
        let columns: Vec<Column<'_>> = sites
            .iter()
            .enumerate()
            .map(|(place, site)| Column {
                site,
                rounds: &figures[place][which],
                calls: calls[place][which],
            })
            .collect();
        report::print(protocol, &columns);
    }
    println!();
    for (which, protocol) in Protocol::ALL.into_iter().enumerate() {
        for (label, this, that) in [
            ("state restored at each switch / no state", STATE_FEW, PLAIN_FEW),
            ("own state found / no state", STATE_MANY, PLAIN_MANY),
            ("state restored / own state found", STATE_FEW, STATE_MANY),
        ] {
            let label = format!("{}, {label}", protocol.name());
            report::print_ratio(&label, &figures[this][which], &figures[that][which]);
        }
    }
}

fn count_calls(sites: &mut [Site], length: Duration) -> Vec<[Option<Calls>; 2]> {
    let of = |site: &mut Site| Protocol::ALL.map(|protocol| site.calls(protocol, length));
    sites.iter_mut().map(of).collect()
}
