//! A MySQL server made of paper, and the bare line that both ends of a bad conversation hold.
//!
//! [`Fake`] greets, logs anybody in and answers what the proxy asks of a new connection; a test
//! says what it does instead when a certain text comes. It counts its connections and remembers
//! which one was told what. Never checks a password, never keeps a row.
//!
//! [`Line`] writes and reads packets with whatever sequence id and length a test wants.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use socket2::SockRef;

use super::{
    client::{Login, RawClient, capability, parse_greeting},
    tidegate::{Config, Tidegate},
    wait_for,
};

/// AUTOCOMMIT, and with a transaction open.
pub const IDLE: u16 = 2;
pub const IN_TRANSACTION: u16 = 3;
/// OK carries a session-track block.
pub const STATE_CHANGED: u16 = 0x4000;

/// What the fake does in place of its usual answer.
pub type Play = Arc<dyn Fn(&mut Line) -> Then + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    GoOn,
    HangUp,
}

pub fn play(act: impl Fn(&mut Line) -> Then + Send + Sync + 'static) -> Play {
    Arc::new(act)
}

/// Sends bytes as they are and hangs up, or goes on as if all were well.
pub fn say_raw(bytes: impl Into<Vec<u8>>, then: Then) -> Play {
    let bytes = bytes.into();
    play(move |line| {
        let _ = line.raw(&bytes);
        then
    })
}

pub fn framed(seq: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = u32::try_from(payload.len()).unwrap().to_le_bytes().to_vec();
    packet[3] = seq;
    packet.extend_from_slice(payload);
    packet
}

pub fn ok_payload(status: u16) -> Vec<u8> {
    [&[0, 0, 0], &status.to_le_bytes()[..], &[0, 0]].concat()
}

pub fn err_payload(code: u16, state: &str, message: &str) -> Vec<u8> {
    let state = if state.is_empty() { String::new() } else { format!("#{state}") };
    [&[0xFF], &code.to_le_bytes()[..], state.as_bytes(), message.as_bytes()].concat()
}

pub fn column_payload(name: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let fixed = [12, 45, 0, 0, 1, 0, 0, 0xFD, 0, 0, 0, 0, 0];
    [text("def"), text(""), text(""), text(""), text(name), text(name), fixed.to_vec()].concat()
}

/// Ends in the OK that begins with 0xFE, as CLIENT_DEPRECATE_EOF wants it.
pub fn result_set(columns: &[&str], rows: &[&[&str]], status: u16) -> Vec<u8> {
    let mut payloads = vec![vec![u8::try_from(columns.len()).unwrap()]];
    payloads.extend(columns.iter().map(|name| column_payload(name)));
    for row in rows {
        let value =
            |value: &&str| [&[u8::try_from(value.len()).unwrap()], value.as_bytes()].concat();
        payloads.push(row.iter().map(value).collect::<Vec<_>>().concat());
    }
    let mut end = ok_payload(status);
    end[0] = 0xFE;
    payloads.push(end);
    let numbered = (1..).zip(payloads);
    numbered.map(|(seq, payload)| framed(seq, &payload)).collect::<Vec<_>>().concat()
}

/// One end of a connection. Reads give up after [`PATIENCE`].
pub struct Line {
    pub stream: TcpStream,
    /// The connection id of the greeting: at a client's end after the login.
    pub id: u32,
    /// What the next packet is numbered.
    pub seq: u8,
    in_transaction: bool,
    /// At the fake's end: the schema it stands in.
    schema: String,
}

pub const PATIENCE: Duration = Duration::from_secs(20);

