//! `make demo`: what Tidegate is for, shown on this machine in a minute.
//!
//! 3,000 short-lived clients, about 400 at once, as a busy day of serverless functions makes them: each logs
//! in, asks, thinks, runs a transaction, and vanishes; a third without a goodbye, and some frozen with
//! the connection open. They go to a throwaway server with `max_connections=50`, first straight, then
//! through Tidegate. Then the primary of two servers is killed and its replica promoted. Loopback only;
//! servers and data are gone at the end, however it ends.
//!
//! `KEEP=1` leaves both up afterwards, until Ctrl-C, and says how to log in.

#![allow(clippy::print_stdout, reason = "the report is what the demo is for")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: these threads are the clients")]
#![allow(clippy::expect_used, reason = "a lock is poisoned only by a client that panics")]

mod clients;
mod failover;
mod report;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

use clients::{CLIENTS, Crowd};
use report::{Phase, grouped};
use support::{
    cache,
    servers::{Flavor, HOST, Options, PASSWORD, SCHEMA, Server, USER},
    tidegate::{Config, Tidegate},
};

const MAX_CONNECTIONS: u32 = 50;

fn main() {
    let flavor = Flavor::installed()[0];
    println!("Starting a throwaway server with max_connections={MAX_CONNECTIONS} …");
    // The demo's own eye on the server takes one of them, in both phases, and is not counted below.
    let server = Server::start(flavor, Options::default().max_connections(MAX_CONNECTIONS));
    let version = server.root("SELECT VERSION()")[0][0].clone().unwrap_or_default();
    let name = if flavor == Flavor::MySql { "MySQL" } else { "MariaDB" };
    println!("{name} {version} is up on {}.", server.address());
    clients::prepare(&server);
    println!("{}\n", clients::PLAN);

    let straight = run("straight", &server, &server.address());
    settle(&server);

    let tidegate = Tidegate::start(Config::to(&server));
    println!("Tidegate is up on {}.", tidegate.address());
    let through = run("Tidegate", &server, &tidegate.address());

    report::print(&format!("straight to {name}"), &straight, &through);
    failover::play(flavor);
    if std::env::var_os("KEEP").is_some_and(|keep| keep != "0" && !keep.is_empty()) {
        keep(&server, &tidegate);
    }
}

/// Sends the crowd to `address` and watches the server meanwhile.
fn run(label: &str, server: &Server, address: &str) -> Phase {
    server.forget_status();
    let crowd = Crowd::start(label, address);
    let started = Instant::now();
    let mut told = started;
    while !crowd.is_done() {
        std::thread::sleep(Duration::from_millis(20));
        if told.elapsed() >= Duration::from_secs(1) {
            told = Instant::now();
            progress(label, &crowd, server);
        }
    }
    progress(label, &crowd, server);
    println!();
    let took = started.elapsed();
    // The high-water mark is the server's own: a sampler could miss it. One more than the bound is in
    // it when the server opened a connection only to refuse it.
    let peak = server.max_used_connections().saturating_sub(1);
    let outcome = crowd.finish();
    let committed = clients::committed(server, label);
    Phase { outcome, took, peak, committed }
}

fn progress(label: &str, crowd: &Crowd, server: &Server) {
    let (done, served, failed) = crowd.progress();
    println!(
        "  {label:<9} {:>5} of {} clients: {:>5} served, {:>5} not; server connections now {}",
        grouped(done),
        grouped(CLIENTS),
        grouped(served),
        grouped(failed),
        server.threads_connected(),
    );
    let _ = std::io::stdout().flush();
}

/// The straight clients are gone when the server has noticed.
fn settle(server: &Server) {
    support::wait_for("the server to be rid of its clients", Duration::from_secs(20), || {
        (server.threads_connected() == 0).then_some(())
    });
}

fn keep(server: &Server, tidegate: &Tidegate) {
    let client = ["/usr/bin/mysql", "/usr/bin/mariadb"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
        .map_or_else(|| cache().join("mysql-9.7/bin/mysql").display().to_string(), str::to_owned);
    let client = client.strip_prefix("/usr/bin/").unwrap_or(&client);
    let line = |port: u16| {
        format!("{client} --host={HOST} --port={port} --user={USER} --password={PASSWORD} {SCHEMA}")
    };
    println!("Both are still up (KEEP=1):");
    println!("  through Tidegate   {}", line(tidegate.port()));
    println!("  straight           {}", line(server.port()));
    println!("  a look inside      http://{HOST}:{}/", tidegate.admin_port());
    println!(
        "Ctrl-C ends them{}.",
        if std::io::stdin().is_terminal() { "" } else { " (or SIGTERM)" }
    );
    loop {
        std::thread::park();
    }
}
