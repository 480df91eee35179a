//! The ways to the server: none between, and each proxy.
//!
//! Owns the processes of the proxies. Each logs in to the server under its own name, so that its
//! connections can be told from those of the others.

mod haproxy;
mod proxysql;
mod router;
mod tidegate;

use std::{
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    door::{Door, Tls},
    settings::Settings,
    support::{
        client::{Login, RawClient},
        process::Leashed,
        servers::{HOST, PASSWORD, SCHEMA, Server},
        tail,
        tidegate::Tidegate,
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Direct,
    HaProxy,
    Router,
    ProxySql,
    Tidegate,
}

impl Kind {
    pub const ALL: [Self; 5] =
        [Self::Direct, Self::HaProxy, Self::Router, Self::ProxySql, Self::Tidegate];

    /// Also the name of its account on the server.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::HaProxy => "haproxy",
            Self::Router => "router",
            Self::ProxySql => "proxysql",
            Self::Tidegate => "tidegate",
        }
    }

    fn start(self, server: &Server, settings: &Settings) -> Result<Peer, String> {
        match self {
            Self::Direct => Ok(direct(server)),
            Self::HaProxy => haproxy::start(server),
            Self::Router => router::start(server),
            Self::ProxySql => match &settings.proxysql {
                Some(program) => proxysql::start(server, program),
                None => Err("PROXYSQL= names no binary".to_owned()),
            },
            Self::Tidegate => Ok(tidegate::start(server)),
        }
    }
}

pub struct Peer {
    pub kind: Kind,
    pub version: String,
    /// How it was set up, for the report.
    pub setup: String,
    port: u16,
    tls_port: u16,
    process: Process,
}

enum Process {
    None,
    Program { leashed: Leashed, _folder: TempDir },
    Tidegate(Box<Tidegate>),
}

impl Peer {
    /// Anew, for a work that must find it without a past.
    pub fn again(&self, server: &Server, settings: &Settings) -> Result<Self, String> {
        self.kind.start(server, settings)
    }

    pub fn user(&self) -> &'static str {
        self.kind.name()
    }

    /// Where clients without TLS come in.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn door(&self) -> Door {
        Door::new(self.port, self.user())
    }

    pub fn tls_door(&self, tls: Tls) -> Door {
        Door::new(self.tls_port, self.user()).tls(tls)
    }

    /// `None` where there is no process between.
    pub fn pid(&self) -> Option<u32> {
        match &self.process {
            Process::None => None,
            Process::Program { leashed, .. } => Some(leashed.pid()),
            Process::Tidegate(tidegate) => Some(tidegate.pid()),
        }
    }
}

/// An account for each, with everything on the schema. Each logs in once, straight, so that the server
/// has its password in its cache: a proxy without TLS to the server may not know the long way.
pub fn create_accounts(server: &Server) -> Result<(), String> {
    for user in Kind::ALL.map(Kind::name) {
        server.root(&format!("CREATE USER {user}@'%' IDENTIFIED BY '{PASSWORD}'"));
        server.root(&format!("GRANT ALL ON {SCHEMA}.* TO {user}@'%'"));
        let login = Login::new(user, PASSWORD).schema(SCHEMA);
        let client = RawClient::login(server.address(), &login);
        client.map_err(|why| format!("{user} cannot log in to the server: {why}"))?.quit();
    }
    Ok(())
}

/// All that can be had, and why the others cannot.
pub fn start_all(server: &Server, settings: &Settings) -> (Vec<Peer>, Vec<String>) {
    let (mut peers, mut missing) = (Vec::new(), Vec::new());
    for kind in Kind::ALL {
        match kind.start(server, settings) {
            Ok(peer) => peers.push(peer),
            Err(why) => missing.push(format!("{}: {}", kind.name(), why.replace('\n', "; "))),
        }
    }
    (peers, missing)
}

fn direct(server: &Server) -> Peer {
    Peer {
        kind: Kind::Direct,
        version: first_cell(server, "SELECT VERSION()"),
        setup: format!(
            "mysqld, max_connections {}",
            first_cell(server, "SELECT @@max_connections")
        ),
        port: server.port(),
        tls_port: server.port(),
        process: Process::None,
    }
}

fn first_cell(server: &Server, sql: &str) -> String {
    let rows = server.root(sql);
    rows.into_iter().flatten().flatten().next().unwrap_or_default()
}

fn new_folder(kind: Kind) -> Result<TempDir, String> {
    let prefix = format!("tidegate-{}-", kind.name());
    tempfile::Builder::new().prefix(&prefix).tempdir().map_err(|why| format!("no folder: {why}"))
}

/// On a leash, and listening; or the end of what it said.
fn launch(command: &Command, folder: &Path, port: u16) -> Result<Leashed, String> {
    let log = folder.join("log");
    let mut leashed = Leashed::start(command, folder, &log);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(leashed);
        }
        if let Some(status) = leashed.ended() {
            return Err(format!("ended with {status}: {}", tail(&log, 5)));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(format!("does not listen on {HOST}:{port} after 20 s: {}", tail(&log, 5)))
}

/// The first line that `program --option` prints, without the address some put behind it.
fn version(program: &Path, option: &str) -> Result<String, String> {
    let output = Command::new(program)
        .arg(option)
        .output()
        .map_err(|why| format!("{} does not run: {why}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().next().unwrap_or_default();
    let line = line.split(" - http").next().unwrap_or_default().trim();
    if line.is_empty() {
        return Err(format!("{} {option} says nothing", program.display()));
    }
    Ok(line.to_owned())
}
