//! deadpool, which lives only here: it counts the seats and keeps the queue.
//!
//! A seat has nothing in it, so neither making nor recycling one can wait or fail.

use deadpool::managed::{self, Metrics, Pool, RecycleResult};

pub(super) struct Rack;

pub(super) struct Seat;

pub(super) type Seated = managed::Object<Rack>;

impl managed::Manager for Rack {
    type Type = Seat;
    type Error = std::convert::Infallible;

    async fn create(&self) -> Result<Seat, Self::Error> {
        Ok(Seat)
    }

    async fn recycle(&self, _: &mut Seat, _: &Metrics) -> RecycleResult<Self::Error> {
        Ok(())
    }
}

/// Never resized: deadpool's own bound is soft under `resize`. The permits are the bound.
pub(super) fn seats(count: usize) -> Pool<Rack> {
    match Pool::builder(Rack).max_size(count).build() {
        Ok(pool) => pool,
        // Only a timeout without a runtime can fail to build, and there is no timeout.
        Err(_) => unreachable!("a pool without timeouts needs no runtime"),
    }
}
