//! Compressed packets to bytes and back: a machine over buffers that knows no socket.
//!
//! Memory follows what arrives, not what a header promises: output goes straight into the reader's
//! buffer, as far as that has room. The last byte of a packet is let out only when the data has
//! ended where its header said and its checksum was right, so that no request is seen whole in a
//! packet that is broken.

use std::io::{self, Read};
use std::sync::Arc;

use bytes::{Buf, BufMut, BytesMut};

use super::Algorithm;
use super::engines::{Engines, Unpacker};

/// The length of the payload as it is here, the sequence id, the length it had, or 0 when it is as
/// it was.
const HEADER: usize = 7;

/// What is shorter is sent as it is: the servers' MIN_COMPRESS_LENGTH.
const SHORTEST: usize = 50;

/// The most that goes into one packet. More saves next to nothing and keeps a worker from others.
const PIECE: usize = 64 * 1024;

/// An engine is taken when the packet is whole or this much of it is here: a client that stops in
/// the middle of a small one costs no more than its bytes.
const START: usize = 16 * 1024;

/// A packet that unpacks to more leaves its window behind in a zstd engine.
const ORDINARY: usize = 128 * 1024;

pub struct Codec {
    algorithm: Algorithm,
    engines: Arc<Engines>,
    /// Of the next packet, whoever sends it.
    seq: u8,
    /// As it came from the other side.
    raw: BytesMut,
    body: Body,
    /// Unpacked already, to see whether there is anything.
    peeked: Option<u8>,
    /// For the other side.
    out: BytesMut,
}

enum Body {
    /// A header is next.
    None,
    Stored {
        left: usize,
    },
    Packed(Packed),
    /// What came was no compressed packet; whatever follows is none either.
    Broken,
}

struct Packed {
    engine: Option<Unpacker>,
    length: usize,
    input_left: usize,
    /// The last byte included, until it is in `last`.
    output_left: usize,
    last: Option<u8>,
    /// The engine filled what it was given, and may have more without further input.
    full: bool,
}

impl Codec {
    pub fn new(algorithm: Algorithm, engines: Arc<Engines>) -> Self {
        Self {
            algorithm,
            engines,
            seq: 0,
            raw: BytesMut::new(),
            body: Body::None,
            peeked: None,
            out: BytesMut::new(),
        }
    }

    /// Where what comes from the other side is put.
    pub fn raw(&mut self) -> &mut BytesMut {
        &mut self.raw
    }

