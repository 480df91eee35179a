//! `make bench-micro`, first half: how long a round of each case takes, by the clock.

#![allow(clippy::expect_used, reason = "a benchmark that fails has no figures")]

mod cases;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};

use cases::CASES;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for (name, make) in CASES {
        let mut case = make();
        let (room, what) = name.split_once('/').expect("a room and a name");
        let mut group = criterion.benchmark_group(room);
        if let Some(bytes) = case.bytes {
            group.throughput(Throughput::Bytes(bytes));
        }
        group.bench_function(what, |bencher| {
            bencher.iter_custom(|rounds| {
                let begun = Instant::now();
                case.run(rounds);
                begun.elapsed()
            });
        });
        group.finish();
    }
    criterion.final_summary();
}
