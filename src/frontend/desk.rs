//! Where a session works on a request.
//!
//! Owns the memory of what is large and needed only then: a session that sleeps has none of it, one
//! that wakes takes what another has put back. Never looks at a request.

use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio_util::sync::ReusableBoxFuture;

use super::End;
use super::serve::Session;

pub struct Desks {
    free: Mutex<Vec<Desk>>,
    keep: usize,
}

/// A request being worked on. Dropped before it is done, it drops the session with what it has in
/// hand.
pub(super) struct Desk(ReusableBoxFuture<'static, Done>);

/// The session again, and whether it goes on.
pub(super) type Done = (Box<Session>, Result<(), End>);

impl Desks {
    /// Keeps at most `keep` of them.
    pub fn new(keep: usize) -> Self {
        Self { free: Mutex::default(), keep }
    }

    /// Allocates only where more sessions work at once than before, given that it is always the
    /// same future.
    pub(super) fn take(&self, work: impl Future<Output = Done> + Send + 'static) -> Desk {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match free {
            Some(mut desk) => {
                desk.0.set(work);
                desk
            }
            None => Desk(ReusableBoxFuture::new(work)),
        }
    }

    /// For one that is done.
    pub(super) fn give(&self, desk: Desk) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.keep {
            free.push(desk);
        }
    }
}

impl Desk {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Done> {
        self.0.poll(cx)
    }
}
