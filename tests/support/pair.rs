//! Two servers, the second a replica of the first by GTID, and the hand that promotes it.
//!
//! Owns both. The schema `app` has a table `w (id, who)`.

use std::time::{Duration, Instant};

use super::{
    client::{Error, Login, RawClient},
    island::Island,
    servers::{Flavor, Options, PASSWORD, Server, USER},
    tidegate::{Config, Tidegate},
    wait_for,
};

const SECRET: &str = "repl-password";
const SOON: Duration = Duration::from_secs(20);

/// Seconds in which a replica on a busy machine has caught up.
const LONG: u32 = 60;

const SEMI_SYNCHRONOUS: [&str; 6] = [
    "--plugin-load-add=semisync_source.so",
    "--plugin-load-add=semisync_replica.so",
    "--rpl-semi-sync-source-enabled=ON",
    "--rpl-semi-sync-replica-enabled=ON",
    "--rpl-semi-sync-source-timeout=60000",
    // Alone it goes on by itself.
    "--rpl-semi-sync-source-wait-no-replica=OFF",
];

pub struct Pair {
    pub flavor: Flavor,
    pub first: Server,
    pub second: Server,
}

impl Pair {
    pub fn start(flavor: Flavor) -> Self {
        Self::with(flavor, [options(flavor, 1), options(flavor, 2)])
    }

    /// MySQL, and what was acknowledged is on both: neither may lose it.
    pub fn start_semi_synchronous() -> Self {
        let options = |id| {
            SEMI_SYNCHRONOUS
                .iter()
                .fold(options(Flavor::MySql, id), |options, argument| options.argument(*argument))
        };
        Self::with(Flavor::MySql, [options(1), options(2)])
    }

    /// The first where it can be cut off.
    pub fn start_apart(flavor: Flavor, island: &Island) -> Self {
        Self::with(flavor, [options(flavor, 1).on(island), options(flavor, 2)])
    }

    fn with(flavor: Flavor, [first, second]: [Options; 2]) -> Self {
        let first = Server::start(flavor, first);
        let pair = Self { flavor, first, second: Server::start(flavor, second) };
        pair.first.root(&format!("CREATE USER repl@'%' IDENTIFIED BY '{SECRET}'"));
        pair.first.root("GRANT REPLICATION SLAVE ON *.* TO repl@'%'");
        pair.follow(&pair.second, &pair.first);
        pair.first.root("CREATE TABLE app.w (id INT NOT NULL, who INT NOT NULL)");
        pair.catch_up();
        pair
    }

    /// One that was the primary becomes the other's replica.
    pub fn rejoin(&self, replica: &Server, source: &Server) {
        self.read_only(replica, true);
        if self.flavor == Flavor::MariaDb {
            replica.root("SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_binlog_pos");
        }
        self.follow(replica, source);
    }

    fn follow(&self, replica: &Server, source: &Server) {
        let (host, port) = (source.host(), source.port());
        replica.root(&match self.flavor {
            Flavor::MySql => format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST='{host}', SOURCE_PORT={port}, \
                 SOURCE_USER='repl', SOURCE_PASSWORD='{SECRET}', SOURCE_AUTO_POSITION=1, \
                 SOURCE_CONNECT_RETRY=1, GET_SOURCE_PUBLIC_KEY=1"
            ),
            Flavor::MariaDb => format!(
                "CHANGE MASTER TO MASTER_HOST='{host}', MASTER_PORT={port}, MASTER_USER='repl', \
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

    /// What it has received it applies first.
    pub fn promote_whole(&self, replica: &Server) -> Instant {
        replica.root("STOP REPLICA IO_THREAD");
        wait_for("the relay log to be applied", SOON, || {
            let status = replica.root("SHOW REPLICA STATUS");
            let done = |cell: &Option<String>| {
                cell.as_ref().is_some_and(|cell| cell.contains("has read all relay log"))
            };
            status[0].iter().any(done).then_some(())
        });
        self.promote(replica)
    }

    pub fn catch_up(&self) {
        self.catch_up_with(&self.first, &self.second);
    }

    /// With what the source has at this moment.
    pub fn catch_up_with(&self, source: &Server, replica: &Server) {
        let (position, function) = match self.flavor {
            Flavor::MySql => ("SELECT @@GLOBAL.gtid_executed", "WAIT_FOR_EXECUTED_GTID_SET"),
            Flavor::MariaDb => ("SELECT @@GLOBAL.gtid_binlog_pos", "MASTER_GTID_WAIT"),
        };
        let wanted = source.root(position)[0][0].clone().unwrap_or_default();
        let waited = replica.root(&format!("SELECT {function}('{wanted}', {LONG})"));
        let status = || replica.root("SHOW REPLICA STATUS");
        assert_eq!(waited[0][0].as_deref(), Some("0"), "{:?} lags: {:?}", self.flavor, status());
    }

    /// The same, with an account that looks and may move the primary, and an operator `ops`.
    pub fn operated(&self) -> Config {
        let rights = match self.flavor {
            Flavor::MySql => {
                "REPLICATION CLIENT, SYSTEM_VARIABLES_ADMIN, REPLICATION_SLAVE_ADMIN, RELOAD"
            }
            Flavor::MariaDb => "REPLICA MONITOR, READ_ONLY ADMIN, REPLICATION SLAVE ADMIN, RELOAD",
        };
        self.first.root(&format!("CREATE USER mover@'%' IDENTIFIED BY '{SECRET}'"));
        self.first.root(&format!("GRANT {rights} ON *.* TO mover@'%'"));
        self.catch_up();
        let operator = format!("username = \"ops\"\npassword = \"{SECRET}\"\nrights = \"write\"");
        self.config()
            .user("mover", SECRET)
            .section("failover", "username = \"mover\"")
            .admin(&operator)
    }

    /// What an operator is told.
    pub fn ask(tidegate: &Tidegate, statement: &str) -> Result<String, Error> {
        let login = Login::new("ops", SECRET);
        let mut console = RawClient::login(tidegate.sql_address(), &login)?;
        let rows = console.query(statement)?;
        let lines = rows.into_iter().map(|row| row[0].clone().unwrap_or_default());
        Ok(lines.collect::<Vec<_>>().join("; "))
    }

    pub fn config(&self) -> Config {
        Config::new()
            .target("first", &self.first.address())
            .target("second", &self.second.address())
            .user(USER, PASSWORD)
            .section("pool", "max_connections = 12\nborrow_timeout = \"20s\"")
    }
}

fn options(flavor: Flavor, id: u32) -> Options {
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
}
