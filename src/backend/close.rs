//! The end of a connection, as the server sees it.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Connection;
use crate::wire::{Command, put_command};

impl Connection {
    /// Says COM_QUIT and waits until the server has closed its side, so that the slot it held
    /// there is free before anybody counts on it. Gives up after `patience`.
    pub async fn close(mut self, patience: Duration) {
        let mut quit = BytesMut::with_capacity(8);
        put_command(&mut quit, Command::Quit, b"");
        let farewell = async {
            self.stream.send(&quit).await?;
            self.stream.shutdown().await?;
            let mut rest = [0_u8; 4096];
            while self.stream.read(&mut rest).await? > 0 {}
            Ok::<_, std::io::Error>(())
        };
        // Whatever went wrong, the socket is closed by the drop that follows.
        let _ = tokio::time::timeout(patience, farewell).await;
    }
}
