//! When a file that others write is to be read again.
//!
//! Owns the look at a file from outside and the patience with one that is being written. Looking
//! costs a few system calls and works on any file system, for renames, for links that are turned
//! (Kubernetes' `..data`) and for files that are written over. It never reads what is in a file, and
//! knows no clock.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a file must have looked the same before it is read.
const QUIET: Duration = Duration::from_millis(250);

/// How long one that cannot be used may stay so before somebody is told: it may not be whole yet.
const UNFINISHED: Duration = Duration::from_secs(2);

/// What can be seen of files from outside; two that are equal hold the same, as far as that shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sight(Vec<(PathBuf, Option<Seen>)>);

/// Links are followed, so that one that is turned shows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Sight {
    /// Of the files themselves, or of what is in them where they are folders.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let mut seen = Vec::new();
        for path in paths {
            seen.push((path.clone(), look(path)));
            let Ok(entries) = fs::read_dir(path) else { continue };
            let mut inside: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            inside.sort();
            seen.extend(inside.into_iter().map(|path| (path.clone(), look(&path))));
        }
        Self(seen)
    }
}

fn look(path: &Path) -> Option<Seen> {
    let meta = fs::metadata(path).ok()?;
    Some(Seen {
        file: (meta.dev(), meta.ino()),
        size: meta.size(),
        modified: (meta.mtime(), meta.mtime_nsec()),
        changed: (meta.ctime(), meta.ctime_nsec()),
    })
}

/// What is to be done after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing has changed.
    Rest,
    /// Something has, and may be about to go on: look again soon.
    LookAgain,
    Read,
}

pub(super) struct Watch {
    /// What it looked like when it was read last.
    read: Sight,
    /// What it looks like since, and since when.
    next: Option<(Sight, Instant)>,
    /// When what it looks like now was read in vain first.
    failed: Option<Instant>,
}

impl Watch {
    pub(super) fn new(read: Sight) -> Self {
        Self { read, next: None, failed: None }
    }

    pub(super) fn look(&mut self, sight: Sight, now: Instant) -> Then {
        if sight == self.read && self.failed.is_none() {
            self.next = None;
            return Then::Rest;
        }
        match &self.next {
            Some((seen, since)) if *seen == sight => {
                let quiet = if self.failed.is_some() { UNFINISHED } else { QUIET };
                if now.saturating_duration_since(*since) >= quiet {
                    Then::Read
                } else {
                    Then::LookAgain
                }
            }
            _ => {
                self.failed = None;
                self.next = Some((sight, now));
                Then::LookAgain
            }
        }
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.next.is_none()
    }

    /// It was read, and looked like `sight` before. `false`: it could not be used, but may be soon.
    pub(super) fn done(&mut self, sight: Sight, good: bool, now: Instant) -> bool {
        if !good && self.failed.is_none() && self.next.is_some() {
            self.failed = Some(now);
            self.next = Some((sight, now));
            return false;
        }
        *self = Self::new(sight);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn sight(size: u64) -> Sight {
        let seen = Seen { file: (1, 1), size, modified: (1, 1), changed: (1, 1) };
        Sight(vec![("secrets".into(), Some(seen))])
    }

    #[test]
    fn what_is_being_written_is_let_finish() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut watch = Watch::new(sight(1));
        assert_eq!(watch.look(sight(1), at(0)), Then::Rest);
        assert_eq!(watch.look(sight(2), at(0)), Then::LookAgain);
        assert_eq!(watch.look(sight(3), at(250)), Then::LookAgain);
        assert_eq!(watch.look(sight(3), at(400)), Then::LookAgain);
        assert_eq!(watch.look(sight(3), at(500)), Then::Read);
        assert!(watch.done(sight(3), true, at(500)));
        assert_eq!(watch.look(sight(3), at(600)), Then::Rest);
    }

    #[test]
    fn what_cannot_be_used_is_read_once_more_before_it_is_told() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut watch = Watch::new(sight(1));
        watch.look(sight(2), at(0));
        assert_eq!(watch.look(sight(2), at(250)), Then::Read);
        assert!(!watch.done(sight(2), false, at(250)));
        assert_eq!(watch.look(sight(2), at(2000)), Then::LookAgain);
        assert_eq!(watch.look(sight(2), at(2250)), Then::Read);
        assert!(watch.done(sight(2), false, at(2250)), "told now");
        assert_eq!(watch.look(sight(2), at(3000)), Then::Rest, "and not again");
        // It was not whole, and is now.
        watch.look(sight(4), at(4000));
        assert_eq!(watch.look(sight(4), at(4250)), Then::Read);
        assert!(!watch.done(sight(4), false, at(4250)));
        assert_eq!(watch.look(sight(5), at(4500)), Then::LookAgain);
        assert_eq!(watch.look(sight(5), at(4750)), Then::Read);
        assert!(watch.done(sight(5), true, at(4750)));
    }

    #[test]
    fn every_way_to_change_a_file_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets");
        let paths = [path.clone()];
        let mut before = Sight::of(&paths);
        let mut changes = |what: &str| {
            let now = Sight::of(&paths);
            assert_ne!(now, before, "{what}");
            before = now;
            assert_eq!(Sight::of(&paths), before, "{what}");
        };
        fs::write(&path, "one").unwrap();
        changes("made");
        fs::write(&path, "three").unwrap();
        changes("written over");
        fs::write(folder.path().join("next"), "threw").unwrap();
        fs::rename(folder.path().join("next"), &path).unwrap();
        changes("renamed");
        fs::remove_file(&path).unwrap();
        changes("removed");
    }

    #[test]
    fn a_link_that_is_turned_shows() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["..1", "..2"] {
            fs::create_dir(folder.path().join(version)).unwrap();
            fs::write(folder.path().join(version).join("app"), "same size").unwrap();
        }
        symlink("..1", folder.path().join("..data")).unwrap();
        symlink("..data/app", folder.path().join("app")).unwrap();
        for path in [folder.path().to_owned(), folder.path().join("app")] {
            let before = Sight::of(std::slice::from_ref(&path));
            symlink("..2", folder.path().join("..next")).unwrap();
            fs::rename(folder.path().join("..next"), folder.path().join("..data")).unwrap();
            assert_ne!(Sight::of(std::slice::from_ref(&path)), before);
            symlink("..1", folder.path().join("..next")).unwrap();
            fs::rename(folder.path().join("..next"), folder.path().join("..data")).unwrap();
        }
    }
}