impl Line {
    pub fn new(stream: TcpStream, id: u32) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, id, seq: 0, in_transaction: false, schema: String::new() }
    }

    pub fn connect(address: &str) -> Self {
        Self::new(TcpStream::connect(address).expect("the proxy accepts"), 0)
    }

    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// One packet, with the next number.
    pub fn say(&mut self, payload: &[u8]) -> io::Result<()> {
        let packet = framed(self.seq, payload);
        self.seq = self.seq.wrapping_add(1);
        self.raw(&packet)
    }

    /// A command: its packet is number 0.
    pub fn command(&mut self, payload: &[u8]) -> io::Result<()> {
        self.seq = 0;
        self.say(payload)
    }

    pub fn query(&mut self, sql: &str) -> io::Result<()> {
        self.command(&[&[3], sql.as_bytes()].concat())
    }

    pub fn dribble(&mut self, bytes: &[u8], pause: Duration) -> io::Result<()> {
        for byte in bytes {
            self.raw(std::slice::from_ref(byte))?;
            thread::sleep(pause);
        }
        Ok(())
    }

    pub fn ok(&mut self) -> io::Result<()> {
        let status = if self.in_transaction { IN_TRANSACTION } else { IDLE };
        self.say(&ok_payload(status))
    }

    pub fn err(&mut self, code: u16, state: &str, message: &str) -> io::Result<()> {
        self.say(&err_payload(code, state, message))
    }

    pub fn row(&mut self, column: &str, value: &str) -> io::Result<()> {
        let status = if self.in_transaction { IN_TRANSACTION } else { IDLE };
        let mut reply = result_set(&[column], &[&[value]], status);
        // Numbered on from the request, which may have been several packets.
        let mut at = 0;
        while at < reply.len() {
            reply[at + 3] = self.seq;
            self.seq = self.seq.wrapping_add(1);
            at += 4 + u32::from_le_bytes([reply[at], reply[at + 1], reply[at + 2], 0]) as usize;
        }
        self.raw(&reply)
    }

    /// One packet's payload; the next packet said is numbered after it.
    pub fn hear(&mut self) -> io::Result<Vec<u8>> {
        let length = self.header()?;
        self.body(length)
    }

    pub fn header(&mut self) -> io::Result<usize> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header)?;
        self.seq = header[3].wrapping_add(1);
        Ok(u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize)
    }

    fn body(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload)?;
        let mut last = length;
        while last == 0xFF_FFFF {
            last = self.header()?;
            let start = payload.len();
            payload.resize(start + last, 0);
            self.stream.read_exact(&mut payload[start..])?;
        }
        Ok(payload)
    }

    /// Everything up to the other's end, or up to a reset; fails when neither comes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return rest,
                Ok(count) => rest.extend_from_slice(&buffer[..count]),
                Err(error) if is_timeout(&error) => {
                    panic!("the other side neither speaks nor hangs up; so far: {rest:?}")
                }
                Err(_) => return rest,
            }
        }
    }

    /// Waits for the other to hang up and throws away what it says meanwhile.
    pub fn until_gone(&mut self) -> Then {
        let _ = self.stream.set_read_timeout(None);
        let mut buffer = [0; 4096];
        while self.stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
        Then::HangUp
    }

    pub fn half_close(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Hangs up without a farewell: the other's next read fails.
    pub fn reset(&self) -> Then {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        Then::HangUp
    }

    /// The client's half of a login, after the greeting was read; its payload is kept for tests
    /// that bend it.
    pub fn log_in(&mut self, login: &Login) {
        let greeting = self.hear().expect("a greeting");
        self.id = parse_greeting(&greeting).expect("a greeting").connection_id;
        self.say(&login_payload(login, &greeting)).unwrap();
        let answer = self.hear().expect("an answer to the login");
        assert_eq!(answer.first(), Some(&1), "fast authentication: {answer:?}");
        assert_eq!(self.hear().expect("an OK").first(), Some(&0));
        self.seq = 0;
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// A login with `caching_sha2_password`, as a well-behaved client writes it.
pub fn login_payload(login: &Login, greeting: &[u8]) -> Vec<u8> {
    let answer = sha2_answer(&login.password, &nonce(greeting));
    login_with(login, &answer, "caching_sha2_password")
}

pub fn login_with(login: &Login, answer: &[u8], plugin: &str) -> Vec<u8> {
    let mut capabilities = login.capabilities;
    if login.schema.is_some() {
        capabilities |= capability::CONNECT_WITH_DB;
    }
    let mut payload = capabilities.to_le_bytes().to_vec();
    payload.extend_from_slice(&[0, 0, 0, 64, 45]);
    payload.extend_from_slice(&[0; 23]);
    payload.extend_from_slice(login.user.as_bytes());
    payload.push(0);
    payload.push(u8::try_from(answer.len()).unwrap());
    payload.extend_from_slice(answer);
    if let Some(schema) = &login.schema {
        payload.extend_from_slice(schema.as_bytes());
        payload.push(0);
    }
    payload.extend_from_slice(plugin.as_bytes());
    payload.push(0);
    payload
}

/// The twenty bytes of a greeting that the password is mixed with.
pub fn nonce(greeting: &[u8]) -> Vec<u8> {
    let version = greeting[1..].iter().position(|byte| *byte == 0).expect("a version") + 2;
    let head = version + 4;
    let tail = head + 8 + 1 + 2 + 1 + 2 + 2 + 1 + 10;
    [&greeting[head..head + 8], &greeting[tail..tail + 12]].concat()
}

pub fn sha2_answer(password: &str, nonce: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let once = Sha256::digest(password);
    let twice = Sha256::digest(once);
    let mask = Sha256::digest([twice.as_slice(), nonce].concat());
    once.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

pub struct Fake {
    shared: Arc<Shared>,
    address: SocketAddr,
}

/// One thing a connection was told: `login USER`, a COM_QUERY's text, or a command's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub connection: u32,
    pub text: String,
}

#[derive(Default)]
struct Shared {
    rules: Mutex<HashMap<String, Play>>,
    /// In place of the greeting, and of the answer to a login.
    greeting: Mutex<Option<Play>>,
    login: Mutex<Option<Play>>,
    /// In place of reading a request longer than this.
    early: Mutex<Option<(usize, Play)>>,
    sha2: AtomicBool,
    forgetful: AtomicBool,
    told: Mutex<Vec<Told>>,
    open: Mutex<HashMap<u32, TcpStream>>,
    most_open: AtomicU32,
    accepted: AtomicU32,
    statements: AtomicU32,
    stopping: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fake {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if served.stopping.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(stream) = stream {
                    let shared = Arc::clone(&served);
                    thread::spawn(move || shared.serve(stream));
                }
            }
        });
        Self { shared, address }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Speaks `caching_sha2_password` from now on, not `mysql_native_password`.
    pub fn with_sha2(self) -> Self {
        self.shared.sha2.store(true, Ordering::Relaxed);
        self
    }

    /// Remembers nothing of what it is told, for a test that tells it very much.
    pub fn forgetful(self) -> Self {
        self.shared.forgetful.store(true, Ordering::Relaxed);
        self
    }

    /// What happens when this text comes: the whole of a COM_QUERY, `COM_PING`, `COM_PREPARE …` …
    pub fn on(&self, text: &str, play: Play) {
        lock(&self.shared.rules).insert(text.to_owned(), play);
    }

    pub fn on_connect(&self, play: Option<Play>) {
        *lock(&self.shared.greeting) = play;
    }

    pub fn on_login(&self, play: Option<Play>) {
        *lock(&self.shared.login) = play;
    }

    /// Acts on the header alone of a request longer than `limit`.
    pub fn on_longer(&self, limit: usize, play: Play) {
        *lock(&self.shared.early) = Some((limit, play));
    }

    pub fn told(&self) -> Vec<Told> {
        lock(&self.shared.told).clone()
    }

    /// Which connections were told this, in order.
    pub fn who_was_told(&self, text: &str) -> Vec<u32> {
        let told = self.told();
        told.iter().filter(|told| told.text == text).map(|told| told.connection).collect()
    }

    /// What a connection was told after it was last told `text`; COM_QUIT is none.
    pub fn told_after(&self, connection: u32, text: &str) -> Vec<String> {
        let told = self.told().into_iter().filter(|told| told.connection == connection);
        let told: Vec<String> = told.map(|told| told.text).collect();
        let last = told.iter().rposition(|told| told == text).map_or(0, |place| place + 1);
        told[last..].iter().filter(|text| *text != "COM_QUIT").cloned().collect()
    }

    pub fn is_open(&self, connection: u32) -> bool {
        lock(&self.shared.open).contains_key(&connection)
    }

    pub fn open_now(&self) -> usize {
        lock(&self.shared.open).len()
    }

    /// The most connections there ever were at once.
    pub fn most_open(&self) -> u32 {
        self.shared.most_open.load(Ordering::Relaxed)
    }

    pub fn accepted(&self) -> u32 {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        for stream in lock(&self.shared.open).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let id = self.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        {
            let mut open = lock(&self.open);
            open.insert(id, stream.try_clone().unwrap());
            let now = u32::try_from(open.len()).unwrap();
            self.most_open.fetch_max(now, Ordering::Relaxed);
        }
        let mut line = Line::new(stream, id);
        let _ = line.stream.set_read_timeout(None);
        let _ = self.converse(&mut line);
        // The clone holds the socket open.
        lock(&self.open).remove(&id);
    }

    fn note(&self, line: &Line, text: &str) {
        if !self.forgetful.load(Ordering::Relaxed) {
            lock(&self.told).push(Told { connection: line.id, text: text.to_owned() });
        }
    }

    fn converse(&self, line: &mut Line) -> io::Result<()> {
        let instead = lock(&self.greeting).clone();
        if let Some(play) = instead {
            if play(line) == Then::HangUp {
                return Ok(());
            }
        } else {
            line.say(&self.greeting(line.id))?;
        }
        let login = line.hear()?;
        let with_schema = login[0] & 8 != 0;
        let (user, schema) = user_and_schema(login.get(32..).unwrap_or_default());
        line.schema = if with_schema { schema } else { String::new() };
        self.note(line, &format!("login {user}"));
        let instead = lock(&self.login).clone();
        match instead {
            Some(play) if play(line) == Then::HangUp => return Ok(()),
            Some(_) => {}
            None => self.welcome(line)?,
        }
        while self.command(line)? == Then::GoOn {}
        Ok(())
    }

    fn greeting(&self, id: u32) -> Vec<u8> {
        greeting_payload(id, self.sha2.load(Ordering::Relaxed))
    }

    fn welcome(&self, line: &mut Line) -> io::Result<()> {
        if self.sha2.load(Ordering::Relaxed) {
            line.say(&[1, 3])?;
        }
        line.ok()
    }

    fn command(&self, line: &mut Line) -> io::Result<Then> {
        let length = line.header()?;
        let early = lock(&self.early).clone();
        if let Some((limit, play)) = early
            && length > limit
        {
            self.note(line, "early");
            return Ok(play(line));
        }
        let payload = line.body(length)?;
        let Some((command, body)) = payload.split_first() else { return Ok(Then::HangUp) };
        let text = name(*command, body);
        self.note(line, &text);
        let rule = lock(&self.rules).get(&text).cloned();
        if let Some(play) = rule {
            return Ok(play(line));
        }
        match command {
            2 => line.schema = String::from_utf8_lossy(body).into_owned(),
            17 => line.schema = user_and_schema(body).1,
            _ => {}
        }
        self.usual(line, *command, &text)
    }

    /// What a server that means well answers.
    fn usual(&self, line: &mut Line, command: u8, text: &str) -> io::Result<Then> {
        match command {
            1 => return Ok(Then::HangUp),
            3 => self.query(line, text)?,
            4 => {
                line.say(&column_payload("field"))?;
                let mut end = ok_payload(IDLE);
                end[0] = 0xFE;
                line.say(&end)?;
            }
            9 => line.say(b"Uptime: 1")?,
            17 => {
                line.in_transaction = false;
                self.welcome(line)?;
            }
            22 => self.prepare(line, text)?,
            23 => {
                let ends = ok_payload(IDLE);
                line.say(&[1])?;
                line.say(&column_payload("value"))?;
                line.say(b"\0\0\x05paper")?;
                line.say(&[&[0xFE], &ends[1..]].concat())?;
            }
            24 | 25 => {}
            // No cursor is ever open: the last row was sent.
            28 => line.say(&[0xFE, 0, 0, 0x82, 0, 0, 0])?,
            31 => {
                line.in_transaction = false;
                line.ok()?;
            }
            _ => line.ok()?,
        }
        Ok(Then::GoOn)
    }

    fn query(&self, line: &mut Line, sql: &str) -> io::Result<()> {
        let word = sql.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        match (word.as_str(), sql) {
            (_, "SELECT @@GLOBAL.max_connections") => line.row("max", "100"),
            (_, "SHOW SESSION VARIABLES") => {
                let rows: [&[&str]; 3] = [&["sql_mode", ""], &["time_zone", "+00:00"], &["x", ""]];
                line.raw(&result_set(&["Variable_name", "Value"], &rows, IDLE))
            }
            ("SELECT", _) if sql.starts_with("SELECT echo ") => {
                line.row("echo", &sql["SELECT echo ".len()..])
            }
            (_, "SELECT who") => {
                let id = line.id.to_string();
                line.row("who", &id)
            }
            (_, "SELECT DATABASE()") => {
                let schema = line.schema.clone();
                line.row("DATABASE()", &schema)
            }
            ("SELECT" | "SHOW", _) => line.row("value", "paper"),
            ("BEGIN", _) => {
                line.in_transaction = true;
                line.ok()
            }
            ("COMMIT" | "ROLLBACK", _) => {
                line.in_transaction = false;
                line.ok()
            }
            ("KILL", _) => {
                let id = sql.split_whitespace().last().and_then(|id| id.parse::<u32>().ok());
                if let Some(stream) = id.and_then(|id| self.open_stream(id))
                    && !sql.contains("QUERY")
                {
                    let _ = stream.shutdown(Shutdown::Both);
                }
                line.ok()
            }
            _ => line.ok(),
        }
    }

    fn open_stream(&self, id: u32) -> Option<TcpStream> {
        lock(&self.open).get(&id).and_then(|stream| stream.try_clone().ok())
    }

    fn prepare(&self, line: &mut Line, text: &str) -> io::Result<()> {
        let id = self.statements.fetch_add(1, Ordering::Relaxed) + 1;
        let params = u8::try_from(text.matches('?').count()).unwrap_or(u8::MAX);
        line.say(&[&[0], &id.to_le_bytes()[..], &[1, 0, params, 0, 0, 0, 0]].concat())?;
        for _ in 0..params {
            line.say(&column_payload("?"))?;
        }
        line.say(&column_payload("value"))
    }
}

