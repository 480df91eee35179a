//! The prepared statements that live on one connection, least recently used first to go.
//!
//! Owns which of the sessions' statements has which server-side id here, the parameter types the
//! server last heard for it, and the ids that are to be closed. It keeps no text alive: what no
//! session has any more is closed here too. It never sends.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bytes::BytesMut;
use prometheus::IntGauge;

use crate::session::Statement;
use crate::wire::{Command, put_command};

#[derive(Debug)]
pub struct ServerStatement {
    pub id: u32,
    /// As last bound on this connection.
    pub types: Option<Arc<[u8]>>,
    statement: Weak<Statement>,
    used: u64,
}

#[derive(Debug)]
pub struct ServerStatements {
    /// Its keys are fingerprints: nothing that a client could choose to collide is saved by more.
    kept: HashMap<Key, ServerStatement, foldhash::fast::RandomState>,
    clock: u64,
    /// No session needs them any more.
    to_close: Vec<u32>,
    /// Counts those of all connections that the server has.
    on_servers: IntGauge,
}

/// Whose server-side statement it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Twin {
    /// Any session's that has the same text under the same state.
    Shared,
    /// One session's, by the client's id: a cursor or long data is on it. (MySQL 9.7 also answers
    /// a plain execute with no rows and no end once a cursor was the first to execute it.)
    Private(u32),
}

type Key = (u64, Twin);

impl ServerStatements {
    /// Many connections share the server's max_prepared_stmt_count (16,382 by default).
    pub const MOST: usize = 100;

    /// Of one session, each with a cursor or long data on it, which may not be closed: more than any
    /// program reads at once, and few enough to leave the server's count to others.
    pub const MOST_PRIVATE: usize = 1000;

    pub fn new(on_servers: IntGauge) -> Self {
        Self { kept: HashMap::default(), clock: 0, to_close: Vec::new(), on_servers }
    }

    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub fn get(&mut self, statement: &Statement, twin: Twin) -> Option<&mut ServerStatement> {
        self.clock += 1;
        let found = self.kept.get_mut(&(statement.fingerprint(), twin))?;
        // Another of the same fingerprint. (Dead or alive, a kept one's address is its own.)
        if !std::ptr::eq(found.statement.as_ptr(), statement) {
            return None;
        }
        found.used = self.clock;
        Some(found)
    }

    /// Makes room if need be: what has to go is closed with the next request.
    pub fn insert(&mut self, statement: &Arc<Statement>, twin: Twin, id: u32) {
        self.clock += 1;
        let new = ServerStatement {
            id,
            types: None,
            statement: Arc::downgrade(statement),
            used: self.clock,
        };
        self.on_servers.inc();
        let replaced = self.kept.insert((statement.fingerprint(), twin), new);
        self.to_close.extend(replaced.map(|old| old.id));
        self.drop_all(|_, kept| kept.statement.strong_count() == 0);
        if self.kept.len() > Self::MOST {
            self.drop_oldest();
        }
    }

    /// One that was prepared and must serve nobody.
    pub fn reject(&mut self, id: u32) {
        self.on_servers.inc();
        self.to_close.push(id);
    }

    /// What the server has no more, or not as it was.
    pub fn forget(&mut self, statement: &Statement, twin: Twin) {
        let gone = self.kept.remove(&(statement.fingerprint(), twin));
        self.to_close.extend(gone.map(|kept| kept.id));
    }

    /// The session gives the connection up: what was its own goes.
    pub fn drop_private(&mut self) {
        self.drop_all(|twin, _| twin != Twin::Shared);
    }

    /// So that the server has room: whatever can be prepared again when it is asked for.
    pub fn drop_shared(&mut self) {
        self.drop_all(|twin, _| twin == Twin::Shared);
    }

    pub fn has_shared(&self) -> bool {
        self.kept.keys().any(|(_, twin)| *twin == Twin::Shared)
    }

    /// May the session have one more of its own? Those that nothing is open on any more make room.
    pub fn has_room_for_private(&mut self, is_open: impl Fn(u32) -> bool) -> bool {
        if self.private() >= Self::MOST {
            self.drop_all(|twin, _| matches!(twin, Twin::Private(id) if !is_open(id)));
        }
        self.private() < Self::MOST_PRIVATE
    }

    fn private(&self) -> usize {
        self.kept.keys().filter(|(_, twin)| *twin != Twin::Shared).count()
    }

    /// COM_STMT_CLOSE for all that must go; it has no reply.
    pub fn put_closes(&mut self, out: &mut BytesMut) {
        if self.to_close.is_empty() {
            return;
        }
        self.on_servers.sub(self.to_close.len().cast_signed() as i64);
        for id in self.to_close.drain(..) {
            put_command(out, Command::StmtClose, &id.to_le_bytes());
        }
    }

    /// After COM_RESET_CONNECTION or COM_CHANGE_USER the server has none.
    pub fn clear(&mut self) {
        let gone = self.kept.len() + self.to_close.len();
        self.on_servers.sub(gone.cast_signed() as i64);
        self.kept.clear();
        self.to_close.clear();
    }

    fn drop_all(&mut self, goes: impl Fn(Twin, &ServerStatement) -> bool) {
        let to_close = &mut self.to_close;
        self.kept.retain(|(_, twin), kept| {
            let goes = goes(*twin, kept);
            if goes {
                to_close.push(kept.id);
            }
            !goes
        });
    }

    /// Never one that a cursor or long data may be on.
    fn drop_oldest(&mut self) {
        let shared = self.kept.iter().filter(|((_, twin), _)| *twin == Twin::Shared);
        let oldest = shared.min_by_key(|(_, kept)| kept.used).map(|(key, _)| *key);
        let gone = oldest.and_then(|key| self.kept.remove(&key));
        self.to_close.extend(gone.map(|kept| kept.id));
    }
}

