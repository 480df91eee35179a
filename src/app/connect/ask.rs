//! What a target is asked, and by which words.

use std::time::Duration;

use super::grants;
use crate::backend::{BackendError, Connection, Rows};
use crate::cluster::{self, Sighting};

/// What one login learned.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    pub version: String,
    pub mariadb: bool,
    /// Protocol and cipher.
    pub tls: Option<(&'static str, &'static str)>,
    /// Nobody can listen: TLS, or a unix socket.
    pub secure: bool,
    /// Variables whose changes the server reports.
    pub tracked: usize,
    pub seen: Sighting,
    /// Why the server does not tell of its replication.
    pub untold: Option<String>,
    pub max_connections: u32,
    /// Everybody's, this one included.
    pub connected: u32,
    /// Those of this account, this one included.
    pub own: u32,
    /// 0 for none.
    pub max_user_connections: u32,
    pub wait_timeout: Duration,
    pub privileges: Vec<String>,
}

/// Not cancel-safe: the connection must be closed then.
pub(super) async fn ask(connection: &mut Connection) -> Result<Answers, BackendError> {
    let mut seen = cluster::sighting(connection).await?;
    let untold = match cluster::replication(connection).await {
        Ok((source, lag)) => {
            (seen.source, seen.lag) = (source, lag);
            None
        }
        Err(BackendError::Refused(error)) => Some(error.message),
        Err(error) => return Err(error),
    };
    let limits =
        connection.query("SELECT @@SESSION.wait_timeout, @@SESSION.max_user_connections").await?;
    let connected = connection.query("SHOW GLOBAL STATUS LIKE 'Threads_connected'").await?;
    let processes = connection.query("SHOW PROCESSLIST").await?;
    let grants = connection.query("SHOW GRANTS").await?;
    let user = &*connection.identity.username;
    let own = processes.iter().filter(|row| row.get(1).cloned().flatten().as_deref() == Some(user));
    Ok(Answers {
        own: u32::try_from(own.count()).unwrap_or(u32::MAX),
        version: connection.facts.version.clone(),
        mariadb: connection.facts.mariadb,
        tls: connection.stream.tls(),
        secure: connection.stream.is_secure(),
        tracked: connection.facts.defaults.tracked.len(),
        seen,
        untold,
        max_connections: connection.facts.max_connections,
        connected: number(&connected, 1),
        max_user_connections: number(&limits, 1),
        wait_timeout: Duration::from_secs(number(&limits, 0).into()),
        privileges: grants::of_the_server(&grants),
    })
}

/// In the first row.
fn number(rows: &Rows, place: usize) -> u32 {
    let cell = rows.first().and_then(|row| row.get(place)?.as_ref());
    cell.and_then(|text| text.parse().ok()).unwrap_or(0)
}
