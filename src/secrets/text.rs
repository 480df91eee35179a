//! What both notations have in common: an entry as it was written, and what an account may be.

use super::{
    Account, Admin, Bounds, CertificateRule, ClientSecret, Expiry, Password, PasswordHash,
};

/// The keys an entry may have, in the order the manual shows them.
pub(super) const KEYS: [&str; 11] = [
    "username",
    "password",
    "password_hash",
    "previous_password",
    "target_username",
    "target_password",
    "token",
    "token_subject",
    "require_certificate",
    "certificate_subject",
    "certificate_name",
];

/// Those that are true or false, and no text.
pub(super) fn is_flag(key: &str) -> bool {
    ["token", "require_certificate"].contains(&key)
}

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
    /// The earliest that is said; of files nobody asks.
    pub expiry: Option<Expiry>,
}

/// One entry before it is known to be whole.
#[derive(Default)]
pub(super) struct Entry {
    pub line: Option<usize>,
    /// "entry 2", for notations without lines; empty otherwise.
    pub place: String,
    pub username: Option<String>,
    pub password: Option<Password>,
    pub password_hash: Option<Password>,
    pub previous_password: Option<Password>,
    pub target_username: Option<String>,
    pub target_password: Option<Password>,
    pub token: bool,
    pub token_subject: Option<String>,
    pub require_certificate: bool,
    pub certificate: CertificateRule,
    pub bounds: Bounds,
}

impl Entry {
    /// `key` must be one of [`KEYS`], and no flag; others are ignored.
    pub(super) fn set(&mut self, key: &str, value: String) {
        match key {
            "username" => self.username = Some(value),
            "password" => self.password = Some(Password::new(value)),
            "password_hash" => self.password_hash = Some(Password::new(value)),
            "previous_password" => self.previous_password = Some(Password::new(value)),
            "target_username" => self.target_username = Some(value),
            "target_password" => self.target_password = Some(Password::new(value)),
            "token_subject" => self.token_subject = Some(value),
            "certificate_subject" => self.certificate.subject = said(value),
            "certificate_name" => self.certificate.name = said(value),
            _ => {}
        }
    }

    /// `key` is one that [`is_flag`].
    pub(super) fn set_flag(&mut self, key: &str, value: bool) {
        if key == "token" { self.token = value } else { self.require_certificate = value }
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
        let secret = match self.secret(mistyped) {
            Ok(secret) => Some(secret),
            Err(why) => {
                why.into_iter().for_each(&mut say);
                None
            }
        };
        if !self.token && self.subject().is_some() {
            say("token_subject is for a user with token = true");
        }
        // The protocol ends names and clear passwords with a NUL: what follows one would be
        // cut off in silence, and `app\0x` would become `app`.
        let names = [&self.username, &self.target_username];
        let clear = match &secret {
            Some(ClientSecret::Clear(password)) => Some(password),
            _ => None,
        };
        let passwords = [clear, self.previous_password.as_ref(), self.target_password.as_ref()];
        if names.iter().any(|n| n.as_ref().is_some_and(|n| n.contains('\0')))
            || passwords.iter().any(|p| p.is_some_and(|p| p.as_bytes().contains(&0)))
        {
            say("a value contains a NUL byte");
        }
        if parsed.findings.len() > before {
            return;
        }
        let (token, subject) = (self.token, self.subject());
        let asked = self.require_certificate || self.certificate != CertificateRule::default();
        let certificate = asked.then_some(self.certificate);
        if let (Some(username), Some(password)) = (self.username, secret) {
            // Templates render absent values as "". An empty previous password would let
            // anybody in for as long as it stands there, so it means absent.
            let mut account = Account::new(
                username,
                password,
                self.previous_password.filter(|p| !p.is_empty()),
                self.target_username.filter(|u| !u.is_empty()),
                self.target_password,
            );
            account.bounds = self.bounds;
            account.certificate = certificate;
            let account = if token { account.by_token(subject) } else { account };
            parsed.accounts.push((self.line, account));
        }
    }

    /// What a client has to know; of one that shows a token, what the target has to.
    fn secret(&self, mistyped: &[&str]) -> Result<ClientSecret, Option<&'static str>> {
        match (self.password.clone(), self.hash()) {
            (_, Some(_)) if self.token => Err(Some("token and password_hash: keep one")),
            (Some(_), Some(_)) => Err(Some("password and password_hash are both there: keep one")),
            (None, Some(Err(why))) => Err(Some(why)),
            (None, Some(Ok(_))) if self.target_password.is_none() => {
                Err(Some("password_hash needs a target_password: nobody can log in with a hash"))
            }
            (None, Some(Ok(hash))) => Ok(ClientSecret::Hash(hash)),
            (Some(password), None) => Ok(ClientSecret::Clear(password)),
            (None, None) if self.token && self.target_password.is_some() => {
                Ok(Password::default().into())
            }
            (None, None) if self.token => {
                Err(Some("token needs a password or a target_password: the target takes no token"))
            }
            (None, None) => {
                let told = ["password", "password_hash"].iter().any(|key| mistyped.contains(key));
                Err((!told).then_some("password is missing"))
            }
        }
    }

    fn subject(&self) -> Option<String> {
        self.token_subject.clone().and_then(said)
    }

    fn hash(&self) -> Option<Result<PasswordHash, &'static str>> {
        let hash = self.password_hash.as_ref().filter(|hash| !hash.is_empty())?;
        Some(PasswordHash::parse(&String::from_utf8_lossy(hash.as_bytes())))
    }
}

/// Templates render absent values as "".
fn said(value: String) -> Option<String> {
    Some(value).filter(|value| !value.is_empty())
}
