//! The idle connections, the last one used on top.
//!
//! Owns which idle connection fits a borrower best. It never does I/O.

use std::time::Instant;

use super::Live;
use super::borrow::Want;
use super::logins::Logins;
use crate::backend::{Connection, Identity};
use crate::session::{Restore, SessionState};

#[derive(Default)]
pub(super) struct Shelf {
    idle: Vec<Idle>,
    /// The fewest there were since the keeper last looked: so many were not needed.
    low_water: usize,
    /// Which of the connections are as good as new ones.
    pub logins: Logins,
}

pub(super) struct Idle {
    pub live: Live,
    pub since: Instant,
}

/// How well a connection serves, best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// Other capabilities, or a role: it can only make room.
    Room,
    /// COM_CHANGE_USER makes it fit.
    ChangeUser,
    /// The same login; something is on it that only a reset takes away.
    Stained,
    /// The same login; schema and variables differ.
    Schema,
    /// Only variables differ.
    Variables,
    Exact,
}

impl Shelf {
    pub fn put(&mut self, live: Live, now: Instant) {
        self.idle.push(Idle { live, since: now });
    }

    pub fn iter(&self) -> impl Iterator<Item = &Idle> {
        self.idle.iter()
    }

    pub fn len(&self) -> usize {
        self.idle.len()
    }

    /// The best fit, if one is at least `least`. From the top, so that the surplus ages below.
    pub fn take(&mut self, want: &Want<'_>, least: Fit) -> Option<(Idle, Fit)> {
        let mut best = None;
        for (index, idle) in self.idle.iter().enumerate().rev() {
            let fit = fit(&idle.live.connection, want, &self.logins);
            if fit >= least && best.is_none_or(|(_, known)| fit > known) {
                best = Some((index, fit));
                if fit == Fit::Exact {
                    break;
                }
            }
        }
        let (index, fit) = best?;
        let idle = self.idle.remove(index);
        self.low_water = self.low_water.min(self.idle.len());
        Some((idle, fit))
    }

    /// The one that was idle longest.
    pub fn oldest(&mut self) -> Option<Live> {
        let idle = self.take_oldest()?;
        self.low_water = self.low_water.min(self.idle.len());
        Some(idle.live)
    }

    /// To be put back: it does not count as needed.
    pub fn take_oldest(&mut self) -> Option<Idle> {
        (!self.idle.is_empty()).then(|| self.idle.remove(0))
    }

    pub fn put_under(&mut self, idle: Idle) {
        self.idle.insert(0, idle);
    }

    /// Takes out all that `gone` names a reason for, oldest first.
    pub fn sweep<R>(
        &mut self,
        mut gone: impl FnMut(&mut Idle, &Logins) -> Option<R>,
    ) -> Vec<(Live, R)> {
        let mut out = Vec::new();
        let mut kept = Vec::with_capacity(self.idle.len());
        for mut idle in self.idle.drain(..) {
            match gone(&mut idle, &self.logins) {
                Some(reason) => out.push((idle.live, reason)),
                None => kept.push(idle),
            }
        }
        self.idle = kept;
        self.low_water = self.low_water.min(self.idle.len());
        out
    }

    /// How many lay here all the time since the last call.
    pub fn unused(&mut self) -> usize {
        std::mem::replace(&mut self.low_water, self.idle.len())
    }
}

fn fit(connection: &Connection, want: &Want<'_>, logins: &Logins) -> Fit {
    let same = connection.identity.username == want.identity.username
        && logins.is_current(&connection.identity);
    let (has, wants) = (&connection.identity, want.identity);
    fit_of((has, &connection.state), (wants, want.state), same)
}

/// `same`: the login is the one that is wanted.
fn fit_of(
    (has, holds): (&Identity, &SessionState),
    (wants, state): (&Identity, &SessionState),
    same: bool,
) -> Fit {
    if has.meaning != wants.meaning {
        return Fit::Room;
    }
    // Neither a reset nor, on MariaDB, another login gives back the role that the first one gave.
    let same_role = holds.role() == state.role();
    if holds.role().is_some() && !(same && (same_role || state.role().is_some())) {
        return Fit::Room;
    }
    if !same {
        return Fit::ChangeUser;
    }
    if std::ptr::eq(holds, state) || holds == state {
        return Fit::Exact;
    }
    if Restore::is_stained(holds, state) && (state.schema().is_some() || holds.schema().is_none()) {
        // A reset would be refused where there is a role.
        return if holds.role().is_some() { Fit::Room } else { Fit::Stained };
    }
    match (holds.schema(), state.schema()) {
        (has, wants) if has == wants => Fit::Variables,
        // No command takes a schema away but a new login.
        (Some(_), None) => Fit::ChangeUser,
        _ => Fit::Schema,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Charset;
    use crate::wire::{Capabilities, Extended, Meaning};

    fn identity(user: &str) -> Identity {
        Identity { username: user.into(), generation: 1, meaning: Meaning::default() }
    }

    fn state(schema: Option<&str>) -> SessionState {
        SessionState::new(schema, &Charset::canonical(), false)
    }

    #[test]
    fn the_fit_of_each_difference() {
        let fit_of = |has: &Identity, holds: &SessionState, wants: &Identity, state: &_| {
            fit_of((has, holds), (wants, state), has == wants)
        };
        let app = identity("app");
        let a = state(Some("a"));
        assert_eq!(fit_of(&app, &a, &app, &a), Fit::Exact);
        let utc = a.with_variables([("time_zone", "UTC")]);
        assert_eq!(fit_of(&app, &utc, &app, &a), Fit::Variables);
        let role = a.with_role(Some("r"));
        assert_eq!(fit_of(&app, &role, &app, &a), Fit::Room);
        assert_eq!(fit_of(&app, &role, &identity("other"), &a), Fit::Room);
        assert_eq!(fit_of(&app, &role, &app, &a.with_role(Some("s"))), Fit::Variables);
        assert_eq!(fit_of(&app, &a, &app, &role), Fit::Variables);
        let value = Some(crate::session::UserValue::Value("1".into()));
        let stained = a.with_user_variables([("x".into(), value)]);
        assert_eq!(fit_of(&app, &stained, &app, &a), Fit::Stained);
        assert_eq!(fit_of(&app, &a, &app, &stained), Fit::Variables);
        assert_eq!(fit_of(&app, &state(Some("b")), &app, &a), Fit::Schema);
        assert_eq!(fit_of(&app, &state(None), &app, &a), Fit::Schema);
        assert_eq!(fit_of(&app, &a, &app, &state(None)), Fit::ChangeUser);
        assert_eq!(fit_of(&identity("other"), &a, &app, &a), Fit::ChangeUser);
        let rotated = Identity { generation: 2, ..app.clone() };
        assert_eq!(fit_of(&app, &a, &rotated, &a), Fit::ChangeUser);
        for (common, extended) in [
            (Capabilities::CLIENT_FOUND_ROWS, Extended::empty()),
            (Capabilities::empty(), Extended::MARIADB_CLIENT_PROGRESS),
        ] {
            let other = Identity { meaning: Meaning { common, extended }, ..app.clone() };
            assert_eq!(fit_of(&app, &a, &other, &a), Fit::Room);
        }
    }
}
