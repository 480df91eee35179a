//! The workings of zlib and zstd between uses.
//!
//! An engine takes from 40 KB up to a megabyte. Packing needs one for the time of a call, unpacking
//! for the time of a packet; between packets a stream holds none. Owns those that wait to be used
//! again. Never knows what a packet is.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use zstd::bulk::Compressor;
use zstd::stream::raw::{DParameter, Decoder, Operation};

use super::Algorithm;

/// zlib's own default, and the servers'.
const ZLIB_LEVEL: u32 = 6;

/// As much as a packet can announce: no frame may ask for a larger window.
const ZSTD_WINDOW_LOG: u32 = 24;

/// The levels above search so hard that a piece of 64 KB takes a worker up to 100 ms (this one 4), to
/// save a tenth of its size. Any decoder reads what any level wrote.
const ZSTD_HIGHEST: u8 = 9;

pub struct Engines {
    deflaters: Spare<Compress>,
    inflaters: Spare<Decompress>,
    zstd_packers: Spare<Compressor<'static>>,
    zstd_unpackers: Spare<Decoder<'static>>,
}

/// In the middle of one packet.
pub(super) enum Unpacker {
    Zlib(Box<Decompress>),
    Zstd(Box<Decoder<'static>>),
}

/// What one run of an [`Unpacker`] did.
pub(super) struct Ran {
    pub read: usize,
    pub written: usize,
    /// The compressed data says that it ends here, and its checksum is right.
    pub ended: bool,
}

impl Engines {
    /// Keeps at most `keep` of each kind.
    pub fn new(keep: usize) -> Arc<Self> {
        Arc::new(Self {
            deflaters: Spare::new(keep),
            inflaters: Spare::new(keep),
            zstd_packers: Spare::new(keep),
            zstd_unpackers: Spare::new(keep),
        })
    }

    /// Compresses `from` into `to`; returns the length, `None` when it does not fit.
    pub(super) fn pack(&self, algorithm: Algorithm, from: &[u8], to: &mut [u8]) -> Option<usize> {
        match algorithm {
            Algorithm::Zlib => self.deflate(from, to),
            Algorithm::Zstd { level } => self.pack_zstd(level, from, to),
        }
    }

    pub(super) fn unpacker(&self, algorithm: Algorithm) -> io::Result<Unpacker> {
        Ok(match algorithm {
            Algorithm::Zlib => {
                let engine = self.inflaters.take().unwrap_or_else(|| Decompress::new(true).into());
                Unpacker::Zlib(engine)
            }
            Algorithm::Zstd { .. } => {
                if let Some(engine) = self.zstd_unpackers.take() {
                    return Ok(Unpacker::Zstd(engine));
                }
                let mut engine = Decoder::new()?;
                engine.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
                Unpacker::Zstd(engine.into())
            }
        })
    }

    /// Takes an engine back that has come to the end of a packet.
    pub(super) fn give_back(&self, unpacker: Unpacker) {
        match unpacker {
            Unpacker::Zlib(mut engine) => {
                engine.reset(true);
                self.inflaters.give(engine);
            }
            Unpacker::Zstd(mut engine) => {
                if engine.reinit().is_ok() {
                    self.zstd_unpackers.give(engine);
                }
            }
        }
    }

    fn deflate(&self, from: &[u8], to: &mut [u8]) -> Option<usize> {
        let fresh = || Compress::new(Compression::new(ZLIB_LEVEL), true).into();
        let mut engine = self.deflaters.take().unwrap_or_else(fresh);
        let done = engine.compress(from, to, FlushCompress::Finish);
        let length = usize::try_from(engine.total_out()).ok();
        engine.reset();
        self.deflaters.give(engine);
        length.filter(|_| matches!(done, Ok(Status::StreamEnd)))
    }

    fn pack_zstd(&self, level: u8, from: &[u8], to: &mut [u8]) -> Option<usize> {
        let level = i32::from(level.min(ZSTD_HIGHEST));
        let mut engine = match self.zstd_packers.take() {
            Some(engine) => engine,
            None => Compressor::new(level).ok()?.into(),
        };
        engine.set_compression_level(level).ok()?;
        let length = engine.compress_to_buffer(from, to).ok();
        self.zstd_packers.give(engine);
        length
    }
}

impl Unpacker {
    pub fn run(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Ran> {
        match self {
            Self::Zlib(engine) => {
                let (read, written) = (engine.total_in(), engine.total_out());
                let status = engine
                    .decompress(input, output, FlushDecompress::None)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                Ok(Ran {
                    read: (engine.total_in() - read) as usize,
                    written: (engine.total_out() - written) as usize,
                    ended: status == Status::StreamEnd,
                })
            }
            Self::Zstd(engine) => {
                let status = engine.run_on_buffers(input, output)?;
                Ok(Ran {
                    read: status.bytes_read,
                    written: status.bytes_written,
                    ended: status.remaining == 0,
                })
            }
        }
    }
}

/// Boxed, for what is boxed once may change hands without a copy.
struct Spare<T> {
    engines: Mutex<Vec<Box<T>>>,
    keep: usize,
}

impl<T> Spare<T> {
    fn new(keep: usize) -> Self {
        Self { engines: Mutex::new(Vec::new()), keep }
    }

    fn take(&self) -> Option<Box<T>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give(&self, engine: Box<T>) {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        if engines.len() < self.keep {
            engines.push(engine);
        }
    }
}
