//! Who is primary: decided from what was seen of each target, and from who was before.
//!
//! Pure. It never guesses: what one of two primaries takes the other will never have. So a silent
//! primary gives way only to one that was promoted while it was silent; one that comes back from the
//! dead takes nothing over from whoever is primary then; and where one is promoted beside a living
//! primary, or several take writes at the start, there is none.

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
    /// So many that it is taken for dead.
    pub is_down: bool,
    /// It has turned from read-only to writable without being down in between, and was not made the
    /// primary for it yet.
    pub promoted: bool,
    /// So far behind its source that nobody should read there.
    pub is_behind: bool,
}

/// What a target says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sighting {
    pub read_only: bool,
    /// `server_uuid`, on MariaDB `server_id`.
    pub identity: String,
    /// The identity of the server it replicates from, by its first channel, while it does; `None` also
    /// where the account may not ask.
    pub source: Option<String>,
    pub lag: Lag,
}

/// How far a replica is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lag {
    /// It is no replica by itself (a member of a group, a reader of a shared store), its source is
    /// away, or the account may not ask.
    #[default]
    Unknown,
    Seconds(u64),
    /// It is one, and does not replicate; or it replicates from nobody, so that what it has may be
    /// old; or its group has not taken it in.
    Stopped,
}

/// What may be borrowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    #[default]
    Nothing,
    /// Nothing of the primary's.
    Primary,
    Everything,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// Its place among the targets.
    pub primary: Option<usize>,
    /// One more with each new primary.
    pub epoch: u64,
    /// Targets that take writes though they should not, or of which nobody knows whether they should.
    pub rivals: Vec<usize>,
    /// Those that were found writable while another was primary: they are left alone until they have
    /// been read-only.
    pub stale: Vec<usize>,
    /// Those that reads may go to, the primary not among them.
    pub replicas: Vec<usize>,
    /// What an operator keeps from being borrowed; the election passes it on.
    pub hold: Hold,
    /// Targets that an operator has taken out of use. One of them may be the primary: it stays that,
    /// and what it should serve waits.
    pub drained: Vec<usize>,
}

impl Topology {
    /// The primary, if it may be borrowed from.
    pub fn writer(&self) -> Option<usize> {
        self.primary.filter(|at| self.hold == Hold::Nothing && !self.drained.contains(at))
    }

    /// Those that may be read from, the primary not among them.
    pub fn readers(&self) -> impl Iterator<Item = usize> {
        let held = self.hold == Hold::Everything;
        self.replicas.iter().copied().filter(move |at| !held && !self.drained.contains(at))
    }
}

/// The topology that follows from `before` and what is seen now.
pub fn elect(before: &Topology, targets: &[Observation]) -> Topology {
    // At the start nobody is preferred for being first to answer.
    if before.epoch == 0 && !targets.iter().all(|it| it.seen.is_some() || it.is_down) {
        return before.clone();
    }
    let mut stale = before.stale.clone();
    stale.retain(|at| targets.get(*at).is_some_and(Observation::takes_writes));
    let named = targets.iter().position(|it| it.role == Role::Primary);
    let may_be = |at: &usize| named.is_none_or(|named| named == *at) && !stale.contains(at);
    let contenders: Vec<usize> =
        places(targets, Observation::may_take_writes).into_iter().filter(may_be).collect();
    let current = before.primary.filter(|at| contenders.contains(at));
    let newcomers: Vec<usize> = contenders
        .iter()
        .copied()
        .filter(|at| Some(*at) != current && !follows_one_of(*at, &contenders, targets))
        .collect();
    let answers = |at: &usize| targets.get(*at).is_some_and(|it| it.strikes == 0);
    let promoted: Vec<usize> = newcomers
        .iter()
        .copied()
        .filter(|at| answers(at) && targets.get(*at).is_some_and(|it| it.promoted))
        .collect();
    let (primary, rivals) = match (current, promoted.as_slice()) {
        (Some(current), []) => {
            if answers(&current) {
                stale.extend(newcomers.iter().copied().filter(answers));
            }
            (Some(current), stale.clone())
        }
        (Some(current), [only]) if !answers(&current) => (Some(*only), stale.clone()),
        (Some(current), several) => (None, [&[current], several].concat()),
        (None, _) => match newcomers.as_slice() {
            [only] if answers(only) => (Some(*only), stale.clone()),
            [] if contenders.len() > 1 => (None, contenders),
            [] | [_] => (None, stale.clone()),
            several => (None, several.to_vec()),
        },
    };
    let changed = primary.is_some() && primary != before.primary;
    let replicas = readers(primary, targets);
    let epoch = before.epoch + u64::from(changed);
    let (hold, drained) = (before.hold, before.drained.clone());
    Topology { primary, epoch, rivals, stale, replicas, hold, drained }
}

