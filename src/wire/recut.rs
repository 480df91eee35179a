//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
//!
//! Owns the new cuts of a payload that grew on its way: each packet but the last is as long as can
//! be. Holds no more than it grew by, and never looks into it.

use bytes::{BufMut, BytesMut};

use super::{Header, MAX_PAYLOAD};

/// Told each packet as its header comes, and all the bytes in between.
#[derive(Debug)]
pub struct Recut {
    most: usize,
    /// Bytes to come, or held, that no header written so far covers.
    announced: usize,
    /// They are all there will be.
    last: bool,
    /// Left in the packet under way.
    room: usize,
    /// The packet under way is as long as can be: another follows, be it an empty one.
    full: bool,
    seq: u8,
    held: BytesMut,
}

impl Default for Recut {
    fn default() -> Self {
        Self::of(MAX_PAYLOAD)
    }
}

impl Recut {
    fn of(most: usize) -> Self {
        Self { most, announced: 0, last: false, room: 0, full: true, seq: 0, held: BytesMut::new() }
    }

    /// A packet begins: so many bytes, what is inserted into it included. `last`: it was not full
    /// before that.
    pub fn announce(&mut self, len: usize, last: bool, out: &mut BytesMut) {
        self.announced += len;
        self.last = last;
        let held = std::mem::take(&mut self.held);
        self.push(&held, out);
    }

    pub fn push(&mut self, mut bytes: &[u8], out: &mut BytesMut) {
        while !bytes.is_empty() {
            if self.room == 0 && !self.begin(out) {
                self.held.extend_from_slice(bytes);
                return;
            }
            let (now, later) = bytes.split_at(bytes.len().min(self.room));
            out.put_slice(now);
            self.room -= now.len();
            bytes = later;
        }
    }

    /// The number of the packet that would come next: the reply's first, after the end.
    pub fn seq(&self) -> u8 {
        self.seq
    }

    /// All bytes of the last packet were pushed.
    pub fn end(&mut self, out: &mut BytesMut) {
        while self.full && self.begin(out) {}
    }

    /// `false`: how long the next packet is depends on the next header.
    fn begin(&mut self, out: &mut BytesMut) -> bool {
        if self.announced < self.most && !self.last {
            return false;
        }
        let len = self.announced.min(self.most);
        out.put_slice(&Header { len, seq: self.seq }.bytes());
        self.seq = self.seq.wrapping_add(1);
        self.announced -= len;
        self.room = len;
        self.full = len == self.most;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOST: usize = 7;

    /// As a client cuts it, with `grown` bytes more in the first packet.
    fn recut(payload: &[u8], grown: usize, chunk: usize) -> BytesMut {
        let (mut recut, mut out) = (Recut::of(MOST), BytesMut::new());
        let mut rest = payload;
        let mut before = payload.len() - grown;
        let mut inserted = grown;
        loop {
            let len = before.min(MOST);
            before -= len;
            let (packet, later) = rest.split_at(len + std::mem::take(&mut inserted));
            recut.announce(packet.len(), len < MOST, &mut out);
            packet.chunks(chunk).for_each(|bytes| recut.push(bytes, &mut out));
            assert!(recut.held.len() <= grown);
            rest = later;
            if len < MOST {
                recut.end(&mut out);
                return out;
            }
        }
    }

    fn cut(payload: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        let mut seq = 0;
        for packet in payload.chunks(MOST) {
            out.put_slice(&Header { len: packet.len(), seq }.bytes());
            out.put_slice(packet);
            seq += 1;
        }
        if payload.len().is_multiple_of(MOST) {
            out.put_slice(&Header { len: 0, seq }.bytes());
        }
        out
    }

    #[test]
    fn one_packet_becomes_two() {
        assert_eq!(&recut(b"abcdefgh", 2, 9)[..], b"\x07\0\0\0abcdefg\x01\0\0\x01h");
        assert_eq!(&recut(b"abcdefg", 2, 1)[..], b"\x07\0\0\0abcdefg\0\0\0\x01");
    }

    proptest! {
        #[test]
        fn as_if_it_had_been_cut_so(payload: Vec<u8>, grown in 0..30_usize, chunk in 1..9_usize) {
            let grown = grown.min(payload.len());
            prop_assert_eq!(recut(&payload, grown, chunk), cut(&payload));
        }
    }
}
