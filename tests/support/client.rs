//! A MySQL client of bare bytes: blocking, without a runtime, and as rude as a test needs.
//!
//! Knows the login (both common plugins), TLS, text queries and packets; prepared statements are
//! beside it, in `binary`.
//! Compression is in `squeezed`.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned, pki_types::ServerName};
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::squeezed::Squeezed;

pub mod capability {
    pub const LONG_PASSWORD: u32 = 1;
    pub const FOUND_ROWS: u32 = 1 << 1;
    pub const CONNECT_WITH_DB: u32 = 1 << 3;
    pub const CONNECT_ATTRS: u32 = 1 << 20;
    pub const COMPRESS: u32 = 1 << 5;
    pub const LOCAL_FILES: u32 = 1 << 7;
    pub const PROTOCOL_41: u32 = 1 << 9;
    pub const SSL: u32 = 1 << 11;
    pub const TRANSACTIONS: u32 = 1 << 13;
    pub const SECURE_CONNECTION: u32 = 1 << 15;
    pub const MULTI_STATEMENTS: u32 = 1 << 16;
    pub const MULTI_RESULTS: u32 = 1 << 17;
    pub const PS_MULTI_RESULTS: u32 = 1 << 18;
    pub const PLUGIN_AUTH: u32 = 1 << 19;
    pub const SESSION_TRACK: u32 = 1 << 23;
    pub const DEPRECATE_EOF: u32 = 1 << 24;
    pub const OPTIONAL_RESULTSET_METADATA: u32 = 1 << 25;
    pub const QUERY_ATTRIBUTES: u32 = 1 << 27;
    pub const ZSTD: u32 = 1 << 26;
}

const MORE_RESULTS: u16 = 8;
/// utf8mb4_general_ci, which both flavors have.
const UTF8MB4: u8 = 45;

/// Where a server listens.
#[derive(Clone, Debug)]
pub enum Address {
    Tcp(String),
    Unix(PathBuf),
}

impl From<&str> for Address {
    fn from(address: &str) -> Self {
        Self::Tcp(address.to_owned())
    }
}

