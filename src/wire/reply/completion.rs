//! Owns what is known of a reply once it is over.

use crate::wire::{Change, ErrPacket, PrepareOk, Status};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Completion {
    pub outcome: Outcome,
    /// Of the last OK or EOF. An ERR carries none, so behind one this is as old as the result
    /// before it; `None` if nothing in the reply carried any.
    pub status: Option<Status>,
    pub warnings: u16,
    /// Of the last OK.
    pub affected_rows: u64,
    /// The last one that was not zero: a later statement of the chain does not undo it.
    pub last_insert_id: u64,
    /// Of the last result set.
    pub rows: u64,
    /// How many results there were, the one that ended in an ERR included.
    pub results: u32,
    /// The last result was a result set, so `ROW_COUNT()` is -1.
    pub result_set: bool,
    /// A cursor was opened, or is still open behind a fetch. The flag in `status` does not say so:
    /// procedures leave it behind.
    pub cursor: bool,
    /// Over all results, in order.
    pub changes: Vec<Change>,
    /// With the server's own statement id.
    pub prepared: Option<PrepareOk>,
}

impl Completion {
    /// Are there conditions now for `SHOW WARNINGS` to list?
    pub fn leaves_a_list(&self) -> bool {
        self.warnings > 0 || matches!(self.outcome, Outcome::Err(_))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Outcome {
    #[default]
    Ok,
    Err(ErrPacket),
}
