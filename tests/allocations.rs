//! What the proxy asks the allocator for: a warm query nothing, a sleeping session little.
//!
//! The library runs inside this process, under an allocator that writes every allocation down with
//! the stack it came from. The client is one socket with ready-made packets, which allocates nothing
//! while the proxy is watched. `cargo test --test allocations -- --nocapture` prints each place with
//! what it takes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test whose server or client fails has failed"
)]
#![allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]

#[path = "allocations/books.rs"]
mod books;
mod support;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, io, iter, thread};

use books::Books;
use support::client::{Login, RawClient, capability};
use support::servers::{Flavor, Options, PASSWORD, Server, USER};
use support::{free_port, wait_for};
use tempfile::TempDir;
use tidegate::lifecycle::Lifecycle;
use tidegate::{app, config};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Of a query that was asked before, on a connection that lies warm. The target of each is 0; what
/// stands here may only become less.
const TEXT: u64 = 0;
const TEXT_OF_A_SPARE_CLIENT: u64 = 0;
const TEXT_IN_A_TRANSACTION: u64 = 0;
const TEXT_WITH_TLS_BEHIND: u64 = 2;
const EXECUTE: u64 = 0;
const EXECUTE_WITH_TYPES: u64 = 0;

/// Heap bytes of a plain client that is logged in and sleeps: the same.
const SLEEPING: u64 = 1600;

const QUERIES: u32 = 1000;
const SLEEPERS: u32 = 1000;

/// What the sweep and the keeper take meanwhile, in allocations a query.
const BESIDES: f64 = 0.2;

/// The books count the whole process.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The proxy inside this process, without TLS to its clients.
struct House {
    runtime: Option<tokio::runtime::Runtime>,
    address: String,
    _folder: TempDir,
    _server: Server,
}

impl House {
    fn open(tls_behind: &str) -> Self {
        let server = Server::start(Flavor::installed()[0], Options::default());
        let folder = tempfile::tempdir().unwrap();
        let secrets = format!("[[user]]\nusername = {USER:?}\npassword = {PASSWORD:?}\n");
        fs::write(folder.path().join("secrets.toml"), secrets).unwrap();
        let (address, door) = (local(), local());
        let text = format!(
            "[[endpoint]]\nlisten = {address:?}\n\n[[target]]\naddress = {:?}\n\n\
             [secrets]\npath = \"secrets.toml\"\n\n[admin]\nhttp = {door:?}\nsql = \"\"\n\n\
             [tls.client]\nmode = \"off\"\n\n[tls.target]\nmode = {tls_behind:?}\n",
            server.address()
        );
        let file = folder.path().join("tidegate.toml");
        let settings = config::parse(Path::new(&file), &text, iter::empty()).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap();
        runtime.spawn(app::run(settings, app::Start::default(), Lifecycle::new()));
        let house = Self { runtime: Some(runtime), address, _folder: folder, _server: server };
        wait_for("the first answer", Duration::from_secs(30), || {
            RawClient::login(&*house.address, &Login::app()).ok()?.query("SELECT 1").ok()
        });
        house
    }

    /// As drivers of today, so that nothing is translated.
    fn client(&self) -> RawClient {
        let login = Login::app().with(capability::SESSION_TRACK | capability::DEPRECATE_EOF);
        RawClient::login(&*self.address, &login).unwrap()
    }

    /// The same with a table of one row.
    fn client_with_a_row(&self) -> RawClient {
        let mut client = self.client();
        client.query("CREATE TABLE warm (id INT PRIMARY KEY, c VARCHAR(120))").unwrap();
        client.query("INSERT INTO warm VALUES (5012, REPEAT('7', 120))").unwrap();
        client
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(2));
        }
    }
}

fn local() -> String {
    format!("127.0.0.1:{}", free_port())
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut packet = u32::try_from(payload.len()).unwrap().to_le_bytes().to_vec();
    packet.extend_from_slice(payload);
    packet
}

/// How long the reply is: the same each time. A result set ends in a packet that begins with 0xFE;
/// to clients without DEPRECATE_EOF, so do its definitions.
fn reply_length(client: &mut RawClient) -> usize {
    let mut ends = if client.speaks(capability::DEPRECATE_EOF) { 1 } else { 2 };
    let mut length = 0;
    while ends > 0 {
        let packet = client.read_packet().unwrap();
        length += 4 + packet.len();
        assert_ne!(packet.first(), Some(&0xFF), "an error: {packet:?}");
        ends -= i32::from(packet.first() == Some(&0xFE));
    }
    length
}

fn ask(client: &mut RawClient, request: &[u8], reply: &mut [u8]) -> io::Result<()> {
    client.write_raw(request)?;
    client.read_raw(reply)
}

