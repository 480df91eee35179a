//! Why nobody could be served.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::BackendError;
use crate::metrics::BorrowFailure;

#[derive(Debug, thiserror::Error)]
pub enum BorrowError {
    /// The deadline passed.
    #[error("waited {waited:?}, {in_use} of {bound} in use")]
    Timeout { waited: Duration, in_use: usize, bound: usize, trouble: Option<String> },
    /// It passed while others of this user had all that the user may have.
    #[error("waited {waited:?}, the {most} of user {user} are in use")]
    OwnBound { waited: Duration, user: Arc<str>, most: u32 },
    /// As many wait already as may.
    #[error("{waiting} are waiting")]
    QueueFull { waiting: usize },
    /// The target will not have this account; waiting would not help.
    #[error(transparent)]
    Login(BackendError),
    #[error("the pool is closed")]
    Closed,
}

impl BorrowError {
    pub fn label(&self) -> BorrowFailure {
        match self {
            Self::Timeout { .. } | Self::OwnBound { .. } => BorrowFailure::Timeout,
            Self::QueueFull { .. } => BorrowFailure::QueueFull,
            Self::Login(_) | Self::Closed => BorrowFailure::Down,
        }
    }
}
