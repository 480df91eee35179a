//! `make bench-login`: how long a client takes from connecting to the answer to its first query.
//!
//! One client after the other, straight and through Tidegate in turn: without TLS; with a handshake of
//! TLS that is whole, and with one that takes up a session of before, as a function that reconnects
//! does; and against a server that has forgotten the password, which then wants it whole
//! (`caching_sha2_password`, full authentication). Tidegate never does: it has the password itself.
//!
//! `LOGINS=500` of each way. Loopback only; servers and data are gone at the end.

#![allow(clippy::print_stdout, reason = "the figures are what it is for")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "one that fails has none"
)]

#[path = "../../tests/support/mod.rs"]
mod support;
mod ways;

use std::time::Duration;

use support::{
    certificates::Authority,
    servers::{Flavor, Options, Server},
    tidegate::{Config, Tidegate},
};
use ways::{Site, WAYS};

fn main() {
    let logins = std::env::var("LOGINS").ok().and_then(|value| value.parse().ok()).unwrap_or(500);
    let flavor = Flavor::installed()[0];
    let server = Server::start(flavor, Options::default());
    let folder = tempfile::tempdir().expect("a temporary folder");
    Authority::new().write_server(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let lines = format!(
        "certificate = \"{}\"\nkey = \"{}\"",
        file("server-cert.pem"),
        file("server-key.pem")
    );
    let tidegate = Tidegate::start(Config::to(&server).section("tls.client", &lines));
    let sites = [
        Site::new("straight", server.address(), &server.ca()),
        Site::new("through Tidegate", tidegate.address(), &folder.path().join("ca.pem")),
    ];
    let version = server.root("SELECT VERSION()")[0][0].clone().unwrap_or_default();
    println!("{flavor:?} {version}, {logins} logins of each way, one after the other\n");
    println!(
        "| from connecting to the first answer, ms | straight p50 | p99 | through Tidegate p50 | p99 |"
    );
    println!("|---|---|---|---|---|");
    for way in WAYS {
        let mut times: [Vec<Duration>; 2] = Default::default();
        for round in 0..=logins {
            for (site, times) in sites.iter().zip(&mut times) {
                if way.forgotten {
                    server.root("FLUSH PRIVILEGES");
                }
                let took = site.log_in(&way);
                // The first of a way is the session that the others take up.
                if round > 0 {
                    times.push(took);
                }
            }
        }
        let cells = times.map(|times| {
            let (median, late) = (at(&times, 50), at(&times, 99));
            format!("{:.2} | {:.2}", milliseconds(median), milliseconds(late))
        });
        println!("| {} | {} |", way.name, cells.join(" | "));
    }
}

fn at(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[(times.len() - 1) * percent / 100]
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
