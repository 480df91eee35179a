//! Who is primary: decided from what was seen of each target, and from who was before.
//!
//! Pure. It never guesses: where two targets take writes and neither provably replicates from the
//! other, there is no primary, for what one of them takes the other will never have.

use std::time::Duration;

use crate::config::Role;

/// What is known of one target.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    pub role: Role,
    /// What it last said of itself; `None`: it has said nothing yet.
    pub seen: Option<Sighting>,
    /// Probes that failed in a row since.
    pub strikes: u32,
    /// More strikes than that is down for good.
    pub is_down: bool,
    /// It has turned from read-only to writable without being down in between.
    pub promoted: bool,
    /// So far behind its source that nobody should read there.
    pub is_behind: bool,
}

/// What a target says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    pub read_only: bool,
    /// `server_uuid`, or on MariaDB its address as replicas name it.
    pub identity: String,
    /// The identity of the server it replicates from, while it does; `None` also where the account
    /// may not ask.
    pub source: Option<String>,
    pub lag: Lag,
}

/// How far a replica is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lag {
    /// It is no replica by itself (a member of a group, a reader of a shared store), or the account
    /// may not ask.
    #[default]
    Unknown,
    Seconds(u64),
    /// It is one, and does not replicate.
    Stopped,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Its place among the targets.
    pub primary: Option<usize>,
    /// One more with each new primary.
    pub epoch: u64,
    /// Targets that take writes though another one does.
    pub rivals: Vec<usize>,
    /// Those that reads may go to, the primary not among them.
    pub replicas: Vec<usize>,
}

/// The topology that follows from `before` and what is seen now.
pub fn elect(before: &Topology, targets: &[Observation]) -> Topology {
    // At the start nobody is preferred for being first to answer.
    if before.epoch == 0 && !targets.iter().all(|it| it.seen.is_some() || it.strikes > 0) {
        return before.clone();
    }
    let writable: Vec<usize> = places(targets, Observation::is_writable);
    let replicates = |one: &usize| {
        writable.iter().any(|other| one != other && follows(&targets[*one], &targets[*other]))
    };
    let sources: Vec<usize> = writable.iter().copied().filter(|one| !replicates(one)).collect();
    let current = before.primary.filter(|at| *at < targets.len());
    let primary = match sources.as_slice() {
        [only] => Some(*only),
        [] => current.filter(|at| targets[*at].may_be_back()),
        several => current
            .filter(|at| several.contains(at))
            .filter(|at| !several.iter().any(|other| other != at && targets[*other].promoted)),
    };
    let rivals = if sources.len() > 1 {
        sources.into_iter().filter(|at| Some(*at) != primary).collect()
    } else {
        Vec::new()
    };
    let changed = primary.is_some() && primary != before.primary;
    let replicas = places(targets, Observation::is_fit);
    Topology { primary, epoch: before.epoch + u64::from(changed), rivals, replicas }
}

impl Observation {
    /// It has answered.
    pub fn saw(&mut self, seen: Sighting, max_lag: Duration) {
        self.is_behind = match seen.lag {
            Lag::Unknown => false,
            Lag::Seconds(seconds) => Duration::from_secs(seconds) > max_lag,
            Lag::Stopped => true,
        };
        let was_read_only = self.seen.as_ref().is_some_and(|seen| seen.read_only);
        self.promoted = !seen.read_only && !self.is_down && (was_read_only || self.promoted);
        (self.strikes, self.is_down) = (0, false);
        self.seen = Some(seen);
    }

    /// It has not; so often in a row is down.
    pub fn missed(&mut self, failures: u32) {
        self.strikes = self.strikes.saturating_add(1);
        self.is_down |= self.strikes >= failures;
    }

    fn is_writable(&self) -> bool {
        self.takes_writes() && self.strikes == 0
    }

    /// Not answering just now, and not known to have changed.
    fn may_be_back(&self) -> bool {
        self.takes_writes() && !self.is_down
    }

    fn is_fit(&self) -> bool {
        let reads = match self.role {
            Role::Auto => self.seen.as_ref().is_some_and(|seen| seen.read_only),
            Role::Primary => false,
            Role::Replica => self.seen.is_some(),
        };
        reads && self.strikes == 0 && !self.is_behind
    }

    fn takes_writes(&self) -> bool {
        match self.role {
            Role::Auto => self.seen.as_ref().is_some_and(|seen| !seen.read_only),
            Role::Primary => self.seen.is_some(),
            Role::Replica => false,
        }
    }
}

fn follows(one: &Observation, other: &Observation) -> bool {
    let source = one.seen.as_ref().and_then(|seen| seen.source.as_ref());
    let identity = other.seen.as_ref().map(|seen| &seen.identity);
    source.is_some_and(|source| !source.is_empty() && Some(source) == identity)
}

