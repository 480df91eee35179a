//! Clients that take nothing of what they asked for.
//!
//! Owns how long that may last. Whoever is frozen in the middle of a reply would hold a server
//! connection for ever: the server cannot end a statement that waits to be sent.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backend::Facts;
use crate::registry::Entry;
use crate::session::SessionState;

/// Of a statement that is over its time already.
const OVER_TIME: Duration = Duration::from_secs(5);

/// Nobody counts on more exactness than this.
const LOOK: Duration = Duration::from_secs(1);

/// A server's default.
const USUAL: Duration = Duration::from_secs(60);

/// As a server has it, for the whole of one write: the session's `net_write_timeout`, or the global
/// one.
pub(super) fn patience(state: &SessionState, facts: Option<&Arc<Facts>>) -> Duration {
    let said = state.variable("net_write_timeout").and_then(|said| said.parse().ok());
    let seconds = said.or_else(|| facts?.net_write_timeout);
    seconds.map_or(USUAL, Duration::from_secs)
}

/// The write, until the session must end or the client has taken none of it for too long.
/// `patience` is asked only once the client does not take all of it at once.
pub(super) async fn in_time(
    entry: &Entry,
    patience: impl FnOnce() -> Duration,
    write: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    tokio::select! {
        biased;
        written = write => written,
        () = given_up(entry, patience) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn given_up(entry: &Entry, patience: impl FnOnce() -> Duration) {
    let began = Instant::now();
    let patience = patience();
    loop {
        let limit = if entry.is_over_time() { patience.min(OVER_TIME) } else { patience };
        let must_end = entry.doomed().is_some_and(|doom| !doom.is_patient());
        if must_end || began.elapsed() >= limit {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Charset;

    #[test]
    fn as_patient_as_the_server() {
        let plain = SessionState::new(None, &Charset::canonical(), false);
        let facts = Arc::new(Facts { net_write_timeout: Some(20), ..Facts::default() });
        assert_eq!(patience(&plain, None), USUAL);
        assert_eq!(patience(&plain, Some(&facts)), Duration::from_secs(20));
        let set = plain.with_variables([("net_write_timeout", "600")]);
        assert_eq!(patience(&set, Some(&facts)), Duration::from_secs(600));
    }
}
