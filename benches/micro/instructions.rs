//! `make bench-micro`, second half: how many instructions a round of each case takes, by valgrind.
//!
//! Runs itself under callgrind twice for each case, with a few rounds and with a thousand more; the
//! difference is free of the start, the end and the making of the input. `--check` fails when a case
//! takes more than `expected.toml` says, `--update` writes what it takes now. Without valgrind it
//! says so and measures nothing.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the figures are what it is for")]
#![allow(clippy::expect_used, reason = "a benchmark that fails has no figures")]

mod cases;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::{env, fs};

use serde::Deserialize;

use cases::CASES;

/// What is done for the first time only is done in these.
const FEW: u64 = 100;
const MORE: u64 = 1000;

/// What `expected.toml` holds.
#[derive(Default, Deserialize)]
struct Expected {
    /// How much more than its figure a case may take, in percent.
    tolerance: f64,
    instructions: BTreeMap<String, f64>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["rounds", name, rounds] => run(name, rounds.parse().expect("a number of rounds")),
        [] => measure(Then::Print),
        ["--check"] => measure(Then::Check),
        ["--update"] => measure(Then::Update),
        _ => {
            eprintln!("usage: instructions [--check | --update]");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, rounds: u64) -> ExitCode {
    let (_, make) = CASES.iter().find(|(case, _)| *case == name).expect("a case of this name");
    make().run(rounds);
    ExitCode::SUCCESS
}

#[derive(Clone, Copy, PartialEq)]
enum Then {
    Print,
    Check,
    Update,
}

fn measure(then: Then) -> ExitCode {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("valgrind is not installed: no instructions counted");
        // Who asked for a check must not take this for one.
        return if then == Then::Print { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let expected = expected();
    let mut grown = false;
    let mut counted = Vec::new();
    println!(
        "{:<32}{:>12}{:>12}{:>14}{:>12}{:>10}",
        "a round of", "ns", "GB/s", "instructions", "expected", "change"
    );
    for (name, make) in CASES {
        let now = instructions(name, FEW + MORE).saturating_sub(instructions(name, FEW)) / MORE;
        let before = expected.instructions.get(name).copied();
        let change = before.map(|before| (as_float(now) / before - 1.0) * 100.0);
        let too_much = change.is_none_or(|change| change > expected.tolerance);
        grown |= too_much;
        let mark = if too_much && before.is_some() { "  <- too much" } else { "" };
        // An older run's figures are no part of a check.
        let time = if then == Then::Print { nanoseconds(name) } else { None };
        let speed = time.and_then(|time| Some(as_float(make().bytes?) / time));
        println!(
            "{name:<32}{:>12}{:>12}{now:>14}{:>12}{:>10}{mark}",
            time.map_or("-".into(), |time| format!("{time:.1}")),
            speed.map_or("-".into(), |speed| format!("{speed:.2}")),
            before.map_or("-".into(), |before| format!("{before:.0}")),
            change.map_or("new".into(), |change| format!("{change:+.1} %")),
        );
        counted.push((name, now));
    }
    match then {
        Then::Check if grown => {
            eprintln!("grown by over {} %, or new: see docs/benchmarks.md", expected.tolerance);
            return ExitCode::FAILURE;
        }
        Then::Update => update(&counted),
        _ => {}
    }
    ExitCode::SUCCESS
}

/// As far as a float counts exactly, which is further than any program here runs.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn as_float(count: u64) -> f64 {
    count as f64
}

/// The mean of the other half's last run, if there was one.
fn nanoseconds(name: &str) -> Option<f64> {
    #[derive(Deserialize)]
    struct Estimates {
        mean: Mean,
    }
    #[derive(Deserialize)]
    struct Mean {
        point_estimate: f64,
    }
    let me = env::current_exe().ok()?;
    let target = me.ancestors().nth(3)?;
    let written = fs::read(target.join("criterion").join(name).join("new/estimates.json")).ok()?;
    let estimates: Estimates = serde_json::from_slice(&written).ok()?;
    Some(estimates.mean.point_estimate)
}

/// Of a whole run of this program with so many rounds.
fn instructions(name: &str, rounds: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().expect("this program has a path"))
        .args(["rounds", name, &rounds.to_string()])
        .output()
        .expect("valgrind runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name}: {said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = collected.expect("callgrind says what it collected");
    count.trim().parse().expect("a number of instructions")
}

fn path() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "benches", "micro", "expected.toml"].iter().collect()
}

fn expected() -> Expected {
    let text = fs::read_to_string(path()).unwrap_or_default();
    toml::from_str(&text).expect("expected.toml is as --update writes it")
}

/// Only the figures: what stands above them is written by hand.
fn update(counted: &[(&str, u64)]) {
    let text = fs::read_to_string(path()).expect("expected.toml is there");
    let (head, _) = text.split_once("[instructions]").expect("expected.toml has figures");
    let mut text = format!("{head}[instructions]\n");
    for (name, count) in counted {
        let _ = writeln!(text, "\"{name}\" = {count}");
    }
    fs::write(path(), text).expect("expected.toml can be written");
}
