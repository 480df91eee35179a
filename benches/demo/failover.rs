//! The second act: the primary is killed, its replica promoted, and the clients go on.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    client::{Error, Login, RawClient},
    pair::Pair,
    servers::Flavor,
    tidegate::Tidegate,
    wait_for,
};

const WRITERS: usize = 8;
const IDLE: usize = 100;
const STEP: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Seen {
    over: AtomicBool,
    written: AtomicUsize,
    acknowledged: Mutex<Vec<Instant>>,
    errors: Mutex<BTreeMap<String, usize>>,
}

pub fn play(flavor: Flavor) {
    println!(
        "\nNow two servers, the second a replica of the first, and a Tidegate that knows both."
    );
    let mut pair = Pair::start(flavor);
    let tidegate = Tidegate::start(pair.config());
    let address = tidegate.address();
    let mut idle: Vec<_> = (0..IDLE).filter_map(|number| idler(&address, number)).collect();
    println!("{IDLE} clients are idle, each with a variable of its own; {WRITERS} write.");
    let seen = Seen::default();
    let mut writable = Instant::now();
    thread::scope(|scope| {
        for who in 0..WRITERS {
            let (seen, address) = (&seen, &address);
            scope.spawn(move || write(address, who, seen));
        }
        watch(&seen, 2, "writing");
        pair.first.kill9();
        println!("  kill -9 of the primary");
        watch(&seen, 3, "no primary");
        writable = pair.promote(&pair.second);
        println!("  the replica is promoted: STOP REPLICA, RESET REPLICA ALL, read_only = 0");
        watch(&seen, 2, "writing");
        seen.over.store(true, Ordering::Relaxed);
    });
    let acknowledged = seen.acknowledged.lock().expect("no writer panicked");
    let first = acknowledged.iter().filter(|at| **at > writable).min();
    let after = first.map_or(f64::NAN, |at| at.duration_since(writable).as_secs_f64() * 1000.0);
    println!("The first write was acknowledged {after:.0} ms after the replica took writes.");
    let errors = seen.errors.lock().expect("no writer panicked");
    println!("Errors, of {WRITERS} statements that were under way when the primary died:");
    for (text, count) in errors.iter() {
        println!("  {count} × {text}");
    }
    let kept = idle.iter_mut().enumerate().filter_map(|(number, client)| {
        let rows = client.query("SELECT @mine, @@server_id").ok()?;
        (rows.first()?.first()?.as_deref() == Some(&*number.to_string())).then_some(())
    });
    println!("Idle clients that are still there, with their variable: {} of {IDLE}.", kept.count());
}

fn idler(address: &str, number: usize) -> Option<RawClient> {
    let mut client = RawClient::login(address, &Login::app()).ok()?;
    client.query(&format!("SET @mine = {number}")).ok()?;
    Some(client)
}

fn write(address: &str, who: usize, seen: &Seen) {
    let login = || wait_for("a login", SOON, || RawClient::login(address, &Login::app()).ok());
    let mut client = login();
    while !seen.over.load(Ordering::Relaxed) {
        let id = seen.written.fetch_add(1, Ordering::Relaxed);
        match client.query(&format!("INSERT INTO w VALUES ({id}, {who})")) {
            Ok(_) => seen.acknowledged.lock().expect("no writer panicked").push(Instant::now()),
            Err(error) => {
                *seen
                    .errors
                    .lock()
                    .expect("no writer panicked")
                    .entry(error.to_string())
                    .or_default() += 1;
                if matches!(error, Error::Io(_)) {
                    client = login();
                }
            }
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// A line each half second.
fn watch(seen: &Seen, steps: u32, label: &str) {
    for _ in 0..steps {
        let before = seen.acknowledged.lock().expect("no writer panicked").len();
        thread::sleep(STEP);
        let now = seen.acknowledged.lock().expect("no writer panicked").len();
        println!("  {label:<11} {:>5} writes acknowledged in {STEP:?}", now - before);
    }
}
