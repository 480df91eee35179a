//! The prepared statements that live on one connection, least recently used first to go.
//!
//! Owns which of the sessions' statements has which server-side id here, and the parameter types
//! the server last heard for it. It never sends: what it drops it returns, to be closed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::session::Statement;

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
    by_fingerprint: HashMap<Key, ServerStatement>,
    clock: u64,
}

/// A statement, and whether it is executed with a cursor: MySQL 9.7 answers a plain execute with
/// no rows and no end once a cursor was the first to execute the same server-side statement.
type Key = (u64, bool);

impl ServerStatements {
    /// Many connections share the server's max_prepared_stmt_count (16,382 by default).
    pub const MOST: usize = 100;

    pub fn len(&self) -> usize {
        self.by_fingerprint.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_fingerprint.is_empty()
    }

    pub fn get(&mut self, statement: &Statement, cursor: bool) -> Option<&mut ServerStatement> {
        self.clock += 1;
        let found = self.by_fingerprint.get_mut(&(statement.fingerprint(), cursor))?;
        if !std::ptr::eq(Arc::as_ptr(&found.statement), statement)
            && !found.statement.same(statement)
        {
            return None;
        }
        found.used = self.clock;
        Some(found)
    }

    /// Returns the server-side id that has to be closed to make room, if any.
    #[must_use]
    pub fn insert(&mut self, statement: &Arc<Statement>, cursor: bool, id: u32) -> Option<u32> {
        self.clock += 1;
        let new =
            ServerStatement { id, types: None, statement: Arc::clone(statement), used: self.clock };
        if let Some(old) = self.by_fingerprint.insert((statement.fingerprint(), cursor), new) {
            return Some(old.id);
        }
        if self.by_fingerprint.len() <= Self::MOST {
            return None;
        }
        let oldest = self.by_fingerprint.iter().min_by_key(|(_, kept)| kept.used);
        let oldest = oldest.map(|(fingerprint, _)| *fingerprint)?;
        self.by_fingerprint.remove(&oldest).map(|gone| gone.id)
    }

    /// After COM_RESET_CONNECTION or COM_CHANGE_USER the server has none.
    pub fn clear(&mut self) {
        self.by_fingerprint.clear();
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
        assert_eq!(kept.insert(&statement("SELECT ?"), false, 7), None);
        assert_eq!(kept.get(&statement("SELECT ?"), false).map(|found| found.id), Some(7));
        assert!(kept.get(&statement("SELECT 1"), false).is_none());
        assert_eq!(kept.insert(&statement("SELECT ?"), false, 8), Some(7));
    }

    #[test]
    fn the_least_recently_used_goes() {
        let mut kept = ServerStatements::default();
        for n in 0..ServerStatements::MOST {
            assert_eq!(kept.insert(&statement(&format!("SELECT {n}")), false, n as u32), None);
        }
        assert!(kept.get(&statement("SELECT 0"), false).is_some());
        assert_eq!(kept.insert(&statement("SELECT 'more'"), false, 999), Some(1));
        assert_eq!(kept.len(), ServerStatements::MOST);
    }
}
