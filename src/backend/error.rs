//! What can go wrong on a server connection, and what that says about the connection.

use std::io;

use crate::auth::AuthError;
use crate::wire::{ErrPacket, Malformed};

#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The connection is gone or was never there.
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("no answer within {0:?}")]
    Timeout(std::time::Duration),
    /// The server said so itself; the connection may still be good.
    #[error("{} ({})", .0.message, .0.code)]
    Refused(ErrPacket),
    /// The reply makes no sense: the connection must be closed.
    #[error("the server sent what cannot be understood: {0}")]
    Malformed(#[from] Malformed),
    #[error("cannot authenticate: {0}")]
    Auth(#[from] AuthError),
    #[error("the server has no session trackers (MySQL 5.7, MariaDB 10.2 or later have)")]
    NoTrackers,
    /// Only a new login gives it back.
    #[error("the connection has another role than its login gave it")]
    Role,
    /// Only hanging up leaves it.
    #[error("the connection is in an XA transaction")]
    Xa,
    #[error("no account in the secrets can log in")]
    NoAccount,
    #[error("TLS is required by tls.target.mode and the server offers none")]
    NoTls,
}

impl BackendError {
    /// Does the server not take the password? Also told of an account that too many wrong ones have
    /// locked.
    pub fn is_denial(&self) -> bool {
        matches!(self, Self::Refused(error) if matches!(error.code, 1045 | 1698 | 3955))
    }

    /// Is the target itself in doubt, so that the next dial should wait? A refused login is not.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Io(_) | Self::Timeout(_) => true,
            // Too many connections, host blocked, shutting down: they pass with time.
            Self::Refused(error) => matches!(error.code, 1040 | 1053 | 1129 | 1203 | 1226),
            Self::Malformed(_)
            | Self::Auth(_)
            | Self::NoAccount
            | Self::NoTrackers
            | Self::Role
            | Self::Xa
            | Self::NoTls => false,
        }
    }
}
