//! A client that costs little: it shares the machine with what is measured.
//!
//! Speaks the login, with TLS where asked, and text queries, whose replies it reads to their end and
//! throws away. One read takes as much as there is.

use std::io;

use rustls::{HandshakeKind, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    door::{Door, Tls},
    support::{
        client::{Error, Greeting, capability, parse_greeting, prove, refusal, seal},
        servers::{HOST, PASSWORD},
    },
};

const SSL: u32 = 1 << 11;
const UTF8MB4: u8 = 45;
/// Enough for small replies, and little enough for thousands of clients.
const BUFFER: usize = 2 << 10;
const LARGE_BUFFER: usize = 256 << 10;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

pub struct Client {
    stream: Box<dyn Stream>,
    /// The handshake took up an earlier session.
    pub resumed: bool,
    secure: bool,
    sequence: u8,
    deprecate_eof: bool,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Client {
    pub async fn log_in(door: &Door) -> Result<Self, Error> {
        let mut socket = TcpStream::connect((HOST, door.port)).await?;
        socket.set_nodelay(true)?;
        let packet = read_packet(&mut socket).await?;
        if packet.first() == Some(&0xFF) {
            return Err(refusal(&packet));
        }
        let greeting = parse_greeting(&packet).ok_or(MALFORMED)?;
        let mut client = match &door.tls {
            None => Self::over(Box::new(socket), 1),
            Some(tls) => Self::over_tls(socket, &greeting, tls).await?,
        };
        client.answer(door, &greeting).await?;
        Ok(client)
    }

    fn over(stream: Box<dyn Stream>, sequence: u8) -> Self {
        Self {
            stream,
            resumed: false,
            secure: false,
            sequence,
            deprecate_eof: false,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
        }
    }

    async fn over_tls(
        mut socket: TcpStream,
        greeting: &Greeting,
        tls: &Tls,
    ) -> Result<Self, Error> {
        if greeting.capabilities & SSL == 0 {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "TLS is not offered").into());
        }
        let request = login_head(capabilities(greeting) | SSL);
        socket.write_all(&framed(&request, 1)).await?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let stream = tls.connector().connect(name, socket).await?;
        let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        Ok(Self { resumed, secure: true, ..Self::over(Box::new(stream), 2) })
    }

    async fn answer(&mut self, door: &Door, greeting: &Greeting) -> Result<(), Error> {
        let capabilities = capabilities(greeting) | if self.secure { SSL } else { 0 };
        self.deprecate_eof = capabilities & capability::DEPRECATE_EOF != 0;
        let proof = prove(&greeting.plugin, PASSWORD, &greeting.scramble);
        let mut packet = login_head(capabilities);
        packet.extend_from_slice(door.user.as_bytes());
        packet.push(0);
        packet.push(u8::try_from(proof.len()).map_err(io::Error::other)?);
        packet.extend_from_slice(&proof);
        for text in [&door.schema, &greeting.plugin] {
            packet.extend_from_slice(text.as_bytes());
            packet.push(0);
        }
        self.write(&packet).await?;
        self.until_accepted(greeting.scramble.clone()).await
    }

    async fn until_accepted(&mut self, mut scramble: Vec<u8>) -> Result<(), Error> {
        loop {
            let packet = self.read().await?;
            match packet.as_slice() {
                [0x00, ..] => return Ok(()),
                [0xFF, ..] => return Err(refusal(&packet)),
                [0xFE, rest @ ..] => {
                    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
                    let plugin = String::from_utf8_lossy(&rest[..end]).into_owned();
                    scramble = rest.get(end + 1..).unwrap_or_default().to_vec();
                    scramble.truncate(20);
                    let proof = prove(&plugin, PASSWORD, &scramble);
                    self.write(&proof).await?;
                }
                [0x01, 3] => {}
                [0x01, 4] => self.tell_password(&scramble).await?,
                _ => return Err(MALFORMED.into()),
            }
        }
    }

    /// caching_sha2_password's long way: the password itself, under RSA where the way is open.
    async fn tell_password(&mut self, scramble: &[u8]) -> Result<(), Error> {
        let mut secret = [PASSWORD.as_bytes(), &[0]].concat();
        if self.secure {
            return self.write(&secret).await;
        }
        self.write(&[2]).await?;
        let packet = self.read().await?;
        if packet.first() == Some(&0xFF) {
            return Err(refusal(&packet));
        }
        for (byte, mask) in secret.iter_mut().zip(scramble.iter().cycle()) {
            *byte ^= mask;
        }
        let sealed = seal(packet.get(1..).unwrap_or_default(), &secret).ok_or(MALFORMED)?;
        self.write(&sealed).await
    }

    /// For replies that are long.
    #[must_use]
    pub fn with_large_buffer(mut self) -> Self {
        self.buffer.resize(LARGE_BUFFER, 0);
        self
    }

    /// Asks, and reads all of the answer; how many rows it had.
    pub async fn query(&mut self, sql: &str) -> Result<usize, Error> {
        let mut packet = Vec::with_capacity(sql.len() + 5);
        let length = u32::try_from(sql.len() + 1).map_err(io::Error::other)?;
        packet.extend_from_slice(&length.to_le_bytes());
        packet[3] = 0;
        packet.push(3);
        packet.extend_from_slice(sql.as_bytes());
        self.stream.write_all(&packet).await?;
        self.stream.flush().await?;
        self.reply().await
    }

    pub async fn quit(mut self) {
        self.sequence = 0;
        let _ = self.write(&[1]).await;
        let _ = self.stream.shutdown().await;
    }

    async fn reply(&mut self) -> Result<usize, Error> {
        let (length, first) = self.header().await?;
        match first {
            0xFF => return Err(refusal(&self.body(length).await?)),
            0x00 => return self.skip(length).await.map(|()| 0),
            _ => self.skip(length).await?,
        }
        // A result set here never has 251 columns or more.
        for _ in 0..usize::from(first) + usize::from(!self.deprecate_eof) {
            let (length, _) = self.header().await?;
            self.skip(length).await?;
        }
        let mut rows = 0;
        loop {
            let (length, first) = self.header().await?;
            match first {
                0xFF => return Err(refusal(&self.body(length).await?)),
                0xFE if length < 0xFF_FFFF => return self.skip(length).await.map(|()| rows),
                _ => self.skip(length).await?,
            }
            rows += 1;
        }
    }

    /// A packet's length and its first byte, which is not taken.
    async fn header(&mut self) -> Result<(usize, u8), Error> {
        while self.end - self.start < 5 {
            self.fill().await?;
        }
        let header = &self.buffer[self.start..self.start + 5];
        let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
        let first = header[4];
        self.sequence = header[3].wrapping_add(1);
        self.start += 4;
        Ok((length, first))
    }

    async fn skip(&mut self, mut length: usize) -> Result<(), Error> {
        loop {
            let here = length.min(self.end - self.start);
            self.start += here;
            length -= here;
            if length == 0 {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    async fn body(&mut self, length: usize) -> Result<Vec<u8>, Error> {
        let mut body = Vec::with_capacity(length);
        while body.len() < length {
            if self.start == self.end {
                self.fill().await?;
            }
            let here = (length - body.len()).min(self.end - self.start);
            body.extend_from_slice(&self.buffer[self.start..self.start + here]);
            self.start += here;
        }
        Ok(body)
    }

    async fn fill(&mut self) -> Result<(), Error> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let read = self.stream.read(&mut self.buffer[self.end..]).await?;
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.end += read;
        Ok(())
    }

    async fn read(&mut self) -> Result<Vec<u8>, Error> {
        let (length, _) = self.header().await?;
        self.body(length).await
    }

    async fn write(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.stream.write_all(&framed(payload, self.sequence)).await?;
        Ok(self.stream.flush().await?)
    }
}

const MALFORMED: io::ErrorKind = io::ErrorKind::InvalidData;

impl From<io::ErrorKind> for Error {
    fn from(kind: io::ErrorKind) -> Self {
        Self::Io(kind.into())
    }
}

fn capabilities(greeting: &Greeting) -> u32 {
    use capability as c;
    let wanted = c::LONG_PASSWORD
        | c::CONNECT_WITH_DB
        | c::PROTOCOL_41
        | c::TRANSACTIONS
        | c::SECURE_CONNECTION
        | c::MULTI_RESULTS
        | c::PLUGIN_AUTH
        | c::DEPRECATE_EOF;
    wanted & greeting.capabilities
}

/// What a login and a request for TLS begin with.
fn login_head(capabilities: u32) -> Vec<u8> {
    let mut head = capabilities.to_le_bytes().to_vec();
    head.extend_from_slice(&[0, 0, 0, 64, UTF8MB4]); // largest packet 1 GiB
    head.extend_from_slice(&[0; 23]);
    head
}

fn framed(payload: &[u8], sequence: u8) -> Vec<u8> {
    let mut packet = (payload.len() as u32).to_le_bytes().to_vec();
    packet[3] = sequence;
    packet.extend_from_slice(payload);
    packet
}

async fn read_packet(stream: &mut TcpStream) -> Result<Vec<u8>, Error> {
    let mut header = [0; 4];
    stream.read_exact(&mut header).await?;
    let mut payload = vec![0; u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize];
    stream.read_exact(&mut payload).await?;
    Ok(payload)
}