impl From<String> for Address {
    fn from(address: String) -> Self {
        Self::Tcp(address)
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

#[derive(Clone, Debug)]
pub struct Login {
    pub user: String,
    pub password: String,
    pub schema: Option<String>,
    pub capabilities: u32,
    /// MariaDB's own.
    pub extended: u32,
    /// All 16 bits go with COM_CHANGE_USER only.
    pub collation: u16,
    pub zstd_level: u8,
    /// What the client says of itself; sent with CONNECT_ATTRS.
    pub attributes: Vec<(String, String)>,
}

impl Login {
    pub fn new(user: &str, password: &str) -> Self {
        use capability as c;
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            schema: None,
            capabilities: c::LONG_PASSWORD
                | c::PROTOCOL_41
                | c::TRANSACTIONS
                | c::SECURE_CONNECTION
                | c::MULTI_RESULTS
                | c::PS_MULTI_RESULTS
                | c::PLUGIN_AUTH,
            extended: 0,
            collation: u16::from(UTF8MB4),
            zstd_level: 3,
            attributes: Vec::new(),
        }
    }

    /// The user every test server has, in its schema.
    pub fn app() -> Self {
        Self::new(super::servers::USER, super::servers::PASSWORD).schema(super::servers::SCHEMA)
    }

    #[must_use]
    pub fn schema(mut self, schema: &str) -> Self {
        self.schema = Some(schema.to_owned());
        self
    }

    /// A short name for the program.
    #[must_use]
    pub fn program(mut self, name: &str) -> Self {
        self.capabilities |= capability::CONNECT_ATTRS;
        self.attributes.push(("program_name".to_owned(), name.to_owned()));
        self
    }

    #[must_use]
    pub fn collation(mut self, collation: u16) -> Self {
        self.collation = collation;
        self
    }

    #[must_use]
    pub fn with(mut self, capabilities: u32) -> Self {
        self.capabilities |= capabilities;
        self
    }

    #[must_use]
    pub fn extended(mut self, capabilities: u32) -> Self {
        self.extended |= capabilities;
        self
    }
}

#[derive(Debug)]
pub enum Error {
    Server { code: u16, state: String, message: String },
    Io(io::Error),
}

impl Error {
    /// The server's error number, 0 when the connection broke instead.
    pub fn code(&self) -> u16 {
        match self {
            Self::Server { code, .. } => *code,
            Self::Io(_) => 0,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { code, state, message } => write!(f, "ERROR {code} ({state}): {message}"),
            Self::Io(error) => write!(f, "connection: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

pub type Row = Vec<Option<String>>;

/// What the server said first.
#[derive(Clone, Debug)]
pub struct Greeting {
    pub version: String,
    pub connection_id: u32,
    pub capabilities: u32,
    /// MariaDB's own, as they stand in the filler.
    pub extended: u32,
    pub collation: u8,
    pub status: u16,
    pub plugin: String,
    /// All of it.
    pub packet: Vec<u8>,
    pub scramble: Vec<u8>,
}

pub struct RawClient {
    stream: Box<dyn ReadWrite>,
    secure: bool,
    /// What the login says of the wire: that it has TLS.
    wire: u32,
    sequence: u8,
    capabilities: u32,
    pub greeting: Greeting,
    /// The OK packet that ended the last login.
    pub accepted: Vec<u8>,
}

pub trait ReadWrite: Read + Write + Send {}
impl<T: Read + Write + Send> ReadWrite for T {}

impl RawClient {
    pub fn login(address: impl Into<Address>, login: &Login) -> Result<Self, Error> {
        let mut client = Self::greet(address)?;
        client.answer(login)?;
        client.squeeze();
        Ok(client)
    }

    /// Connects, reads the greeting, and stops there.
    pub fn greet(address: impl Into<Address>) -> Result<Self, Error> {
        const LIMIT: Option<Duration> = Some(Duration::from_secs(30));
        let (stream, secure): (Box<dyn ReadWrite>, bool) = match address.into() {
            Address::Tcp(address) => {
                let address = address.to_socket_addrs()?.next();
                let address = address.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
                let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10))?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(LIMIT)?;
                (Box::new(stream), false)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(LIMIT)?;
                (Box::new(stream), true)
            }
        };
        Self::over(stream, secure)
    }

    /// The same on a stream that the caller has connected, and may have said something on.
    pub fn over(stream: Box<dyn ReadWrite>, secure: bool) -> Result<Self, Error> {
        let greeting = Greeting {
            version: String::new(),
            connection_id: 0,
            capabilities: 0,
            extended: 0,
            collation: 0,
            status: 0,
            packet: Vec::new(),
            plugin: String::new(),
            scramble: Vec::new(),
        };
        let accepted = Vec::new();
        let mut client =
            Self { stream, secure, wire: 0, sequence: 0, capabilities: 0, greeting, accepted };
        let packet = client.read_packet()?;
        if packet.first() == Some(&0xFF) {
            return Err(refusal(&packet));
        }
        client.greeting = parse_greeting(&packet).ok_or_else(|| io::Error::from(MALFORMED))?;
        Ok(client)
    }

    /// TLS to `localhost` after [`RawClient::greet`]; whether it took up a session of before.
    pub fn secure(&mut self, config: &Arc<ClientConfig>) -> Result<bool, Error> {
        use capability as c;
        let asked = c::SSL | c::PROTOCOL_41 | c::SECURE_CONNECTION | c::PLUGIN_AUTH;
        let mut packet = asked.to_le_bytes().to_vec();
        packet.extend_from_slice(&[0, 0, 0, 64, UTF8MB4]);
        packet.extend_from_slice(&[0; 23]);
        self.write_packet(&packet)?;
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::clone(config), name);
        let connection = connection.map_err(io::Error::other)?;
        let stream = std::mem::replace(&mut self.stream, Box::new(io::empty()));
        let mut secure = StreamOwned::new(connection, stream);
        while secure.conn.is_handshaking() {
            secure.conn.complete_io(&mut secure.sock)?;
        }
        let resumed = secure.conn.handshake_kind() == Some(HandshakeKind::Resumed);
        self.stream = Box::new(secure);
        (self.secure, self.wire) = (true, c::SSL);
        Ok(resumed)
    }

    /// The rest of the login after [`RawClient::greet`]. What was agreed on about compression is then
    /// the caller's to do.
    pub fn answer(&mut self, login: &Login) -> Result<(), Error> {
        let mut capabilities = login.capabilities | self.wire;
        if login.schema.is_some() {
            capabilities |= capability::CONNECT_WITH_DB;
        }
        capabilities &= self.greeting.capabilities;
        self.capabilities = capabilities;
        let plugin = self.greeting.plugin.clone();

        let answer = prove(&plugin, &login.password, &self.greeting.scramble);
        let mut packet = capabilities.to_le_bytes().to_vec();
        packet.extend_from_slice(&[0, 0, 0, 64, login.collation.to_le_bytes()[0]]); // largest packet 1 GiB
        packet.extend_from_slice(&[0; 19]);
        packet.extend_from_slice(&(login.extended & self.greeting.extended).to_le_bytes());
        packet.extend_from_slice(login.user.as_bytes());
        packet.push(0);
        packet.push(u8::try_from(answer.len()).unwrap());
        packet.extend_from_slice(&answer);
        if let Some(schema) = &login.schema {
            packet.extend_from_slice(schema.as_bytes());
            packet.push(0);
        }
        packet.extend_from_slice(plugin.as_bytes());
        packet.push(0);
        if capabilities & capability::CONNECT_ATTRS != 0 {
            let texts = login.attributes.iter().flat_map(|(name, value)| [name, value]);
            let mut all = Vec::new();
            for text in texts {
                // Short ones, whose length is a byte.
                all.push(u8::try_from(text.len()).unwrap());
                all.extend_from_slice(text.as_bytes());
            }
            packet.push(u8::try_from(all.len()).unwrap());
            packet.extend_from_slice(&all);
        }
        if capabilities & capability::ZSTD != 0 {
            packet.push(login.zstd_level);
        }
        self.write_packet(&packet)?;
        self.until_accepted(&login.password)
    }

    /// From here on in the compressed protocol, if it was agreed upon.
    fn squeeze(&mut self) {
        if self.speaks(capability::COMPRESS) || self.speaks(capability::ZSTD) {
            let zstd = !self.speaks(capability::COMPRESS);
            let stream = std::mem::replace(&mut self.stream, Box::new(io::empty()));
            self.stream = Box::new(Squeezed::new(stream, zstd));
        }
    }

    /// COM_CHANGE_USER. `login.capabilities` do not count: those of the first login stay.
    pub fn change_user(&mut self, login: &Login) -> Result<(), Error> {
        let plugin = self.greeting.plugin.clone();
        let answer = prove(&plugin, &login.password, &self.greeting.scramble);
        let mut packet = vec![17];
        packet.extend_from_slice(login.user.as_bytes());
        packet.push(0);
        packet.push(u8::try_from(answer.len()).unwrap());
        packet.extend_from_slice(&answer);
        packet.extend_from_slice(login.schema.as_deref().unwrap_or_default().as_bytes());
        packet.push(0);
        packet.extend_from_slice(&login.collation.to_le_bytes());
        packet.extend_from_slice(plugin.as_bytes());
        packet.push(0);
        self.command(&packet)?;
        self.until_accepted(&login.password)
    }

    fn until_accepted(&mut self, password: &str) -> Result<(), Error> {
        let mut scramble = self.greeting.scramble.clone();
        loop {
            let packet = self.read_packet()?;
            match packet.as_slice() {
                [0x00, ..] => {
                    self.accepted = packet;
                    return Ok(());
                }
                [0xFF, ..] => return Err(refusal(&packet)),
                [0xFE, rest @ ..] => {
                    let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
                    let plugin = String::from_utf8_lossy(&rest[..end]).into_owned();
                    scramble = rest[(end + 1).min(rest.len())..].to_vec();
                    scramble.truncate(20);
                    let answer = prove(&plugin, password, &scramble);
                    self.write_packet(&answer)?;
                }
                [0x01, 3] => {}
                [0x01, 4] => self.tell_password(password, &scramble)?,
                _ => return Err(io::Error::from(MALFORMED).into()),
            }
        }
    }

    /// caching_sha2_password's long way: the password itself, under RSA where the way is open.
    fn tell_password(&mut self, password: &str, scramble: &[u8]) -> Result<(), Error> {
        let mut secret = [password.as_bytes(), &[0]].concat();
        if self.secure {
            return Ok(self.write_packet(&secret)?);
        }
        self.write_packet(&[2])?;
        let packet = self.read_packet()?;
        if packet.first() == Some(&0xFF) {
            return Err(refusal(&packet));
        }
        for (byte, mask) in secret.iter_mut().zip(scramble.iter().cycle()) {
            *byte ^= mask;
        }
        let sealed = seal(&packet[1..], &secret).ok_or_else(|| io::Error::from(MALFORMED))?;
        Ok(self.write_packet(&sealed)?)
    }

    /// The rows of the last result set of a COM_QUERY, as text.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Row>, Error> {
        Ok(self.query_all(sql)?.pop().unwrap_or_default())
    }

