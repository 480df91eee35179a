//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_compression.html
//!
//! The compressed protocol: packets around pieces of the stream of packets, whose borders mean
//! nothing to each other.
//!
//! Owns [`Compressed`], a stream that speaks it, the pure [`Codec`] within, and the [`Engines`] that
//! all streams share. Never agrees on an algorithm, never looks into what it carries.

mod codec;
mod compressed;
mod engines;

pub use codec::Codec;
pub use compressed::Compressed;
pub use engines::Engines;

/// What both sides agreed on at the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Zlib,
    /// The level is the client's choice for both directions.
    Zstd {
        level: u8,
    },
}