fn places(targets: &[Observation], is: impl Fn(&Observation) -> bool) -> Vec<usize> {
    targets.iter().enumerate().filter(|(_, target)| is(target)).map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: &str = "rw";
    const REPLICA: &str = "ro";
    const PROMOTED: &str = "ro, then rw";
    const SILENT: &str = "was rw, one probe failed";
    const SILENT_REPLICA: &str = "was ro, one probe failed";
    const DOWN: &str = "was rw, down";
    const NEVER: &str = "never answered";
    /// Writable, though it replicates from the first.
    const LOOSE: &str = "rw, replicates from the first";

    fn target(at: usize, story: &str) -> Observation {
        let sighting =
            |read_only| Sighting { read_only, identity: at.to_string(), ..Sighting::default() };
        let seen =
            |read_only| Observation { seen: Some(sighting(read_only)), ..Observation::default() };
        match story {
            UP => seen(false),
            REPLICA => seen(true),
            PROMOTED => Observation { promoted: true, ..seen(false) },
            SILENT => Observation { strikes: 1, ..seen(false) },
            SILENT_REPLICA => Observation { strikes: 1, ..seen(true) },
            DOWN => Observation { strikes: 3, is_down: true, ..seen(false) },
            NEVER => Observation { strikes: 3, is_down: true, ..Observation::default() },
            LOOSE => Observation {
                seen: Some(Sighting { source: Some("0".into()), ..sighting(false) }),
                ..Observation::default()
            },
            _ => panic!("{story}"),
        }
    }

    /// Who was primary, what is seen, who is primary now, and who is a rival.
    type Row<'a> = (Option<usize>, &'a [&'a str], Option<usize>, &'a [usize]);

    #[test]
    fn every_story_has_its_primary() {
        let rows: &[Row<'_>] = &[
            // At the start.
            (None, &[UP, REPLICA], Some(0), &[]),
            (None, &[REPLICA, UP, REPLICA], Some(1), &[]),
            (None, &[REPLICA, REPLICA], None, &[]),
            (None, &[NEVER, REPLICA], None, &[]),
            (None, &[NEVER, UP], Some(1), &[]),
            // Two that take writes, and nothing tells which is right.
            (None, &[UP, UP], None, &[0, 1]),
            // One of them follows the other.
            (None, &[UP, LOOSE], Some(0), &[]),
            (Some(1), &[UP, LOOSE], Some(0), &[]),
            // A probe that failed changes nothing yet.
            (Some(0), &[SILENT, REPLICA], Some(0), &[]),
            (Some(0), &[DOWN, REPLICA], None, &[]),
            // A crash: whoever is promoted is followed at once.
            (Some(0), &[SILENT, PROMOTED], Some(1), &[]),
            (Some(0), &[DOWN, PROMOTED], Some(1), &[]),
            (None, &[DOWN, PROMOTED], Some(1), &[]),
            // The old one is back: as a replica, or as it was.
            (Some(1), &[REPLICA, PROMOTED], Some(1), &[]),
            (Some(1), &[UP, PROMOTED], Some(1), &[0]),
            // Promoted while the old one takes writes: two histories.
            (Some(0), &[UP, PROMOTED], None, &[0, 1]),
            (None, &[UP, PROMOTED], None, &[0, 1]),
            (None, &[REPLICA, PROMOTED], Some(1), &[]),
            // A switchover: both read-only for a moment.
            (Some(0), &[REPLICA, REPLICA], None, &[]),
            (Some(0), &[REPLICA, PROMOTED], Some(1), &[]),
            (Some(0), &[REPLICA, SILENT_REPLICA], None, &[]),
        ];
        for (primary, stories, now, rivals) in rows {
            let targets: Vec<_> =
                stories.iter().enumerate().map(|(at, story)| target(at, story)).collect();
            let before = Topology { primary: *primary, epoch: 7, ..Topology::default() };
            let after = elect(&before, &targets);
            assert_eq!(after.primary, *now, "{primary:?}, {stories:?}");
            assert_eq!(after.rivals, *rivals, "{primary:?}, {stories:?}");
            let moved = now.is_some() && now != primary;
            assert_eq!(after.epoch, 7 + u64::from(moved), "{primary:?}, {stories:?}");
        }
    }

    #[test]
    fn a_promotion_is_told_from_a_restart() {
        let sighting = |read_only| Sighting { read_only, ..Sighting::default() };
        let mut target = Observation::default();
        target.saw(sighting(false), Duration::MAX);
        assert!(!target.promoted);
        target.saw(sighting(true), Duration::MAX);
        target.missed(2);
        target.saw(sighting(false), Duration::MAX);
        assert!(target.promoted, "one missed probe is no restart");
        target.saw(sighting(false), Duration::MAX);
        assert!(target.promoted);
        target.saw(sighting(true), Duration::MAX);
        assert!(!target.promoted);
        target.missed(2);
        target.missed(2);
        assert!(target.is_down);
        target.saw(sighting(false), Duration::MAX);
        assert!(!target.promoted && !target.is_down);
    }

    #[test]
    fn reads_go_where_they_are_fresh() {
        let limit = Duration::from_secs(30);
        let mut targets = [target(0, UP), target(1, REPLICA), target(2, SILENT_REPLICA)];
        let mut replicas = |lag| {
            targets[1].saw(Sighting { read_only: true, lag, ..Sighting::default() }, limit);
            elect(&Topology::default(), &targets).replicas
        };
        assert_eq!(replicas(Lag::Unknown), [1]);
        assert_eq!(replicas(Lag::Seconds(30)), [1]);
        assert_eq!(replicas(Lag::Seconds(31)), [0; 0]);
        assert_eq!(replicas(Lag::Stopped), [0; 0]);
        targets[0].role = Role::Replica;
        assert_eq!(elect(&Topology::default(), &targets).replicas, [0]);
    }

    #[test]
    fn at_the_start_all_are_heard_first() {
        let unheard = Observation::default();
        let nobody = Topology::default();
        assert_eq!(elect(&nobody, &[target(0, UP), unheard.clone()]), nobody);
        assert_eq!(elect(&nobody, &[target(0, UP), target(1, NEVER)]).primary, Some(0));
        let known = Topology { primary: Some(0), epoch: 1, ..Topology::default() };
        assert_eq!(elect(&known, &[target(0, UP), unheard]).primary, Some(0));
    }

    #[test]
    fn a_role_that_is_said_is_believed() {
        let mut targets = [target(0, UP), target(1, UP)];
        targets[0].role = Role::Replica;
        assert_eq!(elect(&Topology::default(), &targets).primary, Some(1));
        targets[1].role = Role::Replica;
        assert_eq!(elect(&Topology::default(), &targets).primary, None);
    }
}
