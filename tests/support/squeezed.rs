//! The compressed protocol for the client of bare bytes, as strict as libmysqlclient: a sequence id
//! out of order is an error.
//!
//! Shares no code with the program under test.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};

use super::client::ReadWrite;

pub struct Squeezed {
    below: Box<dyn ReadWrite>,
    zstd: bool,
    sequence: u8,
    ready: VecDeque<u8>,
}

impl Squeezed {
    pub fn new(below: Box<dyn ReadWrite>, zstd: bool) -> Self {
        Self { below, zstd, sequence: 0, ready: VecDeque::new() }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut header = [0; 7];
        self.below.read_exact(&mut header)?;
        let number = |at: usize| {
            usize::from(header[at])
                | usize::from(header[at + 1]) << 8
                | usize::from(header[at + 2]) << 16
        };
        let (here, sequence, length) = (number(0), header[3], number(4));
        if sequence != self.sequence {
            let text = format!("compressed packet {sequence} where {} is due", self.sequence);
            return Err(io::Error::other(text));
        }
        self.sequence = sequence.wrapping_add(1);
        let mut data = vec![0; here];
        self.below.read_exact(&mut data)?;
        if length > 0 {
            assert!(data.len() < length, "compressed to no avail");
            let packed = std::mem::take(&mut data);
            if self.zstd {
                data = zstd::bulk::decompress(&packed, length)?;
            } else {
                ZlibDecoder::new(&packed[..]).read_to_end(&mut data)?;
            }
            assert_eq!(data.len(), length);
        }
        self.ready.extend(data);
        Ok(())
    }
}

/// One compressed packet.
pub fn squeeze(zstd: bool, sequence: u8, bytes: &[u8]) -> Vec<u8> {
    let packed = if bytes.len() < 50 {
        None
    } else if zstd {
        Some(zstd::bulk::compress(bytes, 3).unwrap())
    } else {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        Some(encoder.finish().unwrap())
    };
    let length = if packed.is_some() { bytes.len() } else { 0 };
    framed(sequence, length, packed.as_deref().unwrap_or(bytes))
}

/// A packet with a header as it is wanted.
pub fn framed(sequence: u8, length: usize, data: &[u8]) -> Vec<u8> {
    let here = &data.len().to_le_bytes()[..3];
    [here, &[sequence], &length.to_le_bytes()[..3], data].concat()
}

impl Read for Squeezed {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() {
            self.fill()?;
        }
        self.ready.read(to)
    }
}

impl Write for Squeezed {
    /// A packet with the id 0 at the front begins a command.
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        if from.get(3) == Some(&0) {
            self.sequence = 0;
        }
        let piece = &from[..from.len().min(0xFF_FFFF)];
        let packet = squeeze(self.zstd, self.sequence, piece);
        self.sequence = self.sequence.wrapping_add(1);
        self.below.write_all(&packet)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.below.flush()
    }
}
