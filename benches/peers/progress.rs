//! What is seen while it runs.

use std::{io::Write, sync::LazyLock, time::Instant};

/// A line on standard error, with the time since the first.
pub fn say(line: &str) {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let seconds = BEGAN.elapsed().as_secs();
    // Whoever closed the terminal may still want the report.
    let _ = writeln!(std::io::stderr(), "{:>3}:{:02}  {line}", seconds / 60, seconds % 60);
}
