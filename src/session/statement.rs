//! Prepared statements as a session sees them: its own ids, which outlive any connection.
//!
//! Owns which statements a session has, the counts and the parameter types last bound, and how much
//! of it one session may have. It never knows a server's statement id: each connection keeps those
//! for itself.

use std::collections::HashMap;
use std::sync::Arc;

use super::library::Statement;

/// One of a session's statements.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub statement: Arc<Statement>,
    /// Did a backslash escape what stands behind it in a string, when it was prepared?
    pub escapes: bool,
    pub params: u16,
    pub columns: u16,
    /// Two bytes a parameter, as the client last bound them.
    pub types: Option<Arc<[u8]>>,
    /// COM_STMT_SEND_LONG_DATA came since the last execute.
    pub long_data: bool,
    /// A cursor is open on it.
    pub cursor: bool,
}

impl Prepared {
    /// Something of it lives on the connection in hand, which must stay there.
    pub fn is_open(&self) -> bool {
        self.cursor || self.long_data
    }

    /// What a session is charged for it: the types may be its own, two bytes a parameter.
    fn bytes(&self) -> usize {
        self.statement.text.len() + 2 * usize::from(self.params)
    }
}

/// All of a session's statements, by the id the client knows.
#[derive(Debug, Default)]
pub struct Statements {
    last_id: u32,
    bytes: usize,
    /// The last one prepared, if that went well and it is still there.
    last: Option<u32>,
    /// The ids are our own.
    by_id: HashMap<u32, Prepared, foldhash::fast::RandomState>,
}

impl Statements {
    /// The server's default for max_prepared_stmt_count, which is a bound over all its clients.
    pub const MOST: usize = 16_382;

    /// Of texts and types: so many statements may have 4 KiB each. Without it the types alone, which
    /// sessions do not always share, could be 2 GiB a session.
    pub const MOST_BYTES: usize = 64 << 20;

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.by_id.len() >= Self::MOST
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn has_room_for(&self, text: usize) -> bool {
        self.bytes + text <= Self::MOST_BYTES
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
        self.bytes += prepared.bytes();
        self.last = Some(id);
        self.by_id.insert(id, prepared);
        id
    }

    /// One that had its id before, in another process.
    pub fn put(&mut self, id: u32, prepared: Prepared) {
        self.bytes += prepared.bytes();
        self.by_id.insert(id, prepared);
    }

    pub fn go_on_from(&mut self, last_id: u32, last: Option<u32>) {
        (self.last_id, self.last) = (last_id, last);
    }

    pub fn last_id(&self) -> u32 {
        self.last_id
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &Prepared)> {
        self.by_id.iter().map(|(id, prepared)| (*id, prepared))
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
        let removed = self.by_id.remove(&id)?;
        self.bytes -= removed.bytes();
        Some(removed)
    }

    pub fn clear(&mut self) {
        *self = Self { last_id: self.last_id, ..Self::default() };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Labels, Metrics};
    use crate::session::hints::Reading;
    use crate::session::{Charset, Library, SessionState};

    #[test]
    fn one_session_has_its_bound() {
        let library = Library::new(Metrics::new(&Labels::default()).unwrap(), 1 << 20);
        let state = Arc::new(SessionState::new(None, &Charset::canonical(), false));
        let statement = library.intern(b"DO ?, ...", &state, Reading::default(), || None).unwrap();
        let wide = Prepared {
            statement,
            escapes: true,
            params: u16::MAX,
            columns: 0,
            types: None,
            long_data: false,
            cursor: false,
        };
        let mut statements = Statements::default();
        while statements.has_room_for(9) {
            statements.insert(wide.clone());
        }
        assert_eq!(statements.len(), 512);
        statements.remove(7).unwrap();
        assert!(statements.has_room_for(9));
        assert!(statements.remove(7).is_none());
        statements.clear();
        assert!(statements.has_room_for(16 << 20));
        assert_eq!(statements.insert(wide), 513, "ids are not used twice");
    }
}