/// Warm first, then watched: allocations a query.
fn watch(name: &str, client: &mut RawClient, request: &[u8]) -> f64 {
    // The first reply in a transaction may be longer: it reports what has begun.
    let lengths = [(); 2].map(|()| {
        client.write_raw(request).unwrap();
        reply_length(client)
    });
    let mut reply = vec![0; lengths[1]];
    for _ in 0..QUERIES {
        ask(client, request, &mut reply).unwrap();
    }
    let books = Books::open();
    for _ in 0..QUERIES {
        ask(client, request, &mut reply).unwrap();
    }
    let sites = books.close();
    println!("\n{name}: allocations and bytes a query\n{}", sites.table(QUERIES, books::Of::All));
    sites.blocks(books::Of::All) as f64 / f64::from(QUERIES)
}

/// With one `BIGINT`, which is not NULL.
fn execute(statement: &[u8], types: &[u8]) -> Vec<u8> {
    let bound = u8::from(!types.is_empty());
    let head = [&[0x17], statement, &[0, 1, 0, 0, 0, 0, bound], types].concat();
    framed(&[&head[..], &5012_u64.to_le_bytes()].concat())
}

const POINT_SELECT: &[u8] = b"\x03SELECT c FROM warm WHERE id=5012";

#[test]
fn a_warm_query_allocates_no_more_than_it_did() {
    let _alone = alone();
    let house = House::open("off");
    let mut client = house.client_with_a_row();
    let text = framed(POINT_SELECT);
    let mut seen = vec![("TEXT", watch("a text point select", &mut client, &text), TEXT)];

    client.command(b"\x16SELECT c FROM warm WHERE id=?").unwrap();
    let prepared = client.read_packet().unwrap();
    assert_eq!(prepared[0], 0, "{prepared:?}");
    let definitions = [client.read_packet(), client.read_packet()];
    assert!(definitions.iter().all(Result::is_ok));
    let request = execute(&prepared[1..5], &[8, 0]);
    let now = watch("a prepared execute, with types", &mut client, &request);
    seen.push(("EXECUTE_WITH_TYPES", now, EXECUTE_WITH_TYPES));
    let request = execute(&prepared[1..5], &[]);
    let now = watch("a prepared execute, without types", &mut client, &request);
    seen.push(("EXECUTE", now, EXECUTE));

    client.query("BEGIN").unwrap();
    let now = watch("a text point select in a transaction", &mut client, &text);
    seen.push(("TEXT_IN_A_TRANSACTION", now, TEXT_IN_A_TRANSACTION));

    let mut spare = RawClient::login(&*house.address, &Login::app()).unwrap();
    let now = watch("a text point select, no trackers, EOFs to be put in", &mut spare, &text);
    seen.push(("TEXT_OF_A_SPARE_CLIENT", now, TEXT_OF_A_SPARE_CLIENT));
    hold(&seen);
}

#[test]
fn tls_to_the_server_allocates_no_more_than_it_did() {
    let _alone = alone();
    let house = House::open("required");
    let mut client = house.client_with_a_row();
    let name = "a text point select, TLS to the server";
    let now = watch(name, &mut client, &framed(POINT_SELECT));
    hold(&[("TEXT_WITH_TLS_BEHIND", now, TEXT_WITH_TLS_BEHIND)]);
}

fn hold(seen: &[(&str, f64, u64)]) {
    for (name, now, most) in seen {
        assert!(*now < *most as f64 + BESIDES, "{name} is {most}, and it takes {now}");
    }
}

#[test]
fn a_sleeping_session_takes_no_more_heap_than_it_did() {
    let _alone = alone();
    let house = House::open("off");
    // What is made once for all is made by these.
    let mut early: Vec<RawClient> = (0..50).map(|_| house.client()).collect();
    for client in &mut early {
        client.query("SELECT 1").unwrap();
    }

    for asked in [false, true] {
        let books = Books::open();
        let mut sleepers: Vec<RawClient> = (0..SLEEPERS).map(|_| house.client()).collect();
        for client in sleepers.iter_mut().filter(|_| asked) {
            client.query("SELECT 1").unwrap();
        }
        // The last login's task is still on its way to sleep.
        thread::sleep(Duration::from_millis(500));
        let sites = books.close();
        let name = if asked { "after a query" } else { "fresh from its login" };
        println!(
            "\na sleeping session, {name}: live blocks and bytes each\n{}",
            sites.table(SLEEPERS, books::Of::Live)
        );
        let each = sites.bytes(books::Of::Live) / u64::from(SLEEPERS);
        assert!(each <= SLEEPING, "SLEEPING is {SLEEPING}, and it takes {each}");
    }
}
