//! `failover.promote`, and the program that fences: what they may be, and the words about a mistake.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::choice::Choice;
use super::scalar;
use super::section::Section;

/// Who makes a replica the primary when the primary is dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Promote {
    /// Somebody else.
    #[default]
    Never,
    /// Tidegate, where it can prove that nothing is lost by it that a replica has, and that the dead one
    /// is fenced.
    WhenSafe,
}

impl Choice for Promote {
    const ALL: &'static [(&'static str, Self)] =
        &[("never", Self::Never), ("when_safe", Self::WhenSafe)];
}

/// A program that makes sure that a server takes no more writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceCommand {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub timeout: Duration,
}

impl FenceCommand {
    pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
}

/// A relative path is taken from `base`.
pub(super) fn promotion(section: &mut Section<'_>, base: &Path) -> (Promote, Option<FenceCommand>) {
    let promote = section.value("promote", Promote::default(), scalar::choice);
    let mut words = section.texts("fence_command").into_iter();
    let timeout = section.value("fence_timeout", FenceCommand::TIMEOUT, scalar::duration);
    let fence = words.next().filter(|program| !program.is_empty()).map(|program| {
        if !program.contains('/') {
            let why = format!("{program:?} is not a path: write it whole, such as \"/opt/fence\"");
            section.wrong("fence_command", why);
        }
        FenceCommand { program: base.join(program), arguments: words.collect(), timeout }
    });
    if promote == Promote::WhenSafe && fence.is_none() && section.sound(&["fence_command"]) {
        section.wrong(
            "promote",
            "a primary that is silent may still be writing, so none is promoted unless a program \
             makes sure that it is not: set fence_command too",
        );
    }
    (promote, fence)
}
