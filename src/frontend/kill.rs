//! KILL and COM_PROCESS_KILL, by the ids that clients were given.

use super::refuse::Word;
use super::serve::Session;
use crate::registry::Doom;

impl Session {
    /// Only ids that were given out here are known. The server's own would name a connection that
    /// another session may have in hand by now.
    pub(super) async fn kill(&self, id: u64, query_only: bool) -> Result<(), Word> {
        let found = u32::try_from(id).ok().and_then(|id| self.shared.registry.get(id));
        let Some(entry) = found else { return Err(Word::unknown_thread(id)) };
        if entry.doomed() == Some(Doom::Killed) {
            return Err(Word::unknown_thread(id));
        }
        if *entry.user() != *self.presence.user() {
            return Err(Word::not_owner(id));
        }
        if entry.id == self.presence.id {
            return self.kill_self(query_only);
        }
        if query_only {
            entry.interrupt();
        } else {
            entry.doom(Doom::Killed);
        }
        // Held until the KILL is done: the connection cannot pass to another session meanwhile.
        let aim = entry.aim(!query_only);
        let pool = aim.as_ref().and_then(|aim| self.shared.cluster.pool_of(aim.connection.target));
        if let (Some(aim), Some(pool)) = (aim, pool) {
            let id = aim.connection.id;
            let killed = pool.kill(&self.identity, &self.account, id, query_only).await;
            if let Err(error) = killed
                && !is_gone(&error)
            {
                return Err(Word::kill_failed(&error));
            }
        }
        Ok(())
    }

    /// KILL of oneself interrupts the KILL; without QUERY it is also the end of the session.
    fn kill_self(&self, query_only: bool) -> Result<(), Word> {
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
