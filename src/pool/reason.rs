//! Why a connection was closed: the label of a metric.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CloseReason {
    /// Dropped with a reply outstanding or a state unknown.
    Doubtful,
    /// The server closed it while it was idle.
    Dead,
    /// The server sent something while nobody had asked.
    Talking,
    IdleTimeout,
    MaxLifetime,
    /// More idle ones than `max_idle`.
    Surplus,
    /// Others fill the server.
    Crowded,
    /// Its place was needed for another login.
    Evicted,
    ResetFailed,
    /// Its target is not the primary any more, or an operator has drained it.
    Demoted,
    /// Its user has another password now, or is in the secrets no longer.
    Rotated,
    /// The configuration has connections to targets made otherwise now.
    Outdated,
    Shutdown,
}

impl CloseReason {
    pub const NAMES: [&'static str; 13] = [
        "doubtful",
        "dead",
        "talking",
        "idle_timeout",
        "max_lifetime",
        "surplus",
        "crowded",
        "evicted",
        "reset_failed",
        "demoted",
        "rotated",
        "outdated",
        "shutdown",
    ];
}
