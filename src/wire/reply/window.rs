//! Owns one call's view of the input: how far it is consumed, and what of it the client sees.
//!
//! Bytes stay where they are until the first edit. From then on everything the client shall see is
//! copied to `out`, in order.

use bytes::{BufMut, BytesMut};

use crate::wire::{HEADER_LEN, Header};

pub(super) struct Window<'a> {
    input: &'a mut [u8],
    out: &'a mut BytesMut,
    pos: usize,
    copied: usize,
    edited: bool,
}

impl<'a> Window<'a> {
    pub(super) fn new(input: &'a mut [u8], out: &'a mut BytesMut) -> Self {
        Self { input, out, pos: 0, copied: 0, edited: false }
    }

    pub(super) fn rest(&self) -> &[u8] {
        self.input.get(self.pos..).unwrap_or_default()
    }

    /// The payload of the packet that stands here; `None` while some of it is missing.
    pub(super) fn payload(&self, header: Header) -> Option<&[u8]> {
        self.rest().get(HEADER_LEN..HEADER_LEN + header.len)
    }

    pub(super) fn set(&mut self, offset: usize, bytes: &[u8]) {
        let start = self.pos + offset;
        if let Some(place) = self.input.get_mut(start..start + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// Consumes up to `len` bytes; answers how many there were.
    pub(super) fn advance(&mut self, len: usize) -> usize {
        let len = len.min(self.input.len() - self.pos);
        self.pos += len;
        len
    }

    /// Consumes bytes the client shall not see.
    pub(super) fn drop_bytes(&mut self, len: usize) {
        self.flush();
        self.advance(len);
        self.copied = self.pos;
    }

    /// Where to write what the client shall see at this point.
    pub(super) fn insert(&mut self) -> &mut BytesMut {
        self.flush();
        self.out
    }

    /// As `insert`, with the payload of the packet that stands here.
    pub(super) fn insert_beside(&mut self, header: Header) -> (&[u8], &mut BytesMut) {
        self.flush();
        let start = self.pos + HEADER_LEN;
        (self.input.get(start..start + header.len).unwrap_or_default(), self.out)
    }

    /// Answers how much was consumed, and whether `out` has what the client shall see of it.
    pub(super) fn finish(mut self) -> (usize, bool) {
        if self.edited {
            self.flush();
        }
        (self.pos, self.edited)
    }

    fn flush(&mut self) {
        self.edited = true;
        self.out.put_slice(self.input.get(self.copied..self.pos).unwrap_or_default());
        self.copied = self.pos;
    }
}
