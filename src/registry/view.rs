//! A session as others may look at it: values copied at one moment, with no hold on the session.
//!
//! Never asks the session anything: it shows what the session has told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Activity, Attached, Attributes, Doom, Entry};
use crate::config::Access;
use crate::session::{Pins, SessionState};

/// One session at one moment. Its parts are read one after the other while it goes on.
#[derive(Clone, Debug)]
pub struct ClientView {
    /// As the greeting gave it, and as KILL takes it.
    pub id: u32,
    /// Empty before the login.
    pub user: Arc<str>,
    pub peer: String,
    pub entrance: Entrance,
    pub wire: Wire,
    pub activity: Activity,
    /// How long it has been at that, as coarse as the sweep.
    pub since: Duration,
    /// How long its transaction has been open; `None` outside of one.
    pub transaction: Option<Duration>,
    /// What keeps it on its connection outside a transaction, as of its last reply.
    pub pins: Pins,
    /// The connection it has in hand.
    pub server: Option<Attached>,
    /// A statement of its waits for a connection, as long as `since` says.
    pub waiting: bool,
    /// It is to end, and has not yet.
    pub doomed: Option<Doom>,
    pub attributes: Attributes,
    /// What it wants a connection to hold; `None` before the login.
    pub state: Option<Arc<SessionState>>,
    /// How many it has prepared.
    pub statements: u32,
}

/// How many clients there are, and what they are at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub logging_in: usize,
    pub idle: usize,
    pub in_transaction: usize,
    /// A statement of theirs waits for a connection.
    pub waiting: usize,
    pub active: usize,
    /// Of all of them.
    pub tls: usize,
}

impl Census {
    pub(super) fn count(&mut self, entry: &Entry) {
        let activity = Activity::from_byte(entry.activity.load(Ordering::Relaxed));
        let at = match activity {
            Activity::LoggingIn => &mut self.logging_in,
            Activity::Idle => &mut self.idle,
            Activity::InTransaction => &mut self.in_transaction,
            Activity::Active if entry.waiting.load(Ordering::Relaxed) => &mut self.waiting,
            Activity::Active => &mut self.active,
        };
        *at += 1;
        self.tls += usize::from(Wire::from_bits(entry.wire.load(Ordering::Relaxed)).tls);
    }
}

/// The endpoint a client came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entrance {
    /// As [`super::Registry::number_of`] gave it for its name.
    pub endpoint: u16,
    pub access: Access,
}

/// What lies between a client and the proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    pub tls: bool,
    pub compressed: bool,
}

impl ClientView {
    /// What it calls itself, if it does. The MySQL client and drivers name themselves by the first,
    /// Connector/J by the second.
    pub fn program(&self) -> Option<&str> {
        const NAMES: [&str; 2] = ["program_name", "_client_name"];
        NAMES.into_iter().find_map(|name| {
            let said = self.attributes.iter().find(|(said, _)| said == name);
            said.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
        })
    }

    pub fn schema(&self) -> Option<&str> {
        self.state.as_ref().and_then(|state| state.schema())
    }
}

impl Entry {
    /// `now` is on the registry's clock.
    pub(super) fn view(&self, now: u64) -> ClientView {
        let (user, attributes, state) = {
            let about = self.about();
            (Arc::clone(&about.user), about.attributes.clone(), about.state.clone())
        };
        let lasted = |since: u64| Duration::from_millis(now.saturating_sub(since));
        let transaction = self.transaction_since.load(Ordering::Relaxed);
        ClientView {
            id: self.id,
            user,
            peer: self.peer.clone(),
            entrance: self.entrance,
            wire: Wire::from_bits(self.wire.load(Ordering::Relaxed)),
            activity: Activity::from_byte(self.activity.load(Ordering::Relaxed)),
            since: lasted(self.since.load(Ordering::Relaxed)),
            transaction: (transaction != 0).then(|| lasted(transaction)),
            pins: Pins::from_bits(self.pins.load(Ordering::Relaxed)),
            server: self.attachment().connection,
            waiting: self.waiting.load(Ordering::Relaxed),
            doomed: self.doomed(),
            attributes: attributes.unwrap_or_default(),
            state,
            statements: self.statements.load(Ordering::Relaxed),
        }
    }
}

impl Activity {
    fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::LoggingIn,
            1 => Self::Idle,
            2 => Self::InTransaction,
            _ => Self::Active,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::LoggingIn => "logging in",
            Self::Idle => "idle",
            Self::InTransaction => "in transaction",
            Self::Active => "active",
        }
    }
}

