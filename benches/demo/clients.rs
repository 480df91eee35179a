//! The crowd: many clients, each with a short life and its own way of leaving.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::support::{
    client::{Error, Login, RawClient},
    servers::Server,
};

pub const CLIENTS: usize = 3000;
/// They come at this pace whatever becomes of those before them.
const A_SECOND: u32 = 300;
/// Twice in a life, so that about 400 live at once.
const THINK: Duration = Duration::from_millis(650);
/// More than ever live at once, so that a slow server finds no mercy.
const THREADS: usize = 1000;
const ACCOUNTS: usize = 1000;

pub const PLAN: &str = "\
3,000 clients come, 300 a second, about 400 at once. Each logs in, runs two queries, thinks 0.65 s,
runs a transaction of five statements, thinks again, and leaves: 60 % with COM_QUIT, a third without a
word, the rest frozen with the connection open until the end. Nobody tries twice.";

enum Leaving {
    Quit,
    Vanish,
    Freeze,
}

impl Leaving {
    fn of(client: usize) -> Self {
        match client % 15 {
            0 => Self::Freeze,
            1..=5 => Self::Vanish,
            _ => Self::Quit,
        }
    }
}

#[derive(Default)]
pub struct Outcome {
    /// What the lives of those served took, from their hour to the last answer, less their thought.
    pub lives: Vec<Duration>,
    pub logins: usize,
    /// How often each way to fail happened, by the server's error number; 0 is a broken connection.
    pub errors: BTreeMap<u16, (usize, String)>,
}

#[derive(Default)]
struct Shared {
    next: AtomicUsize,
    done: AtomicUsize,
    served: AtomicUsize,
    outcome: Mutex<Outcome>,
    frozen: Mutex<Vec<RawClient>>,
}

pub struct Crowd {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// The tables that the clients use.
pub fn prepare(server: &Server) {
    server.root("CREATE TABLE app.accounts (id INT PRIMARY KEY, balance BIGINT NOT NULL)");
    let rows: Vec<String> = (0..ACCOUNTS).map(|id| format!("({id}, 1000)")).collect();
    server.root(&format!("INSERT INTO app.accounts VALUES {}", rows.join(",")));
    server.root(
        "CREATE TABLE app.transfers (phase VARCHAR(20), client INT, PRIMARY KEY (phase, client))",
    );
}

/// Transfers that the server kept, to be held against those that clients were told of.
pub fn committed(server: &Server, phase: &str) -> usize {
    let count = format!("SELECT COUNT(*) FROM app.transfers WHERE phase = '{phase}'");
    server.root(&count)[0][0].as_ref().and_then(|count| count.parse().ok()).unwrap_or(0)
}

impl Crowd {
    pub fn start(phase: &str, address: &str) -> Self {
        let shared = Arc::new(Shared::default());
        let opening = Instant::now();
        let threads = (0..THREADS)
            .filter_map(|_| {
                let (shared, phase, address) =
                    (Arc::clone(&shared), phase.to_owned(), address.to_owned());
                std::thread::Builder::new()
                    .stack_size(128 << 10)
                    .spawn(move || shared.live(opening, &phase, &address))
                    .ok()
            })
            .collect();
        Self { shared, threads }
    }

    pub fn is_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Clients done, served, and not.
    pub fn progress(&self) -> (usize, usize, usize) {
        let (done, served) = (self.shared.done.load(Relaxed), self.shared.served.load(Relaxed));
        (done, served, done.saturating_sub(served))
    }

    /// Thaws nobody: the frozen are dropped as they are.
    pub fn finish(self) -> Outcome {
        for thread in self.threads {
            let _ = thread.join();
        }
        std::mem::take(&mut self.shared.outcome.lock().expect("no client panics"))
    }
}

impl Shared {
    /// One place of the crowd: a client after another until all have been.
    fn live(&self, opening: Instant, phase: &str, address: &str) {
        loop {
            let client = self.next.fetch_add(1, Relaxed);
            if client >= CLIENTS {
                return;
            }
            let born = opening + Duration::from_secs(client as u64) / A_SECOND;
            std::thread::sleep(born.saturating_duration_since(Instant::now()));
            let result = self.one_life(client, phase, address, born);
            let mut outcome = self.outcome.lock().expect("no client panics");
            match result {
                Ok(life) => {
                    outcome.lives.push(life);
                    self.served.fetch_add(1, Relaxed);
                }
                Err(error) => {
                    outcome.errors.entry(error.code()).or_insert((0, error.to_string())).0 += 1;
                }
            }
            drop(outcome);
            self.done.fetch_add(1, Relaxed);
        }
    }

    fn one_life(
        &self,
        client: usize,
        phase: &str,
        address: &str,
        born: Instant,
    ) -> Result<Duration, Error> {
        let mut connection = RawClient::login(address, &Login::app())?;
        self.outcome.lock().expect("no client panics").logins += 1;
        let (from, to) = (client % ACCOUNTS, (client * 7 + 1) % ACCOUNTS);

        connection.query("SELECT NOW()")?;
        connection.query(&format!("SELECT balance FROM accounts WHERE id = {from}"))?;
        std::thread::sleep(THINK);
        // The lower account first, or two transfers could lock each other out.
        let (first, change) = if from < to { (from, -1) } else { (to, 1) };
        let second = from.max(to);
        connection.query("START TRANSACTION")?;
        for (account, change) in [(first, change), (second, -change)] {
            connection.query(&format!(
                "UPDATE accounts SET balance = balance + {change} WHERE id = {account}"
            ))?;
        }
        connection.query(&format!("INSERT INTO transfers VALUES ('{phase}', {client})"))?;
        connection.query("COMMIT")?;
        let working = born.elapsed().saturating_sub(THINK);

        std::thread::sleep(THINK);
        match Leaving::of(client) {
            Leaving::Quit => connection.quit(),
            Leaving::Vanish => drop(connection),
            Leaving::Freeze => self.frozen.lock().expect("no client panics").push(connection),
        }
        Ok(working)
    }
}
