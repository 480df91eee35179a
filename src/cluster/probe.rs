//! Looking at each target on a clock, on a connection of its own.
//!
//! Owns the questions and the pace. What follows from the answers is [`super::elect`]'s to say.

use std::time::Duration;

use super::elect::{Lag, Sighting};
use super::member::Member;
use crate::backend::{BackendError, Connection, Credentials};

/// While nobody is known to be primary, or the primary has just been silent, each is looked at so
/// many times as often.
const HURRY: u32 = 8;

/// Busier than this nobody is kept, whatever happens.
pub(super) const SHORTEST: Duration = Duration::from_millis(50);

/// After a login that was refused: some lock accounts that try too often.
pub(super) const REFUSED: Duration = Duration::from_secs(10);

pub(super) struct Probe {
    link: Option<Connection>,
    timeout: Duration,
}

impl Probe {
    pub fn new(timeout: Duration) -> Self {
        Self { link: None, timeout }
    }

    /// What it says of itself. A link that has failed is made anew the next time.
    pub async fn look(
        &mut self,
        member: &Member,
        credentials: &Credentials,
    ) -> Result<Sighting, BackendError> {
        let mut link = self.link.take();
        let asked = async {
            if let Some(mut connection) = link.take()
                && let Ok(seen) = sighting(&mut connection).await
            {
                return Ok((connection, seen));
            }
            // None there was, or it was closed for its age by a server that is well.
            let mut connection = member.log_in(credentials).await?;
            let seen = sighting(&mut connection).await?;
            Ok((connection, seen))
        };
        let answered = tokio::time::timeout(self.timeout, asked).await;
        let (mut connection, mut seen) =
            answered.unwrap_or(Err(BackendError::Timeout(self.timeout)))?;
        // It may wait for a STOP REPLICA that waits for a transaction: no sign of illness.
        let told = tokio::time::timeout(self.timeout, replication(&mut connection)).await;
        if let Ok(Ok((source, lag))) = told {
            (seen.source, seen.lag) = (source, lag);
            self.link = Some(connection);
        }
        Ok(seen)
    }
}

/// How long to wait before the next look.
pub(super) fn pace(interval: Duration, calm: bool) -> Duration {
    if calm { interval } else { (interval / HURRY).max(SHORTEST) }
}

const QUESTION: &str = "SELECT @@GLOBAL.read_only, @@GLOBAL.innodb_read_only, ";

/// MySQL 8.0.22, MariaDB 10.5.1; older ones refuse it, and so does any without the privilege.
const REPLICATION: &str = "SHOW REPLICA STATUS";

/// Places in its answer, the same on both: `…_IO_Running`, `…_SQL_Running`, `Seconds_Behind_…`, and
/// the id of the source, which on MySQL has a name of its own.
const IO_RUNNING: usize = 10;
const SQL_RUNNING: usize = 11;
const SECONDS_BEHIND: usize = 32;
const SOURCE_ID: usize = 39;
const SOURCE_UUID: usize = 40;

async fn sighting(connection: &mut Connection) -> Result<Sighting, BackendError> {
    let identity =
        if connection.facts.mariadb { "@@GLOBAL.server_id" } else { "@@GLOBAL.server_uuid" };
    let rows = connection.query(&format!("{QUESTION}{identity}")).await?;
    let row = rows.into_iter().next().unwrap_or_default();
    let mut row = row.into_iter().map(Option::unwrap_or_default);
    let mut is_on = || row.next().is_some_and(|value| !matches!(value.as_str(), "0" | "OFF"));
    let read_only = is_on() | is_on();
    let identity = row.next().unwrap_or_default();
    Ok(Sighting { read_only, identity, ..Sighting::default() })
}

async fn replication(connection: &mut Connection) -> Result<(Option<String>, Lag), BackendError> {
    let rows = match connection.query(REPLICATION).await {
        Ok(rows) => rows,
        Err(BackendError::Refused(_)) => return Ok((None, Lag::Unknown)),
        Err(error) => return Err(error),
    };
    let Some(row) = rows.first() else { return Ok((None, Lag::Unknown)) };
    let said = |place: usize| row.get(place).cloned().flatten();
    let runs = |place: usize| said(place).is_some_and(|said| said != "No");
    let source = said(if connection.facts.mariadb { SOURCE_ID } else { SOURCE_UUID });
    Ok(match (runs(IO_RUNNING), runs(SQL_RUNNING)) {
        (false, false) => (None, Lag::Stopped),
        (true, true) => {
            // NULL while the source is away, which is when the replica is needed most.
            let seconds = said(SECONDS_BEHIND).and_then(|said| said.parse().ok());
            (source, seconds.map_or(Lag::Unknown, Lag::Seconds))
        }
        _ => (source, Lag::Stopped),
    })
}
