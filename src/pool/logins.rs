//! What the target has said to each of its users' logins.
//!
//! Owns which generation of a login is proven here, so that no connection is retired before its
//! successor can log in; and when a login that was refused is tried again, so that nobody's account
//! is locked by it. It never logs in. Time is handed in.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::Identity;
use crate::secrets::Generation;
use crate::wire::ErrPacket;

#[derive(Default)]
pub(super) struct Logins {
    known: HashMap<Arc<str>, Standing>,
    /// No connection of this generation or a later one is retired, whoever's it is.
    newest: u64,
}

#[derive(Default)]
struct Standing {
    /// The generation whose own password was accepted last.
    proven: u64,
    /// When some password was accepted last.
    accepted: Option<Instant>,
    /// Only an earlier password than this generation's was, and until when that one is tried first.
    behind: Option<(u64, Instant)>,
    refused: Option<Refused>,
    /// Somebody is finding out, and the others wait for the news until then.
    trying: Option<Instant>,
}

struct Refused {
    generation: u64,
    error: ErrPacket,
    first: Instant,
    not_before: Instant,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Go {
        /// The server is known to lag behind the secrets.
        earlier_first: bool,
    },
    /// Until then at most.
    Wait(Instant),
    Refused(ErrPacket),
}

/// No user's; see [`Logins::forget_others`].
const NEVER: u64 = u64::MAX;

/// So long after a login several may be tried at once: a server that has just taken one will hardly
/// refuse all.
const FRESH: Duration = Duration::from_secs(1);

/// Between tries of a password that was refused, or that the server does not know yet. News of the
/// secrets are not waited for.
const PAUSE: Duration = Duration::from_secs(10);

/// How long one who tries is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long clients wait, and are not told, after the server has begun to refuse what it took
/// before.
const GRACE: Duration = Duration::from_secs(60);

impl Logins {
    /// May this login be tried now? `Go` has to be followed by its news: `accepted`, `refused` or
    /// `unknown`.
    pub fn admit(&mut self, identity: &Identity, now: Instant) -> Admission {
        let standing = self.known.entry(Arc::clone(&identity.username)).or_default();
        if let Some(refused) = standing.refused_for(identity) {
            if now < refused.not_before {
                let waits = now.saturating_duration_since(refused.first) < GRACE;
                let (then, error) = (refused.not_before, refused.error.clone());
                return if standing.accepted.is_some() && waits {
                    Admission::Wait(then)
                } else {
                    Admission::Refused(error)
                };
            }
            refused.not_before = now + PAUSE;
            return Admission::Go { earlier_first: false };
        }
        let fresh = standing.accepted.is_some_and(|at| now < at + FRESH);
        if standing.proven == identity.generation && fresh {
            return Admission::Go { earlier_first: false };
        }
        match &mut standing.behind {
            Some((generation, until)) if *generation == identity.generation => {
                let earlier_first = now < *until;
                if !earlier_first {
                    *until = now + PAUSE;
                }
                return Admission::Go { earlier_first };
            }
            _ => {}
        }
        match standing.trying {
            Some(then) if now < then => Admission::Wait(then),
            _ => {
                standing.trying = Some(now + PATIENCE);
                Admission::Go { earlier_first: false }
            }
        }
    }

    /// `current`: by its own password, not by an earlier one. `true`: that is news to those who wait.
    pub fn accepted(&mut self, identity: &Identity, current: bool, now: Instant) -> bool {
        let standing = self.known.entry(Arc::clone(&identity.username)).or_default();
        let mut news = standing.trying.take().is_some() | standing.refused.take().is_some();
        standing.accepted = Some(now);
        if !current {
            if standing.proven == NEVER {
                standing.proven = 0;
            }
            let known =
                standing.behind.filter(|(generation, _)| *generation == identity.generation);
            let behind = known.unwrap_or((identity.generation, now + PAUSE));
            standing.behind = Some(behind);
            return news;
        }
        standing.behind = None;
        if standing.proven < identity.generation || standing.proven == NEVER {
            standing.proven = identity.generation;
            self.newest = self.newest.max(identity.generation);
            news = true;
        }
        news
    }

    pub fn refused(&mut self, identity: &Identity, error: &ErrPacket, now: Instant) {
        let standing = self.known.entry(Arc::clone(&identity.username)).or_default();
        standing.trying = None;
        let first = standing.refused_for(identity).map_or(now, |known| known.first);
        let (generation, error) = (identity.generation, error.clone());
        let not_before = now + PAUSE;
        standing.refused = Some(Refused { generation, error, first, not_before });
    }