    /// Every result of a COM_QUERY; one without rows is an empty one.
    pub fn query_all(&mut self, sql: &str) -> Result<Vec<Vec<Row>>, Error> {
        self.send_query(sql)?;
        let mut results = Vec::new();
        loop {
            let (rows, status) = self.read_result()?;
            results.push(rows);
            if status & MORE_RESULTS == 0 {
                return Ok(results);
            }
        }
    }

    /// COM_QUERY without query attributes; reads nothing.
    pub fn send_query(&mut self, sql: &str) -> Result<(), Error> {
        let none: &[u8] = if self.speaks(capability::QUERY_ATTRIBUTES) { &[0, 1] } else { &[] };
        self.command(&[&[3], none, sql.as_bytes()].concat())
    }

    /// One result with its status flags.
    pub fn read_result(&mut self) -> Result<(Vec<Row>, u16), Error> {
        let packet = self.read_packet()?;
        match packet.first() {
            Some(0xFF) => return Err(refusal(&packet)),
            Some(0x00) => return Ok((Vec::new(), ok_status(&packet))),
            _ => {}
        }
        let columns = lenenc(&mut packet.as_slice()).unwrap_or(0);
        for _ in 0..columns {
            self.read_packet()?;
        }
        let deprecate_eof = self.capabilities & capability::DEPRECATE_EOF != 0;
        if !deprecate_eof {
            self.read_packet()?;
        }
        let mut rows = Vec::new();
        loop {
            let packet = self.read_packet()?;
            match packet.first() {
                Some(0xFF) => return Err(refusal(&packet)),
                Some(0xFE) if deprecate_eof && packet.len() < 0xFF_FFFF => {
                    return Ok((rows, ok_status(&packet)));
                }
                Some(0xFE) if packet.len() < 9 => {
                    return Ok((rows, u16::from_le_bytes([packet[3], packet[4]])));
                }
                _ => rows.push(parse_row(&packet)),
            }
        }
    }

