//! One operator, as the SQL console knows them.

use std::sync::Arc;

use super::text::{Finding, Parsed};
use super::{Account, Password};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Its target login is nobody's: no server is touched on its behalf.
    pub account: Arc<Account>,
    pub rights: Rights,
}

/// What an operator may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rights {
    /// Look.
    #[default]
    Read,
    /// And change.
    Write,
}

impl Rights {
    const ALL: [(&'static str, Self); 2] = [("read", Self::Read), ("write", Self::Write)];

    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl Admin {
    pub fn new(username: String, password: Password, rights: Rights) -> Self {
        let account = Account::new(username, password, None, None, None);
        Self { account: Arc::new(account), rights }
    }

    pub fn username(&self) -> &str {
        &self.account.username
    }
}

/// An `[[admin]]` before it is known to be whole.
#[derive(Default)]
pub(super) struct AdminEntry {
    line: Option<usize>,
    /// Keys that were there with a wrong type, and were told of already.
    pub mistyped: Vec<&'static str>,
    username: Option<String>,
    password: Option<Password>,
    rights: Option<String>,
}

impl AdminEntry {
    pub const KEYS: [&'static str; 3] = ["username", "password", "rights"];

    pub fn at(line: Option<usize>) -> Self {
        Self { line, ..Self::default() }
    }

    /// `key` is one of [`AdminEntry::KEYS`].
    pub fn set(&mut self, key: &str, value: String) {
        match key {
            "username" => self.username = Some(value),
            "password" => self.password = Some(Password::new(value)),
            _ => self.rights = Some(value),
        }
    }

    /// Adds the operator to `parsed`, or what is wrong with them.
    pub fn finish(self, parsed: &mut Parsed) {
        let mut wrong = Vec::new();
        match self.username.as_deref() {
            None if !self.mistyped.contains(&"username") => wrong.push("username is missing"),
            Some("") => wrong.push("username is empty"),
            Some(name) if name.contains('\0') => wrong.push("a value contains a NUL byte"),
            _ => {}
        }
        match &self.password {
            None if !self.mistyped.contains(&"password") => wrong.push("password is missing"),
            Some(password) if password.is_empty() => wrong.push("an admin needs a password"),
            Some(password) if password.as_bytes().contains(&0) => {
                wrong.push("a value contains a NUL byte");
            }
            _ => {}
        }
        let rights = self.rights.as_deref().unwrap_or(Rights::default().name());
        let rights = Rights::ALL.into_iter().find(|(name, _)| *name == rights);
        if rights.is_none() {
            wrong.push("rights are \"read\" or \"write\"");
        }
        let told = wrong.is_empty() && self.mistyped.is_empty();
        parsed.findings.extend(wrong.into_iter().map(|what| Finding::new(self.line, what)));
        if let (Some(username), Some(password), Some((_, rights)), true) =
            (self.username, self.password, rights, told)
        {
            parsed.admins.push((self.line, Admin::new(username, password, rights)));
        }
    }
}
