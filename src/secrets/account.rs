//! One user as clients know it, and the login it stands for on the servers.

use std::sync::Arc;

use super::Password;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Shared by what is kept of each client.
    pub username: Arc<str>,
    pub password: Password,
    /// Also accepted from clients while a rotation runs.
    pub previous_password: Option<Password>,
    pub target: TargetLogin,
}

/// How the proxy logs in to a server on behalf of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetLogin {
    pub username: Arc<str>,
    pub password: Password,
    /// Tried when `password` is refused: a server may lag behind the file during a rotation.
    /// Absent when the target has a password of its own, whose history nobody told us.
    pub previous: Option<Password>,
}

impl Account {
    /// `target_username` and `target_password` each stand for the client's own when absent.
    pub fn new(
        username: String,
        password: Password,
        previous_password: Option<Password>,
        target_username: Option<String>,
        target_password: Option<Password>,
    ) -> Self {
        let username: Arc<str> = username.into();
        let previous = if target_password.is_none() { previous_password.clone() } else { None };
        let target = TargetLogin {
            username: target_username.map_or_else(|| Arc::clone(&username), Arc::from),
            password: target_password.unwrap_or_else(|| password.clone()),
            previous,
        };
        Self { username, password, previous_password, target }
    }
}