    /// What is to be sent to the other side; the caller consumes it.
    pub fn out(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    /// Whether no packet has begun.
    pub fn is_between_packets(&self) -> bool {
        self.raw.is_empty() && self.peeked.is_none() && matches!(self.body, Body::None)
    }

    /// Unpacks up to the end of a packet; 0: more must arrive first. The next packet is begun only
    /// when it is asked for: it may be another request, with which the sequence ids start anew
    /// while the reply to the one before is still being sent.
    pub fn unpack(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let Some(first) = to.first_mut() else { return Ok(0) };
        let Some(peeked) = self.peeked.take() else { return self.go_on(to) };
        *first = peeked;
        if matches!(self.body, Body::None) {
            return Ok(1);
        }
        Ok(1 + self.go_on(to.get_mut(1..).unwrap_or_default())?)
    }

    /// Whether there is something to unpack. Holds no more of it than a byte.
    pub fn peek(&mut self) -> io::Result<bool> {
        if self.peeked.is_none() {
            let mut byte = [0];
            if self.go_on(&mut byte)? == 1 {
                self.peeked = Some(byte[0]);
            }
        }
        Ok(self.peeked.is_some())
    }

    /// Packs the beginning of `bytes`; returns how much that was.
    pub fn pack(&mut self, bytes: &[u8]) -> usize {
        let piece = bytes.get(..PIECE).unwrap_or(bytes);
        let start = self.out.len();
        let end = start + HEADER + piece.len();
        self.out.resize(end, 0);
        let room = self.out.get_mut(start + HEADER..end - 1).unwrap_or_default();
        let packed = if piece.len() < SHORTEST {
            None
        } else {
            self.engines.pack(self.algorithm, piece, room)
        };
        if let Some(length) = packed {
            self.out.truncate(start + HEADER + length);
            self.put_header(start, length, piece.len());
        } else {
            self.out.truncate(start + HEADER);
            self.out.extend_from_slice(piece);
            self.put_header(start, piece.len(), 0);
        }
        piece.len()
    }

    fn put_header(&mut self, at: usize, length: usize, unpacked: usize) {
        if let Some(mut place) = self.out.get_mut(at..at + HEADER) {
            place.put_uint_le(length as u64, 3);
            place.put_u8(self.seq);
            place.put_uint_le(unpacked as u64, 3);
        }
        self.seq = self.seq.wrapping_add(1);
    }

    fn go_on(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let done = self.try_to_go_on(to);
        if done.is_err() {
            self.body = Body::Broken;
        }
        done
    }

    fn try_to_go_on(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        loop {
            let to = to.get_mut(done..).unwrap_or_default();
            match &mut self.body {
                Body::Broken => return Err(broken("it was broken before")),
                Body::None => {
                    if done > 0 || !self.begin()? {
                        return Ok(done);
                    }
                }
                Body::Stored { left } => {
                    let count = Read::take(&self.raw[..], *left as u64).read(to)?;
                    self.raw.advance(count);
                    *left -= count;
                    done += count;
                    if *left > 0 {
                        return Ok(done);
                    }
                    self.body = Body::None;
                }
                Body::Packed(packed) => {
                    if packed.engine.is_none() && self.raw.len() >= packed.input_left.min(START) {
                        packed.engine = Some(self.engines.unpacker(self.algorithm)?);
                    }
                    done += packed.run(&mut self.raw, to)?;
                    if packed.input_left + packed.output_left > 0 || packed.last.is_some() {
                        return Ok(done);
                    }
                    if let Some(engine) = packed.engine.take_if(|_| packed.length <= ORDINARY) {
                        self.engines.give_back(engine);
                    }
                    self.body = Body::None;
                }
            }
        }
    }

    /// Reads a header; false when it is not here yet.
    fn begin(&mut self) -> io::Result<bool> {
        if self.raw.len() < HEADER {
            return Ok(false);
        }
        let here = self.raw.get_uint_le(3) as usize;
        let seq = self.raw.get_u8();
        let length = self.raw.get_uint_le(3) as usize;
        if seq != self.seq && seq != 0 {
            return Err(broken("its sequence id is out of order"));
        }
        self.seq = seq.wrapping_add(1);
        self.body = match (here, length) {
            (0, 0) => Body::None,
            (left, 0) => Body::Stored { left },
            (input_left, length) => Body::Packed(Packed {
                engine: None,
                length,
                input_left,
                output_left: length,
                last: None,
                full: false,
            }),
        };
        Ok(true)
    }
}

impl Packed {
    /// Runs the engine until `to` is full, the input is used up or the packet ends. It has ended
    /// when nothing is left of input, output and the last byte.
    fn run(&mut self, raw: &mut BytesMut, to: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < to.len() {
            let Some(engine) = &mut self.engine else { break };
            let input = raw.get(..self.input_left).unwrap_or(raw);
            if input.is_empty() && !self.full {
                return if self.input_left > 0 { Ok(done) } else { Err(broken("it ends early")) };
            }
            let free = to.get_mut(done..).unwrap_or_default();
            // Room for a byte too many tells a packet that is longer than it said.
            let mut tail = [0; 2];
            let is_tail = self.output_left <= 1;
            let room = if is_tail {
                tail.get_mut(..=self.output_left).unwrap_or_default()
            } else {
                let most = free.len().min(self.output_left - 1);
                free.get_mut(..most).unwrap_or_default()
            };
            let size = room.len();
            let ran = engine.run(input, room)?;
            if ran.read + ran.written == 0 && !input.is_empty() && !ran.ended {
                return Err(broken("it stands still"));
            }
            self.full = ran.written == size;
            raw.advance(ran.read);
            self.input_left -= ran.read;
            self.output_left = self
                .output_left
                .checked_sub(ran.written)
                .ok_or_else(|| broken("it is longer than it said"))?;
            if is_tail {
                self.last = self.last.or((ran.written > 0).then_some(tail[0]));
            } else {
                done += ran.written;
            }
            if ran.ended {
                if self.input_left + self.output_left > 0 {
                    return Err(broken("it ends elsewhere than it said"));
                }
                if let (Some(place), Some(last)) = (to.get_mut(done), self.last.take()) {
                    *place = last;
                    done += 1;
                }
                return Ok(done);
            }
        }
        Ok(done)
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a compressed packet: {why}"))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const BOTH: [Algorithm; 2] = [Algorithm::Zlib, Algorithm::Zstd { level: 3 }];
    const MOST: usize = 0xFF_FFFF;

    fn codec(algorithm: Algorithm) -> Codec {
        Codec::new(algorithm, Engines::new(2))
    }

    /// As the other side would send it.
    fn packed(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
        let mut codec = codec(algorithm);
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = &rest[codec.pack(rest)..];
        }
        codec.out().to_vec()
    }