    /// Sends one command and reads nothing.
    pub fn command(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.sequence = 0;
        Ok(self.write_packet(payload)?)
    }

    /// COM_PING, the cheapest sign of life.
    pub fn ping(&mut self) -> Result<(), Error> {
        self.command(&[14])?;
        self.read_result().map(drop)
    }

    /// COM_RESET_CONNECTION.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.command(&[31])?;
        self.read_result().map(drop)
    }

    /// COM_INIT_DB.
    pub fn init_db(&mut self, schema: &str) -> Result<(), Error> {
        self.command(&[&[2], schema.as_bytes()].concat())?;
        self.read_result().map(drop)
    }

    /// Was it agreed upon at the login?
    pub fn speaks(&self, capability: u32) -> bool {
        self.capabilities & capability != 0
    }

    /// The sequence id the next packet is to have.
    pub fn sequence(&self) -> u8 {
        self.sequence
    }

    /// COM_QUIT. Dropping the client instead is what a frozen function does.
    pub fn quit(mut self) {
        let _ = self.command(&[1]);
    }

    /// One logical packet, put together if it came in several.
    pub fn read_packet(&mut self) -> Result<Vec<u8>, Error> {
        let mut payload = Vec::new();
        loop {
            let mut header = [0; 4];
            self.stream.read_exact(&mut header)?;
            let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
            self.sequence = header[3].wrapping_add(1);
            let start = payload.len();
            payload.resize(start + length, 0);
            self.stream.read_exact(&mut payload[start..])?;
            if length < 0xFF_FFFF {
                return Ok(payload);
            }
        }
    }

    pub fn write_packet(&mut self, payload: &[u8]) -> io::Result<()> {
        let mut rest = payload;
        loop {
            let (now, later) = rest.split_at(rest.len().min(0xFF_FFFF));
            let mut packet = u32::try_from(now.len()).unwrap().to_le_bytes().to_vec();
            packet[3] = self.sequence;
            packet.extend_from_slice(now);
            self.sequence = self.sequence.wrapping_add(1);
            self.stream.write_all(&packet)?;
            if now.len() < 0xFF_FFFF {
                return Ok(());
            }
            rest = later;
        }
    }

