//! Looking at each target on a clock, on its link, which is not the pool's.
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

/// What it says of itself. A link that has failed is made anew the next time.
pub(super) async fn look(
    member: &Member,
    credentials: &Credentials,
    timeout: Duration,
) -> Result<Sighting, BackendError> {
    // A switchover may have it for longer: it asks for itself whether the target lives.
    let mut link = member.link().await;
    let mut known = link.take();
    let asked = async {
        if let Some(mut connection) = known.take()
            && let Ok(seen) = sighting(&mut connection).await
        {
            return Ok((connection, seen));
        }
        // None there was, or it was closed for its age by a server that is well.
        let mut connection = member.log_in(credentials).await?;
        let seen = sighting(&mut connection).await?;
        Ok((connection, seen))
    };
    let answered = tokio::time::timeout(timeout, asked).await;
    let (mut connection, mut seen) = answered.unwrap_or(Err(BackendError::Timeout(timeout)))?;
    // It may wait for a STOP REPLICA that waits for a transaction: no sign of illness.
    match tokio::time::timeout(timeout, replication(&mut connection)).await {
        Ok(Ok(told)) => (seen.source, seen.lag) = told,
        Ok(Err(BackendError::Refused(_))) => {}
        Ok(Err(_)) | Err(_) => return Ok(seen),
    }
    *link = Some(connection);
    Ok(seen)
}

/// How long to wait before the next look.
pub(super) fn pace(interval: Duration, calm: bool) -> Duration {
    if calm { interval } else { (interval / HURRY).max(SHORTEST) }
}

const QUESTION: &str = "SELECT @@GLOBAL.read_only, @@GLOBAL.innodb_read_only, ";

/// MySQL 8.0.22, MariaDB 10.5.1; older ones refuse it, and so does any without the privilege.
pub(super) const REPLICATION: &str = "SHOW REPLICA STATUS";

/// Places in its answer, the same on both: `…_IO_Running`, `…_SQL_Running`, `Seconds_Behind_…`, and
/// the id of the source, which on MySQL has a name of its own.
const IO_RUNNING: usize = 10;
const SQL_RUNNING: usize = 11;
const SECONDS_BEHIND: usize = 32;
const SOURCE_ID: usize = 39;
const SOURCE_UUID: usize = 40;

/// Its role and its name. Not cancel-safe: the connection must be closed then.
pub async fn sighting(connection: &mut Connection) -> Result<Sighting, BackendError> {
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

/// Whose replica it is, and how far behind; refused where the account may not ask. Not cancel-safe,
/// as above.
pub async fn replication(
    connection: &mut Connection,
) -> Result<(Option<String>, Lag), BackendError> {
    let rows = connection.query(REPLICATION).await?;
    // The channels of a group are not listed.
    let Some(row) = rows.first() else { return Ok((None, alone(connection).await?)) };
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

/// It replicates from nobody by itself. A member of a group gets what it has from the group, and a
/// reader of a shared store from the store; what anybody else has may be old.
async fn alone(connection: &mut Connection) -> Result<Lag, BackendError> {
    let question = if connection.facts.mariadb { GALERA } else { GROUP };
    let rows = match connection.query(question).await {
        Ok(rows) => rows,
        // No part of it was built in, or the account may not look.
        Err(BackendError::Refused(_)) => return Ok(Lag::Unknown),
        Err(error) => return Err(error),
    };
    let mut row = rows.into_iter().next().unwrap_or_default().into_iter();
    let state = row.next().flatten();
    if state.is_none_or(|state| state != "ONLINE") {
        return Ok(Lag::Stopped);
    }
    match row.next().flatten().and_then(|seconds| seconds.parse().ok()) {
        Some(seconds) => Ok(Lag::Seconds(seconds)),
        None => Ok(Lag::Unknown),
    }
}

/// And since when what it applies now has been the others': 0 where it is through with all it has.
const GROUP: &str = "SELECT IF(@@GLOBAL.innodb_read_only, 'ONLINE', (SELECT MEMBER_STATE \
     FROM performance_schema.replication_group_members WHERE MEMBER_ID = @@GLOBAL.server_uuid)), \
     IF(@@GLOBAL.innodb_read_only, NULL, (SELECT GREATEST(0, COALESCE(TIMESTAMPDIFF(SECOND, \
     MIN(APPLYING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP), NOW(6)), 0)) \
     FROM performance_schema.replication_applier_status_by_worker \
     WHERE CHANNEL_NAME = 'group_replication_applier' AND APPLYING_TRANSACTION <> ''))";

const GALERA: &str = "SELECT IF(@@GLOBAL.innodb_read_only OR VARIABLE_VALUE = 'Synced', 'ONLINE', '') \
     FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'wsrep_local_state_comment'";