    fn packet(seq: u8, length: usize, data: &[u8]) -> Vec<u8> {
        let mut packet = BytesMut::new();
        packet.put_uint_le(data.len() as u64, 3);
        packet.put_u8(seq);
        packet.put_uint_le(length as u64, 3);
        packet.put_slice(data);
        packet.to_vec()
    }

    fn squeezed(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
        let mut to = vec![0; bytes.len() + 1024];
        let length = Engines::new(1).pack(algorithm, bytes, &mut to).unwrap();
        to.truncate(length);
        to
    }

    /// Everything that comes out of `bytes`, `room` at a time.
    fn unpacked(codec: &mut Codec, bytes: &[u8], room: usize) -> io::Result<Vec<u8>> {
        codec.raw().extend_from_slice(bytes);
        let mut all = Vec::new();
        let mut some = vec![0; room];
        loop {
            match codec.unpack(&mut some)? {
                0 => return Ok(all),
                count => all.extend_from_slice(&some[..count]),
            }
        }
    }

    fn noise(length: usize) -> Vec<u8> {
        std::iter::repeat_with(|| fastrand::u8(..)).take(length).collect()
    }

    /// From the manual: a COM_QUERY, compressed by a client, and its answer as it came.
    #[test]
    fn the_manuals_example() {
        let query =
            b"\x22\0\0\0\x32\0\0\x78\x9c\xd3\x63\x60\x60\x60\x2e\x4e\xcd\x49\x4d\x2e\x51\x50\
            \x32\x30\x34\x32\x36\x31\x35\x33\xb7\xb0\xc4\xcd\x52\x02\0\x0c\xd1\x0a\x6c";
        let mut client = codec(Algorithm::Zlib);
        let sql = unpacked(&mut client, query, 100).unwrap();
        let text = b"\x2e\0\0\0\x03select \"012345678901234567890123456789012345\"";
        assert_eq!(sql, text);
        client.pack(b"\x07\0\0\x01\0\0\0\x02\0\0\0");
        assert_eq!(&client.out()[..], b"\x0b\0\0\x01\0\0\0\x07\0\0\x01\0\0\0\x02\0\0\0");
    }

    #[test]
    fn short_payloads_and_noise_are_stored() {
        for algorithm in BOTH {
            assert_eq!(packed(algorithm, &[b'x'; 49])[..7], [49, 0, 0, 0, 0, 0, 0]);
            let fifty = packed(algorithm, &[b'x'; 50]);
            assert_eq!(fifty[4..7], [50, 0, 0]);
            assert!(fifty.len() < 7 + 50);
            let noise = noise(1000);
            assert_eq!(packed(algorithm, &noise), packet(0, 0, &noise));
        }
    }

