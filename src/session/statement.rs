//! Prepared statements as a session sees them: its own ids, which outlive any connection.
//!
//! Owns the texts, the counts and the parameter types last bound. It never knows a server's
//! statement id: each connection keeps those for itself.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bytes::Bytes;

use super::SessionState;
use super::hints::Reading;

/// A text and the state it was prepared under, which decides what it means.
#[derive(Debug)]
pub struct Statement {
    pub text: Bytes,
    pub state: Arc<SessionState>,
    pub reading: Reading,
    fingerprint: u64,
}

impl Statement {
    pub fn new(text: Bytes, state: Arc<SessionState>, reading: Reading) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        state.reading_fingerprint().hash(&mut hasher);
        Self { text, state, reading, fingerprint: hasher.finish() }
    }

    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// May one server-side statement serve both?
    pub fn same(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
            && self.text == other.text
            && self.state.reads_like(&other.state)
    }
}

/// One of a session's statements.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub statement: Arc<Statement>,
    pub params: u16,
    pub columns: u16,
    /// Two bytes a parameter, as the client last bound them.
    pub types: Option<Arc<[u8]>>,
    /// COM_STMT_SEND_LONG_DATA came since the last execute.
    pub long_data: bool,
    /// A cursor is open on it.
    pub cursor: bool,
}

/// All of a session's statements, by the id the client knows.
#[derive(Debug, Default)]
pub struct Statements {
    last_id: u32,
    /// The last one prepared, if that went well and it is still there.
    last: Option<u32>,
    by_id: HashMap<u32, Prepared>,
}

impl Statements {
    /// The server's default for max_prepared_stmt_count, which is a bound over all its clients.
    pub const MOST: usize = 16_382;

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.by_id.len() >= Self::MOST
    }

    /// The id that [`Statements::insert`] will use next.
    pub fn next_id(&self) -> u32 {
        let mut id = self.last_id;
        loop {
            id = id.wrapping_add(1);
            // MariaDB's clients say "the last one prepared" with all bits set.
            if id != 0 && id != u32::MAX && !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }

    pub fn insert(&mut self, prepared: Prepared) -> u32 {
        let id = self.next_id();
        self.last_id = id;
        self.last = Some(id);
        self.by_id.insert(id, prepared);
        id
    }

    pub fn last(&self) -> Option<u32> {
        self.last
    }

    /// Another one is about to be prepared.
    pub fn forget_last(&mut self) {
        self.last = None;
    }

    pub fn get(&self, id: u32) -> Option<&Prepared> {
        self.by_id.get(&id)
    }

    pub fn get_mut(&mut self, id: u32) -> Option<&mut Prepared> {
        self.by_id.get_mut(&id)
    }

    pub fn remove(&mut self, id: u32) -> Option<Prepared> {
        self.last = self.last.filter(|last| *last != id);
        self.by_id.remove(&id)
    }

    pub fn clear(&mut self) {
        self.last = None;
        self.by_id = HashMap::new();
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Prepared> {
        self.by_id.values_mut()
    }

    pub fn any_cursor(&self) -> bool {
        self.by_id.values().any(|prepared| prepared.cursor)
    }

    pub fn any_long_data(&self) -> bool {
        self.by_id.values().any(|prepared| prepared.long_data)
    }
}