impl Observation {
    /// Of what is a target no longer: nothing is to be expected of it.
    pub(super) fn gone() -> Self {
        Self { role: Role::Replica, is_down: true, strikes: 1, ..Self::default() }
    }

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

    /// As far as is known.
    pub fn takes_writes(&self) -> bool {
        match self.role {
            Role::Auto => self.seen.as_ref().is_some_and(|seen| !seen.read_only),
            Role::Primary => self.seen.is_some(),
            Role::Replica => false,
        }
    }

    fn may_take_writes(&self) -> bool {
        self.takes_writes() && !self.is_down
    }

    /// Fit to be read from.
    pub fn reads(&self) -> bool {
        let reads = match self.role {
            Role::Auto => self.seen.as_ref().is_some_and(|seen| seen.read_only),
            Role::Primary => false,
            Role::Replica => self.seen.is_some(),
        };
        reads && !self.is_down && !self.is_behind
    }
}

/// Who is fit to be read from, and does not follow a target that was left behind: what that one has is
/// all that such a replica will ever have, and it is not late with it.
fn readers(primary: Option<usize>, targets: &[Observation]) -> Vec<usize> {
    let mut fit = places(targets, |it| it.reads() && it.strikes == 0);
    let Some(primary) = primary else { return fit };
    let source = |at: usize| {
        let source = targets.get(at)?.seen.as_ref()?.source.as_ref()?;
        let is = |it: &Observation| it.seen.as_ref().is_some_and(|it| it.identity == *source);
        targets.iter().position(is).filter(|_| !source.is_empty())
    };
    loop {
        let before = fit.clone();
        fit.retain(|at| source(*at).is_none_or(|it| it == primary || before.contains(&it)));
        if fit.len() == before.len() {
            return fit;
        }
    }
}

