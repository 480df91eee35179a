//! `tidegate check --connect`: logs in to each target as the proxy would, and says what it found.
//!
//! Owns the visit: every target, every login of the secrets, one after the other. What is asked is
//! in `ask`, what follows from the answers in `judge`. It changes nothing on a server, beside what
//! `pool.init_query` does.

mod ask;
mod finding;
mod grants;
mod judge;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Builder;

use super::boot;
use super::check::Told;
use super::cli::Failure;
use crate::backend::{BackendError, Dialer, Identity};
use crate::config::{Settings, Target};
use crate::lifecycle::Lifecycle;
use crate::secrets::{self, Secrets, TargetLogin};
use crate::wire::Meaning;
use ask::Answers;

/// For the questions after a login: what takes longer is no answer.
const PATIENCE: Duration = Duration::from_secs(10);

const FAREWELL: Duration = Duration::from_secs(2);

pub fn connect(settings: &Settings) -> Result<Told, Failure> {
    let secrets = secrets::load(&settings.secrets).map_err(Failure::other)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let told = runtime.block_on(visit(settings, &secrets));
    // A name that is still being resolved must not keep the process.
    runtime.shutdown_background();
    told
}

/// What became of one target.
struct Visit<'a> {
    target: &'a Target,
    /// `failover.username`.
    watcher: &'a str,
    tries: Vec<Try<'a>>,
}

/// One login to one target.
struct Try<'a> {
    login: &'a Login,
    outcome: Result<Answers, BackendError>,
    /// The password in force was refused, the one before it taken.
    by_previous: bool,
}

/// How the proxy logs in, and for which of its users.
struct Login {
    users: Vec<Arc<str>>,
    target: TargetLogin,
}

impl Login {
    fn is_for(&self, user: &str) -> bool {
        self.users.iter().any(|name| **name == *user)
    }
}

impl Visit<'_> {
    /// Of the account that would look at the target in the running proxy: the one that is named, or
    /// the first that could log in.
    fn answers(&self) -> Option<&Answers> {
        let is_meant = |it: &&Try<'_>| self.watcher.is_empty() || it.login.is_for(self.watcher);
        self.tries.iter().filter(is_meant).find_map(|it| it.outcome.as_ref().ok())
    }
}

async fn visit(settings: &Settings, secrets: &Secrets) -> Result<Told, Failure> {
    let metrics = boot::metrics(settings, &Lifecycle::new())?;
    let logins = logins(secrets);
    let mut visits = Vec::new();
    for target in &settings.targets {
        let dialer = boot::dialer(target, settings, &metrics)?;
        let watcher = &settings.failover.username;
        visits.push(Visit { target, watcher, tries: knock(&dialer, &logins).await });
    }
    Ok(judge::judge(settings, &visits))
}

/// In the order of the users' names, which is the proxy's. Users that share a login are one.
fn logins(secrets: &Secrets) -> Vec<Login> {
    let mut accounts: Vec<_> = secrets.accounts.iter().collect();
    accounts.sort_by(|one, other| one.username.cmp(&other.username));
    let mut logins: Vec<Login> = Vec::new();
    for account in accounts {
        match logins.iter_mut().find(|login| login.target == account.target) {
            Some(login) => login.users.push(Arc::clone(&account.username)),
            None => logins.push(Login {
                users: vec![Arc::clone(&account.username)],
                target: account.target.clone(),
            }),
        }
    }
    logins
}

async fn knock<'a>(dialer: &Dialer, logins: &'a [Login]) -> Vec<Try<'a>> {
    let mut tries = Vec::new();
    for login in logins {
        let (outcome, by_previous) = one(dialer, login).await;
        let out = matches!(&outcome, Err(error) if error.is_outage());
        tries.push(Try { login, outcome, by_previous });
        if out {
            // Nobody else would be let in either.
            break;
        }
    }
    tries
}

async fn one(dialer: &Dialer, login: &Login) -> (Result<Answers, BackendError>, bool) {
    let identity = Identity {
        username: Arc::clone(&login.target.username),
        generation: 1,
        meaning: Meaning::default(),
    };
    let first = dialer.dial(identity.clone(), &[&login.target.password], None).await;
    let (dialed, by_previous) = match (first, &login.target.previous) {
        (Err(BackendError::Refused(error)), Some(previous)) if error.code == 1045 => {
            (dialer.dial(identity, &[previous], None).await, true)
        }
        (first, _) => (first, false),
    };
    let mut connection = match dialed {
        Ok(connection) => connection,
        Err(error) => return (Err(error), false),
    };
    let asked = tokio::time::timeout(PATIENCE, ask::ask(&mut connection)).await;
    let answered = asked.unwrap_or(Err(BackendError::Timeout(PATIENCE)));
    connection.close(FAREWELL).await;
    (answered, by_previous)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::{Account, Password};

    #[test]
    fn users_that_share_a_login_are_one() {
        let account = |name: &str, target: Option<&str>, password: &str| {
            let target_password = target.map(|_| Password::new(password));
            Account::new(
                name.to_owned(),
                Password::new(name),
                None,
                target.map(str::to_owned),
                target_password,
            )
        };
        let accounts = vec![
            account("web", Some("pool"), "one"),
            account("alone", None, ""),
            account("batch", Some("pool"), "one"),
            account("other", Some("pool"), "two"),
        ];
        let logins = logins(&Secrets { accounts, ..Secrets::default() });
        let names: Vec<_> = logins.iter().map(|login| login.users.join(" ")).collect();
        assert_eq!(names, ["alone", "batch web", "other"]);
    }
}
