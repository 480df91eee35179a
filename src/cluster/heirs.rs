//! Who may take the place of a dead primary, by what was seen of all targets.
//!
//! Pure. It is strict: a target that does not answer may have what no other has, and one that takes
//! writes may be the primary already, so either of them stands in the way of all.

use std::collections::BTreeSet;

use super::elect::{Lag, Observation, Sighting};
use crate::config::Role;

/// The primary that was, by its place and what it called itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dead {
    pub at: usize,
    pub identity: String,
    /// Those that were seen to replicate from it since it died. They may have given up since, as MySQL
    /// does after ten tries; who had stopped before has only what is old.
    followers: BTreeSet<usize>,
}

impl Dead {
    pub fn new(at: usize, identity: String) -> Self {
        Self { at, identity, followers: BTreeSet::new() }
    }

    /// Looks who replicates.
    pub fn note(&mut self, targets: &[Observation]) {
        let replicates = |it: &Observation| {
            let seen = it.seen.as_ref().filter(|_| it.strikes == 0);
            seen.is_some_and(|seen| self.is_followed_by(seen) && seen.lag != Lag::Stopped)
        };
        let followers = targets.iter().enumerate().filter(|(_, it)| replicates(it));
        let followers: Vec<usize> = followers.map(|(at, _)| at).collect();
        self.followers.extend(followers);
    }

    /// In name at least.
    pub fn is_followed_by(&self, seen: &Sighting) -> bool {
        !self.identity.is_empty() && seen.source.as_ref() == Some(&self.identity)
    }
}

/// Why nobody is, by place where it is somebody's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hindrance {
    Alive,
    Named,
    Silent(usize),
    Writable(usize),
    NoReplica,
}

/// Those that may, in the order in which they are to be asked: by what they call themselves, so that
/// whoever else decides comes to the same one. `here`: those that are targets.
pub(super) fn heirs(
    dead: &Dead,
    seen: &[Observation],
    (here, drained): (&[usize], &[usize]),
) -> Result<Vec<usize>, Hindrance> {
    let targets = || here.iter().filter_map(|at| Some((*at, seen.get(*at)?)));
    if !targets().any(|(at, it)| at == dead.at && it.is_down) {
        return Err(Hindrance::Alive);
    }
    if targets().any(|(_, it)| it.role == Role::Primary) {
        return Err(Hindrance::Named);
    }
    let mut fit = Vec::new();
    for (at, target) in targets().filter(|(at, _)| *at != dead.at) {
        let Some(seen) = target.seen.as_ref().filter(|_| target.strikes == 0) else {
            return Err(Hindrance::Silent(at));
        };
        if !seen.read_only {
            return Err(Hindrance::Writable(at));
        }
        let follows = dead.is_followed_by(seen) && dead.followers.contains(&at);
        if target.role == Role::Auto && follows && !drained.contains(&at) {
            fit.push((&seen.identity, at));
        }
    }
    fit.sort_unstable();
    if fit.is_empty() {
        return Err(Hindrance::NoReplica);
    }
    Ok(fit.into_iter().map(|(_, at)| at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(identity: &str, source: Option<&str>) -> Observation {
        let seen = Sighting {
            read_only: source.is_some(),
            identity: identity.into(),
            source: source.map(str::to_owned),
            lag: Lag::Unknown,
        };
        Observation { seen: Some(seen), ..Observation::default() }
    }

    fn three() -> Vec<Observation> {
        let dead = Observation { strikes: 3, is_down: true, ..target("z", None) };
        vec![dead, target("b", Some("z")), target("a", Some("z"))]
    }

    fn judge(targets: &[Observation]) -> Result<Vec<usize>, Hindrance> {
        heirs(&dead(targets), targets, (&[0, 1, 2], &[]))
    }

    fn dead(targets: &[Observation]) -> Dead {
        let mut dead = Dead::new(0, "z".into());
        dead.note(targets);
        dead
    }

    #[test]
    fn replicas_of_the_dead_in_an_order_that_all_agree_on() {
        assert_eq!(judge(&three()), Ok(vec![2, 1]));
        assert_eq!(
            heirs(&dead(&three()), &three(), (&[0, 1, 2], &[2])),
            Ok(vec![1]),
            "one is drained"
        );
        let mut targets = three();
        targets[2].role = Role::Replica;
        assert_eq!(judge(&targets), Ok(vec![1]));
        targets[1] = target("b", Some("a"));
        assert_eq!(judge(&targets), Err(Hindrance::NoReplica));
    }

    #[test]
    fn in_doubt_nobody() {
        let with = |at: usize, change: fn(&mut Observation)| {
            let mut targets = three();
            change(&mut targets[at]);
            judge(&targets)
        };
        assert_eq!(with(0, |it| it.is_down = false), Err(Hindrance::Alive));
        assert_eq!(with(0, |it| it.role = Role::Primary), Err(Hindrance::Named));
        assert_eq!(with(1, |it| it.strikes = 1), Err(Hindrance::Silent(1)));
        assert_eq!(with(1, |it| it.seen = None), Err(Hindrance::Silent(1)));
        let writable = |it: &mut Observation| it.seen.as_mut().unwrap().read_only = false;
        assert_eq!(with(2, writable), Err(Hindrance::Writable(2)));
        let mut targets = three();
        targets[1].seen.as_mut().unwrap().source = Some(String::new());
        targets[2].seen.as_mut().unwrap().source = Some(String::new());
        let mut nameless = Dead::new(0, String::new());
        nameless.note(&targets);
        assert_eq!(heirs(&nameless, &targets, (&[0, 1, 2], &[])), Err(Hindrance::NoReplica));
    }

    #[test]
    fn what_is_a_target_no_longer_does_not_count() {
        let mut targets = three();
        targets[1].strikes = 1;
        let of = |here: &[usize]| heirs(&dead(&targets), &targets, (here, &[]));
        assert_eq!(of(&[0, 1, 2]), Err(Hindrance::Silent(1)));
        assert_eq!(of(&[0, 2]), Ok(vec![2]));
        assert_eq!(of(&[1, 2]), Err(Hindrance::Alive), "nor is it fenced");
    }

    #[test]
    fn who_had_stopped_before_has_what_is_old() {
        let stop = |target: &mut Observation| target.seen.as_mut().unwrap().lag = Lag::Stopped;
        let mut targets = three();
        stop(&mut targets[2]);
        assert_eq!(judge(&targets), Ok(vec![1]));
        // One that gave up later has what there was.
        let mut dead = dead(&targets);
        stop(&mut targets[1]);
        dead.note(&targets);
        assert_eq!(heirs(&dead, &targets, (&[0, 1, 2], &[])), Ok(vec![1]));
    }
}