    /// Bytes as they come, below everything.
    pub fn read_raw(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.stream.read_exact(bytes)
    }

    /// Bytes as they are, without a header.
    pub fn write_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }
}

const MALFORMED: io::ErrorKind = io::ErrorKind::InvalidData;

pub fn parse_greeting(packet: &[u8]) -> Option<Greeting> {
    let rest = packet.get(1..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let version = String::from_utf8_lossy(&rest[..end]).into_owned();
    let rest = rest.get(end + 1..)?;
    let connection_id = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?);
    let mut scramble = rest.get(4..12)?.to_vec();
    let (low, high) = (rest.get(13..15)?, rest.get(18..20)?);
    let capabilities = u32::from_le_bytes([low[0], low[1], high[0], high[1]]);
    let extended = u32::from_le_bytes(rest.get(27..31)?.try_into().ok()?);
    let (collation, status) = (rest[15], u16::from_le_bytes([rest[16], rest[17]]));
    scramble.extend_from_slice(rest.get(31..43)?);
    let plugin = rest.get(44..).unwrap_or_default();
    let end = plugin.iter().position(|byte| *byte == 0).unwrap_or(plugin.len());
    let plugin = String::from_utf8_lossy(&plugin[..end]).into_owned();
    Some(Greeting {
        version,
        connection_id,
        capabilities,
        extended,
        collation,
        status,
        plugin,
        packet: packet.to_vec(),
        scramble,
    })
}

pub fn refusal(packet: &[u8]) -> Error {
    let code = u16::from_le_bytes([
        packet.get(1).copied().unwrap_or_default(),
        packet.get(2).copied().unwrap_or_default(),
    ]);
    let text = String::from_utf8_lossy(packet.get(3..).unwrap_or_default()).into_owned();
    // Before the login's end an error may come without its SQLSTATE.
    match text.strip_prefix('#').and_then(|text| text.split_at_checked(5)) {
        Some((state, message)) => {
            Error::Server { code, state: state.to_owned(), message: message.to_owned() }
        }
        None => Error::Server { code, state: String::new(), message: text },
    }
}

pub fn ok_status(packet: &[u8]) -> u16 {
    let mut rest = &packet[1..];
    lenenc(&mut rest);
    lenenc(&mut rest);
    rest.get(..2).map_or(0, |status| u16::from_le_bytes([status[0], status[1]]))
}

pub fn parse_row(mut packet: &[u8]) -> Row {
    let mut row = Row::new();
    while let Some(first) = packet.first() {
        if *first == 0xFB {
            packet = &packet[1..];
            row.push(None);
            continue;
        }
        let Some(length) = lenenc(&mut packet) else { break };
        let (value, rest) = packet.split_at(usize::try_from(length).unwrap().min(packet.len()));
        row.push(Some(String::from_utf8_lossy(value).into_owned()));
        packet = rest;
    }
    row
}

pub fn lenenc(bytes: &mut &[u8]) -> Option<u64> {
    let first = *bytes.first()?;
    let size = match first {
        0xFC => 2,
        0xFD => 3,
        0xFE => 8,
        _ => 0,
    };
    let value = match size {
        0 => u64::from(first),
        _ => bytes.get(1..=size)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    };
    *bytes = &bytes[1 + size..];
    Some(value)
}

pub fn prove(plugin: &str, password: &str, scramble: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let xor = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a ^ b).collect();
    match plugin {
        "mysql_native_password" => {
            let once = Sha1::digest(password);
            let twice = Sha1::digest(once);
            xor(&once, &Sha1::digest([scramble, &twice].concat()))
        }
        "caching_sha2_password" => {
            let once = Sha256::digest(password);
            let twice = Sha256::digest(once);
            xor(&once, &Sha256::digest([twice.as_slice(), scramble].concat()))
        }
        // The server will ask for another one.
        _ => Vec::new(),
    }
}

pub fn seal(pem: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    use rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};
    let key = SubjectPublicKeyInfoDer::from_pem_slice(pem).ok()?;
    let key = PublicEncryptingKey::from_der(&key).ok()?;
    let key = OaepPublicEncryptingKey::new(key).ok()?;
    let mut sealed = vec![0; key.ciphertext_size()];
    let length = key.encrypt(&OAEP_SHA1_MGF1SHA1, secret, &mut sealed, None).ok()?.len();
    sealed.truncate(length);
    Some(sealed)
}