    /// The try came to no answer.
    pub fn unknown(&mut self, identity: &Identity) {
        if let Some(standing) = self.known.get_mut(&identity.username) {
            standing.trying = None;
        }
    }

    /// Why whoever waits for this user's login waits.
    pub fn trouble(&self, username: &str) -> Option<String> {
        let error = &self.known.get(username)?.refused.as_ref()?.error;
        Some(format!("{} ({})", error.message, error.code))
    }

    /// Is a connection of this identity as good as a new one? Until the next generation is proven
    /// it is.
    pub fn is_current(&self, identity: &Identity) -> bool {
        identity.generation >= self.newest
            || self.known.get(&identity.username).is_none_or(|it| identity.generation >= it.proven)
    }

    /// Whoever is in the secrets no longer: no connection of theirs is of use.
    pub fn forget_others(&mut self, generation: &Generation) {
        for (username, standing) in &mut self.known {
            if generation.login(username).is_none() {
                *standing = Standing { proven: NEVER, ..Standing::default() };
                self.newest = NEVER;
            }
        }
    }

    /// One of those the target has let in, each in its turn.
    pub fn taken(&self, turn: usize) -> Option<Arc<str>> {
        let taken = self.known.iter().filter(|(_, standing)| standing.accepted.is_some());
        let mut names: Vec<&Arc<str>> = taken.map(|(name, _)| name).collect();
        names.sort_unstable();
        names.get(turn.checked_rem(names.len())?).map(|name| Arc::clone(name))
    }

    /// One that is in use and to be proven anew.
    pub fn unproven(&self, generation: &Generation, now: Instant) -> Option<Arc<str>> {
        let due = |(username, standing): &(&Arc<str>, &Standing)| {
            let Some(login) = generation.login(username) else { return false };
            let held = standing
                .refused
                .as_ref()
                .is_some_and(|it| it.generation == login && now < it.not_before);
            let behind = standing.behind.is_some_and(|(at, until)| at == login && now < until);
            standing.accepted.is_some() && standing.proven < login && !held && !behind
        };
        self.known.iter().find(due).map(|(username, _)| Arc::clone(username))
    }
}

