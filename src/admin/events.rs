//! What has happened to the targets: told from two looks at them.
//!
//! Pure, and bounded: the oldest go.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::cluster::{ClusterView, Hold, TargetView};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds since 1970.
    pub time: u64,
    pub kind: Kind,
    /// The target it is about, if it is about one.
    pub target: Option<String>,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The first primary, or the same one again.
    Primary,
    /// Another target became the primary.
    Failover,
    NoPrimary,
    Up,
    Down,
    /// Several take writes.
    Rivals,
    /// An operator holds statements back, drains a target, or lets it go on.
    Operator,
}

#[derive(Debug, Default)]
pub struct Events {
    kept: VecDeque<Event>,
    /// The last that was primary, and since when there is none.
    last_primary: Option<String>,
    orphaned: Option<u64>,
}

impl Events {
    pub const MOST: usize = 100;

    pub fn all(&self) -> Vec<Event> {
        self.kept.iter().cloned().collect()
    }

    /// Notes what is different now.
    pub fn compare(&mut self, before: Option<&ClusterView>, now: &ClusterView, time: u64) {
        for (at, target) in now.targets.iter().enumerate() {
            let was = before.and_then(|before| before.targets.get(at));
            if !target.is_gone {
                self.reach(was, target, time);
            } else if was.is_some_and(|was| !was.is_gone) {
                let text = "is a target no longer".to_owned();
                self.note(time, Kind::Operator, Some(target.name.clone()), text);
            }
        }
        self.primary(before, now, time);
        self.held(before, now, time);
        let rivals = &now.topology.rivals;
        if !rivals.is_empty() && before.is_none_or(|before| before.topology.rivals != *rivals) {
            let names: Vec<&str> = rivals.iter().filter_map(|at| name(now, *at)).collect();
            let text = format!("{} take writes and should not", names.join(" and "));
            self.note(time, Kind::Rivals, None, text);
        }
    }

    fn reach(&mut self, was: Option<&TargetView>, target: &TargetView, time: u64) {
        let name = Some(target.name.clone());
        let known = target.version.is_some() || target.trouble.is_some();
        match was {
            Some(was) if was.is_up && !target.is_up => {
                self.note(time, Kind::Down, name, silent(target));
            }
            Some(was) if !was.is_up && target.is_up => {
                self.note(time, Kind::Up, name, "answers".to_owned());
            }
            None if target.is_up => {
                self.note(time, Kind::Up, name, "answers".to_owned());
            }
            None if known => {
                self.note(time, Kind::Down, name, silent(target));
            }
            _ => {}
        }
    }

    fn primary(&mut self, before: Option<&ClusterView>, now: &ClusterView, time: u64) {
        let was = before.and_then(|before| name(before, before.topology.primary?));
        let is = now.topology.primary.and_then(|at| name(now, at));
        if was == is {
            return;
        }
        let Some(is) = is else {
            self.orphaned = Some(time);
            let text = "is not the primary any more, and nobody is".to_owned();
            self.note(time, Kind::NoPrimary, was.map(str::to_owned), text);
            return;
        };
        let without = self.orphaned.take().map(|since| time.saturating_sub(since));
        let after = without.map_or(String::new(), |ms| {
            format!(", after {}.{} s without one", ms / 1000, ms % 1000 / 100)
        });
        let last = self.last_primary.replace(is.to_owned());
        let (kind, text) = match last {
            Some(last) if last != is => {
                (Kind::Failover, format!("is the primary in place of {last}{after}"))
            }
            Some(_) => (Kind::Primary, format!("is the primary again{after}")),
            None => (Kind::Primary, "is the primary".to_owned()),
        };
        self.note(time, kind, Some(is.to_owned()), text);
    }

    fn held(&mut self, before: Option<&ClusterView>, now: &ClusterView, time: u64) {
        let (was, is) = (before.map(|before| &before.topology), &now.topology);
        if was.map_or(Hold::Nothing, |was| was.hold) != is.hold {
            let text = match is.hold {
                Hold::Nothing => "statements are served again",
                Hold::Primary => "statements wait while the primary is moved",
                Hold::Everything => "statements wait: paused by an operator",
            };
            self.note(time, Kind::Operator, None, text.to_owned());
        }
        for (at, target) in now.targets.iter().enumerate() {
            let was = was.is_some_and(|was| was.drained.contains(&at));
            let text = match (was, is.drained.contains(&at)) {
                (false, true) => "drained by an operator",
                (true, false) => "in use again",
                _ => continue,
            };
            self.note(time, Kind::Operator, Some(target.name.clone()), text.to_owned());
        }
    }

