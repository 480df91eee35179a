//! Every word a client reads that no server said.
//!
//! Codes and states are MySQL's own, so that drivers file them right; only "no connection within
//! `borrow_timeout`" has none there.

use bytes::BytesMut;

use crate::backend::{BackendError, ServerStatements};
use crate::pool::BorrowError;
use crate::registry::Doom;
use crate::session::{Library, Refusal, Statements};
use crate::wire::{Command, ErrPacket, put_err};

/// An ERR packet to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub code: u16,
    pub state: [u8; 5],
    pub message: String,
}

/// The codes that [`Word`] says by itself, as labels of a metric.
pub const CODES: [&str; 24] = [
    "1040", "1043", "1045", "1047", "1053", "1094", "1095", "1105", "1129", "1130", "1153", "1156",
    "1226", "1231", "1235", "1243", "1317", "1461", "1835", "3024", "3159", "3923", "4031", "9501",
];

/// How much of a statement may have happened when its connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    NotStarted,
    MayHaveRun,
    Transaction,
}

impl From<Word> for ErrPacket {
    fn from(word: Word) -> Self {
        Self { code: word.code, state: word.state, message: word.message }
    }
}

impl From<&Word> for ErrPacket {
    fn from(word: &Word) -> Self {
        Self { code: word.code, state: word.state, message: word.message.clone() }
    }
}

impl Word {
    fn new(code: u16, state: [u8; 5], message: impl Into<String>) -> Self {
        Self { code, state, message: message.into() }
    }

    /// To a client who shall find in the log what it was told.
    #[must_use]
    pub fn to(self, session: u32) -> Self {
        Self { message: format!("{} (session {session})", self.message), ..self }
    }

    /// Somebody has to look after the proxy or its targets, and not the client after its statement.
    pub fn is_trouble(&self) -> bool {
        matches!(self.code, 1040 | 1053 | 9501)
    }

    /// Its place in [`CODES`]; past the end if a server said it.
    pub fn label(&self) -> usize {
        CODES.iter().position(|code| code.parse() == Ok(self.code)).unwrap_or(CODES.len())
    }

    /// Writes the packet; returns the next sequence id.
    pub fn put(&self, out: &mut BytesMut, seq: u8) -> u8 {
        put_err(out, seq, self.code, &self.state, &self.message)
    }

    pub fn too_many_clients() -> Self {
        Self::new(1040, *b"08004", "Too many connections")
    }

    /// As with the server's MAX_USER_CONNECTIONS of an account.
    pub fn user_limit(user: &str, most: Option<u32>) -> Self {
        let most = most.unwrap_or_default();
        let message = format!(
            "User '{user}' has exceeded the 'max_user_connections' resource (current value: {most})"
        );
        Self::new(1226, *b"42000", message)
    }

    /// The same whatever was wrong, as the server does it.
    pub fn bad_login(user: &str, peer: &str, with_password: bool) -> Self {
        // A name is 32 characters at most; what is longer is not echoed whole.
        let user: String = user.chars().take(32).collect();
        let using = if with_password { "YES" } else { "NO" };
        let message = format!("Access denied for user '{user}'@'{peer}' (using password: {using})");
        Self::new(1045, *b"28000", message)
    }

    /// As with the server's max_connect_errors.
    pub fn blocked(user: &str, peer: &str) -> Self {
        let user: String = user.chars().take(32).collect();
        let message = format!(
            "Host '{peer}' is blocked for user '{user}' because of many failed logins (client.max_failed_logins)"
        );
        Self::new(1129, *b"HY000", message)
    }

    /// By its network.
    pub fn host_not_allowed(peer: &str) -> Self {
        let message = format!("Host '{peer}' is not allowed to connect to this MySQL server");
        Self::new(1130, *b"HY000", message)
    }

    pub fn tls_required() -> Self {
        Self::new(
            3159,
            *b"08004",
            "Connections using insecure transport are prohibited while tls.client.mode=required.",
        )
    }

    /// Before it is shown, lest somebody listens.
    pub fn token_needs_tls(user: &str) -> Self {
        let user: String = user.chars().take(32).collect();
        let message = format!(
            "Connections using insecure transport are prohibited for user '{user}', who logs in with a token."
        );
        Self::new(3159, *b"08004", message)
    }

    pub fn bad_handshake() -> Self {
        Self::new(1043, *b"08S01", "Bad handshake")
    }

