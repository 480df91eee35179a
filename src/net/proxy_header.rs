//! Reads what a load balancer says first, and not one byte of what follows.

use std::io;

use tokio::io::AsyncReadExt;

use super::Stream;
use crate::wire::{ProxyHeader, ProxySource};

/// `InvalidData` when it is none; `UnexpectedEof` when the stream ends before its end.
pub async fn read_proxy_header(stream: &mut Stream) -> io::Result<ProxySource> {
    let mut header = Vec::new();
    loop {
        let parsed = ProxyHeader::parse(&header);
        match parsed.map_err(|wrong| io::Error::new(io::ErrorKind::InvalidData, wrong))? {
            ProxyHeader::Whole(source) => return Ok(source),
            ProxyHeader::Missing(more) => {
                let here = header.len();
                header.resize(here + more, 0);
                stream.read_exact(header.get_mut(here..).unwrap_or_default()).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::UnixStream;

    use super::*;

    #[tokio::test]
    async fn the_header_and_no_more() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut near = Stream::from(near);
        far.write_all(b"PROXY TCP4 10.0.0.9 10.0.0.1 4711 3306\r\nhello").await.unwrap();
        let from = "10.0.0.9:4711".parse().unwrap();
        assert_eq!(read_proxy_header(&mut near).await.unwrap(), ProxySource::Address(from));
        let mut rest = [0; 5];
        near.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"hello");
        far.write_all(b"PROXY TCP4 10.0.").await.unwrap();
        drop(far);
        let cut = read_proxy_header(&mut near).await.unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn what_is_none_is_known_early() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut near = Stream::from(near);
        far.write_all(b"GET / HTTP/1.1\r").await.unwrap();
        let none = read_proxy_header(&mut near).await.unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::InvalidData);
    }
}