    fn note(&mut self, time: u64, kind: Kind, target: Option<String>, text: String) {
        if self.kept.len() >= Self::MOST {
            self.kept.pop_front();
        }
        self.kept.push_back(Event { time, kind, target, text });
    }
}

fn silent(target: &TargetView) -> String {
    match &target.trouble {
        Some(why) => format!("does not answer: {why}"),
        None => "does not answer".to_owned(),
    }
}

fn name(view: &ClusterView, at: usize) -> Option<&str> {
    view.targets.get(at).map(|target| target.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{Lag, Standing, Topology};
    use crate::config::{Address, Role};

    fn target(name: &str, is_up: bool) -> TargetView {
        TargetView {
            name: name.to_owned(),
            address: Address::tcp("db", 3306),
            role: Role::Auto,
            standing: if is_up { Standing::Unused } else { Standing::Down },
            is_gone: false,
            is_up,
            strikes: 0,
            read_only: None,
            lag: Lag::Unknown,
            is_behind: false,
            trouble: (!is_up).then(|| "refused".to_owned()),
            version: Some("9.7.0".to_owned()),
            max_connections: None,
            pool: None,
        }
    }

    fn view(up: [bool; 2], primary: Option<usize>) -> ClusterView {
        let targets = vec![target("first", up[0]), target("second", up[1])];
        ClusterView { targets, topology: Topology { primary, ..Topology::default() } }
    }

    fn told(events: &Events) -> Vec<(Kind, Option<&str>, &str)> {
        let told = events.kept.iter();
        told.map(|it| (it.kind, it.target.as_deref(), it.text.as_str())).collect()
    }

    #[test]
    fn a_failover_is_a_story() {
        let mut events = Events::default();
        let steps = [
            (1_000, view([true, true], Some(0))),
            (2_000, view([true, true], Some(0))),
            (3_000, view([false, true], None)),
            (4_250, view([false, true], Some(1))),
            (9_000, view([true, true], Some(1))),
        ];
        let mut before = None;
        for (time, now) in steps {
            events.compare(before.as_ref(), &now, time);
            before = Some(now);
        }
        assert_eq!(
            told(&events),
            [
                (Kind::Up, Some("first"), "answers"),
                (Kind::Up, Some("second"), "answers"),
                (Kind::Primary, Some("first"), "is the primary"),
                (Kind::Down, Some("first"), "does not answer: refused"),
                (Kind::NoPrimary, Some("first"), "is not the primary any more, and nobody is"),
                (
                    Kind::Failover,
                    Some("second"),
                    "is the primary in place of first, after 1.2 s without one"
                ),
                (Kind::Up, Some("first"), "answers"),
            ]
        );
    }

    #[test]
    fn rivals_are_told_once() {
        let mut events = Events::default();
        let mut rivals = view([true, true], None);
        events.compare(Some(&view([true, true], Some(0))), &rivals, 1);
        rivals.topology.rivals = vec![0, 1];
        events.compare(Some(&view([true, true], None)), &rivals, 2);
        events.compare(Some(&rivals.clone()), &rivals, 3);
        assert_eq!(
            told(&events),
            [
                (Kind::NoPrimary, Some("first"), "is not the primary any more, and nobody is"),
                (Kind::Rivals, None, "first and second take writes and should not"),
            ]
        );
    }

    #[test]
    fn what_an_operator_does_is_told() {
        let mut events = Events::default();
        let calm = view([true, true], Some(0));
        let (mut paused, mut drained) = (calm.clone(), calm.clone());
        paused.topology.hold = Hold::Everything;
        drained.topology.drained = vec![1];
        for (before, now) in [(&calm, &paused), (&paused, &drained), (&drained, &calm)] {
            events.compare(Some(before), now, 1);
        }
        assert_eq!(
            told(&events),
            [
                (Kind::Operator, None, "statements wait: paused by an operator"),
                (Kind::Operator, None, "statements are served again"),
                (Kind::Operator, Some("second"), "drained by an operator"),
                (Kind::Operator, Some("second"), "in use again"),
            ]
        );
    }

    #[test]
    fn the_oldest_go() {
        let mut events = Events::default();
        for time in 0..100 {
            let up = time % 2 == 0;
            events.compare(Some(&view([!up, true], Some(1))), &view([up, true], Some(1)), time);
            events.compare(Some(&view([up, !up], Some(1))), &view([up, up], Some(1)), time);
        }
        assert_eq!(events.kept.len(), Events::MOST);
        assert_eq!(events.kept.back().unwrap().time, 99);
    }
}
