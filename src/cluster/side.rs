//! One server whose part is to change, by its link, which its probe waits for meanwhile.
//!
//! Owns the words that are said to it, on either flavor. In which order, its callers say:
//! [`super::switchover`] and [`super::promotion`].

use std::time::Duration;

use tokio::sync::MutexGuard;

use super::SwitchoverError;
use super::gtid::Have;
use super::member::Member;
use super::probe::{REPLICATION, replication, sighting};
use crate::backend::{BackendError, Connection, Credentials, Rows};

/// Beyond what a step may take by itself: the answer's way.
pub(super) const MARGIN: Duration = Duration::from_secs(2);

/// For a step that waits for nothing.
pub(super) const STEP: Duration = Duration::from_secs(5);

/// Places in the answer to SHOW REPLICA STATUS.
const RECEIVED: usize = 51;
const AUTO_POSITION: usize = 53;
const MARIADB_USING_GTID: usize = 42;
const MARIADB_RECEIVED: usize = 43;

/// On MySQL it takes super_read_only away, too.
const WRITABLE: &str = "SET GLOBAL read_only = 0";

pub(super) struct Side<'a> {
    pub member: &'a Member,
    link: MutexGuard<'a, Option<Connection>>,
}

impl<'a> Side<'a> {
    pub async fn of(
        member: &'a Member,
        credentials: &Credentials,
    ) -> Result<Self, SwitchoverError> {
        let mut side = Self { member, link: member.link().await };
        side.reach(credentials).await?;
        Ok(side)
    }

    /// The link that lies there may be dead, and what was lost with it cannot be told afterwards.
    pub async fn reach(&mut self, credentials: &Credentials) -> Result<(), SwitchoverError> {
        if self.ask("asking whether it is there", "SELECT 1", STEP).await.is_ok() {
            return Ok(());
        }
        let made = tokio::time::timeout(STEP, self.member.log_in(credentials)).await;
        match made.unwrap_or(Err(BackendError::Timeout(STEP))) {
            Ok(connection) => *self.link = Some(connection),
            Err(error) => {
                let (name, doing) = (self.member.name.clone(), "logging in");
                return Err(SwitchoverError::Failed { name, doing, error });
            }
        }
        Ok(())
    }

