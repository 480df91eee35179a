//! The same script straight and through Tidegate: every packet a client sees is the server's.
//!
//! Several clients take turns on few server connections, one step at a time; beside them the same
//! clients have connections of their own, on a server alike. What may differ is in
//! `replay/compare.rs`, by name.
//!
//! `make soak SECONDS=600`. The seed is printed, and `TIDEGATE_REPLAY_SEED` plays it again. A script
//! that differs is made short and printed so that it can be put into `replay/stories.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::print_stderr, reason = "whoever replays wants figures and the seed")]

mod replay {
    pub mod compare;
    pub mod decode;
    pub mod features;
    pub mod fixture;
    pub mod generator;
    pub mod hold;
    pub mod minimize;
    pub mod player;
    pub mod reply;
    pub mod rules;
    pub mod script;
    pub mod stage;
    pub mod step;
    pub mod stories;
}
mod support;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use fastrand::Rng;
use replay::{
    compare::Difference,
    decode::describe,
    features::FEATURES,
    generator::Chance,
    minimize::minimize,
    rules::RULES,
    script::Script,
    stage::{BOUNDS, Outcome, Stage},
    stories::STORIES,
};
use support::servers::Flavor;

/// Scripts between two renewals of the schema: they go on with what the last one left.
const RENEWAL: u64 = 40;
/// Differences of one run that are told before it gives up.
const ENOUGH: usize = 6;
const SHORTENING: Duration = Duration::from_secs(30);

#[test]
fn stories_on_mysql() {
    stories(Flavor::MySql);
}

#[test]
fn stories_on_mariadb() {
    stories(Flavor::MariaDb);
}

#[test]
fn chance_on_mysql() {
    chance(Flavor::MySql);
}

#[test]
fn chance_on_mariadb() {
    chance(Flavor::MariaDb);
}

/// `TIDEGATE_REPLAY_SCRIPT=file`, with `TIDEGATE_REPLAY_BOUND` server connections, on both flavors:
/// where the answers differ first.
#[test]
fn a_script_from_a_file() {
    let Some(path) = std::env::var_os("TIDEGATE_REPLAY_SCRIPT") else { return };
    let script = Script::parse(&std::fs::read_to_string(path).unwrap());
    let bound = u32::try_from(setting("TIDEGATE_REPLAY_BOUND", 1)).unwrap();
    let mut wrongs = String::new();
    for flavor in Flavor::installed() {
        let (at, outcome) = Stage::start(flavor).run(bound, &script);
        match outcome {
            Outcome::Same => eprintln!("{flavor:?}: the same"),
            Outcome::Starved => eprintln!("{flavor:?}: no connection at step {at}"),
            Outcome::Differs(found) => {
                let _ = writeln!(wrongs, "{flavor:?}\n{}", told(&script, at, &found));
            }
        }
    }
    assert!(wrongs.is_empty(), "\n{wrongs}");
}

fn stories(flavor: Flavor) {
    if !Flavor::installed().contains(&flavor) {
        return;
    }
    let stage = Stage::start(flavor);
    let mut wrongs = Vec::new();
    for story in STORIES.iter().filter(|story| story.is_for(flavor)) {
        stage.renew();
        let script = story.script();
        let (at, outcome) = stage.run(story.bound, &script);
        match (outcome, story.known_limit) {
            (Outcome::Same, Some(why)) => {
                eprintln!("{flavor:?}: {:?} agrees now, take its limit out ({why})", story.name);
            }
            (Outcome::Same, None) | (_, Some(_)) => {}
            (Outcome::Starved, None) => {
                let (client, step) = &script.steps[at];
                wrongs.push(format!("{:?}: no connection for {client}{step}\n", story.name));
            }
            (Outcome::Differs(found), None) => {
                wrongs.push(format!("{:?}\n{}", story.name, told(&script, at, &found)));
            }
        }
    }
    let names: Vec<_> = RULES.iter().map(|rule| (rule.name, rule.why)).collect();
    assert!(wrongs.is_empty(), "{flavor:?}, tolerating {names:#?}:\n\n{}", wrongs.join("\n"));
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect(name))
}

#[derive(Default)]
struct Count {
    scripts: u64,
    steps: usize,
    starved: u64,
}