impl Standing {
    fn refused_for(&mut self, identity: &Identity) -> Option<&mut Refused> {
        self.refused.as_mut().filter(|it| it.generation == identity.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::{Account, Password, Secrets, Vault};
    use crate::wire::Meaning;

    const GO: Admission = Admission::Go { earlier_first: false };

    fn app(generation: u64) -> Identity {
        Identity { username: "app".into(), generation, meaning: Meaning::default() }
    }

    fn denied() -> ErrPacket {
        ErrPacket { code: 1045, state: *b"28000", message: "Access denied".into() }
    }

    fn vault(password: &str) -> Vault {
        Vault::new(secrets("app", password))
    }

    fn secrets(user: &str, password: &str) -> Secrets {
        let account = Account::new(user.into(), Password::new(password), None, None, None);
        Secrets { accounts: vec![account], ..Secrets::default() }
    }

    #[test]
    fn one_finds_out_while_the_others_wait() {
        let (mut logins, now) = (Logins::default(), Instant::now());
        assert_eq!(logins.admit(&app(1), now), GO);
        assert_eq!(logins.admit(&app(1), now), Admission::Wait(now + PATIENCE));
        assert!(logins.accepted(&app(1), true, now));
        assert_eq!(logins.admit(&app(1), now), GO);
        assert_eq!(logins.admit(&app(1), now), GO);
        assert!(!logins.accepted(&app(1), true, now));
        // What was good a while ago may not be now.
        let later = now + FRESH;
        assert_eq!(logins.admit(&app(1), later), GO);
        assert_eq!(logins.admit(&app(1), later), Admission::Wait(later + PATIENCE));
        assert!(logins.accepted(&app(1), true, later));
        // One who never comes back does not keep the others for ever.
        assert_eq!(logins.admit(&app(2), now), GO);
        assert_eq!(logins.admit(&app(2), now + PATIENCE), GO);
        logins.unknown(&app(2));
        assert_eq!(logins.admit(&app(2), now), GO);
    }

    #[test]
    fn a_connection_is_current_until_its_successor_is_proven() {
        let (mut logins, now) = (Logins::default(), Instant::now());
        logins.accepted(&app(1), true, now);
        logins.admit(&app(2), now);
        assert!(logins.is_current(&app(1)));
        logins.accepted(&app(2), false, now);
        assert!(logins.is_current(&app(1)), "the server still knows the password before");
        assert!(logins.accepted(&app(2), true, now));
        assert!(!logins.is_current(&app(1)));
        assert!(logins.is_current(&app(2)));
        let other = Identity { username: "other".into(), ..app(1) };
        assert!(logins.is_current(&other));
    }

    #[test]
    fn a_server_that_lags_behind_is_asked_for_the_new_password_now_and_then() {
        let (mut logins, now) = (Logins::default(), Instant::now());
        logins.accepted(&app(1), true, now);
        logins.admit(&app(2), now);
        logins.accepted(&app(2), false, now);
        assert_eq!(logins.admit(&app(2), now), Admission::Go { earlier_first: true });
        let later = now + PAUSE;
        assert_eq!(logins.admit(&app(2), later), GO);
        assert_eq!(logins.admit(&app(2), later), Admission::Go { earlier_first: true });
    }

    #[test]
    fn each_that_was_let_in_has_its_turn() {
        let (mut logins, now) = (Logins::default(), Instant::now());
        assert_eq!(logins.taken(7), None);
        for name in ["b", "a", "c"] {
            let identity = Identity { username: name.into(), ..app(1) };
            logins.admit(&identity, now);
            if name != "c" {
                logins.accepted(&identity, true, now);
            }
        }
        let names: Vec<_> = (0..3).filter_map(|turn| logins.taken(turn)).collect();
        assert_eq!(names.iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "b", "a"]);
    }

    #[test]
    fn what_was_never_taken_is_refused_at_once() {
        let (mut logins, now) = (Logins::default(), Instant::now());
        assert_eq!(logins.admit(&app(1), now), GO);
        logins.refused(&app(1), &denied(), now);
        assert_eq!(logins.admit(&app(1), now), Admission::Refused(denied()));
        assert_eq!(logins.admit(&app(1), now + PAUSE), GO);
        assert_eq!(logins.admit(&app(1), now + PAUSE), Admission::Refused(denied()));
        assert_eq!(logins.admit(&app(2), now), GO, "another password");
    }

    #[test]
    fn what_was_taken_before_is_waited_for_and_tried_seldom() {
        let (mut logins, start) = (Logins::default(), Instant::now());
        logins.accepted(&app(1), true, start);
        assert_eq!(logins.admit(&app(1), start), GO);
        logins.refused(&app(1), &denied(), start);
        assert_eq!(logins.admit(&app(1), start), Admission::Wait(start + PAUSE));
        let (mut tries, mut told) = (0, 0);
        for second in 1..120 {
            let now = start + Duration::from_secs(second);
            match logins.admit(&app(1), now) {
                Admission::Go { .. } => {
                    tries += 1;
                    logins.refused(&app(1), &denied(), now);
                }
                Admission::Wait(_) => assert!(second < 60),
                Admission::Refused(_) => told += 1,
            }
        }
        assert!((10..=12).contains(&tries), "{tries}");
        assert!(told > 40, "{told}");
        assert!(logins.accepted(&app(1), true, start));
        assert_eq!(logins.admit(&app(1), start), GO);
    }

    #[test]
    fn who_is_in_use_is_proven_anew_and_who_is_gone_is_not() {
        let (mut logins, now) = (Logins::default(), Instant::now());
        let vault = vault("1");
        assert_eq!(logins.unproven(&vault.current(), now), None);
        logins.accepted(&app(1), true, now);
        assert_eq!(logins.unproven(&vault.current(), now), None);
        vault.replace(&secrets("app", "2"));
        let user: Arc<str> = "app".into();
        assert_eq!(logins.unproven(&vault.current(), now), Some(user));
        logins.refused(&app(2), &denied(), now);
        assert_eq!(logins.unproven(&vault.current(), now), None);

        vault.replace(&secrets("other", "1"));
        logins.forget_others(&vault.current());
        assert!(!logins.is_current(&app(2)));
        assert_eq!(logins.unproven(&vault.current(), now), None);
        logins.accepted(&app(4), true, now);
        assert!(logins.is_current(&app(4)));
    }
}