    pub fn mariadb(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.facts.mariadb)
    }

    /// The first cell of what it answers.
    pub async fn ask(
        &mut self,
        doing: &'static str,
        sql: &str,
        patience: Duration,
    ) -> Result<Option<String>, SwitchoverError> {
        let rows = self.rows(doing, sql, patience).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
    }

    pub async fn rows(
        &mut self,
        doing: &'static str,
        sql: &str,
        patience: Duration,
    ) -> Result<Rows, SwitchoverError> {
        let asked = match self.link.take() {
            None => Err(std::io::Error::from(std::io::ErrorKind::NotConnected).into()),
            Some(mut connection) => {
                let asked = tokio::time::timeout(patience, connection.query(sql)).await;
                let asked = asked.unwrap_or(Err(BackendError::Timeout(patience)));
                if matches!(asked, Ok(_) | Err(BackendError::Refused(_))) {
                    *self.link = Some(connection);
                }
                asked
            }
        };
        let name = || self.member.name.clone();
        asked.map_err(|error| SwitchoverError::Failed { name: name(), doing, error })
    }

    /// The old primary takes writes again, unless the new one may.
    pub async fn back(
        &mut self,
        error: SwitchoverError,
        credentials: &Credentials,
    ) -> SwitchoverError {
        if matches!(error, SwitchoverError::Doubtful { .. }) {
            return error;
        }
        let (name, what) = (self.member.name.clone(), Box::new(error));
        let undone = match self.reach(credentials).await {
            Ok(()) => self.ask("making it writable again", WRITABLE, STEP).await,
            Err(error) => Err(error),
        };
        match undone {
            Ok(_) => *what,
            Err(SwitchoverError::Failed { error, .. }) => {
                SwitchoverError::Stuck { what, name, error }
            }
            Err(other) => other,
        }
    }

    /// What it has applied is all it will have of its source; from here on it takes writes. Any error
    /// leaves it as it was, but [`SwitchoverError::Doubtful`].
    pub async fn take_over(
        &mut self,
        old: &str,
        credentials: &Credentials,
    ) -> Result<(), SwitchoverError> {
        if let Err(error) = self.ask("ending its replication", "STOP REPLICA", STEP).await {
            self.replicate_again(credentials).await;
            return Err(error);
        }
        match self.ask("making it writable", WRITABLE, STEP).await {
            Ok(_) => {}
            Err(SwitchoverError::Failed { error: BackendError::Refused(refusal), doing, name }) => {
                self.replicate_again(credentials).await;
                let error = BackendError::Refused(refusal);
                return Err(SwitchoverError::Failed { name, doing, error });
            }
            Err(SwitchoverError::Failed { error, name, .. }) => {
                return Err(SwitchoverError::Doubtful { name, old: old.to_owned(), error });
            }
            Err(other) => return Err(other),
        }
        // It takes writes: what is left is tidiness.
        if let Err(error) = self.ask("forgetting its source", "RESET REPLICA ALL", STEP).await {
            tracing::warn!(%error, "after it has taken over");
        }
        Ok(())
    }

    pub async fn replicate_again(&mut self, credentials: &Credentials) {
        let again = match self.reach(credentials).await {
            Ok(()) => self.ask("replicating again", "START REPLICA", STEP).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = again {
            tracing::error!(target = self.member.name, %error, "it does not replicate any more");
        }
    }

    pub fn read_only(&self) -> &'static str {
        if self.mariadb() { "SET GLOBAL read_only = 1" } else { "SET GLOBAL super_read_only = 1" }
    }

    /// Sets it to what it is, whatever that is by then.
    pub fn same(&self) -> &'static str {
        if self.mariadb() {
            "SET GLOBAL read_only = @@GLOBAL.read_only"
        } else {
            "SET GLOBAL super_read_only = @@GLOBAL.super_read_only"
        }
    }

    /// Looked at once more, with its link in hand: read-only or not, and whose replica.
    pub async fn is_still(
        &mut self,
        read_only: bool,
        source: Option<&str>,
    ) -> Result<(), SwitchoverError> {
        let moved = || SwitchoverError::Moved(self.member.name.clone());
        let Some(mut connection) = self.link.take() else { return Err(moved()) };
        let looked = tokio::time::timeout(STEP, async {
            let seen = sighting(&mut connection).await?;
            let told = if source.is_some() { replication(&mut connection).await?.0 } else { None };
            Ok::<_, BackendError>((seen.read_only, told))
        });
        let Ok(Ok((is_read_only, told))) = looked.await else { return Err(moved()) };
        *self.link = Some(connection);
        let follows = source.is_none_or(|source| told.as_deref() == Some(source));
        if is_read_only == read_only && follows { Ok(()) } else { Err(moved()) }
    }

    pub fn position(&self) -> &'static str {
        if self.mariadb() {
            "SELECT @@GLOBAL.gtid_binlog_pos"
        } else {
            "SELECT @@GLOBAL.gtid_executed"
        }
    }

    /// What it has of transactions, and whether that can be told.
    pub async fn have(&mut self) -> Result<Have, SwitchoverError> {
        let doing = "asking for its transactions";
        let (question, by_gtid, received) = if self.mariadb() {
            let both = "SELECT CONCAT_WS(',', @@GLOBAL.gtid_slave_pos, @@GLOBAL.gtid_binlog_pos)";
            (both, MARIADB_USING_GTID, MARIADB_RECEIVED)
        } else {
            (self.position(), AUTO_POSITION, RECEIVED)
        };
        let applied = self.ask(doing, question, STEP).await?.unwrap_or_default();
        let sources = self.rows(doing, REPLICATION, STEP).await?;
        let [source] = sources.as_slice() else { return Ok(Have::new(&applied, "", false)) };
        let said = |place: usize| source.get(place).cloned().flatten().unwrap_or_default();
        let by_gtid = !matches!(said(by_gtid).as_str(), "" | "0" | "No");
        Ok(Have::new(&applied, &said(received), by_gtid))
    }

    /// 0 once it has all of that.
    pub fn applied(&self, position: &str, within: Duration) -> String {
        let clean = clean(position);
        let function =
            if self.mariadb() { "MASTER_GTID_WAIT" } else { "WAIT_FOR_EXECUTED_GTID_SET" };
        format!("SELECT {function}('{clean}', {:.1})", within.as_secs_f64())
    }
}

/// What a position is written with; MySQL breaks its lines.
pub(super) fn clean(position: &str) -> String {
    let is_of_it = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | ',' | '_');
    position.chars().filter(is_of_it).collect()
}
