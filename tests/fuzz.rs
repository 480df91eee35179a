//! Each fuzz target on its seeds, and on what chance makes of them: without a guide, so that every
//! change runs them with the compiler everybody has. `make fuzz` is the thorough way.
//!
//! Two seconds each; `TIDEGATE_FUZZ_SECONDS` is another time. The seed of chance is printed;
//! `TIDEGATE_FUZZ_SEED` gives it back, and the same bytes are tried in the same order.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::print_stderr, reason = "whoever fuzzes wants figures")]

#[path = "../fuzz/targets/mod.rs"]
mod targets;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    time::{Duration, Instant},
};

use fastrand::Rng;

macro_rules! targets {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            fuzz(stringify!($name), targets::$name::run);
        })*

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

targets!(auth, connection_phase, console, execute, files, header, hints, ok, proxy_header, reply);

const LONGEST: usize = 4096;

fn fuzz(name: &str, run: fn(&[u8])) {
    let seeds = seeds(name);
    for (file, seed) in &seeds {
        attempt(&format!("{name}, {file}"), run, seed);
    }
    let length = Duration::from_secs(setting("TIDEGATE_FUZZ_SECONDS", 2));
    let chance = setting("TIDEGATE_FUZZ_SEED", fastrand::u64(..));
    let mut random = Rng::with_seed(chance);
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < length {
        // A look at the clock is not free.
        for _ in 0..64 {
            let (_, seed) = random.choice(&seeds).unwrap();
            let bent = bend(seed.clone(), &seeds, &mut random);
            attempt(&format!("{name}, TIDEGATE_FUZZ_SEED={chance}"), run, &bent);
            count += 1;
        }
    }
    eprintln!("{name}: {count} in {length:?}, TIDEGATE_FUZZ_SEED={chance}");
}

fn attempt(what: &str, run: fn(&[u8]), bytes: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| run(bytes))).is_err() {
        let escaped = bytes.escape_ascii();
        panic!("{what}: keep these bytes in fuzz/seeds once they are harmless: b\"{escaped}\"");
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn seeds(name: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder().join("seeds").join(name)).expect(name);
    let mut seeds: Vec<_> = entries
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
        })
        .collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{name} has no seed");
    seeds
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect(name))
}

/// Bytes that are the edge of something, here or in the protocol.
const EDGES: [u8; 12] = [0, 1, 3, 4, 0x0A, 0x7F, 0x80, 0xFA, 0xFB, 0xFC, 0xFE, 0xFF];

fn bend(mut bytes: Vec<u8>, seeds: &[(String, Vec<u8>)], random: &mut Rng) -> Vec<u8> {
    for _ in 0..random.u8(1..6) {
        if bytes.is_empty() {
            bytes.push(random.u8(..));
        }
        let at = random.usize(..bytes.len());
        let span = random.usize(1..17).min(bytes.len() - at);
        match random.u8(..9) {
            0 => bytes[at] ^= 1 << random.u8(..8),
            1 => bytes[at] = random.u8(..),
            2 => bytes[at] = random.choice(EDGES).unwrap(),
            3 => bytes[at] = bytes[at].wrapping_add(random.u8(..5)).wrapping_sub(2),
            4 => drop(bytes.drain(at..at + span)),
            5 => bytes.truncate(at),
            6 => {
                let piece = bytes[at..at + span].to_vec();
                let to = random.usize(..=bytes.len());
                bytes.splice(to..to, piece);
            }
            7 => bytes.insert(at, random.choice(EDGES).unwrap()),
            _ => {
                let (_, other) = random.choice(seeds).unwrap();
                let from = random.usize(..=other.len());
                bytes.splice(at.., other[from..].iter().copied());
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

/// One that cargo-fuzz alone knows would rot unseen.
#[test]
fn every_target_is_run_both_ways() {
    let bins = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    let bins: Vec<&str> = bins
        .lines()
        .filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\""))
        .collect();
    assert_eq!(bins, NAMES);
    for name in NAMES {
        let bin = fs::read_to_string(folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(bin.contains(&format!("../targets/{name}.rs")), "{name}");
    }
}
