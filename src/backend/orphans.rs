//! Ending what a Tidegate has left on the server that died: connections whose statement runs on, and
//! keeps its locks, as the server has not noticed.
//!
//! Owns the tag of our connections and the question for those of others. Whether their process has
//! ended, [`Lifeline`] says; what is in doubt is left alone.

use super::{BackendError, Connection};
use crate::net::Lifeline;

/// The connection attribute that says which process a connection is of.
pub(super) const TAG: &str = "_tidegate_instance";

impl Connection {
    /// Ends those of this connection's account, for which it needs no privilege, and says how many they
    /// were. None are found where the server does not keep attributes. Not cancel-safe.
    pub async fn end_orphans(&mut self, lifeline: &Lifeline) -> Result<usize, BackendError> {
        let own = lifeline.name();
        let question = format!(
            "SELECT PROCESSLIST_ID, ATTR_VALUE \
             FROM performance_schema.session_account_connect_attrs \
             WHERE ATTR_NAME = '{TAG}' AND ATTR_VALUE <> '{own}'"
        );
        let found = match self.query(&question).await {
            Ok(found) => found,
            // There is no such table, or the account may not look.
            Err(BackendError::Refused(_)) => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut ended = 0;
        for row in found {
            let Ok([Some(id), Some(name)]) = <[_; 2]>::try_from(row) else { continue };
            let Ok(id) = id.parse::<u64>() else { continue };
            if !lifeline.has_ended(&name) {
                continue;
            }
            match self.statement(&format!("KILL {id}")).await {
                Ok(_) => ended += 1,
                // It has ended by itself meanwhile.
                Err(BackendError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ended)
    }
}
