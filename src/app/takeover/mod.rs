//! One process takes over from another: the listening sockets change hands, and nobody who knocks is
//! refused.
//!
//! The new one asks at `upgrade.socket`, is given every socket the old one listens on, makes itself
//! ready, and listens on them beside the old one. Then it says so; the old one stops listening and
//! drains. Clients at rest go over to the new one with their sockets. If it fails before it is ready, the
//! old one goes on as if nothing had been; after that the new one serves, whatever becomes of the old one.

mod give;
mod given;
mod take;
mod words;

pub(super) use give::{DEPARTURES, Giver, Sockets};
pub(super) use given::Given;
pub(super) use take::{Line, receive, take};

use std::time::Duration;

/// For each word of the other process, but the one that it is ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longer than any drain: a word from the old process comes as clients come to rest.
const LONGEST_DRAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// Until the new one is ready: it waits for its targets.
const UNTIL_READY: Duration = Duration::from_secs(60);

/// What clients that come over wait for those targets after that.
const UNTIL_TARGET: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// Clients on their way; the others sleep where they are.
const QUEUE: usize = 64;
