//! From a script that differs to a short one that still does.
//!
//! Owns which steps are tried without. Never runs one itself.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::script::Script;

/// The shortest that was found within the limit for which `differs` holds; nothing if not even the
/// whole script does.
pub fn minimize(
    script: &Script,
    limit: Duration,
    mut differs: impl FnMut(&Script) -> bool,
) -> Option<Script> {
    let started = Instant::now();
    if !differs(script) {
        return None;
    }
    let mut best = script.clone();
    for client in script.clients() {
        let without = keep(&best, |_, (number, _)| *number != client);
        if differs(&without) {
            best = without;
        }
    }
    let mut size = (best.steps.len() / 2).max(1);
    loop {
        let mut shorter = false;
        let mut end = best.steps.len();
        while end > 0 && started.elapsed() < limit {
            let start = end.saturating_sub(size);
            let dropped: BTreeSet<usize> = (start..end).collect();
            let without = keep(&best, |at, _| !dropped.contains(&at)).with_logins();
            if without.steps.len() < best.steps.len() && differs(&without) {
                best = without;
                shorter = true;
            }
            end = start.min(best.steps.len());
        }
        if started.elapsed() >= limit || (size == 1 && !shorter) {
            return Some(best);
        }
        size = (size / 2).max(1);
    }
}

fn keep(script: &Script, is_kept: impl Fn(usize, &(u8, super::step::Step)) -> bool) -> Script {
    let steps = script.steps.iter().enumerate().filter(|(at, step)| is_kept(*at, step));
    Script { steps: steps.map(|(_, step)| step.clone()).collect() }
}

#[test]
fn what_does_not_matter_is_dropped() {
    let script = Script::parse("1: a\n2: b\n1: c\n3: d\n2: e\n1: f\n");
    let needs = |script: &Script| {
        let text = script.to_string();
        text.contains("1: a\n") && text.contains("2: e\n")
    };
    let short = minimize(&script, Duration::from_secs(5), needs).unwrap();
    assert_eq!(short.to_string(), "1! login app\n1: a\n2! login app\n2: e\n");
    assert_eq!(minimize(&script, Duration::from_secs(5), |_| false), None);
}
