//! Clients that stay: each asks, waits for the whole answer, and asks again.

use std::time::{Duration, Instant};

use tokio::{runtime::Runtime, task::JoinSet, time::timeout};

use super::{GRACE, Load, Outcome, Tally};
use crate::{client::Client, door::Door, support::client::Error};

/// What is asked, by the number of the asking.
pub type Statement = fn(u64) -> String;

pub struct Steady {
    // Before the runtime, which their sockets need to the end.
    clients: Vec<Client>,
    /// One thread: it has less to say to itself, and leaves more of the machine to the others.
    runtime: Runtime,
    statement: Statement,
}

impl Steady {
    /// `clients`: where each logs in, and what it says first.
    pub fn open(
        clients: Vec<(Door, Vec<String>)>,
        statement: Statement,
        large: bool,
    ) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|why| why.to_string())?;
        let all = clients.len();
        let opening = async {
            let mut opened = Vec::with_capacity(all);
            for (door, setup) in clients {
                let mut client = Client::log_in(&door).await?;
                for sql in setup {
                    client.query(&sql).await?;
                }
                opened.push(if large { client.with_large_buffer() } else { client });
            }
            Ok::<_, Error>(opened)
        };
        let clients = runtime
            .block_on(async { timeout(2 * GRACE, opening).await })
            .map_err(|_| format!("{all} clients are not logged in after {:?}", 2 * GRACE))?
            .map_err(|why| why.to_string())?;
        Ok(Self { clients, runtime, statement })
    }
}

impl Load for Steady {
    fn run(&mut self, length: Duration) -> Result<Outcome, String> {
        let (clients, statement) = (std::mem::take(&mut self.clients), self.statement);
        let all = clients.len();
        let began = Instant::now();
        let end = began + length;
        let running = async {
            let mut tasks = JoinSet::new();
            for (number, client) in clients.into_iter().enumerate() {
                tasks.spawn(ask(client, number as u64 * 61, statement, end));
            }
            tasks.join_all().await
        };
        let ended = self
            .runtime
            .block_on(async { timeout(length + GRACE, running).await })
            .map_err(|_| format!("a client has no answer after {GRACE:?}"))?;
        let took = began.elapsed();
        let mut tally = Tally::default();
        for (client, its) in ended {
            self.clients.extend(client);
            tally.add(its);
        }
        if self.clients.is_empty() {
            let why = tally.first_error.unwrap_or_default();
            return Err(format!("none of {all} clients has a connection any more: {why}"));
        }
        Ok(tally.outcome(took))
    }
}

/// Comes back without the client if its connection broke.
async fn ask(
    mut client: Client,
    mut turn: u64,
    statement: Statement,
    end: Instant,
) -> (Option<Client>, Tally) {
    let mut tally = Tally::default();
    let mut asked = Instant::now();
    while asked < end {
        turn += 1;
        match client.query(&statement(turn)).await {
            Ok(_) => {
                let answered = Instant::now();
                tally.took.push(answered - asked);
                asked = answered;
            }
            Err(why) => {
                tally.fail(&why);
                if matches!(why, Error::Io(_)) {
                    return (None, tally);
                }
                asked = Instant::now();
            }
        }
    }
    (Some(client), tally)
}