fn follows_one_of(at: usize, others: &[usize], targets: &[Observation]) -> bool {
    let seen = |at: usize| targets.get(at).and_then(|it| it.seen.as_ref());
    let Some(source) = seen(at).and_then(|it| it.source.as_ref()).filter(|it| !it.is_empty())
    else {
        return false;
    };
    others.iter().any(|other| *other != at && seen(*other).is_some_and(|it| it.identity == *source))
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
            (None, &[UP, SILENT], None, &[0, 1]),
            // One of them follows the other.
            (None, &[UP, LOOSE], Some(0), &[]),
            (Some(0), &[SILENT, LOOSE], Some(0), &[]),
            // It was promoted by nothing but read_only = 0, and its source is back from the dead.
            (Some(1), &[UP, LOOSE], Some(1), &[0]),
            // A probe that failed changes nothing yet.
            (Some(0), &[SILENT, REPLICA], Some(0), &[]),
            (Some(0), &[DOWN, REPLICA], None, &[]),
            // A crash: whoever is promoted is followed at once.
            (Some(0), &[SILENT, PROMOTED], Some(1), &[]),
            (Some(0), &[DOWN, PROMOTED], Some(1), &[]),
            (None, &[DOWN, PROMOTED], Some(1), &[]),
            (Some(0), &[SILENT, PROMOTED, PROMOTED], None, &[0, 1, 2]),
            // The old one is back: as a replica, or as it was.
            (Some(1), &[REPLICA, UP], Some(1), &[]),
            (Some(1), &[UP, UP], Some(1), &[0]),
            // Promoted while the old one takes writes: two histories.
            (Some(0), &[UP, PROMOTED], None, &[0, 1]),
            (None, &[UP, PROMOTED], None, &[0, 1]),
            (None, &[SILENT, PROMOTED], None, &[0, 1]),
            (None, &[UP, SILENT], None, &[0, 1]),
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
    fn who_was_left_behind_is_left_alone() {
        let step = |before: &Topology, stories: [&str; 2]| {
            elect(before, &[target(0, stories[0]), target(1, stories[1])])
        };
        let first = Topology { primary: Some(1), epoch: 2, ..Topology::default() };
        let found = step(&first, [UP, UP]);
        assert_eq!((found.primary, &*found.stale), (Some(1), &[0][..]));
        let silent = step(&found, [UP, SILENT]);
        assert_eq!((silent.primary, &*silent.rivals), (Some(1), &[0][..]));
        let down = step(&silent, [UP, DOWN]);
        assert_eq!((down.primary, &*down.rivals), (None, &[0][..]), "not even now");
        assert_eq!(step(&down, [UP, UP]).primary, Some(1));
        let replica = step(&down, [REPLICA, DOWN]);
        assert_eq!((replica.primary, &*replica.stale), (None, &[][..]));
        assert_eq!(step(&replica, [PROMOTED, DOWN]).primary, Some(0));
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
        let others = elect(&Topology { epoch: 1, ..Topology::default() }, &targets);
        assert_eq!(others.replicas, [0]);
    }

    /// After a switchover the others follow the old primary until somebody tells them.
    #[test]
    fn who_follows_somebody_left_behind_is_not_read_from() {
        let follows = |at: usize, source: Option<&str>| {
            let mut target = target(at, REPLICA);
            target.seen.as_mut().unwrap().source = source.map(str::to_owned);
            target
        };
        let mut targets = [
            target(0, UP),
            follows(1, Some("0")),
            follows(2, Some("1")),
            follows(3, Some("elsewhere")),
            follows(4, None),
        ];
        let before = Topology { primary: Some(0), epoch: 1, ..Topology::default() };
        assert_eq!(elect(&before, &targets).replicas, [1, 2, 3, 4]);
        // The first is read-only now and replicates from nobody, the last was promoted.
        targets[0] = target(0, REPLICA);
        targets[0].is_behind = true;
        targets[4] = target(4, PROMOTED);
        let after = elect(&before, &targets);
        assert_eq!((after.primary, &*after.replicas), (Some(4), &[3][..]));
        // Until there is a primary, what is there is read.
        targets[4] = target(4, REPLICA);
        assert_eq!(elect(&before, &targets).replicas, [1, 2, 3, 4]);
    }

    #[test]
    fn at_the_start_all_are_heard_first() {
        let unheard = Observation::default();
        let nobody = Topology::default();
        assert_eq!(elect(&nobody, &[target(0, UP), unheard.clone()]), nobody);
        let missed_once = Observation { strikes: 1, ..unheard.clone() };
        assert_eq!(elect(&nobody, &[target(0, UP), missed_once]), nobody);
        assert_eq!(elect(&nobody, &[target(0, UP), target(1, NEVER)]).primary, Some(0));
        let known = Topology { primary: Some(0), epoch: 1, ..Topology::default() };
        assert_eq!(elect(&known, &[target(0, UP), unheard]).primary, Some(0));
    }

    #[test]
    fn a_ring_has_no_first() {
        let mut targets = [target(0, UP), target(1, LOOSE)];
        targets[0].seen.as_mut().unwrap().source = Some("1".into());
        let now = elect(&Topology::default(), &targets);
        assert_eq!((now.primary, &*now.rivals), (None, &[0, 1][..]));
    }

    #[test]
    fn a_role_that_is_said_is_believed() {
        let mut targets = [target(0, UP), target(1, UP)];
        targets[0].role = Role::Replica;
        assert_eq!(elect(&Topology::default(), &targets).primary, Some(1));
        targets[1].role = Role::Replica;
        assert_eq!(elect(&Topology::default(), &targets).primary, None);
        let mut targets = [target(0, REPLICA), target(1, UP)];
        targets[0].role = Role::Primary;
        let now = elect(&Topology::default(), &targets);
        assert_eq!((now.primary, &*now.rivals), (Some(0), &[][..]));
        let mut targets = [target(0, DOWN), target(1, PROMOTED)];
        targets[0].role = Role::Primary;
        assert_eq!(elect(&Topology::default(), &targets).primary, None);
    }
}
