//! What sessions share: prepared statements, and what equal logins begin with, each of them once.
//!
//! Owns the texts, what decides whether two are one, and how much all of them may take. It holds
//! none alive: the sessions do, and what the last of them closes is gone. It never knows who has
//! which.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::hints::{Deed, Hints, Reading};
use super::{Login, SessionState};
use crate::metrics::Metrics;

/// A text and the state it was prepared under, which decides what it means. There are no two equal
/// ones, so that their addresses tell them apart.
#[derive(Debug)]
pub struct Statement {
    pub text: Box<[u8]>,
    pub state: Arc<SessionState>,
    pub reading: Reading,
    /// What it does by name.
    pub deed: Option<Box<Deed>>,
    fingerprint: u64,
    /// As the last of its sessions bound them: drivers bind alike.
    types: Mutex<Weak<[u8]>>,
    library: Arc<Library>,
}

impl Statement {
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Does it ask what the statement before it left, which preparing it again would wipe?
    pub fn looks_back(&self) -> bool {
        let back = Hints::FOUND_ROWS | Hints::ROW_COUNT | Hints::DIAGNOSTICS;
        self.reading.hints.intersects(back)
    }

    /// One copy for all sessions that bind the same.
    pub fn share_types(&self, types: &[u8]) -> Arc<[u8]> {
        let mut last = lock(&self.types);
        if let Some(last) = last.upgrade().filter(|last| **last == *types) {
            return last;
        }
        let types: Arc<[u8]> = types.into();
        *last = Arc::downgrade(&types);
        types
    }

    fn is(&self, text: &[u8], state: &SessionState, reading: Reading) -> bool {
        *self.text == *text && self.reading == reading && self.state.reads_like(state)
    }

    fn bytes(&self) -> usize {
        self.text.len() + Library::BESIDES
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        let library = Arc::clone(&self.library);
        let mut kept = library.kept();
        let me: *const Self = self;
        // Another may have come in its place since its last owner went.
        if kept.by_fingerprint.get(&self.fingerprint).is_some_and(|kept| kept.as_ptr() == me) {
            kept.by_fingerprint.remove(&self.fingerprint);
        }
        kept.bytes -= self.bytes();
        library.count(-1, -signed(self.bytes()));
    }
}

/// How a session logged in, and the state it began with.
pub(super) type Beginning = (Arc<Login>, Arc<SessionState>);

/// Made at boot, shared by all sessions.
#[derive(Debug)]
pub struct Library {
    kept: Mutex<Kept>,
    beginnings: Mutex<Vec<Beginning>>,
    most_bytes: usize,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Two different ones of one fingerprint are as rare as may be: the second is not shared.
    by_fingerprint: HashMap<u64, Weak<Statement>>,
    bytes: usize,
}

impl Library {
    /// Sixteen of the longest texts, or half a million of the usual 200 bytes: no application has so
    /// many, and a machine that serves thousands of clients has the memory.
    pub const MOST_BYTES: usize = 256 << 20;

    /// Ways to log in that are remembered, as many as are looked through.
    const MOST_BEGINNINGS: usize = 16;

    /// What a statement takes besides its text, about.
    const BESIDES: usize = 256;

    pub fn new(metrics: Arc<Metrics>, most_bytes: usize) -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default(), beginnings: Mutex::default(), most_bytes, metrics })
    }

    /// What a new session begins with: most log in alike, and keep what they share but once.
    pub(super) fn beginning(
        &self,
        login: Login,
        first_state: impl FnOnce(&Login) -> SessionState,
    ) -> Beginning {
        let mut beginnings = lock(&self.beginnings);
        if let Some(at) = beginnings.iter().rposition(|(known, _)| known.is_like(&login)) {
            let known = beginnings.remove(at);
            // The one that was asked for last is the last to go.
            beginnings.push(known.clone());
            return known;
        }
        if beginnings.len() == Self::MOST_BEGINNINGS {
            beginnings.remove(0);
        }
        let state = Arc::new(first_state(&login));
        let new = (Arc::new(login), state);
        beginnings.push(new.clone());
        new
    }

    /// The one there is, or a new one. `None`: there is no room for it.
    pub fn intern(
        self: &Arc<Self>,
        text: &[u8],
        state: &Arc<SessionState>,
        reading: Reading,
        deed: impl FnOnce() -> Option<Box<Deed>>,
    ) -> Option<Arc<Statement>> {
        let fingerprint = fingerprint(text, state);
        // Declared before the lock and so dropped after it: a statement's own end takes it too.
        let known;
        let mut kept = self.kept();
        known = kept.by_fingerprint.get(&fingerprint).and_then(Weak::upgrade);
        if let Some(known) = known.as_ref().filter(|known| known.is(text, state, reading)) {
            return Some(Arc::clone(known));
        }
        let bytes = text.len() + Self::BESIDES;
        if kept.bytes + bytes > self.most_bytes {
            return None;
        }
        let statement = Arc::new(Statement {
            text: text.into(),
            state: state.to_read(),
            reading,
            deed: deed(),
            fingerprint,
            types: Mutex::new(Weak::<[u8; 0]>::new()),
            library: Arc::clone(self),
        });
        if known.is_none() {
            kept.by_fingerprint.insert(fingerprint, Arc::downgrade(&statement));
        }
        kept.bytes += bytes;
        self.count(1, signed(bytes));
        Some(statement)
    }

    /// Every statement there is. None may end under the lock, which its own end takes.
    pub fn statements(&self) -> Vec<Arc<Statement>> {
        let kept: Vec<Weak<Statement>> = self.kept().by_fingerprint.values().cloned().collect();
        kept.iter().filter_map(Weak::upgrade).collect()
    }

    fn count(&self, statements: i64, bytes: i64) {
        self.metrics.session.distinct.add(statements);
        self.metrics.session.bytes.add(bytes);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }
}

