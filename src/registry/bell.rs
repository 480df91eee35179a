//! What wakes a session with news.
//!
//! Owns that no ring is lost: one that finds nobody listening is heard by who listens next. One task
//! listens at a time; a second one would take the first one's place.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use atomic_waker::AtomicWaker;

#[derive(Default)]
pub(super) struct Bell {
    rung: AtomicBool,
    listener: AtomicWaker,
}

impl Bell {
    pub(super) fn ring(&self) {
        // What the ring is about was written before it.
        self.rung.store(true, Ordering::Release);
        self.listener.wake();
    }

    /// Ready once for all rings so far.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.answer() {
            return Poll::Ready(());
        }
        self.listener.register(cx.waker());
        // It may have rung before it knew of this listener.
        if self.answer() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn answer(&self) -> bool {
        // A swap, for a ring between a look and a store would go under. It costs more than a look,
        // and nearly always there is nothing.
        self.rung.load(Ordering::Relaxed) && self.rung.swap(false, Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_ring_is_heard_once_before_or_after() {
        let bell = Arc::new(Bell::default());
        bell.ring();
        bell.ring();
        let heard = Arc::clone(&bell);
        let mut listener = tokio_test::task::spawn(poll_fn(move |cx| heard.poll(cx)));
        assert!(listener.poll().is_ready());
        assert!(listener.poll().is_pending());
        assert!(!listener.is_woken());
        bell.ring();
        assert!(listener.is_woken());
        assert!(listener.poll().is_ready());
        assert!(listener.poll().is_pending());
    }

    #[test]
    fn who_listened_last_is_woken() {
        let bell = Arc::new(Bell::default());
        let listen = || {
            let bell = Arc::clone(&bell);
            tokio_test::task::spawn(poll_fn(move |cx| bell.poll(cx)))
        };
        let (mut first, mut second) = (listen(), listen());
        assert!(first.poll().is_pending());
        assert!(second.poll().is_pending());
        bell.ring();
        assert!(second.is_woken());
        assert!(second.poll().is_ready());
    }
}
