//! The prepared statements that live on one connection, least recently used first to go.
//!
//! Owns which of the sessions' statements has which server-side id here, the parameter types the
//! server last heard for it, and the ids that are to be closed. It never sends.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::BytesMut;

use crate::session::Statement;
use crate::wire::{Command, put_command};

#[derive(Debug)]
pub struct ServerStatement {
    pub id: u32,
    /// As last bound on this connection.
    pub types: Option<Arc<[u8]>>,
    statement: Arc<Statement>,
    used: u64,
}

#[derive(Debug, Default)]
pub struct ServerStatements {
    kept: HashMap<Key, ServerStatement>,
    clock: u64,
    /// No session needs them any more.
    to_close: Vec<u32>,
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

    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub fn get(&mut self, statement: &Statement, twin: Twin) -> Option<&mut ServerStatement> {
        self.clock += 1;
        let found = self.kept.get_mut(&(statement.fingerprint(), twin))?;
        if !std::ptr::eq(Arc::as_ptr(&found.statement), statement)
            && !found.statement.same(statement)
        {
            return None;
        }
        found.used = self.clock;
        Some(found)
    }

    /// Makes room if need be: what has to go is closed with the next request.
    pub fn insert(&mut self, statement: &Arc<Statement>, twin: Twin, id: u32) {
        self.clock += 1;
        let new =
            ServerStatement { id, types: None, statement: Arc::clone(statement), used: self.clock };
        let replaced = self.kept.insert((statement.fingerprint(), twin), new);
        self.to_close.extend(replaced.map(|old| old.id));
        if self.kept.len() > Self::MOST {
            self.drop_oldest();
        }
    }

    /// The session gives the connection up: what was its own goes.
    pub fn drop_private(&mut self) {
        let to_close = &mut self.to_close;
        self.kept.retain(|(_, twin), kept| {
            let stays = *twin == Twin::Shared;
            if !stays {
                to_close.push(kept.id);
            }
            stays
        });
    }

    pub fn has_private(&self) -> bool {
        self.kept.keys().any(|(_, twin)| *twin != Twin::Shared)
    }

    /// COM_STMT_CLOSE for all that must go; it has no reply.
    pub fn put_closes(&mut self, out: &mut BytesMut) {
        for id in self.to_close.drain(..) {
            put_command(out, Command::StmtClose, &id.to_le_bytes());
        }
    }

    /// After COM_RESET_CONNECTION or COM_CHANGE_USER the server has none.
    pub fn clear(&mut self) {
        self.kept.clear();
        self.to_close.clear();
    }

    /// Never one that a cursor or long data may be on.
    fn drop_oldest(&mut self) {
        let shared = self.kept.iter().filter(|((_, twin), _)| *twin == Twin::Shared);
        let oldest = shared.min_by_key(|(_, kept)| kept.used).map(|(key, _)| *key);
        let gone = oldest.and_then(|key| self.kept.remove(&key));
        self.to_close.extend(gone.map(|kept| kept.id));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::session::hints::Reading;
    use crate::session::{Charset, SessionState};

    fn statement(text: &str) -> Arc<Statement> {
        let state = Arc::new(SessionState::new(None, &Charset::canonical(), false));
        Arc::new(Statement::new(Bytes::copy_from_slice(text.as_bytes()), state, Reading::default()))
    }

    #[test]
    fn equal_texts_share_one_server_statement() {
        let mut kept = ServerStatements::default();
        kept.insert(&statement("SELECT ?"), Twin::Shared, 7);
        assert_eq!(kept.get(&statement("SELECT ?"), Twin::Shared).map(|found| found.id), Some(7));
        assert!(kept.get(&statement("SELECT 1"), Twin::Shared).is_none());
        kept.insert(&statement("SELECT ?"), Twin::Shared, 8);
        assert_eq!(kept.to_close, [7]);
    }

    #[test]
    fn the_least_recently_used_goes() {
        let mut kept = ServerStatements::default();
        kept.insert(&statement("SELECT 0"), Twin::Private(1), 5000);
        for n in 0..ServerStatements::MOST {
            kept.insert(&statement(&format!("SELECT {n}")), Twin::Shared, n as u32);
        }
        assert_eq!(kept.to_close, [0]);
        assert!(kept.get(&statement("SELECT 1"), Twin::Shared).is_some());
        kept.insert(&statement("SELECT 'more'"), Twin::Shared, 999);
        assert_eq!(kept.to_close, [0, 2]);
        assert_eq!(kept.len(), ServerStatements::MOST);
    }

    #[test]
    fn what_was_private_is_closed() {
        let mut kept = ServerStatements::default();
        kept.insert(&statement("SELECT ?"), Twin::Shared, 1);
        kept.insert(&statement("SELECT ?"), Twin::Private(4), 2);
        kept.drop_private();
        let mut out = BytesMut::new();
        kept.put_closes(&mut out);
        assert_eq!(&out[..], [5, 0, 0, 0, 0x19, 2, 0, 0, 0]);
        assert_eq!((kept.len(), kept.has_private()), (1, false));
    }
}