    #[test]
    fn sequence_ids_are_shared_and_start_anew_with_each_request() {
        let mut server = codec(Algorithm::Zlib);
        let first = [packet(0, 0, b"a"), packet(1, 0, b"b"), packet(0, 0, b"c")].concat();
        server.raw().extend_from_slice(&first);
        let mut byte = [0; 9];
        assert_eq!(server.unpack(&mut byte).unwrap(), 1);
        assert_eq!(server.unpack(&mut byte).unwrap(), 1);
        server.pack(b"x");
        server.pack(b"y");
        assert!(server.peek().unwrap());
        server.pack(b"z");
        let sent = [packet(2, 0, b"x"), packet(3, 0, b"y"), packet(1, 0, b"z")].concat();
        assert_eq!(server.out(), &sent[..]);
        let error = unpacked(&mut server, &packet(7, 0, b"d"), 9).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(unpacked(&mut server, &packet(0, 0, b"d"), 9).is_err(), "broken is broken");
    }

    #[test]
    fn sequence_ids_go_round() {
        let mut server = codec(Algorithm::Zlib);
        for id in 0..1000_u32 {
            assert_eq!(unpacked(&mut server, &packet(id as u8, 0, b"a"), 9).unwrap(), b"a");
        }
        server.pack(b"x");
        assert_eq!(server.out()[3], 1000_u32 as u8);
    }

    #[test]
    fn empty_packets_are_nothing() {
        let mut server = codec(Algorithm::Zlib);
        let bytes = [packet(0, 0, b""), packet(1, 0, b""), packet(2, 0, b"a")].concat();
        assert_eq!(unpacked(&mut server, &bytes, 9).unwrap(), b"a");
        assert!(server.is_between_packets());
    }

    #[test]
    fn a_look_takes_nothing() {
        for algorithm in BOTH {
            let bytes = [b'q'; 300];
            let mut server = codec(algorithm);
            assert!(!server.peek().unwrap());
            server.raw().extend_from_slice(&packed(algorithm, &bytes));
            assert!(server.peek().unwrap());
            assert!(server.peek().unwrap());
            assert!(!server.is_between_packets());
            assert_eq!(unpacked(&mut server, b"", 1000).unwrap(), bytes);
            assert!(!server.peek().unwrap());
            assert!(server.is_between_packets());
        }
    }