    pub fn bad_proxy_header() -> Self {
        Self::new(1043, *b"08S01", "Bad handshake: no PROXY header (endpoint.proxy_protocol_from)")
    }

    pub fn stray_proxy_header() -> Self {
        let message = "Bad handshake: a PROXY header from an address that is not in \
                       endpoint.proxy_protocol_from";
        Self::new(1043, *b"08S01", message)
    }

    pub fn charset_not_for_clients(name: &str) -> Self {
        let message =
            format!("Variable 'character_set_client' can't be set to the value of '{name}'");
        Self::new(1231, *b"42000", message)
    }

    pub fn zstd_level() -> Self {
        Self::new(3923, *b"HY000", "Invalid zstd compression level for algorithm 'zstd'.")
    }

    pub fn out_of_order() -> Self {
        Self::new(1156, *b"08S01", "Got packets out of order")
    }

    pub fn packet_too_large() -> Self {
        Self::new(1153, *b"08S01", "Got a packet bigger than 'max_allowed_packet' bytes")
    }

    pub fn borrow(error: &BorrowError) -> Self {
        match error {
            BorrowError::QueueFull { waiting } => Self::new(
                1040,
                *b"08004",
                format!(
                    "Too many connections: {waiting} statements wait for one (pool.max_waiting)"
                ),
            ),
            BorrowError::Timeout { waited, in_use, bound, trouble } => {
                let mut message = format!(
                    "Timed-out waiting to acquire database connection: waited {:.1}s (pool.borrow_timeout), {in_use} of {bound} in use",
                    waited.as_secs_f64()
                );
                if *bound == 0 {
                    message.truncate(message.rfind(',').unwrap_or(message.len()));
                    message.push_str(", there is no target to use at this moment");
                }
                if let Some(trouble) = trouble {
                    message.push_str("; last error of the target: ");
                    message.push_str(trouble);
                }
                Self::new(9501, *b"HY000", message)
            }
            BorrowError::OwnBound { waited, user, most } => Self::new(
                9501,
                *b"HY000",
                format!(
                    "Timed-out waiting to acquire database connection: waited {:.1}s (pool.borrow_timeout), the {most} that user '{user}' may have (max_server_connections) are in use",
                    waited.as_secs_f64()
                ),
            ),
            BorrowError::Login(BackendError::Refused(error)) => Self::new(
                error.code,
                error.state,
                format!("The target refused the login: {}", error.message),
            ),
            BorrowError::Login(error) => {
                Self::new(9501, *b"HY000", format!("Cannot acquire database connection: {error}"))
            }
            BorrowError::Closed => Self::draining(),
        }
    }

    pub fn lost(how: Lost) -> Self {
        let known = match how {
            Lost::NotStarted => "the statement was not started",
            Lost::MayHaveRun => "the statement may have run",
            Lost::Transaction => {
                "the transaction is lost; a COMMIT that was under way may have run"
            }
        };
        Self::new(1053, *b"08S01", format!("The connection to the server was lost: {known}"))
    }

    pub fn draining() -> Self {
        Self::new(1053, *b"08S01", "Server shutdown in progress")
    }

    pub fn doomed(doom: Doom) -> Self {
        match doom {
            Doom::Killed => Self::new(1317, *b"70100", "Query execution was interrupted"),
            Doom::Idle => Self::disconnected("client.idle_timeout"),
            Doom::IdleInTransaction => Self::disconnected("client.idle_in_transaction_timeout"),
            Doom::TransactionTooLong => Self::disconnected("client.max_transaction"),
            Doom::Draining | Doom::Stopping => Self::draining(),
            Doom::Revoked => Self::new(
                1045,
                *b"28000",
                "Access denied: the user is in the secrets of Tidegate no longer",
            ),
        }
    }

    fn disconnected(key: &str) -> Self {
        let message =
            format!("The client was disconnected by the server because of inactivity ({key}).");
        Self::new(4031, *b"HY000", message)
    }

    pub fn over_time() -> Self {
        let message = "Query execution was interrupted, maximum statement execution time exceeded (client.max_query)";
        Self::new(3024, *b"HY000", message)
    }

