//! KILL and COM_PROCESS_KILL, by the ids that clients were given.

use super::refuse::Word;
use super::serve::Session;
use crate::registry::{Doom, Registry};

impl Session {
    /// `Ok(None)`: not one of our ids, the server may know it. `Ok(Some)`: killed.
    pub(super) async fn kill(&self, id: u64, query_only: bool) -> Result<Option<()>, Word> {
        if !Registry::is_own(id) {
            return Ok(None);
        }
        let found = u32::try_from(id).ok().and_then(|id| self.shared.registry.get(id));
        let Some(entry) = found else { return Err(Word::unknown_thread(id)) };
        if entry.user() != self.presence.user() {
            return Err(Word::not_owner(id));
        }
        if entry.id == self.presence.id {
            return self.kill_self(query_only);
        }
        if !query_only {
            entry.doom(Doom::Killed);
        }
        // Held until the KILL is done: the connection cannot pass to another session meanwhile.
        if let (Some(aim), Some(pool)) = (entry.aim(), self.shared.cluster.pool()) {
            let killed = pool.kill(&self.identity, &self.account, aim.connection, query_only).await;
            if let Err(error) = killed
                && !is_gone(&error)
            {
                return Err(Word::kill_failed(&error));
            }
        }
        Ok(Some(()))
    }

    /// KILL of oneself interrupts the KILL; without QUERY it is also the end of the session.
    fn kill_self(&self, query_only: bool) -> Result<Option<()>, Word> {
        if !query_only {
            self.presence.doom(Doom::Killed);
        }
        Err(Word::doomed(Doom::Killed))
    }
}

/// The connection ended before the KILL came: what was wanted has happened.
fn is_gone(error: &crate::backend::BackendError) -> bool {
    matches!(error, crate::backend::BackendError::Refused(error) if error.code == 1094)
}
