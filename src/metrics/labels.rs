//! Every label value there can be: a label that a stranger can choose would fill the memory.

use super::family::label;

/// The label values that belong to other rooms. A metric with one of these is found by the index
/// in its list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Labels<'l> {
    pub pins: &'l [&'static str],
    pub client_closes: &'l [&'static str],
    pub refusals: &'l [&'static str],
    pub server_closes: &'l [&'static str],
    /// The names of the targets, in their order.
    pub targets: &'l [&'l str],
}

/// The value for what is on no list.
pub(super) const SPARE: &str = "other";

label! {
    /// Seen from the proxy.
    Direction { In = "in", Out = "out" }
}

label! {
    LoginOutcome {
        Accepted = "accepted",
        /// Error 1045, whatever the cause.
        Denied = "denied",
        /// Error 3159.
        TlsRequired = "tls_required",
        /// Error 1040.
        TooMany = "too_many",
        Timeout = "timeout",
        /// Error 1129.
        Blocked = "blocked",
        /// Cut to make room for others on their way in.
        Crowded = "crowded",
        /// Error 1130.
        NotAllowed = "not_allowed",
        /// Error 1226.
        UserLimit = "user_limit",
        /// The client went away, or did not speak the protocol.
        Broken = "broken",
    }
}

label! {
    ServerState { Idle = "idle", Borrowed = "borrowed", Dialing = "dialing" }
}

label! {
    /// What a client is at.
    SessionState {
        LoggingIn = "logging_in",
        Idle = "idle",
        InTransaction = "in_transaction",
        /// For a connection to a target.
        Waiting = "waiting",
        Active = "active",
    }
}

label! {
    /// How a borrower came by its connection.
    BorrowWay {
        /// As it was.
        Warm = "warm",
        /// It had to be told something first.
        Restored = "restored",
        Dialed = "dialed",
        ChangedUser = "changed_user",
        /// Somebody else's was closed to make room.
        Evicted = "evicted",
    }
}

label! {
    BorrowFailure { Timeout = "timeout", QueueFull = "queue_full", Down = "down" }
}

label! {
    DialOutcome {
        Ready = "ready",
        Unreachable = "unreachable",
        Timeout = "timeout",
        /// The server knows neither user nor password.
        Denied = "denied",
        /// The server takes no more connections.
        TooMany = "too_many",
        Tls = "tls",
        Failed = "failed",
    }
}

label! {
    /// Whose fault it was.
    Side { Client = "client", Server = "server", Proxy = "proxy" }
}

label! {
    /// Who wanted a statement prepared.
    PrepareWay {
        Client = "client",
        /// It was prepared before, on another connection.
        Again = "again",
    }
}

label! {
    /// What made the server take a request that it had refused.
    Cure {
        /// It did not know the statement, which was prepared again (1243).
        Unknown = "unknown",
        /// The statement had changed below it, and was prepared again (1615).
        Changed = "changed",
        /// It had no room for one more; others were closed (1461).
        Room = "room",
        /// It was no longer the primary; the next one took it (1290, 1836).
        Demoted = "demoted",
    }
}

/// The commands a client sends, by their byte on the wire; a byte that is none is a spare.
pub(super) const COMMANDS: &[&str] = &[
    "", // 0x00 is internal to the server
    "quit",
    "init_db",
    "query",
    "field_list",
    "create_db",
    "drop_db",
    "refresh",
    "shutdown",
    "statistics",
    "process_info",
    "", // 0x0b is internal to the server
    "process_kill",
    "debug",
    "ping",
    "", // 0x0f is internal to the server
    "", // 0x10 is internal to the server
    "change_user",
    "binlog_dump",
    "table_dump",
    "", // 0x14 is internal to the server
    "register_slave",
    "stmt_prepare",
    "stmt_execute",
    "stmt_send_long_data",
    "stmt_close",
    "stmt_reset",
    "set_option",
    "stmt_fetch",
    "", // 0x1d is internal to the server
    "binlog_dump_gtid",
    "reset_connection",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Label;

    #[test]
    fn commands_stand_at_their_byte() {
        assert_eq!(COMMANDS[0x03], "query");
        assert_eq!(COMMANDS[0x0e], "ping");
        assert_eq!(COMMANDS[0x11], "change_user");
        assert_eq!(COMMANDS[0x16], "stmt_prepare");
        assert_eq!(COMMANDS[0x1b], "set_option");
        assert_eq!(COMMANDS[0x1f], "reset_connection");
    }

    #[test]
    fn a_label_stands_at_its_word() {
        assert_eq!(BorrowWay::VALUES[BorrowWay::ChangedUser.index()], "changed_user");
        assert_eq!(Side::VALUES[Side::Proxy.index()], "proxy");
    }
}
