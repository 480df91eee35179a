//! Whole packets, for logins only: the command phase relays without assembling any.
//!
//! Never reads ahead. Behind an SSLRequest come the bytes of a ClientHello: read early, they
//! would be lost to TLS, or taken for something said inside it.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html>

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Stream;

/// A payload of this length goes on in the next packet.
const CONTINUED: usize = 0xFF_FFFF;
/// Memory follows what arrives, not what a stranger announces.
const FIRST_CAPACITY: usize = 4096;

/// What the header of a packet says that is not read.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a packet of {length} bytes, where {limit} are the limit")]
pub struct TooLong {
    pub header: [u8; 4],
    length: usize,
    limit: usize,
}

/// Reads one packet: its sequence id and its payload. `InvalidData` when it is longer than
/// `limit`, or goes on in another packet, which nothing in a login does; `UnexpectedEof` when
/// the stream ends before its end.
pub async fn read_packet(stream: &mut Stream, limit: usize) -> io::Result<(u8, BytesMut)> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).await?;
    let [a, b, c, sequence] = header;
    let length = u32::from_le_bytes([a, b, c, 0]) as usize;
    if length > limit || length == CONTINUED {
        return Err(io::Error::new(io::ErrorKind::InvalidData, TooLong { header, length, limit }));
    }
    let mut payload = BytesMut::with_capacity(length.min(FIRST_CAPACITY));
    let mut rest = stream.take(length as u64);
    while payload.len() < length {
        if rest.read_buf(&mut payload).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((sequence, payload))
}

/// Writes and flushes; TLS may hold back what is only written.
pub async fn write_all(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    AsyncWriteExt::write_all(stream, bytes).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;

    async fn read(sent: &[u8], limit: usize) -> (io::Result<(u8, BytesMut)>, Vec<u8>) {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut near = Stream::from(near);
        far.write_all(sent).await.unwrap();
        drop(far);
        let packet = read_packet(&mut near, limit).await;
        let mut rest = Vec::new();
        near.read_to_end(&mut rest).await.unwrap();
        (packet, rest)
    }

    #[tokio::test]
    async fn reads_one_packet_and_nothing_behind_it() {
        let (packet, rest) = read(b"\x03\0\0\x01abcHELLO", 3).await;
        assert_eq!(packet.unwrap(), (1, BytesMut::from("abc")));
        assert_eq!(rest, b"HELLO");
        let (packet, rest) = read(b"\0\0\0\x07x", 0).await;
        assert_eq!(packet.unwrap(), (7, BytesMut::new()));
        assert_eq!(rest, b"x");
    }

    #[tokio::test]
    async fn long_payloads_are_whole() {
        let payload = vec![b'p'; 70_000];
        let sent = [&[0x70, 0x11, 0x01, 9], payload.as_slice(), b"!"].concat();
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut near = Stream::from(near);
        let writing = async { far.write_all(&sent).await.unwrap() };
        let (packet, ()) = tokio::join!(read_packet(&mut near, 1 << 20), writing);
        assert_eq!(packet.unwrap(), (9, BytesMut::from(payload.as_slice())));
    }

    #[tokio::test]
    async fn limit_and_truncation() {
        let kind = |r: io::Result<(u8, BytesMut)>| r.unwrap_err().kind();
        assert_eq!(kind(read(b"\x04\0\0\0abcd", 3).await.0), io::ErrorKind::InvalidData);
        let endless = read(b"\xFF\xFF\xFF\0abcd", usize::MAX).await.0;
        assert_eq!(kind(endless), io::ErrorKind::InvalidData);
        for cut in [b"".as_slice(), b"\x03\0", b"\x03\0\0\0", b"\x03\0\0\0ab"] {
            assert_eq!(kind(read(cut, 100).await.0), io::ErrorKind::UnexpectedEof);
        }
    }
}
