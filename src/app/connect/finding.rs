//! One thing that was found, and how bad it is, as a line.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Ok,
    /// Clients are served; somebody should know.
    Warning,
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub level: Level,
    pub about: &'static str,
    pub text: String,
}

impl Finding {
    pub fn ok(about: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Ok, about, text: text.into() }
    }

    pub fn warning(about: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Warning, about, text: text.into() }
    }

    pub fn failed(about: &'static str, text: impl Into<String>) -> Self {
        Self { level: Level::Failed, about, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Failed => "failed",
        };
        write!(f, "  {level:<8} {:<12} {}", self.about, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line() {
        assert_eq!(
            Finding::ok("role", "takes writes").to_string(),
            "  ok       role         takes writes"
        );
        assert_eq!(
            Finding::failed("login", "app: no").to_string(),
            "  failed   login        app: no"
        );
    }
}
