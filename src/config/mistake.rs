//! A mistake in a configuration: where, which key, why.

use std::fmt;
use std::path::PathBuf;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Lines count from 1; `None` is for what the file lacks, or all of it.
    File {
        path: PathBuf,
        line: Option<usize>,
    },
    Environment,
    CommandLine,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::Environment => f.write_str("environment"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    pub place: Place,
    /// `pool.max_idle`, `endpoint[0].listen`, a variable, or an option; empty when no key is.
    pub key: String,
    pub why: String,
}

impl Mistake {
    pub fn new(place: Place, key: impl Into<String>, why: impl Into<String>) -> Self {
        Self { place, key: key.into(), why: why.into() }
    }

    /// About a file, for the rooms that read the files a configuration names.
    pub fn in_file(
        path: impl Into<PathBuf>,
        line: Option<usize>,
        key: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self::new(Place::File { path: path.into(), line }, key, why)
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.why)
    }
}

/// Everything wrong with a configuration, in the order of the file; one line each.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    pub fn new(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort();
        mistakes.dedup();
        Self(mistakes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.0.iter()
    }
}

impl IntoIterator for Mistakes {
    type Item = Mistake;
    type IntoIter = std::vec::IntoIter<Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'m> IntoIterator for &'m Mistakes {
    type Item = &'m Mistake;
    type IntoIter = std::slice::Iter<'m, Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Mistake> for Mistakes {
    fn from(mistake: Mistake) -> Self {
        Self(vec![mistake])
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_each_in_the_order_of_the_file() {
        let mistakes = Mistakes::new(vec![
            Mistake::new(Place::Environment, "TIDEGATE__X", "unknown"),
            Mistake::in_file("a.toml", Some(10), "pool.max_idle", "why"),
            Mistake::in_file("a.toml", Some(9), "", "why"),
            Mistake::in_file("a.toml", None, "target", "none"),
        ]);
        assert_eq!(
            mistakes.to_string(),
            "a.toml: target: none\na.toml:9: why\na.toml:10: pool.max_idle: why\n\
             environment: TIDEGATE__X: unknown"
        );
    }
}
