//! How many threads serve clients.

use std::num::NonZero;

use crate::config::{Mistake, Place};

/// tokio's own variable.
const VARIABLE: &str = "TOKIO_WORKER_THREADS";

/// More help no machine there is.
const MOST: usize = 1024;

/// As many as the environment says. Else one for two cores: the proxy seldom has a machine for
/// itself, and a worker more that mostly finds nothing to do costs everybody time.
pub fn workers() -> Result<usize, Mistake> {
    match std::env::var_os(VARIABLE) {
        Some(said) if !said.is_empty() => asked_for(&said.to_string_lossy()),
        _ => {
            let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
            Ok((cores / 2).max(1))
        }
    }
}

fn asked_for(said: &str) -> Result<usize, Mistake> {
    let number = said.trim().parse().ok().filter(|number| (1..=MOST).contains(number));
    let why = || format!("{said:?} is not a number of threads from 1 to {MOST}");
    number.ok_or_else(|| Mistake::new(Place::Environment, VARIABLE, why()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_threads_is_asked_for() {
        assert_eq!(asked_for("4").ok(), Some(4));
        assert_eq!(asked_for(" 1024 ").ok(), Some(1024));
        for wrong in ["0", "1025", "99999999999999999999999", "-1", "two", "1.5"] {
            let said = asked_for(wrong).unwrap_err().to_string();
            assert!(said.contains(VARIABLE) && said.contains(wrong), "{said}");
        }
    }
}