fn fingerprint(text: &[u8], state: &SessionState) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    state.reading_fingerprint().hash(&mut hasher);
    hasher.finish()
}

fn signed(bytes: usize) -> i64 {
    bytes.cast_signed() as i64
}

/// Nothing that is done under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Labels;
    use crate::session::{Charset, Defaults};
    use crate::wire::{Capabilities, Status};

    fn library(most_bytes: usize) -> Arc<Library> {
        Library::new(Metrics::new(&Labels::default()).unwrap(), most_bytes)
    }

    fn state() -> SessionState {
        SessionState::new(Some("shop"), &Charset::canonical(), false)
    }

    fn counted(library: &Library) -> (i64, i64) {
        let session = &library.metrics.session;
        (session.distinct.get(), session.bytes.get())
    }

    #[test]
    fn sessions_that_log_in_alike_begin_with_one_state() {
        let library = library(Library::MOST_BYTES);
        let defaults = Arc::new(Defaults::default());
        let begin = |schema: &str| {
            let login = Login {
                schema: Some(schema.to_owned()),
                charset: Charset::canonical(),
                capabilities: Capabilities::empty(),
                status: Status::empty(),
                read_only: false,
                defaults: Arc::clone(&defaults),
            };
            library.beginning(login, |_| state()).1
        };
        let first = begin("shop");
        assert!(Arc::ptr_eq(&first, &begin("shop")));
        for number in 0..Library::MOST_BEGINNINGS {
            assert!(!Arc::ptr_eq(&first, &begin(&number.to_string())));
        }
        assert_eq!(lock(&library.beginnings).len(), Library::MOST_BEGINNINGS);
        assert!(!Arc::ptr_eq(&first, &begin("shop")), "it was the oldest");
        let again = begin("shop");
        for number in 0..Library::MOST_BEGINNINGS - 1 {
            begin(&number.to_string());
            assert!(Arc::ptr_eq(&again, &begin("shop")), "it is asked for often");
        }
    }

    #[test]
    fn equal_ones_are_one() {
        let library = library(Library::MOST_BYTES);
        let intern = |text: &str, state: &SessionState| {
            let state = Arc::new(state.clone());
            library.intern(text.as_bytes(), &state, Reading::default(), || None).unwrap()
        };
        let first = intern("SELECT 1", &state());
        let second = intern("SELECT 1", &state().with_variables([("autocommit", "OFF")]));
        assert!(Arc::ptr_eq(&first, &second), "what decides reading is the same");
        let others = [
            intern("SELECT 2", &state()),
            intern("SELECT 1", &state().with_schema(Some("other"))),
            intern("SELECT 1", &state().with_variables([("sql_mode", "ANSI_QUOTES")])),
            intern("SELECT 1", &state().with_variables([("character_set_client", "latin1")])),
        ];
        assert!(others.iter().all(|other| !Arc::ptr_eq(&first, other)));
        assert_eq!(counted(&library), (5, 5 * (8 + 256)));
        assert_eq!(library.statements().len(), 5);
        drop((first, others));
        assert_eq!(counted(&library), (1, 8 + 256));
        let third = intern("SELECT 1", &state());
        assert!(Arc::ptr_eq(&second, &third));
        drop((second, third));
        assert_eq!(counted(&library), (0, 0));
        assert!(library.kept().by_fingerprint.is_empty());
    }

    #[test]
    fn another_reading_is_another_statement() {
        let library = library(Library::MOST_BYTES);
        let state = Arc::new(state());
        let plain = library.intern(b"SELECT 1", &state, Reading::default(), || None).unwrap();
        let reading = Reading { statements: 2, ..Reading::default() };
        let other = library.intern(b"SELECT 1", &state, reading, || None).unwrap();
        assert!(!Arc::ptr_eq(&plain, &other));
        drop(plain);
        assert_eq!(counted(&library).0, 1);
    }

    #[test]
    fn all_texts_together_are_bounded() {
        let library = library(1000);
        let state = Arc::new(state());
        let intern = |text: &[u8]| library.intern(text, &state, Reading::default(), || None);
        let long = intern(&[b'x'; 700]).unwrap();
        assert!(intern(b"y").is_none());
        assert!(intern(&[b'x'; 700]).is_some(), "it is there already");
        drop(long);
        assert!(intern(b"y").is_some());
    }

    #[test]
    fn types_are_shared_while_somebody_has_them() {
        let library = library(1000);
        let statement =
            library.intern(b"DO ?", &Arc::new(state()), Reading::default(), || None).unwrap();
        let first = statement.share_types(&[8, 0]);
        assert!(Arc::ptr_eq(&first, &statement.share_types(&[8, 0])));
        assert_eq!(*statement.share_types(&[253, 0]), [253, 0]);
    }
}
