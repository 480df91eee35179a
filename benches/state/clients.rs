//! Sixteen clients, each on a thread of its own, that select one row after the other.

use std::{
    sync::Barrier,
    time::{Duration, Instant},
};

use crate::{
    support::{
        binary::{Statement, Value},
        client::{Error, Login, RawClient, capability},
        servers::Server,
    },
    tenant::{own_schema, own_state},
};

pub const CLIENTS: usize = 16;
const ROWS: usize = 1000;
const SELECT: &str = "SELECT v FROM points WHERE id = ";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Text,
    Prepared,
}

impl Protocol {
    pub const ALL: [Self; 2] = [Self::Text, Self::Prepared];

    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Prepared => "prepared",
        }
    }
}

/// The same table in a schema for each client, and in the one that all share.
pub fn prepare(server: &Server) {
    let rows: Vec<String> = (0..ROWS).map(|id| format!("({id}, {})", id * 7)).collect();
    let rows = rows.join(",");
    for schema in (0..CLIENTS).map(own_schema).chain(["app".to_owned()]) {
        server.root(&format!("CREATE DATABASE IF NOT EXISTS {schema}"));
        server.root(&format!("GRANT ALL ON {schema}.* TO app@'%'"));
        server.root(&format!("CREATE TABLE {schema}.points (id INT PRIMARY KEY, v INT NOT NULL)"));
        server.root(&format!("INSERT INTO {schema}.points VALUES {rows}"));
    }
}

pub struct Client {
    connection: RawClient,
    statement: Statement,
    next: usize,
}

impl Client {
    pub fn log_in(address: &str, number: usize, state: bool) -> Result<Self, Error> {
        let mut login = Login::app().with(capability::DEPRECATE_EOF);
        if state {
            login = login.schema(&own_schema(number));
        }
        let mut connection = RawClient::login(address, &login)?;
        if state {
            for set in own_state(number) {
                connection.query(&set)?;
            }
        }
        let statement = connection.prepare(&format!("{SELECT}?"))?;
        Ok(Self { connection, statement, next: number * 61 })
    }

    /// Its state is still what it said.
    pub fn check(&mut self, number: usize) -> Result<bool, Error> {
        let sql = "SELECT DATABASE(), @@time_zone, @tenant";
        let row = self.connection.query(sql)?.pop().unwrap_or_default();
        let zone = format!("+00:{:02}", number + 1);
        Ok(row == [Some(own_schema(number)), Some(zone), Some(number.to_string())])
    }

    fn select(&mut self, protocol: Protocol) -> Result<(), Error> {
        self.next = (self.next + 1) % ROWS;
        let rows = match protocol {
            Protocol::Text => self.connection.query(&format!("{SELECT}{}", self.next))?,
            Protocol::Prepared => {
                let id = i64::try_from(self.next).unwrap_or_default();
                self.connection.execute(self.statement.id, &[Value::Int(id)])?
            }
        };
        assert_eq!(rows, [[Some((self.next * 7).to_string())]], "another row than asked for");
        Ok(())
    }
}

/// All of them at once for so long; what each query took, shortest first, and how long it went on.
pub fn run(
    clients: &mut [Client],
    protocol: Protocol,
    length: Duration,
) -> (Vec<Duration>, Duration) {
    let start = Barrier::new(clients.len());
    let mut latencies = Vec::new();
    let mut longest = Duration::ZERO;
    std::thread::scope(|scope| {
        let start = &start;
        let threads: Vec<_> = clients
            .iter_mut()
            .map(|client| scope.spawn(move || client.select_for(protocol, length, start)))
            .collect();
        for thread in threads {
            let (its, took) = thread.join().expect("no client panics");
            latencies.extend(its);
            longest = longest.max(took);
        }
    });
    latencies.sort_unstable();
    (latencies, longest)
}

impl Client {
    /// Timed on its own thread: another may be woken late.
    fn select_for(
        &mut self,
        protocol: Protocol,
        length: Duration,
        start: &Barrier,
    ) -> (Vec<Duration>, Duration) {
        let mut latencies = Vec::with_capacity(1 << 16);
        start.wait();
        let began = Instant::now();
        while began.elapsed() < length {
            let asked = Instant::now();
            self.select(protocol).expect("a query is answered");
            latencies.push(asked.elapsed());
        }
        (latencies, began.elapsed())
    }
}