pub fn greeting_payload(id: u32, sha2: bool) -> Vec<u8> {
    use capability as c;
    let capabilities = c::LONG_PASSWORD
        | c::FOUND_ROWS
        | c::CONNECT_WITH_DB
        | c::LOCAL_FILES
        | c::PROTOCOL_41
        | c::TRANSACTIONS
        | c::SECURE_CONNECTION
        | c::MULTI_STATEMENTS
        | c::MULTI_RESULTS
        | c::PS_MULTI_RESULTS
        | c::PLUGIN_AUTH
        | c::SESSION_TRACK
        | c::DEPRECATE_EOF;
    let [a, b, high @ ..] = capabilities.to_le_bytes();
    let plugin = if sha2 { "caching_sha2_password" } else { "mysql_native_password" };
    let mut payload = b"\x0A8.4.0-paper\0".to_vec();
    payload.extend_from_slice(&id.to_le_bytes());
    payload.extend_from_slice(b"abcdefgh\0");
    payload.extend_from_slice(&[a, b, 45, 2, 0]);
    payload.extend_from_slice(&high);
    payload.push(21);
    payload.extend_from_slice(&[0; 10]);
    payload.extend_from_slice(b"ijklmnopqrst\0");
    payload.extend_from_slice(plugin.as_bytes());
    payload.push(0);
    payload
}

