//! What both notations have in common: an entry as it was written, and what an account may be.

use super::{Account, Admin, Password};

/// The keys an entry may have, in the order the manual shows them.
pub(super) const KEYS: [&str; 5] =
    ["username", "password", "previous_password", "target_username", "target_password"];

/// A finding inside one file; the loader adds the file's name.
pub(super) struct Finding {
    pub line: Option<usize>,
    pub what: String,
}

impl Finding {
    pub(super) fn new(line: Option<usize>, what: impl Into<String>) -> Self {
        Self { line, what: what.into() }
    }
}

/// What a file says, with the line of each account where the notation tells it.
#[derive(Default)]
pub(super) struct Parsed {
    pub accounts: Vec<(Option<usize>, Account)>,
    pub admins: Vec<(Option<usize>, Admin)>,
    pub findings: Vec<Finding>,
}

/// One entry before it is known to be whole.
#[derive(Default)]
pub(super) struct Entry {
    pub line: Option<usize>,
    /// "entry 2", for notations without lines; empty otherwise.
    pub place: String,
    pub username: Option<String>,
    pub password: Option<Password>,
    pub previous_password: Option<Password>,
    pub target_username: Option<String>,
    pub target_password: Option<Password>,
}

impl Entry {
    /// `key` must be one of [`KEYS`]; others are ignored.
    pub(super) fn set(&mut self, key: &str, value: String) {
        match key {
            "username" => self.username = Some(value),
            "password" => self.password = Some(Password::new(value)),
            "previous_password" => self.previous_password = Some(Password::new(value)),
            "target_username" => self.target_username = Some(value),
            "target_password" => self.target_password = Some(Password::new(value)),
            _ => {}
        }
    }

    /// Checks the entry and adds it to `parsed`. `mistyped` names keys that were present with a
    /// wrong type and hence were reported already.
    pub(super) fn finish(self, mistyped: &[&str], parsed: &mut Parsed) {
        let before = parsed.findings.len();
        let mut say = |what: &str| {
            parsed.findings.push(Finding::new(self.line, format!("{}{what}", self.place)));
        };
        match self.username.as_deref() {
            None if !mistyped.contains(&"username") => say("username is missing"),
            Some("") => say("username is empty"),
            _ => {}
        }
        if self.password.is_none() && !mistyped.contains(&"password") {
            say("password is missing");
        }
        // The protocol ends names and clear passwords with a NUL: what follows one would be
        // cut off in silence, and `app\0x` would become `app`.
        let names = [&self.username, &self.target_username];
        let passwords = [&self.password, &self.previous_password, &self.target_password];
        if names.iter().any(|n| n.as_ref().is_some_and(|n| n.contains('\0')))
            || passwords.iter().any(|p| p.as_ref().is_some_and(|p| p.as_bytes().contains(&0)))
        {
            say("a value contains a NUL byte");
        }
        if parsed.findings.len() > before {
            return;
        }
        if let (Some(username), Some(password)) = (self.username, self.password) {
            // Templates render absent values as "". An empty previous password would let
            // anybody in for as long as it stands there, so it means absent.
            let account = Account::new(
                username,
                password,
                self.previous_password.filter(|p| !p.is_empty()),
                self.target_username.filter(|u| !u.is_empty()),
                self.target_password,
            );
            parsed.accounts.push((self.line, account));
        }
    }
}
