//! The promise: a thousand clients on ten connections take turns, each as often as any other, and get
//! done together what ten of them would.
//!
//! `TIDEGATE_FAIRNESS_SECONDS` is another length than a few seconds; from a minute on it is also held
//! that they get it done within a tenth.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, clippy::cast_precision_loss, reason = "counts are small")]
#![allow(clippy::print_stdout, reason = "how long they waited is there to be read")]

mod support;

use std::time::{Duration, Instant};

use mysql_async::{Conn, OptsBuilder, prelude::Queryable};
use support::{
    servers::{Flavor, HOST, Options, PASSWORD, SCHEMA, Server, USER},
    tidegate::{Config, Tidegate},
};
use tokio::{runtime::Runtime, task::JoinSet};

/// One of the bound is kept for KILL.
const SEATS: usize = 10;
const CROWD: usize = 1000;

/// From here on the machine's own chance has evened out.
const LONG: Duration = Duration::from_secs(60);

/// Ten connections are what is short: each is kept busy while nobody needs a processor.
const KEEPS_A_CONNECTION: &str = "DO SLEEP(0.005)";
/// The processors are what is short, which clients, proxy and server share here.
const KEEPS_A_PROCESSOR: &str = "SELECT v FROM points WHERE id = 7";

fn length() -> Duration {
    let seconds = std::env::var("TIDEGATE_FAIRNESS_SECONDS");
    let number = |text: String| text.parse().expect("TIDEGATE_FAIRNESS_SECONDS is a number");
    Duration::from_secs(seconds.map_or(6, number))
}

#[test]
fn a_thousand_take_turns_on_ten_connections() {
    for flavor in Flavor::installed() {
        let (_server, tidegate) = start(flavor);
        let crowd = compare(&tidegate, flavor, KEEPS_A_CONNECTION, 0.9);
        let (mean, fewest) = (crowd.mean(), crowd.fewest());
        assert!(fewest >= mean / 2.0, "{flavor:?}: {fewest} turns of one, {mean:.1} of most");
        let wait = crowd.mean_wait();
        assert!(crowd.worst < 4 * wait, "{flavor:?}: {:?} beside {wait:?}", crowd.worst);
        assert_eq!(tidegate.metric("tidegate_borrow_failures_total"), 0.0, "{flavor:?}");
    }
}

/// How much of the processors' time it takes to queue is no promise; that all have their turns is.
#[test]
fn a_thousand_take_turns_where_the_processors_are_short() {
    let flavor = Flavor::installed()[0];
    let (_server, tidegate) = start(flavor);
    let crowd = compare(&tidegate, flavor, KEEPS_A_PROCESSOR, 0.0);
    let (mean, fewest) = (crowd.mean(), crowd.fewest());
    assert!(fewest >= mean / 2.0, "{flavor:?}: {fewest} turns of one, {mean:.1} of most");
}

fn start(flavor: Flavor) -> (Server, Tidegate) {
    let server = Server::start(flavor, Options::default());
    server.root("CREATE TABLE app.points (id INT PRIMARY KEY, v INT NOT NULL)");
    server.root("INSERT INTO app.points VALUES (7, 49)");
    let pool = format!("max_connections = {}\nborrow_timeout = \"60s\"", SEATS + 1);
    let tidegate = Tidegate::start(Config::to(&server).section("pool", &pool));
    (server, tidegate)
}

/// Ten, the crowd, and ten again, as the machine may not be what it was.
fn compare(tidegate: &Tidegate, flavor: Flavor, sql: &'static str, least: f64) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let length = length();
    let mut few = gather(&runtime, tidegate, SEATS);
    let mut many = gather(&runtime, tidegate, CROWD);
    // Every connection is there, and each client has had its first turn.
    drive(&runtime, &mut many, "SELECT 1", Duration::from_millis(500));
    let before = drive(&runtime, &mut few, sql, length / 4);
    let crowd = drive(&runtime, &mut many, sql, length);
    let after = drive(&runtime, &mut few, sql, length / 4);
    let alone = f64::midpoint(before.rate(), after.rate());
    let ratio = crowd.rate() / alone;
    println!(
        "{flavor:?}, {sql:?}, {length:?}: {CROWD} clients {:.0} a second, {SEATS} clients {alone:.0}, \
         ratio {ratio:.3}; turns of each {} to {}, mean {:.1}; waits: mean {:?}, worst {:?} (of {SEATS}: {:?})",
        crowd.rate(),
        crowd.fewest(),
        crowd.turns.iter().max().unwrap(),
        crowd.mean(),
        crowd.mean_wait(),
        crowd.worst,
        before.worst.max(after.worst),
    );
    assert!(length < LONG || ratio >= least, "{flavor:?}: {ratio:.3} of what ten get done");
    crowd
}

struct Tally {
    /// Of each client.
    turns: Vec<u64>,
    worst: Duration,
    took: Duration,
}

impl Tally {
    fn rate(&self) -> f64 {
        self.turns.iter().sum::<u64>() as f64 / self.took.as_secs_f64()
    }

    fn mean(&self) -> f64 {
        self.turns.iter().sum::<u64>() as f64 / self.turns.len() as f64
    }

    fn fewest(&self) -> f64 {
        self.turns.iter().copied().min().unwrap_or(0) as f64
    }

    fn mean_wait(&self) -> Duration {
        self.took.div_f64(self.mean())
    }
}

fn gather(runtime: &Runtime, tidegate: &Tidegate, count: usize) -> Vec<Conn> {
    let opts = OptsBuilder::default()
        .ip_or_hostname(HOST)
        .tcp_port(tidegate.port())
        .user(Some(USER))
        .pass(Some(PASSWORD))
        .db_name(Some(SCHEMA))
        .prefer_socket(false);
    runtime.block_on(async {
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(Conn::new(opts.clone()).await.unwrap());
        }
        all
    })
}

/// Each asks without a pause; no error is allowed for.
fn drive(runtime: &Runtime, clients: &mut Vec<Conn>, sql: &'static str, length: Duration) -> Tally {
    let began = Instant::now();
    let end = began + length;
    let mut tally = Tally { turns: Vec::new(), worst: Duration::ZERO, took: length };
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for mut client in std::mem::take(clients) {
            tasks.spawn(async move {
                let (mut turns, mut worst) = (0_u64, Duration::ZERO);
                while Instant::now() < end {
                    let asked = Instant::now();
                    client.query_drop(sql).await.unwrap();
                    worst = worst.max(asked.elapsed());
                    turns += 1;
                }
                (client, turns, worst)
            });
        }
        for (client, turns, worst) in tasks.join_all().await {
            clients.push(client);
            tally.turns.push(turns);
            tally.worst = tally.worst.max(worst);
        }
    });
    tally.took = began.elapsed();
    tally
}
