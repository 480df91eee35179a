//! Where the secrets come from, and how often they are asked for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::command;
use crate::config::{SecretsCommand, Settings};
use crate::secrets::{self, Expiry, Problem, Secrets, SecretsError};

#[derive(Clone, PartialEq, Eq)]
pub(super) enum SecretsSource {
    Files(PathBuf),
    Command(SecretsCommand),
}

/// Some network file systems show a change late.
const FILES: Duration = Duration::from_secs(60);

/// What a program prints without an expiry may change at any time.
const COMMAND: Duration = Duration::from_secs(5 * 60);

/// No program is run more often than this, whatever it says and whoever refuses what it said.
const SHORTEST: Duration = Duration::from_secs(5);

/// Of what is left until they expire, three quarters pass before they are asked for again, less up to
/// a tenth by chance: many proxies do not ask in step.
const SHARE: f64 = 0.75;
const JITTER: f64 = 0.1;

impl SecretsSource {
    pub fn of(settings: &Settings) -> Self {
        match &settings.secrets_command {
            Some(command) => Self::Command(command.clone()),
            None => Self::Files(settings.secrets.clone()),
        }
    }

    /// What is to be watched: of a command the program itself.
    pub fn path(&self) -> &Path {
        match self {
            Self::Files(path) => path,
            Self::Command(command) => &command.program,
        }
    }

    pub async fn load(&self) -> Result<Secrets, SecretsError> {
        match self {
            Self::Files(path) => {
                let owned = path.clone();
                // A network file system may let one wait.
                let loaded = spawn_blocking(move || secrets::load(&owned)).await;
                loaded.unwrap_or_else(|gone| Err(wrong(path, gone.to_string())))
            }
            Self::Command(command) => {
                let printed = command::run(command).await;
                let printed =
                    printed.map_err(|error| wrong(&command.program, error.to_string()))?;
                secrets::read(&command.program, &printed)
            }
        }
    }

    /// At least between two readings because a server has refused what was read.
    pub fn rest(&self) -> Duration {
        match self {
            Self::Files(_) => Duration::from_millis(250),
            Self::Command(_) => SHORTEST,
        }
    }

    /// From a reading to the next; `now` is since 1970.
    pub fn pause(&self, expiry: Option<Expiry>, now: Duration) -> Duration {
        let Self::Command(_) = self else { return FILES };
        let left = match expiry {
            None => return COMMAND.mul_f64(1.0 - JITTER * fastrand::f64()),
            Some(Expiry::In(left)) => left,
            Some(Expiry::At(then)) => then.saturating_sub(now),
        };
        // An expiry may be further away than any clock goes.
        let left = left.min(Duration::from_secs(24 * 60 * 60));
        left.mul_f64(SHARE - JITTER * fastrand::f64()).max(SHORTEST)
    }

    /// The same after so many failures in a row.
    pub fn pause_after(&self, failures: u32) -> Duration {
        match self {
            Self::Files(_) => FILES,
            Self::Command(_) => SHORTEST.saturating_mul(1 << failures.min(4)).min(FILES),
        }
    }
}

fn wrong(file: &Path, what: String) -> SecretsError {
    SecretsError { problems: vec![Problem { file: file.to_owned(), line: None, what }] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_asked_for_before_they_expire() {
        let command = SecretsCommand {
            program: "/p".into(),
            arguments: Vec::new(),
            timeout: Duration::from_secs(1),
        };
        let source = SecretsSource::Command(command);
        let now = Duration::from_secs(1_900_000_000);
        let seconds = |expiry| source.pause(expiry, now).as_secs_f64();
        for _ in 0..100 {
            for expiry in
                [Expiry::In(Duration::from_secs(900)), Expiry::At(now + Duration::from_secs(900))]
            {
                let pause = seconds(Some(expiry));
                assert!((585.0..=675.0).contains(&pause), "{pause}");
            }
            assert!((270.0..=300.0).contains(&seconds(None)));
        }
        assert_eq!(source.pause(Some(Expiry::At(Duration::ZERO)), now), SHORTEST);
        assert_eq!(source.pause(Some(Expiry::In(Duration::ZERO)), now), SHORTEST);
        assert!(seconds(Some(Expiry::In(Duration::MAX))) <= 86_400.0);
        assert!(source.pause_after(1) < source.pause_after(2));
        assert_eq!(source.pause_after(u32::MAX), FILES);
    }
}
