//! Two servers, the second a replica of the first by GTID, and the hand that promotes it.
//!
//! Owns both. The schema `app` has a table `w (id, who)`.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    servers::{Flavor, HOST, Options, PASSWORD, Server, USER},
    tidegate::Config,
};

const SECRET: &str = "repl-password";
const SOON: Duration = Duration::from_secs(20);

pub struct Pair {
    pub flavor: Flavor,
    pub first: Server,
    pub second: Server,
}

impl Pair {
    pub fn start(flavor: Flavor) -> Self {
        let options = |id: u32| {
            let options = Options::default()
                .argument("--log-bin=binlog")
                .argument(format!("--server-id={id}"))
                .argument("--sync-binlog=0");
            match flavor {
                Flavor::MySql => {
                    options.argument("--gtid-mode=ON").argument("--enforce-gtid-consistency=ON")
                }
                Flavor::MariaDb => options.argument("--log-slave-updates"),
            }
        };
        let pair = Self {
            flavor,
            first: Server::start(flavor, options(1)),
            second: Server::start(flavor, options(2)),
        };
        pair.first.root(&format!("CREATE USER repl@'%' IDENTIFIED BY '{SECRET}'"));
        pair.first.root("GRANT REPLICATION SLAVE ON *.* TO repl@'%'");
        pair.follow(&pair.second, &pair.first);
        pair.first.root("CREATE TABLE app.w (id INT NOT NULL, who INT NOT NULL)");
        pair.catch_up();
        pair
    }

    fn follow(&self, replica: &Server, source: &Server) {
        let port = source.port();
        replica.root(&match self.flavor {
            Flavor::MySql => format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST='{HOST}', SOURCE_PORT={port}, \
                 SOURCE_USER='repl', SOURCE_PASSWORD='{SECRET}', SOURCE_AUTO_POSITION=1, \
                 SOURCE_CONNECT_RETRY=1, GET_SOURCE_PUBLIC_KEY=1"
            ),
            Flavor::MariaDb => format!(
                "CHANGE MASTER TO MASTER_HOST='{HOST}', MASTER_PORT={port}, MASTER_USER='repl', \
                 MASTER_PASSWORD='{SECRET}', MASTER_USE_GTID=slave_pos, \
                 MASTER_CONNECT_RETRY=1"
            ),
        });
        replica.root("START REPLICA");
        self.read_only(replica, true);
    }

    pub fn read_only(&self, server: &Server, on: bool) {
        let name = match self.flavor {
            Flavor::MySql => "super_read_only",
            Flavor::MariaDb => "read_only",
        };
        server.root(&format!("SET GLOBAL {name}={}", u8::from(on)));
        if !on {
            server.root("SET GLOBAL read_only=0");
        }
    }

    /// As an operator's script does it: the replica applies what it has, and takes writes.
    pub fn promote(&self, replica: &Server) -> Instant {
        replica.root("STOP REPLICA");
        replica.root("RESET REPLICA ALL");
        self.read_only(replica, false);
        Instant::now()
    }

    pub fn catch_up(&self) {
        let question = match self.flavor {
            Flavor::MySql => "SELECT @@GLOBAL.gtid_executed",
            Flavor::MariaDb => "SELECT @@GLOBAL.gtid_binlog_pos",
        };
        let answer = match self.flavor {
            Flavor::MySql => question,
            Flavor::MariaDb => "SELECT @@GLOBAL.gtid_slave_pos",
        };
        let caught_up = || self.first.root(question) == self.second.root(answer);
        let began = Instant::now();
        while !caught_up() {
            let status = || self.second.root("SHOW REPLICA STATUS");
            assert!(began.elapsed() < SOON, "{:?} lags: {:?}", self.flavor, status());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn config(&self) -> Config {
        Config::new()
            .target("first", &self.first.address())
            .target("second", &self.second.address())
            .user(USER, PASSWORD)
            .section("pool", "max_connections = 12\nborrow_timeout = \"20s\"")
    }
}