fn chance(flavor: Flavor) {
    if !Flavor::installed().contains(&flavor) {
        return;
    }
    let length = Duration::from_secs(setting("TIDEGATE_REPLAY_SECONDS", 45));
    // One seed for the run that judges a change, so that its verdict is of the change; whoever asks
    // for a length of time looks for more, with a seed of chance.
    let usual = std::env::var_os("TIDEGATE_REPLAY_SECONDS").is_none();
    let seed = setting("TIDEGATE_REPLAY_SEED", if usual { 1 } else { fastrand::u64(..) });
    let stage = Stage::start(flavor);
    eprintln!("TIDEGATE_REPLAY_SEED={seed}, {flavor:?}, {length:?}\n{}", stage.greetings());
    for feature in FEATURES {
        if let Some(why) = feature.known_limit {
            eprintln!("left out: {} ({why})", feature.name);
        }
    }
    let mut random = Rng::with_seed(seed);
    let mut count = Count::default();
    let mut found = BTreeMap::new();
    let started = Instant::now();
    while started.elapsed() < length && found.len() < ENOUGH {
        if count.scripts.is_multiple_of(RENEWAL) {
            stage.renew();
        }
        count.scripts += 1;
        let bound = BOUNDS[random.usize(..BOUNDS.len())];
        let Some((script, difference)) = once(&stage, bound, random.fork(), &mut count) else {
            continue;
        };
        if !found.contains_key(&difference.signature) {
            let text = shortened(&stage, bound, &script, &difference);
            eprintln!("{text}");
            found.insert(difference.signature.clone(), text);
        }
        stage.renew();
    }
    eprintln!(
        "{flavor:?}: {} scripts, {} steps in {:?}, {} without a connection at some step",
        count.scripts,
        count.steps,
        started.elapsed(),
        count.starved
    );
    let texts: Vec<String> = found.into_values().collect();
    assert!(texts.is_empty(), "TIDEGATE_REPLAY_SEED={seed}, {flavor:?}\n\n{}", texts.join("\n"));
}

/// One script of chance; what was played of it, if it differs.
fn once(
    stage: &Stage,
    bound: u32,
    random: Rng,
    count: &mut Count,
) -> Option<(Script, Box<Difference>)> {
    let mut chance = Chance::new(random, stage.flavor, bound);
    let mut script = Script::default();
    let mut run = stage.open(bound);
    let mut difference = None;
    while let Some((client, step)) = chance.next_step() {
        let (reply, outcome) = run.step(client, &step);
        chance.learn(client, &step, &reply);
        script.steps.push((client, step));
        count.steps += 1;
        match outcome {
            Outcome::Same => {}
            Outcome::Starved => {
                count.starved += 1;
                if std::env::var_os("TIDEGATE_REPLAY_STARVED").is_some() {
                    eprintln!("starved with {bound} connections:\n{script}");
                }
                break;
            }
            Outcome::Differs(found) => {
                difference = Some(found);
                break;
            }
        }
    }
    run.leave();
    if difference.is_none()
        && let Outcome::Differs(found) = stage.compare_tables()
    {
        difference = Some(found);
    }
    Some((script, difference?))
}

/// The shortest script with that difference, and the difference.
fn shortened(stage: &Stage, bound: u32, script: &Script, difference: &Difference) -> String {
    let mut last = None;
    let faulty = script.steps.last().expect("it has run");
    let short = minimize(script, SHORTENING, |script| {
        stage.renew();
        let (at, outcome) = stage.run(bound, script);
        match outcome {
            // The same step as before, lest another fault is taken for this one.
            Outcome::Differs(found)
                if found.signature == difference.signature && script.steps[at] == *faulty =>
            {
                last = Some(told(script, at, &found));
                true
            }
            _ => false,
        }
    });
    let text = match short {
        Some(_) => last.expect("told when it differed"),
        None => format!(
            "does not differ when played again from the start:\n{}",
            told(script, script.steps.len() - 1, difference)
        ),
    };
    format!("{bound} connections, {}\n{text}", difference.signature)
}

fn told(script: &Script, at: usize, found: &Difference) -> String {
    let (client, step) = &script.steps[at];
    let mut text = Script { steps: script.steps[..=at].to_vec() }.to_string();
    let _ = writeln!(text, "packet {} of the reply to\n{client}{step}", found.place + 1);
    let _ = write!(text, "straight:\n{}", describe(found.straight.as_ref()));
    let _ = write!(text, "through Tidegate:\n{}", describe(found.through.as_ref()));
    if let Some(why) = &found.broken {
        let _ = writeln!(text, "broken: {why}");
    }
    text
}
