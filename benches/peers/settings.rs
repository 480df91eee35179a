//! What the environment asks for.

use std::{path::PathBuf, time::Duration};

pub struct Settings {
    /// Fewer rounds, shorter, and system calls counted of a few works only.
    pub quick: bool,
    pub rounds: usize,
    /// Of one round of one work through one peer.
    pub length: Duration,
    /// Beginnings of the names of works; none means all.
    only: Vec<String>,
    pub proxysql: Option<PathBuf>,
}

impl Settings {
    /// `QUICK=1`, `ROUNDS=`, `SECONDS_EACH=`, `ONLY=point_text,storm`, `PROXYSQL=/path/to/proxysql`.
    pub fn read() -> Result<Self, String> {
        let quick = variable("QUICK").is_some_and(|value| value != "0");
        let rounds = number("ROUNDS")?.unwrap_or(if quick { 1 } else { 5 });
        let seconds = number("SECONDS_EACH")?.unwrap_or(if quick { 1 } else { 3 });
        let only = variable("ONLY").unwrap_or_default();
        Ok(Self {
            quick,
            rounds: usize::try_from(rounds).map_err(|_| "ROUNDS is too large")?,
            length: Duration::from_secs(seconds),
            only: only.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            proxysql: variable("PROXYSQL").map(PathBuf::from),
        })
    }

    pub fn wants(&self, work: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| work.starts_with(name.as_str()))
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str) -> Result<Option<u64>, String> {
    let Some(text) = variable(name) else { return Ok(None) };
    match text.parse() {
        Ok(number) if number > 0 => Ok(Some(number)),
        _ => Err(format!("{name}={text} is not a number above 0")),
    }
}