/// What a login and COM_CHANGE_USER have in common.
fn user_and_schema(bytes: &[u8]) -> (String, String) {
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    let user = text(bytes);
    let rest = bytes.get(user.len() + 1..).unwrap_or_default();
    let answer = usize::from(rest.first().copied().unwrap_or_default());
    let schema = text(rest.get(1 + answer..).unwrap_or_default());
    (user, schema)
}

fn name(command: u8, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match command {
        1 => "COM_QUIT".to_owned(),
        2 => format!("COM_INIT_DB {text}"),
        3 => text.into_owned(),
        14 => "COM_PING".to_owned(),
        17 => format!("COM_CHANGE_USER {}", text.split('\0').next().unwrap_or_default()),
        22 => format!("COM_PREPARE {text}"),
        23 => "COM_EXECUTE".to_owned(),
        27 => format!("COM_SET_OPTION {}", body.first().copied().unwrap_or_default()),
        31 => "COM_RESET_CONNECTION".to_owned(),
        other => format!("COM {other}"),
    }
}

/// A fake server behind the real proxy, which has few connections and little patience.
pub struct Stage {
    pub tidegate: Tidegate,
    pub fake: Fake,
    /// `pool.max_connections`, of which one is the proxy's own for KILLs.
    pub bound: u32,
}

