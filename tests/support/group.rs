//! A group of MySQL servers that agree on who takes writes (Group Replication, single-primary).
//!
//! Owns them. The schema `app` has a table `w (id, who)` with a key, without which a group takes no
//! rows: what runs twice is refused the second time.

use std::time::Duration;

use super::{
    free_port,
    servers::{Flavor, Options, PASSWORD, Server, USER},
    tidegate::Config,
    wait_for,
};

const SECRET: &str = "group-password";
const NAME: &str = "6f1d2c3b-9a4e-4f58-8d70-0c1b2a394857";
const LONG: Duration = Duration::from_secs(60);

pub struct Group {
    /// Targets are named by their places: `m0`, `m1`, …
    pub members: Vec<Server>,
}

impl Group {
    /// The first member is the primary.
    pub fn start(members: usize) -> Self {
        let seats: Vec<String> =
            (0..members).map(|_| format!("127.0.0.1:{}", free_port())).collect();
        let seeds = seats.join(",");
        let start = |(at, seat): (usize, &String)| {
            Server::start(Flavor::MySql, options(at + 1, seat, &seeds))
        };
        let group = Self { members: seats.iter().enumerate().map(start).collect() };
        group.members[0].root("SET GLOBAL group_replication_bootstrap_group=ON");
        group.join(0);
        group.members[0].root("SET GLOBAL group_replication_bootstrap_group=OFF");
        group.members[0].root(&format!("CREATE USER recovery@'%' IDENTIFIED BY '{SECRET}'"));
        group.members[0].root("GRANT REPLICATION SLAVE ON *.* TO recovery@'%'");
        group.members[0]
            .root("CREATE TABLE app.w (id INT NOT NULL, who INT NOT NULL, PRIMARY KEY (id, who))");
        for at in 1..members {
            group.join(at);
        }
        group
    }

    pub fn join(&self, at: usize) {
        self.members[at].root(&format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_USER='recovery', SOURCE_PASSWORD='{SECRET}' \
             FOR CHANNEL 'group_replication_recovery'"
        ));
        self.members[at].root("START GROUP_REPLICATION");
        wait_for("it to be taken in", LONG, || self.is_in_state(at, "ONLINE").then_some(()));
    }

    pub fn is_in_state(&self, at: usize, state: &str) -> bool {
        let rows = self.members[at].root(
            "SELECT MEMBER_STATE FROM performance_schema.replication_group_members \
             WHERE MEMBER_ID = @@GLOBAL.server_uuid",
        );
        rows[0][0].as_deref() == Some(state)
    }

    /// Whom the others take for the primary.
    pub fn primary_as_seen_by(&self, at: usize) -> Option<usize> {
        let rows = self.members[at].root(
            "SELECT MEMBER_PORT FROM performance_schema.replication_group_members \
             WHERE MEMBER_ROLE = 'PRIMARY' AND MEMBER_STATE = 'ONLINE'",
        );
        let port: u16 = rows.first()?[0].as_ref()?.parse().ok()?;
        self.members.iter().position(|member| member.port() == port)
    }

    /// As an operator does it.
    pub fn move_primary(&self, to: usize) {
        let rows = self.members[to].root("SELECT @@GLOBAL.server_uuid");
        let id = rows[0][0].as_deref().unwrap_or_default();
        self.members[to].root(&format!("SELECT group_replication_set_as_primary('{id}')"));
    }

    pub fn config(&self) -> Config {
        let target = |config: Config, (at, member): (usize, &Server)| {
            config.target(&format!("m{at}"), &member.address())
        };
        let config = self.members.iter().enumerate().fold(Config::new(), target);
        config
            .user(USER, PASSWORD)
            .section("pool", "max_connections = 12\nborrow_timeout = \"30s\"")
    }

    /// Probes by an account that may see the group.
    pub fn watched(&self) -> Config {
        self.members[0].root(&format!("CREATE USER watcher@'%' IDENTIFIED BY '{SECRET}'"));
        self.members[0].root("GRANT REPLICATION CLIENT ON *.* TO watcher@'%'");
        self.members[0].root("GRANT SELECT ON performance_schema.* TO watcher@'%'");
        self.config().user("watcher", SECRET).section("failover", "username = \"watcher\"")
    }
}

fn options(id: usize, seat: &str, seeds: &str) -> Options {
    [
        "--log-bin=binlog",
        "--sync-binlog=0",
        "--gtid-mode=ON",
        "--enforce-gtid-consistency=ON",
        "--performance-schema=ON",
        "--report-host=127.0.0.1",
        "--plugin-load-add=group_replication.so",
        "--group-replication-start-on-boot=OFF",
        // Who is silent is put out as soon as it is suspected, and does not try to come back.
        "--group-replication-member-expel-timeout=0",
        "--group-replication-autorejoin-tries=0",
        "--group-replication-recovery-get-public-key=ON",
        "--group-replication-recovery-reconnect-interval=1",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([
        format!("--server-id={id}"),
        format!("--group-replication-group-name={NAME}"),
        format!("--group-replication-local-address={seat}"),
        format!("--group-replication-group-seeds={seeds}"),
    ])
    .fold(Options::default(), Options::argument)
}
