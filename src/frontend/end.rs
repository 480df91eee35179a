//! Why a session ended: the label of a metric.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum End {
    /// COM_QUIT.
    Quit,
    /// The client went away without a word.
    HungUp,
    /// What it sent was no MySQL.
    Malformed,
    LoginRefused,
    LoginTimeout,
    TooMany,
    TlsRequired,
    /// The server was lost in the middle of a reply.
    ServerLost,
    Killed,
    Idle,
    IdleInTransaction,
    TransactionTooLong,
    Draining,
    Revoked,
    /// Too many failed logins of this user from there.
    Blocked,
    /// Cut to make room for others on their way in.
    Crowded,
    /// It lives on in another process.
    Moved,
    /// From a network that may not come in here.
    NotAllowed,
    /// There are as many of this user as there may be.
    UserLimit,
}

impl End {
    pub const NAMES: [&'static str; 19] = [
        "quit",
        "hung_up",
        "malformed",
        "login_refused",
        "login_timeout",
        "too_many",
        "tls_required",
        "server_lost",
        "killed",
        "idle",
        "idle_in_transaction",
        "transaction_too_long",
        "draining",
        "revoked",
        "blocked",
        "crowded",
        "moved",
        "not_allowed",
        "user_limit",
    ];
}

impl From<crate::registry::Doom> for End {
    fn from(doom: crate::registry::Doom) -> Self {
        use crate::registry::Doom;
        match doom {
            Doom::Killed => Self::Killed,
            Doom::Idle => Self::Idle,
            Doom::IdleInTransaction => Self::IdleInTransaction,
            Doom::TransactionTooLong => Self::TransactionTooLong,
            Doom::Draining | Doom::Stopping => Self::Draining,
            Doom::Revoked => Self::Revoked,
        }
    }
}