impl Stage {
    pub fn set(change: impl FnOnce(Config) -> Config) -> Self {
        Self::over(Fake::start(), change)
    }

    pub fn over(fake: Fake, change: impl FnOnce(Config) -> Config) -> Self {
        let config = Config::new()
            .target("paper", &fake.address())
            .user("app", "app-password")
            .user("app_b", "app_b-password");
        Self { tidegate: Tidegate::start(change(config)), fake, bound: 5 }
    }

    pub fn plain() -> Self {
        Self::set(|config| config.section("pool", Self::POOL))
    }

    pub const POOL: &str = "max_connections = 5\nborrow_timeout = \"2s\"";

    pub fn address(&self) -> String {
        self.tidegate.address()
    }

    pub fn client(&self) -> RawClient {
        RawClient::login(self.address(), &bare_login()).expect("an honest login")
    }

    /// A login with a line of its own, for what comes after it.
    pub fn line(&self) -> Line {
        let mut line = Line::connect(&self.address());
        line.log_in(&bare_login());
        line
    }

    /// Nobody panicked, nobody is left, nothing is borrowed, and the whole of the bound can be used.
    /// Every client of the test must have hung up.
    pub fn is_as_before(&mut self) {
        self.stands();
        let limit = Duration::from_secs(15);
        self.tidegate.until_metric("tidegate_client_connections", limit, |left| left == 0.0);
        for task in ["session", "close", "abandon", "clean"] {
            let series = format!("tidegate_tasks{{task=\"{task}\"}}");
            self.until_series(&series, 0.0);
        }
        for state in ["borrowed", "dialing"] {
            self.until_series(&format!("tidegate_server_connections{{state=\"{state}\"}}"), 0.0);
        }
        self.until_series("tidegate_borrow_waiting", 0.0);
        let mut all: Vec<RawClient> = (1..self.bound).map(|_| self.client()).collect();
        for client in &mut all {
            client.query("BEGIN").expect("the bound is whole again");
        }
        for client in &mut all {
            client.query("COMMIT").expect("a commit");
        }
        let most = self.fake.most_open();
        assert!(most <= self.bound, "the bound was passed: {most}");
        self.stands();
    }

