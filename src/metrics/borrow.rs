//! Borrowing a connection: how it was come by, how long it took, why not.

use prometheus::{Error, Histogram, IntGauge};

use super::make::{Make, WAIT_SECONDS};
use super::{BorrowFailure, BorrowWay, By};

#[derive(Debug)]
pub struct Borrow {
    pub ways: By<BorrowWay>,
    /// In seconds; of the borrows that were not served at once.
    pub wait: Histogram,
    pub waiting: IntGauge,
    pub failures: By<BorrowFailure>,
}

impl Borrow {
    pub(super) fn new(make: &Make<'_>) -> Result<Self, Error> {
        Ok(Self {
            ways: make.by(
                "tidegate_borrows_total",
                "Connections borrowed, by how they were come by.",
                "way",
            )?,
            wait: make.seconds(
                "tidegate_borrow_wait_seconds",
                "How long borrowers waited that were not served at once.",
                &WAIT_SECONDS,
            )?,
            waiting: make
                .gauge("tidegate_borrow_waiting", "Borrowers waiting for a connection now.")?,
            failures: make.by(
                "tidegate_borrow_failures_total",
                "Borrowers that got no connection, by why.",
                "reason",
            )?,
        })
    }
}
