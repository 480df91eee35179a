//! No core dumps: one would hold every password on disk.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// One byte, not none: where cores are piped to a program, as systemd does it, the kernel takes a
/// limit of 0 for no limit, and one of 1 for the wish to have none (core(5)).
const NONE: u64 = 1;

/// Of the soft limit only: `prlimit --core=unlimited --pid …` brings them back for whoever must look.
pub fn forbid_cores() {
    let maximum = getrlimit(Resource::Core).maximum;
    let current = Some(maximum.map_or(NONE, |maximum| maximum.min(NONE)));
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current, maximum }) {
        tracing::warn!(%error, "cannot forbid core dumps");
    }
}
