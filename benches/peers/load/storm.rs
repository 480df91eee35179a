//! Clients that come, ask once and leave, so many at a time.

use std::time::{Duration, Instant};

use tokio::{runtime::Runtime, task::JoinSet, time::timeout};

use super::{GRACE, Load, Outcome, Tally};
use crate::{client::Client, door::Door, support::client::Error};

pub struct Storm {
    /// Two threads: with TLS the client's half of a handshake is as dear as the other's.
    runtime: Runtime,
    door: Door,
    at_once: usize,
}

impl Storm {
    pub fn open(door: Door, at_once: usize) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|why| why.to_string())?;
        Ok(Self { runtime, door, at_once })
    }
}

impl Load for Storm {
    fn run(&mut self, length: Duration) -> Result<Outcome, String> {
        let began = Instant::now();
        let end = began + length;
        let running = async {
            let mut tasks = JoinSet::new();
            for _ in 0..self.at_once {
                tasks.spawn(come_and_go(self.door.clone(), end));
            }
            tasks.join_all().await
        };
        let ended = self
            .runtime
            .block_on(async { timeout(length + GRACE, running).await })
            .map_err(|_| format!("a client has no answer after {GRACE:?}"))?;
        let took = began.elapsed();
        let mut tally = Tally::default();
        for its in ended {
            tally.add(its);
        }
        let resumed = self.door.tls.is_some().then_some(tally.resumed);
        Ok(Outcome { resumed, ..tally.outcome(took) })
    }
}

async fn come_and_go(door: Door, end: Instant) -> Tally {
    let mut tally = Tally::default();
    loop {
        let began = Instant::now();
        if began >= end {
            return tally;
        }
        match live(&door).await {
            Ok(resumed) => {
                tally.took.push(began.elapsed());
                tally.resumed += u64::from(resumed);
            }
            Err(why) => tally.fail(&why),
        }
    }
}

/// Whether its TLS session was an earlier one's.
async fn live(door: &Door) -> Result<bool, Error> {
    let mut client = Client::log_in(door).await?;
    client.query("SELECT 1").await?;
    let resumed = client.resumed;
    client.quit().await;
    Ok(resumed)
}
