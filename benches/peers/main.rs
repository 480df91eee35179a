//! `make bench`: the same work straight to MySQL, through HAProxy, MySQL Router, ProxySQL and
//! Tidegate.
//!
//! All peers stand side by side and take turns, round by round, so that what disturbs the machine
//! disturbs them alike; figures are medians, and ratios are of one round. What comes of it is
//! target/bench/report.md and its charts.
//!
//! `QUICK=1` takes under three minutes. `ONLY=point_text,storm` picks works by the beginnings of their names;
//! `ROUNDS=5 SECONDS_EACH=3`; `PROXYSQL=` names a binary. Loopback only; servers and data are gone at
//! the end, however it ends.

#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]
#![allow(clippy::cast_precision_loss, reason = "figures are for people, who read three digits")]

mod calls;
mod chart;
mod client;
mod door;
mod herd;
mod load;
mod machine;
mod measure;
mod peers;
mod progress;
mod report;
mod results;
mod settings;
#[path = "../../tests/support/mod.rs"]
mod support;
mod targets;
mod works;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use calls::{Calls, Counting};
use peers::Peer;
use progress::say;
use report::Report;
use results::Results;
use settings::Settings;
use support::servers::{MySql, Options, Server};
use works::Work;

/// For those that have a server connection for each client.
const MAX_CONNECTIONS: u32 = 6000;

fn main() -> ExitCode {
    match run() {
        Ok(report) => {
            say(&format!("done: {}", report.display()));
            ExitCode::SUCCESS
        }
        Err(why) => {
            say(&why);
            ExitCode::FAILURE
        }
    }
}

/// Where the report is.
fn run() -> Result<PathBuf, String> {
    let settings = Settings::read()?;
    let folder = folder()?;
    say("starting MySQL and the peers");
    let server = MySql::start(Options::default().max_connections(MAX_CONNECTIONS));
    peers::create_accounts(&server)?;
    works::prepare(&server);
    load::prepare(server.port(), peers::Kind::Direct.name())?;
    let (peers, missing) = peers::start_all(&server, &settings);
    for peer in &peers {
        say(&format!("  {}: {}", peer.kind.name(), peer.version));
    }
    for missing in &missing {
        say(&format!("  without {missing}"));
    }

    let mut results = Results::default();
    let write = |results: &Results| {
        Report { settings: &settings, peers: &peers, missing: &missing, results }.write(&folder)
    };
    let works: Vec<&Work> = works::ALL.iter().filter(|work| settings.wants(work.name)).collect();
    for round in 0..settings.rounds {
        for work in &works {
            say(&format!("round {} of {}, {}", round + 1, settings.rounds, work.name));
            take_turns(&server, &peers, work, round, settings.length, &mut results);
        }
        write(&results)?;
    }
    for work in works.iter().filter(|work| work.telling || !settings.quick) {
        say(&format!("counting system calls, {}", work.name));
        count_calls(&server, &peers, work, &mut results);
    }
    if settings.wants(herd::NAME) {
        results.herds = herd::run(&server, &peers, &settings);
    }
    write(&results)?;
    Ok(folder.join("report.md"))
}

/// Beside the build that is measured.
fn folder() -> Result<PathBuf, String> {
    let program = support::tidegate::program();
    let target = program.ancestors().nth(2).ok_or("Tidegate's binary is in no target folder")?;
    Ok(target.join("bench"))
}

/// One round of one work through every peer. Another one begins each time.
fn take_turns(
    server: &Server,
    peers: &[Peer],
    work: &Work,
    round: usize,
    length: Duration,
    results: &mut Results,
) {
    for turn in 0..peers.len() {
        let peer = &peers[(round + turn) % peers.len()];
        let figures = work
            .open(server, peer)
            .and_then(|mut load| measure::run(server, peer, load.as_mut(), length));
        let cell = results.cell_mut(work.name, peer.kind);
        match figures {
            Ok(figures) => {
                let cpu = figures.cpu.map_or(String::new(), |cpu| format!(", {cpu:.0} µs"));
                say(&format!("  {:<9}{:>9.0}/s{cpu}", peer.kind.name(), figures.rate));
                if let Some(why) = &figures.first_error {
                    cell.note(why.clone());
                }
                cell.rounds.push(Some(figures));
            }
            Err(why) => {
                say(&format!("  {:<9}{why}", peer.kind.name()));
                cell.note(why);
                cell.rounds.push(None);
            }
        }
    }
}

fn count_calls(server: &Server, peers: &[Peer], work: &Work, results: &mut Results) {
    for peer in peers {
        let Some(pid) = peer.pid() else { continue };
        match counted(server, peer, pid, work) {
            Ok(calls) => results.cell_mut(work.name, peer.kind).calls = Some(calls),
            Err(why) => {
                say(&format!("  {:<9}{why}", peer.kind.name()));
                results.cell_mut(work.name, peer.kind).note(why);
            }
        }
    }
}

fn counted(server: &Server, peer: &Peer, pid: u32, work: &Work) -> Result<Calls, String> {
    let mut load = work.open(server, peer)?;
    let counting = Counting::start(pid)?;
    let outcome = load.run(Duration::from_secs(1))?;
    counting.stop(outcome.queries)
}
