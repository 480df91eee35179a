//! Buffers between uses: a session that sleeps holds none.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;

pub struct Shelf {
    buffers: Mutex<Vec<BytesMut>>,
    keep: usize,
}

impl Shelf {
    pub const CAPACITY: usize = 16 * 1024;
    /// What grew beyond this for one long packet is not kept.
    pub const LARGEST: usize = 64 * 1024;

    /// Keeps at most `keep` buffers.
    pub fn new(keep: usize) -> Arc<Self> {
        Arc::new(Self { buffers: Mutex::new(Vec::new()), keep })
    }

    /// An empty buffer of at least [`Self::CAPACITY`]. The last one given is the first taken:
    /// its memory is the warmest.
    pub fn take(&self) -> BytesMut {
        let kept = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| BytesMut::with_capacity(Self::CAPACITY))
    }

    /// The buffer, empty again and as large as it was, if it can be used again.
    pub fn renew(mut buffer: BytesMut) -> Option<BytesMut> {
        if buffer.capacity() == 0 {
            return None;
        }
        buffer.clear();
        // What was split off or advanced over comes back if nobody else holds a part of it.
        let whole = buffer.capacity() >= Self::CAPACITY || buffer.try_reclaim(Self::CAPACITY);
        (whole && buffer.capacity() <= Self::LARGEST).then_some(buffer)
    }

    pub fn give(&self, buffer: BytesMut) {
        let Some(buffer) = Self::renew(buffer) else { return };
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < self.keep {
            buffers.push(buffer);
        }
    }

    /// How many lie there.
    pub fn len(&self) -> usize {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty() {
        let shelf = Shelf::new(4);
        let mut buffer = shelf.take();
        assert!(buffer.capacity() >= Shelf::CAPACITY);
        buffer.extend_from_slice(b"somebody's row");
        let place = buffer.as_ptr();
        shelf.give(buffer);
        let again = shelf.take();
        assert_eq!(again.as_ptr(), place);
        assert!(again.is_empty());
    }

    #[test]
    fn keeps_no_more_than_asked_and_none_too_large() {
        let shelf = Shelf::new(2);
        for _ in 0..3 {
            shelf.give(BytesMut::with_capacity(Shelf::CAPACITY));
        }
        assert_eq!(shelf.len(), 2);
        let shelf = Shelf::new(2);
        shelf.give(BytesMut::with_capacity(Shelf::LARGEST + 1));
        assert!(shelf.is_empty());
    }

    #[test]
    fn a_buffer_that_shrank_is_reclaimed_or_dropped() {
        let shelf = Shelf::new(2);
        let mut buffer = shelf.take();
        buffer.extend_from_slice(&[1; 10_000]);
        let part = buffer.split_to(9_000);
        shelf.give(buffer);
        assert!(shelf.is_empty(), "a part of it is still held");
        drop(part);

        let mut buffer = shelf.take();
        buffer.extend_from_slice(&[1; 10_000]);
        drop(buffer.split_to(9_000));
        shelf.give(buffer);
        assert_eq!(shelf.len(), 1);
        assert!(shelf.take().capacity() >= Shelf::CAPACITY);
    }
}
