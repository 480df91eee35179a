//! The targets as others may look at them: values copied at one moment, with no lock held.
//!
//! It tells what was seen and what follows from it by [`super::elect`]; it looks at nothing anew.

use std::fmt;

use super::Cluster;
use super::elect::{Lag, Observation, Topology};
use super::member::Member;
use crate::config::{Address, Role};
use crate::pool::{Pool, PoolView};

/// All targets at one moment.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// By their places, which is what those in `topology` mean; those that are gone too.
    pub targets: Vec<TargetView>,
    pub topology: Topology,
}

#[derive(Clone, Debug)]
pub struct TargetView {
    pub name: String,
    pub address: Address,
    /// It is a target no longer, and keeps its place.
    pub is_gone: bool,
    /// As configured.
    pub role: Role,
    pub standing: Standing,
    /// It has answered when last asked, or, where nobody asks, can be connected to.
    pub is_up: bool,
    /// Times in a row it has not answered.
    pub strikes: u32,
    /// `None`: it has not said yet.
    pub read_only: Option<bool>,
    /// Behind its source, as it says; unknown of a primary.
    pub lag: Lag,
    /// So far behind that nobody should read there.
    pub is_behind: bool,
    /// Why it could not be reached when it was last tried; `None` once it could.
    pub trouble: Option<String>,
    /// As its greeting gave it; `None` before it has answered once.
    pub version: Option<String>,
    /// The server's own.
    pub max_connections: Option<u32>,
    pub pool: Option<PoolView>,
}

/// What a target is at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Primary,
    /// Reads may go there.
    Replica,
    /// It takes writes though another is the primary, or nobody knows who is.
    Rival,
    /// Taken out of use by an operator.
    Drained,
    /// Known, and not to be used: too far behind, silent, or with nothing to do.
    Unused,
    Down,
    /// It has not answered yet.
    Unknown,
}

impl Standing {
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
            Self::Rival => "rival",
            Self::Drained => "drained",
            Self::Unused => "unused",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Cluster {
    pub fn view(&self) -> ClusterView {
        let topology = self.topology.borrow().clone();
        let seen = self.seen().clone();
        let unpromoted = self.unpromoted();
        let view = |member: &Member| {
            let mut view = member.view(seen.get(member.at));
            if let Some(it) = unpromoted.as_ref().filter(|it| it.dead == member.at) {
                let trouble = view.trouble.iter().map(String::as_str);
                let why = format!("no replica is promoted: {}", it.why);
                view.trouble = Some(trouble.chain([&*why]).collect::<Vec<_>>().join("; "));
            }
            view.standing = if topology.drained.contains(&member.at) {
                Standing::Drained
            } else {
                standing(&topology, member.at, &view, seen.get(member.at))
            };
            if !self.may_move() {
                view.is_up = view.pool.is_some() && view.trouble.is_none();
            }
            view
        };
        ClusterView { targets: self.members.all().map(view).collect(), topology }
    }

    /// The pool of each target that has answered, beside its place.
    pub fn pools_by_place(&self) -> impl Iterator<Item = (usize, &Pool)> {
        let pools = self.members.all().filter_map(|member| Some((member.at, member.pool()?)));
        pools.filter(|(_, pool)| !pool.is_closed())
    }

    /// The name of the target at this place.
    pub fn name_of(&self, target: usize) -> Option<&str> {
        self.members.get(target).map(|member| member.name.as_str())
    }

    /// The place of the target of this name.
    pub fn place_of(&self, name: &str) -> Option<usize> {
        self.members.iter().find(|member| member.name == name).map(|member| member.at)
    }
}

impl Member {
    /// Without what only all targets together decide.
    fn view(&self, seen: Option<&Observation>) -> TargetView {
        let said = seen.and_then(|it| it.seen.as_ref());
        let pool = self.pool();
        let trouble = self.trouble().map(|trouble| trouble.text);
        TargetView {
            name: self.name.clone(),
            address: self.address().clone(),
            is_gone: self.is_gone(),
            role: seen.map_or(Role::Auto, |it| it.role),
            standing: Standing::Unknown,
            is_up: said.is_some() && seen.is_some_and(|it| it.strikes == 0),
            strikes: seen.map_or(0, |it| it.strikes),
            read_only: said.map(|said| said.read_only),
            lag: said.map_or(Lag::Unknown, |said| said.lag),
            is_behind: seen.is_some_and(|it| it.is_behind),
            trouble: trouble.or_else(|| pool.and_then(Pool::trouble)),
            version: self.facts().map(|facts| facts.version.clone()),
            max_connections: self.facts().map(|facts| facts.max_connections),
            pool: pool.map(Pool::view),
        }
    }
}

fn standing(
    topology: &Topology,
    at: usize,
    view: &TargetView,
    seen: Option<&Observation>,
) -> Standing {
    if topology.primary == Some(at) {
        Standing::Primary
    } else if topology.rivals.contains(&at) {
        Standing::Rival
    } else if topology.replicas.contains(&at) {
        Standing::Replica
    } else if seen.is_some_and(|it| it.is_down) {
        Standing::Down
    } else if view.version.is_none() {
        Standing::Unknown
    } else {
        Standing::Unused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(is_down: bool) -> Observation {
        Observation { is_down, ..Observation::default() }
    }

    fn target(version: Option<&str>) -> TargetView {
        TargetView {
            name: "a".into(),
            address: Address::tcp("db", 3306),
            is_gone: false,
            role: Role::Auto,
            standing: Standing::Unknown,
            is_up: false,
            strikes: 0,
            read_only: None,
            lag: Lag::Unknown,
            is_behind: false,
            trouble: None,
            version: version.map(str::to_owned),
            max_connections: None,
            pool: None,
        }
    }

    #[test]
    fn what_a_target_is() {
        let topology = Topology {
            primary: Some(0),
            rivals: vec![1],
            replicas: vec![2],
            ..Topology::default()
        };
        let known = target(Some("9.7.0"));
        let is = |at, view: &TargetView, down| standing(&topology, at, view, Some(&seen(down)));
        assert_eq!(is(0, &known, false), Standing::Primary);
        // Silent for long, and still nobody took its place.
        assert_eq!(is(0, &known, true), Standing::Primary);
        assert_eq!(is(1, &known, false), Standing::Rival);
        assert_eq!(is(2, &known, false), Standing::Replica);
        assert_eq!(is(3, &known, true), Standing::Down);
        assert_eq!(is(3, &known, false), Standing::Unused);
        assert_eq!(is(3, &target(None), false), Standing::Unknown);
    }
}
