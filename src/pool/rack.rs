//! deadpool, which lives only here: it counts the seats and keeps the queue.
//!
//! A seat has nothing in it, so neither making nor recycling one can wait or fail.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use deadpool::managed::{self, Metrics, Pool, PoolError, RecycleResult, TimeoutType, Timeouts};

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

/// Take a seat only if one is free.
const AT_ONCE: Timeouts = Timeouts { wait: Some(Duration::ZERO), create: None, recycle: None };

/// `Ok(None)`: none is free; `Err`: there are none any more.
pub(super) fn sit_down(seats: &Pool<Rack>) -> Result<Option<Seated>, Closed> {
    // Nothing in it ever waits, so that asking once is enough.
    match pin!(seats.timeout_get(&AT_ONCE)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(seat)) => Ok(Some(seat)),
        Poll::Ready(Err(PoolError::Timeout(TimeoutType::Wait))) | Poll::Pending => Ok(None),
        Poll::Ready(Err(_)) => Err(Closed),
    }
}

pub(super) struct Closed;

/// Never made smaller: deadpool's own bound is soft under that. The permits are the bound.
pub(super) fn seats(count: usize) -> Pool<Rack> {
    match Pool::builder(Rack).max_size(count).build() {
        Ok(pool) => pool,
        // Only a timeout without a runtime can fail to build, and there is no timeout.
        Err(_) => unreachable!("a pool without timeouts needs no runtime"),
    }
}