    pub fn refusal(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownCommand => Self::new(1047, *b"08S01", "Unknown command"),
            Refusal::MalformedPacket => {
                Self::new(1835, *b"HY000", "Malformed communication packet.")
            }
            Refusal::UnknownStatement { id } => Self::new(
                1243,
                *b"HY000",
                format!("Unknown prepared statement handler ({id}) given to mysqld_stmt_execute"),
            ),
            Refusal::TooManyStatements => Self::new(
                1461,
                *b"42000",
                "Can't create more than max_prepared_stmt_count statements (current value: 16382)",
            ),
            Refusal::StatementsTooLarge => Self::no_more_statements(&format!(
                "those of this client take {} MiB already",
                Statements::MOST_BYTES >> 20
            )),
            Refusal::LibraryFull => Self::no_more_statements(&format!(
                "those of all clients together take {} MiB already, the most Tidegate keeps",
                Library::MOST_BYTES >> 20
            )),
            Refusal::StatementTooLarge => Self::packet_too_large(),
            Refusal::DiagnosticsGone => Self::new(
                1235,
                *b"42000",
                "This version of Tidegate doesn't yet support 'FOUND_ROWS(), ROW_COUNT() or diagnostics \
                 inside a larger statement after the transaction they ask about'; ask alone \
                 (SELECT ROW_COUNT()), or in the same transaction",
            ),
        }
    }

    /// The server's own code for having too many, with the reason that is Tidegate's.
    fn no_more_statements(why: &str) -> Self {
        Self::new(1461, *b"42000", format!("Can't create more prepared statements: {why}"))
    }

    pub fn too_many_cursors() -> Self {
        Self::no_more_statements(&format!(
            "{} of this client have a cursor or long data open",
            ServerStatements::MOST_PRIVATE
        ))
    }

    /// The server's own words, said in another place.
    pub fn from_server(error: &ErrPacket) -> Self {
        Self::new(error.code, error.state, error.message.clone())
    }

    pub fn attributes_too_long() -> Self {
        Self::new(
            1235,
            *b"42000",
            "This version of Tidegate doesn't yet support 'query attributes of more than 64 KB'",
        )
    }

    /// Error 1243 names the function of the server that says it.
    pub fn named_by(self, refusal: Refusal, command: Option<u8>, mariadb: bool) -> Self {
        let Refusal::UnknownStatement { .. } = refusal else { return self };
        let function = match command.and_then(Command::from_byte) {
            _ if !mariadb => "mysql_stmt_precheck",
            Some(Command::StmtReset) => "mysqld_stmt_reset",
            Some(Command::StmtFetch) => "mysqld_stmt_fetch",
            _ => return self,
        };
        Self { message: self.message.replace("mysqld_stmt_execute", function), ..self }
    }

    pub fn unknown_thread(id: u64) -> Self {
        Self::new(1094, *b"HY000", format!("Unknown thread id: {id}"))
    }

    pub fn not_owner(id: u64) -> Self {
        Self::new(1095, *b"HY000", format!("You are not owner of thread {id}"))
    }

    pub fn kill_failed(error: &BackendError) -> Self {
        Self::new(1105, *b"HY000", format!("KILL could not reach the server: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_timeout_says_why() {
        let error = BorrowError::Timeout {
            waited: Duration::from_millis(10_020),
            in_use: 8,
            bound: 8,
            trouble: Some("Connection refused (os error 111)".into()),
        };
        let word = Word::borrow(&error);
        assert_eq!(word.code, 9501);
        assert_eq!(
            word.message,
            "Timed-out waiting to acquire database connection: waited 10.0s \
             (pool.borrow_timeout), 8 of 8 in use; last error of the target: \
             Connection refused (os error 111)"
        );
    }

    #[test]
    fn every_code_has_its_label() {
        assert_eq!(CODES[Word::over_time().label()], "3024");
        assert_eq!(CODES[Word::too_many_clients().label()], "1040");
        assert!(CODES.is_sorted());
        let server = ErrPacket { code: 1064, state: *b"42000", message: "no".into() };
        assert_eq!(CODES.get(Word::from_server(&server).label()), None);
    }

    #[test]
    fn no_message_is_longer_than_the_protocol_likes() {
        let words = [
            Word::refusal(Refusal::DiagnosticsGone),
            Word::tls_required(),
            Word::over_time(),
            Word::lost(Lost::Transaction),
        ];
        assert!(words.iter().all(|word| word.message.len() < 512 && word.message.is_ascii()));
    }
}
