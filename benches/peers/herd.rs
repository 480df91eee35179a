//! Clients that are logged in, have asked once, and sleep: what each of them costs.
//!
//! Each herd gets a proxy without a past. Only what the process itself holds is counted; the kernel's
//! buffers of the sockets are the same for all.

use std::{fs, time::Duration};

use tokio::{runtime::Runtime, task::JoinSet, time::timeout};

use crate::{
    client::Client,
    door::{Door, Tls},
    measure,
    peers::{Kind, Peer},
    progress::say,
    settings::Settings,
    support::{client::Error, servers::Server},
};

pub const NAME: &str = "herd";
/// Log in at a time.
const AT_ONCE: usize = 32;
/// Until what was allocated for logins is at rest.
const SETTLE: Duration = Duration::from_secs(3);
const REST: Duration = Duration::from_secs(5);
/// For all to log in.
const LIMIT: Duration = Duration::from_secs(180);
/// For what a process holds besides: files, listeners, the pool.
const SPARE: usize = 500;

pub struct Herd {
    pub kind: Kind,
    pub clients: usize,
    pub tls: bool,
    pub figures: Result<Figures, String>,
}

pub struct Figures {
    pub bytes_each: f64,
    /// Of one core.
    pub rest_percent: f64,
}

struct Plan {
    kind: Kind,
    clients: usize,
    tls: bool,
}

/// Through Tidegate thousands; through one that has a server connection for each client only as many
/// as fit under its own limit of descriptors, and the server's of connections.
fn plans(quick: bool) -> Vec<Plan> {
    let others = [Kind::HaProxy, Kind::Router, Kind::ProxySql];
    let few = if quick { 2000 } else { 5000 };
    let sizes: &[usize] = if quick { &[5000] } else { &[5000, 10_000, 18_000] };
    let mut plans: Vec<Plan> =
        others.into_iter().map(|kind| Plan { kind, clients: few, tls: false }).collect();
    for tls in [false, true] {
        plans.extend(sizes.iter().map(|clients| Plan {
            kind: Kind::Tidegate,
            clients: *clients,
            tls,
        }));
    }
    plans
}

pub fn run(server: &Server, peers: &[Peer], settings: &Settings) -> Vec<Herd> {
    let mut herds = Vec::new();
    for plan in plans(settings.quick) {
        let Some(peer) = peers.iter().find(|peer| peer.kind == plan.kind) else { continue };
        let clients = plan.clients.min(descriptors().saturating_sub(SPARE));
        let tls = if plan.tls { " with TLS" } else { "" };
        say(&format!("herd: {clients} idle clients{tls} through {}", plan.kind.name()));
        let figures =
            peer.again(server, settings).and_then(|peer| measure(server, &peer, clients, plan.tls));
        match &figures {
            Ok(figures) => say(&format!(
                "  {:.0} bytes each, {:.2} % of a core at rest",
                figures.bytes_each, figures.rest_percent
            )),
            Err(why) => say(&format!("  {why}")),
        }
        herds.push(Herd { kind: plan.kind, clients, tls: plan.tls, figures });
    }
    herds
}

fn measure(server: &Server, peer: &Peer, clients: usize, tls: bool) -> Result<Figures, String> {
    let pid = peer.pid().ok_or("no process to measure")?;
    let door = if tls { peer.tls_door(Tls::new(&server.ca(), false)?) } else { peer.door() };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| why.to_string())?;
    // What is made once, whoever comes, is not theirs.
    drop(gather(&runtime, &door, AT_ONCE)?);
    std::thread::sleep(Duration::from_secs(1));
    let before = measure::resident(pid);
    let herd = gather(&runtime, &door, clients)?;
    std::thread::sleep(SETTLE);
    let rest_percent = measure::cpu_percent(pid, REST);
    let bytes = measure::resident(pid).saturating_sub(before);
    drop(herd);
    Ok(Figures { bytes_each: bytes as f64 / clients as f64, rest_percent })
}

fn gather(runtime: &Runtime, door: &Door, clients: usize) -> Result<Vec<Client>, String> {
    let gathering = async {
        let mut tasks: JoinSet<Result<Vec<Client>, Error>> = JoinSet::new();
        for place in 0..AT_ONCE {
            let share = clients / AT_ONCE + usize::from(place < clients % AT_ONCE);
            let door = door.clone();
            tasks.spawn(async move {
                let mut herd = Vec::with_capacity(share);
                for _ in 0..share {
                    let mut client = Client::log_in(&door).await?;
                    client.query("SELECT 1").await?;
                    herd.push(client);
                }
                Ok(herd)
            });
        }
        tasks.join_all().await
    };
    let herds = runtime
        .block_on(async { timeout(LIMIT, gathering).await })
        .map_err(|_| format!("not all are logged in after {LIMIT:?}"))?;
    let mut all = Vec::with_capacity(clients);
    for herd in herds {
        all.extend(herd.map_err(|why| why.to_string())?);
    }
    Ok(all)
}

/// That this process may have open.
fn descriptors() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or_default();
    line.split_whitespace().next().and_then(|soft| soft.parse().ok()).unwrap_or(1024)
}
