//! One user as clients know it, and the login it stands for on the servers.

use std::sync::Arc;

use super::{Bounds, ClientSecret, Password};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Shared by what is kept of each client.
    pub username: Arc<str>,
    pub password: ClientSecret,
    /// Also accepted from clients while a rotation runs.
    pub previous_password: Option<Password>,
    /// What a client has to show beside it.
    pub certificate: Option<CertificateRule>,
    pub target: TargetLogin,
    pub bounds: Bounds,
}

/// One of an authority that TLS believes, and as far as these are said, this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateRule {
    /// Whole, such as `/C=DE/O=Shop/CN=app`.
    pub subject: Option<String>,
    /// A name beside the subject: a host, a URI, an address of mail.
    pub name: Option<String>,
}

/// How the proxy logs in to a server on behalf of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetLogin {
    pub username: Arc<str>,
    pub password: Password,
    /// Tried when `password` is refused: a server may lag behind the file during a rotation.
    /// Absent when the target has a password of its own, whose history nobody told us.
    pub previous: Option<Password>,
    /// What `password` was before the secrets changed, where they say nothing of it themselves:
    /// known to the vault alone, and tried last.
    pub former: Option<Password>,
}

impl TargetLogin {
    /// In the order in which they are tried.
    pub fn passwords(&self) -> Vec<&Password> {
        std::iter::once(&self.password).chain(&self.previous).chain(&self.former).collect()
    }
}

impl Account {
    /// `target_username` and `target_password` each stand for the client's own when absent; of a
    /// hash no password can be had, and without one of its own the target is offered an empty one.
    pub fn new(
        username: String,
        password: impl Into<ClientSecret>,
        previous_password: Option<Password>,
        target_username: Option<String>,
        target_password: Option<Password>,
    ) -> Self {
        let username: Arc<str> = username.into();
        let password = password.into();
        let previous = if target_password.is_none() { previous_password.clone() } else { None };
        let target = TargetLogin {
            username: target_username.map_or_else(|| Arc::clone(&username), Arc::from),
            password: target_password.unwrap_or_else(|| match &password {
                ClientSecret::Clear(password) => password.clone(),
                ClientSecret::Hash(_) | ClientSecret::Token(_) => Password::default(),
            }),
            previous,
            former: None,
        };
        Self {
            username,
            password,
            previous_password,
            certificate: None,
            target,
            bounds: Bounds::default(),
        }
    }

    /// Clients show a token that says `subject`; whatever was written of passwords is the target's.
    pub(super) fn by_token(self, subject: Option<String>) -> Self {
        let subject = subject.map_or_else(|| Arc::clone(&self.username), Arc::from);
        Self { password: ClientSecret::Token(subject), previous_password: None, ..self }
    }

    /// Does `written`, fresh from the file, say what this one said there?
    pub(super) fn is_as(&self, written: &Self) -> bool {
        let said = TargetLogin { former: None, ..self.target.clone() };
        self.username == written.username
            && self.password == written.password
            && self.previous_password == written.previous_password
            && self.certificate == written.certificate
            && said == written.target
            && self.bounds == written.bounds
    }

    /// What follows on `old`: a server may not have heard of the new password yet.
    pub(super) fn after(&self, old: &Self) -> Self {
        let mut next = self.clone();
        let (is, was) = (&mut next.target, &old.target);
        if is.username == was.username && is.password != was.password && is.previous.is_none() {
            is.former = Some(was.password.clone());
        }
        next
    }
}