impl Drop for ServerStatements {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Labels, Metrics};
    use crate::session::hints::Reading;
    use crate::session::{Charset, Library, SessionState};

    /// The sessions' side.
    struct Sessions {
        library: Arc<Library>,
        have: HashMap<String, Arc<Statement>>,
    }

    impl Sessions {
        fn new() -> Self {
            let metrics = Metrics::new(&Labels::default()).unwrap();
            Self { library: Library::new(metrics, 1 << 20), have: HashMap::new() }
        }

        fn statement(&mut self, text: &str) -> Arc<Statement> {
            let state = Arc::new(SessionState::new(None, &Charset::canonical(), false));
            let statement =
                self.library.intern(text.as_bytes(), &state, Reading::default(), || None).unwrap();
            self.have.insert(text.to_owned(), Arc::clone(&statement));
            statement
        }
    }

    fn kept() -> ServerStatements {
        ServerStatements::new(IntGauge::new("statements", "on all connections").unwrap())
    }

    fn closed(kept: &mut ServerStatements) -> Vec<u32> {
        let mut closed = kept.to_close.clone();
        closed.sort_unstable();
        kept.put_closes(&mut BytesMut::new());
        closed
    }

    #[test]
    fn equal_texts_share_one_server_statement() {
        let (mut kept, mut sessions) = (kept(), Sessions::new());
        kept.insert(&sessions.statement("SELECT ?"), Twin::Shared, 7);
        let found = kept.get(&sessions.statement("SELECT ?"), Twin::Shared);
        assert_eq!(found.map(|found| found.id), Some(7));
        assert!(kept.get(&sessions.statement("SELECT 1"), Twin::Shared).is_none());
        kept.insert(&sessions.statement("SELECT ?"), Twin::Shared, 8);
        assert_eq!(kept.to_close, [7]);
    }

    #[test]
    fn the_least_recently_used_goes() {
        let (mut kept, mut sessions) = (kept(), Sessions::new());
        kept.insert(&sessions.statement("SELECT 0"), Twin::Private(1), 5000);
        for n in 0..ServerStatements::MOST {
            kept.insert(&sessions.statement(&format!("SELECT {n}")), Twin::Shared, n as u32);
        }
        assert_eq!(kept.to_close, [0]);
        assert!(kept.get(&sessions.statement("SELECT 1"), Twin::Shared).is_some());
        kept.insert(&sessions.statement("SELECT 'more'"), Twin::Shared, 999);
        assert_eq!(kept.to_close, [0, 2]);
        assert_eq!(kept.len(), ServerStatements::MOST);
    }

    #[test]
    fn what_was_private_is_closed() {
        let (mut kept, mut sessions) = (kept(), Sessions::new());
        kept.insert(&sessions.statement("SELECT ?"), Twin::Shared, 1);
        kept.insert(&sessions.statement("SELECT ?"), Twin::Private(4), 2);
        kept.drop_private();
        let mut out = BytesMut::new();
        kept.put_closes(&mut out);
        assert_eq!(&out[..], [5, 0, 0, 0, 0x19, 2, 0, 0, 0]);
        assert_eq!((kept.len(), kept.private()), (1, 0));
    }

    #[test]
    fn what_no_session_has_goes_with_the_next_that_comes() {
        let (mut kept, mut sessions) = (kept(), Sessions::new());
        kept.insert(&sessions.statement("SELECT 1"), Twin::Shared, 1);
        kept.insert(&sessions.statement("SELECT 2"), Twin::Shared, 2);
        sessions.have.remove("SELECT 1");
        // It was closed and comes again: its old twin does not serve it.
        assert!(kept.get(&sessions.statement("SELECT 1"), Twin::Shared).is_none());
        kept.insert(&sessions.statement("SELECT 3"), Twin::Shared, 3);
        assert_eq!(closed(&mut kept), [1]);
    }

    #[test]
    fn what_nothing_is_open_on_makes_room() {
        let (mut kept, mut sessions) = (kept(), Sessions::new());
        let statement = sessions.statement("SELECT 1");
        kept.insert(&statement, Twin::Shared, 5000);
        let most = ServerStatements::MOST_PRIVATE as u32;
        for id in 0..most {
            assert!(kept.has_room_for_private(|_| true));
            kept.insert(&statement, Twin::Private(id), id);
        }
        assert!(!kept.has_room_for_private(|_| true));
        assert!(kept.has_room_for_private(|id| id % 2 == 0));
        assert_eq!(kept.private(), 500);
        assert_eq!(closed(&mut kept).len(), 501, "and the shared one, for it was too many");
    }

    #[test]
    fn the_server_s_count_is_known() {
        let (mut kept, mut sessions) = (kept(), Sessions::new());
        let gauge = kept.on_servers.clone();
        kept.insert(&sessions.statement("SELECT 1"), Twin::Shared, 1);
        kept.insert(&sessions.statement("SELECT 1"), Twin::Shared, 2);
        kept.reject(3);
        assert_eq!(gauge.get(), 3);
        kept.put_closes(&mut BytesMut::new());
        assert_eq!(gauge.get(), 1);
        kept.forget(&sessions.statement("SELECT 1"), Twin::Shared);
        assert_eq!((gauge.get(), kept.len()), (1, 0));
        kept.clear();
        assert_eq!(gauge.get(), 0);
        kept.insert(&sessions.statement("SELECT 1"), Twin::Shared, 4);
        drop(kept);
        assert_eq!(gauge.get(), 0);
    }
}
