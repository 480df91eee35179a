//! Why bytes are not the packet they were taken for.
//!
//! Names the packet and the place, never the payload: this text goes into logs, and payloads hold
//! passwords and rows.

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("{packet}: ends early, more was expected at byte {at}")]
    Short { packet: &'static str, at: usize },
    #[error("{packet}: {field} is not there: {seen:#04x} instead, at byte {at}")]
    Unexpected { packet: &'static str, field: &'static str, seen: u8, at: usize },
    #[error("{packet}: {field} is not UTF-8")]
    NotUtf8 { packet: &'static str, field: &'static str },
    #[error("{packet}: {len} bytes, more than the {limit} allowed")]
    TooLarge { packet: &'static str, len: usize, limit: usize },
    #[error("{packet}: {len} bytes, which is not a length it can have")]
    WrongLength { packet: &'static str, len: usize },
    #[error("{packet}: the client does not speak protocol 4.1")]
    OldProtocol { packet: &'static str },
}
