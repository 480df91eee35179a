//! What is noted of statements beside their numbers: their kinds, those that are slow, those that keep
//! a connection.
//!
//! Owns what of a statement may be kept or told: its digest, and its text only where that was asked
//! for.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::inbound::Incoming;
use super::serve::Session;
use crate::config::{self, LiveDuration};
use crate::session::{Digest, Digests, Forward, LOOKED_AT, Pin};
use crate::wire::Expect;

/// What all sessions note in.
pub struct Notes {
    /// `None`: nobody wants to know.
    pub digests: Option<Arc<Digests>>,
    slow: LiveDuration,
    slow_text: AtomicBool,
    told: Mutex<HashSet<u64>>,
}

/// A statement under way, as far as it is needed when it is over.
pub(super) struct Kept {
    text: Box<[u8]>,
    /// As the server reads it.
    escapes: bool,
    readable: bool,
}

/// Statements that keep a connection are told once; so many different ones are remembered.
const MOST_TOLD: usize = 1000;

/// Of a text that may be read in two ways.
const UNREADABLE: &str = "(unreadable)";

impl Notes {
    pub fn new(digests: Option<Arc<Digests>>, log: &config::Log) -> Self {
        let (slow, slow_text) = (LiveDuration::default(), AtomicBool::default());
        let notes = Self { digests, slow, slow_text, told: Mutex::default() };
        notes.set(log);
        notes
    }

    pub fn set(&self, log: &config::Log) {
        self.slow.set(log.slow_query.unwrap_or_default());
        self.slow_text.store(log.slow_query_text, Ordering::Relaxed);
    }

    /// Statements that take longer are told; `None`: none are.
    pub(super) fn slow(&self) -> Option<Duration> {
        self.slow.limit()
    }

    /// Has this not been told before, as far as is remembered?
    fn is_news(&self, pin: Pin, digest: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        (pin.index(), digest).hash(&mut hasher);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MOST_TOLD && told.insert(hasher.finish())
    }
}

impl Kept {
    fn digest(&self) -> String {
        if !self.readable {
            return UNREADABLE.to_owned();
        }
        Digest::of(&self.text, self.escapes).text().into_owned()
    }
}

impl Session {
    /// The text of the request, or of the statement that it executes; `None`: it has none.
    fn text_of(&mut self, forward: &Forward, incoming: Incoming) -> Option<&[u8]> {
        match forward.expect {
            Expect::Query => Some(self.inbound.body(incoming)),
            Expect::Execute => {
                let prepared = self.ledger.statements.get(forward.statement?)?;
                Some(&prepared.statement.text)
            }
            _ => None,
        }
    }

    /// Finds its kind.
    pub(super) fn note_kind(&mut self, forward: &Forward, incoming: Incoming) {
        let Some(digests) = self.shared.notes.digests.clone() else { return };
        let (readable, escapes) = (self.ledger.is_readable(), self.ledger.escapes());
        let text = self.text_of(forward, incoming);
        let text = text.map(|text| if readable { text } else { UNREADABLE.as_bytes() });
        let kind = text.map(|text| digests.kind(&Digest::of(text, escapes)));
        self.watch.kind = kind;
    }

    /// Keeps its text until it is over.
    #[cold]
    pub(super) fn keep_text(&mut self, forward: &Forward, incoming: Incoming) {
        let (readable, escapes) = (self.ledger.is_readable(), self.ledger.escapes());
        let text = self.text_of(forward, incoming);
        let text = text.map(|text| text.get(..LOOKED_AT).unwrap_or(text).into());
        self.watch.kept = text.map(|text| Box::new(Kept { text, escapes, readable }));
    }

    #[cold]
    pub(super) fn tell_slow(&self, took: Duration, target: Duration, waited: Duration) {
        let kept = self.watch.kept.as_deref();
        let with_text = self.shared.notes.slow_text.load(Ordering::Relaxed);
        let text = kept.filter(|_| with_text);
        let text = text.map(|kept| String::from_utf8_lossy(&kept.text).into_owned());
        tracing::warn!(
            session = self.presence.id,
            user = &*self.account.username,
            took_ms = milliseconds(took),
            target_ms = milliseconds(target),
            waited_ms = milliseconds(waited),
            digest = kept.map(Kept::digest),
            statement = text,
            "slow statement"
        );
    }

    /// Something keeps it on its connection from now on.
    #[cold]
    pub(super) fn tell_pin(&self, pin: Pin) {
        let digest = self.watch.kept.as_deref().map(Kept::digest);
        if self.shared.notes.is_news(pin, digest.as_deref().unwrap_or_default()) {
            let (session, user) = (self.presence.id, &*self.account.username);
            let reason = pin.name();
            tracing::info!(session, user, reason, digest, "a client keeps its connection");
        }
    }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once_for_each_kind_of_statement() {
        let notes = Notes::new(None, &config::Log::default());
        assert!(notes.is_news(Pin::UserLock, "SELECT GET_LOCK (...)"));
        assert!(!notes.is_news(Pin::UserLock, "SELECT GET_LOCK (...)"));
        assert!(notes.is_news(Pin::Routine, "SELECT GET_LOCK (...)"));
        for number in 0..MOST_TOLD {
            notes.is_news(Pin::UserLock, &number.to_string());
        }
        assert!(
            !notes.is_news(Pin::UserLock, "one too many"),
            "whoever makes up words is not heard"
        );
    }

    #[test]
    fn what_is_unreadable_is_not_shown() {
        let mut kept =
            Kept { text: b"SELECT 'hunter2".as_slice().into(), escapes: true, readable: true };
        assert_eq!(kept.digest(), "SELECT ?");
        kept.readable = false;
        assert_eq!(kept.digest(), "(unreadable)");
    }
}