    pub fn stands(&mut self) {
        assert_eq!(self.tidegate.ended(), None, "the proxy ended");
        let log = self.tidegate.log();
        assert!(!log.contains("panicked"), "{log}");
    }

    fn until_series(&self, series: &str, value: f64) {
        wait_for(series, Duration::from_secs(15), || {
            let now = self.tidegate.metrics().get(series).copied().unwrap_or_default();
            (now.to_bits() == value.to_bits()).then_some(())
        });
    }
}

/// Resident memory of a process, in bytes.
pub fn resident(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// `app` without a schema: connections of the fake fit it as they are.
pub fn bare_login() -> Login {
    Login::new("app", "app-password")
}

/// An honest client that works all the while and must notice nothing.
pub struct Witness {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<Seen>>,
}

#[derive(Debug, Default)]
pub struct Seen {
    pub served: u64,
    pub slowest: Duration,
    pub trouble: Vec<String>,
}

impl Witness {
    pub fn send(address: String) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut seen = Seen::default();
            // On a busy machine the test may be over before this thread has begun.
            while seen.served == 0 || !stopped.load(Ordering::Relaxed) {
                let started = Instant::now();
                if let Err(error) = Self::ask(&address) {
                    seen.trouble.push(error.to_string());
                }
                seen.served += 1;
                seen.slowest = seen.slowest.max(started.elapsed());
                thread::sleep(Duration::from_millis(5));
            }
            seen
        });
        Self { stop, thread: Some(thread) }
    }

    fn ask(address: &str) -> Result<(), super::client::Error> {
        let mut client = RawClient::login(address, &bare_login())?;
        for _ in 0..3 {
            let mine = fastrand::u64(..).to_string();
            let rows = client.query(&format!("SELECT echo {mine}"))?;
            assert_eq!(rows, [[Some(mine)]], "somebody else's answer");
        }
        client.quit();
        Ok(())
    }

    /// Ends it; it was served always and never waited longer than `limit`.
    pub fn noticed_nothing(mut self, limit: Duration) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.take().unwrap().join().expect("the witness lives");
        assert!(seen.trouble.is_empty(), "{seen:?}");
        assert!(seen.served > 0 && seen.slowest < limit, "{seen:?}");
        seen
    }
}