impl Wire {
    const TLS: u8 = 1;
    const COMPRESSED: u8 = 1 << 1;

    pub(super) fn bits(self) -> u8 {
        (u8::from(self.tls) * Self::TLS) | (u8::from(self.compressed) * Self::COMPRESSED)
    }

    fn from_bits(bits: u8) -> Self {
        Self { tls: bits & Self::TLS != 0, compressed: bits & Self::COMPRESSED != 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Registry;
    use super::*;
    use crate::secrets::{Account, Password};
    use crate::session::{Charset, Pin};

    #[test]
    fn what_was_told_is_shown() {
        let registry = Arc::new(Registry::new());
        let door = Entrance { endpoint: 3, access: Access::ReadOnly };
        let presence = registry.enter("10.0.0.9:4711".into(), door);
        let stranger = registry.client(presence.id).unwrap();
        assert_eq!((&*stranger.user, stranger.activity), ("", Activity::LoggingIn));
        assert_eq!((stranger.entrance, stranger.server, stranger.schema()), (door, None, None));

        presence.log_in(
            &Arc::new(Account::new("app".into(), Password::new("p"), None, None, None)),
            None,
        );
        presence.set_attributes(&[("program_name".into(), "shop".into())]);
        presence.set_wire(Wire { tls: true, compressed: false });
        let state = Arc::new(SessionState::new(Some("a"), &Charset::canonical(), false));
        presence.set_state(&state);
        let mut pins = Pins::default();
        pins.insert(Pin::UserLock);
        presence.set_pins(pins);
        presence.set_statements(7);
        presence.attach(Attached { target: 1, id: 9 });
        presence.set_activity(Activity::InTransaction);
        presence.set_activity(Activity::Active);
        presence.set_waiting(true);
        let seen = registry.client(presence.id).unwrap();
        assert_eq!((&*seen.user, seen.program(), seen.schema()), ("app", Some("shop"), Some("a")));
        assert_eq!((seen.wire, seen.pins), (Wire { tls: true, compressed: false }, pins));
        assert_eq!(seen.server, Some(Attached { target: 1, id: 9 }));
        assert_eq!((seen.activity, seen.waiting, seen.statements), (Activity::Active, true, 7));
        assert!(seen.transaction.is_some());
        presence.set_activity(Activity::Idle);
        assert_eq!(registry.client(presence.id).unwrap().transaction, None);
    }

    #[test]
    fn they_are_counted_by_what_they_are_at() {
        let registry = Arc::new(Registry::new());
        let door = Entrance { endpoint: 0, access: Access::ReadWrite };
        let here: Vec<_> = (0..6).map(|_| registry.enter("a".into(), door)).collect();
        here[1].set_activity(Activity::Idle);
        here[2].set_activity(Activity::InTransaction);
        here[3].set_activity(Activity::Active);
        here[4].set_activity(Activity::Active);
        here[4].set_waiting(true);
        here[5].set_activity(Activity::Idle);
        here[5].set_wire(Wire { tls: true, compressed: true });
        let counted =
            Census { logging_in: 1, idle: 2, in_transaction: 1, waiting: 1, active: 1, tls: 1 };
        assert_eq!(registry.census(), counted);
    }

    #[test]
    fn they_come_in_the_order_of_their_ids() {
        let registry = Arc::new(Registry::new());
        let door = Entrance { endpoint: 0, access: Access::ReadWrite };
        let here: Vec<_> = (0..9).map(|_| registry.enter("a".into(), door)).collect();
        let shown: Vec<u32> = registry.clients().iter().map(|client| client.id).collect();
        assert_eq!(shown, here.iter().map(|presence| presence.id).collect::<Vec<_>>());
    }

    /// What an entry keeps of the state it was told is shared with the session, not a copy of it.
    #[test]
    fn a_state_that_is_left_is_let_go() {
        let registry = Arc::new(Registry::new());
        let door = Entrance { endpoint: 0, access: Access::ReadWrite };
        let presence = registry.enter("a".into(), door);
        let state = Arc::new(SessionState::new(None, &Charset::canonical(), false));
        presence.set_state(&state);
        assert_eq!(Arc::strong_count(&state), 2);
        presence.set_state(&Arc::new(state.with_schema(Some("b"))));
        assert_eq!(Arc::strong_count(&state), 1);
    }
}