    #[test]
    fn the_largest_packet_there_is() {
        for algorithm in BOTH {
            let bytes = vec![b'r'; MOST];
            let one = packet(0, MOST, &squeezed(algorithm, &bytes));
            assert!(unpacked(&mut codec(algorithm), &one, 65_536).unwrap() == bytes);
            let many = packed(algorithm, &bytes);
            assert!(unpacked(&mut codec(algorithm), &many, 65_536).unwrap() == bytes);
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        for algorithm in BOTH {
            let bomb = squeezed(algorithm, &vec![0; 17 << 20]);
            for length in [1, 2, 100, 1 << 20, MOST] {
                let mut server = codec(algorithm);
                let mut some = vec![0; 16 * 1024];
                server.raw().extend_from_slice(&packet(0, length, &bomb[..bomb.len().min(MOST)]));
                let mut total = 0;
                let end = loop {
                    match server.unpack(&mut some) {
                        Ok(count) => total += count,
                        Err(error) => break error,
                    }
                };
                assert_eq!(end.kind(), io::ErrorKind::InvalidData);
                assert!(total < length, "{algorithm:?}: {total} of {length}");
            }
        }
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let text = b"select 'a text of some length', 'and of some repetition', 'of some length'";
        for algorithm in BOTH {
            let data = squeezed(algorithm, text);
            for length in [1, 20, text.len() - 1, text.len() + 1, MOST] {
                for room in [1, 10, 1000] {
                    let mut server = codec(algorithm);
                    let lie = packet(0, length, &data);
                    assert!(unpacked(&mut server, &lie, room).is_err(), "{algorithm:?} {length}");
                }
            }
            let longer = packet(0, text.len(), &[&data[..], b"!"].concat());
            assert!(unpacked(&mut codec(algorithm), &longer, 1000).is_err());
            let shorter = packet(0, text.len(), &data[..data.len() - 1]);
            assert!(unpacked(&mut codec(algorithm), &shorter, 1000).is_err());
        }
    }

    /// No request is whole before its packet's checksum was right.
    #[test]
    fn the_last_byte_waits_for_the_checksum() {
        let text = [b'x'; 500];
        let mut data = squeezed(Algorithm::Zlib, &text);
        *data.last_mut().unwrap() ^= 1;
        let mut server = codec(Algorithm::Zlib);
        server.raw().extend_from_slice(&packet(0, text.len(), &data));
        let mut byte = [0];
        let mut count = 0;
        while server.unpack(&mut byte).is_ok_and(|one| one == 1) {
            count += 1;
        }
        assert_eq!(count, text.len() - 1);
    }

    #[test]
    fn a_dawdler_holds_no_engine_and_an_end_gives_it_back() {
        for algorithm in BOTH {
            let mut server = codec(algorithm);
            let whole = packed(algorithm, &[b'x'; 4000]);
            let (most, last) = whole.split_at(whole.len() - 1);
            server.raw().extend_from_slice(most);
            assert!(!server.peek().unwrap());
            assert!(matches!(&server.body, Body::Packed(Packed { engine: None, .. })));
            assert_eq!(unpacked(&mut server, last, 100).unwrap(), [b'x'; 4000]);
            assert!(matches!(server.body, Body::None));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_chunks_come_back(
            pieces in vec((vec(any::<u8>(), 0..300), 1_usize..2000), 0..20),
            level in 1_u8..=22,
            zlib: bool,
            chunk in 1_usize..500,
            room in 1_usize..3000,
        ) {
            let algorithm = if zlib { Algorithm::Zlib } else { Algorithm::Zstd { level } };
            let mut client = codec(algorithm);
            let mut server = codec(algorithm);
            let mut all = Vec::new();
            for (piece, times) in &pieces {
                // Alike enough to be packed, and not always.
                let bytes = piece.repeat(times / 100 + 1);
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    rest = &rest[client.pack(rest)..];
                }
                all.extend_from_slice(&bytes);
            }
            let mut got = Vec::new();
            for (index, bytes) in client.out().chunks(chunk).enumerate() {
                if index % 3 == 0 {
                    server.peek().unwrap();
                }
                got.extend(unpacked(&mut server, bytes, room).unwrap());
            }
            prop_assert!(got == all);
            prop_assert!(server.is_between_packets());
        }

        #[test]
        fn what_is_corrupt_never_panics(
            junk: Vec<u8>,
            text in vec(any::<u8>(), 0..40),
            flips in vec((any::<u16>(), any::<u8>()), 1..4),
            zlib: bool,
            room in 1_usize..5000,
        ) {
            let algorithm = BOTH[usize::from(zlib)];
            let _ = unpacked(&mut codec(algorithm), &junk, room);
            let _ = unpacked(&mut codec(algorithm), &packet(0, junk.len() + 9, &junk), room);
            let text = text.repeat(50);
            let mut bent = packed(algorithm, &text);
            for (at, by) in flips {
                if let Some(at) = usize::from(at).checked_rem(bent.len()) {
                    bent[at] ^= by;
                }
            }
            let got = unpacked(&mut codec(algorithm), &bent, room);
            prop_assert!(got.is_err() || got.is_ok_and(|got| got.len() <= MOST));
        }
    }
}
