//! What is measured: each work, its clients and what it needs on the server.

#[path = "../state/tenant.rs"]
mod tenant;

use crate::{
    door::Tls,
    load::{Load, Statement, Steady, Storm, Sysbench},
    peers::{Kind, Peer},
    support::servers::Server,
};

pub struct Work {
    pub name: &'static str,
    pub title: &'static str,
    /// What is counted by the second.
    pub unit: &'static str,
    kind: WorkKind,
    /// System calls are counted in a quick run too.
    pub telling: bool,
}

#[derive(Clone, Copy)]
enum WorkKind {
    Sysbench { script: &'static str, prepared: bool, threads: u32 },
    Steady { clients: usize, statement: Statement, large: bool },
    Storm(Handshake),
    Mixed,
}

#[derive(Clone, Copy)]
enum Handshake {
    Plain,
    Full,
    Resumed,
}

/// Those that come and go, and those of most other works.
const AT_ONCE: usize = 16;
/// Of the mixed work: three for each server connection.
const TENANTS: usize = 48;
const POINTS: u64 = 1000;
const BIG_ROWS: u64 = 8;
const BIG: u64 = 1 << 20;
const RANGE: u64 = 1000;

pub const ALL: [Work; 17] = [
    points("point_text_1", "point select, text, 1 thread", false, 1),
    points("point_text_16", "point select, text, 16 threads", false, 16),
    points("point_prepared_1", "point select, prepared, 1 thread", true, 1),
    points("point_prepared_16", "point select, prepared, 16 threads", true, 16),
    transactions("read_only", "read-only transactions, 16 threads", "oltp_read_only"),
    transactions("read_write", "read-write transactions, 16 threads", "oltp_read_write"),
    steady("ranges", "ranges of 1,000 rows, 16 clients", AT_ONCE, range, true),
    steady("big_rows", "rows of 1 MB, 16 clients", AT_ONCE, big_row, true),
    storm("storm_plain", "connect, query, quit; 16 at once", Handshake::Plain),
    storm("storm_tls", "the same with TLS, full handshakes", Handshake::Full),
    storm("storm_resumed", "the same with TLS, sessions resumed", Handshake::Resumed),
    steady("over_1", "1 client, point select", 1, point, false),
    steady("over_10", "10 clients, point select", 10, point, false),
    steady("over_16", "16 clients, point select", 16, point, false),
    steady("over_100", "100 clients, point select", 100, point, false),
    steady("over_1000", "1,000 clients, point select", 1000, point, false),
    Work {
        name: "mixed",
        title: "48 clients, each with a schema, variables and user variables of its own",
        unit: "queries",
        kind: WorkKind::Mixed,
        telling: false,
    },
];

const fn points(name: &'static str, title: &'static str, prepared: bool, threads: u32) -> Work {
    let kind = WorkKind::Sysbench { script: "oltp_point_select", prepared, threads };
    Work { name, title, unit: "queries", kind, telling: threads > 1 }
}

const fn transactions(name: &'static str, title: &'static str, script: &'static str) -> Work {
    let kind = WorkKind::Sysbench { script, prepared: true, threads: 16 };
    Work { name, title, unit: "transactions", kind, telling: false }
}

const fn steady(
    name: &'static str,
    title: &'static str,
    clients: usize,
    statement: Statement,
    large: bool,
) -> Work {
    let kind = WorkKind::Steady { clients, statement, large };
    Work { name, title, unit: "queries", kind, telling: false }
}

const fn storm(name: &'static str, title: &'static str, handshake: Handshake) -> Work {
    let telling = matches!(handshake, Handshake::Plain);
    Work { name, title, unit: "clients", kind: WorkKind::Storm(handshake), telling }
}

impl Work {
    /// Its clients, logged in.
    pub fn open(&self, server: &Server, peer: &Peer) -> Result<Box<dyn Load>, String> {
        Ok(match self.kind {
            WorkKind::Sysbench { script, prepared, threads } => {
                Box::new(Sysbench::open(script, prepared, threads, peer.port(), peer.user()))
            }
            WorkKind::Steady { clients, statement, large } => {
                let clients = vec![(peer.door(), Vec::new()); clients];
                Box::new(Steady::open(clients, statement, large)?)
            }
            WorkKind::Storm(handshake) => {
                let tls = |resume| Tls::new(&server.ca(), resume);
                let door = match handshake {
                    Handshake::Plain => peer.door(),
                    Handshake::Full => peer.tls_door(tls(false)?),
                    Handshake::Resumed => peer.tls_door(tls(true)?),
                };
                Box::new(Storm::open(door, AT_ONCE)?)
            }
            WorkKind::Mixed => {
                let tenant = |number: usize| {
                    let door = peer.door().schema(tenant::own_schema(number));
                    (door, tenant::own_state(number).to_vec())
                };
                Box::new(Steady::open((0..TENANTS).map(tenant).collect(), point, false)?)
            }
        })
    }

    /// So that what a query costs can be held against other works'.
    pub fn replies_are_small(&self) -> bool {
        !matches!(self.kind, WorkKind::Steady { large: true, .. } | WorkKind::Storm(_))
    }
}

fn point(turn: u64) -> String {
    format!("SELECT v FROM points WHERE id = {}", turn % POINTS)
}

fn range(turn: u64) -> String {
    let first = turn * 7919 % (u64::from(crate::load::TABLE_SIZE) - RANGE) + 1;
    let last = first + RANGE - 1;
    format!("SELECT id, k, c FROM sbtest1 WHERE id BETWEEN {first} AND {last}")
}

fn big_row(turn: u64) -> String {
    format!("SELECT body FROM big WHERE id = {}", turn % BIG_ROWS)
}

/// The tables that the works ask, but for sysbench's own.
pub fn prepare(server: &Server) {
    let rows: Vec<String> = (0..POINTS).map(|id| format!("({id}, {})", id * 7)).collect();
    let rows = rows.join(",");
    for schema in (0..TENANTS).map(tenant::own_schema).chain(["app".to_owned()]) {
        server.root(&format!("CREATE DATABASE IF NOT EXISTS {schema}"));
        for user in Kind::ALL.map(Kind::name) {
            server.root(&format!("GRANT ALL ON {schema}.* TO {user}@'%'"));
        }
        server.root(&format!("CREATE TABLE {schema}.points (id INT PRIMARY KEY, v INT NOT NULL)"));
        server.root(&format!("INSERT INTO {schema}.points VALUES {rows}"));
    }
    server.root("CREATE TABLE app.big (id INT PRIMARY KEY, body LONGBLOB NOT NULL)");
    for id in 0..BIG_ROWS {
        server.root(&format!("INSERT INTO app.big VALUES ({id}, REPEAT('b', {BIG}))"));
    }
}
