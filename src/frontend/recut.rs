//! A long request whose front has become shorter on its way.
//!
//! Owns where the headers of its later packets go. The request keeps its length, so that its headers
//! stay what they are: each comes as many bytes later as the front has lost, and so many zeros are
//! put behind the end, where servers do not look.

use std::io;

use crate::net::Stream;
use crate::wire::{HEADER_LEN, Header};

#[derive(Default)]
pub(super) struct Recut {
    lag: usize,
    /// A header, and how many bytes go before it.
    late: Option<(usize, [u8; HEADER_LEN])>,
}

impl Recut {
    pub fn new(lag: usize) -> Self {
        Self { lag, late: None }
    }

    pub async fn header(&mut self, stream: &mut Stream, header: Header) -> io::Result<()> {
        if self.lag == 0 {
            return stream.send(&header.bytes()).await;
        }
        self.late = Some((self.lag, header.bytes()));
        Ok(())
    }

    pub async fn bytes(&mut self, stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
        match self.late.take() {
            None => stream.send(bytes).await,
            Some((due, header)) if bytes.len() < due => {
                self.late = Some((due - bytes.len(), header));
                stream.send(bytes).await
            }
            Some((due, header)) => {
                let (before, after) = bytes.split_at(due);
                stream.send(&[before, &header, after].concat()).await
            }
        }
    }

    pub async fn end(&mut self, stream: &mut Stream) -> io::Result<()> {
        if self.lag == 0 {
            return Ok(());
        }
        let zeros = vec![0; self.lag];
        self.bytes(stream, &zeros).await
    }
}
