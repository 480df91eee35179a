//! The real binary, run as its users run it.
//!
//! Owns a configuration, a secrets file, free ports and the process. Its log is printed when the test
//! that holds it panics.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use tempfile::TempDir;

use super::{
    free_port,
    process::Leashed,
    servers::{PASSWORD, Server, USER},
    tail, wait_for,
};

/// What goes into `tidegate.toml` and `secrets.toml`.
#[derive(Clone, Debug, Default)]
pub struct Config {
    targets: Vec<(String, String, String)>,
    endpoints: Vec<(String, String)>,
    gate: String,
    users: Vec<String>,
    admins: Vec<String>,
    sections: String,
    environment: Vec<(String, String)>,
}

impl Config {
    /// Nothing yet: no target, no user, the one endpoint `default`.
    pub fn new() -> Self {
        Self { endpoints: vec![("default".to_owned(), "read-write".to_owned())], ..Self::default() }
    }

    /// One target, and the user `app`.
    pub fn to(server: &Server) -> Self {
        Self::new().target("primary", &server.address()).user(USER, PASSWORD)
    }

    #[must_use]
    pub fn target(self, name: &str, address: &str) -> Self {
        self.target_as(name, address, "auto")
    }

    #[must_use]
    pub fn target_as(mut self, name: &str, address: &str, role: &str) -> Self {
        self.targets.push((name.to_owned(), address.to_owned(), role.to_owned()));
        self
    }

    /// One more endpoint, with a port of its own: `access` is `read-write` or `read-only`.
    #[must_use]
    pub fn endpoint(mut self, name: &str, access: &str) -> Self {
        self.endpoints.push((name.to_owned(), access.to_owned()));
        self
    }

    /// More keys of the first endpoint.
    #[must_use]
    pub fn gate(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.gate);
        self
    }

    #[must_use]
    pub fn user(self, name: &str, password: &str) -> Self {
        self.secret(&format!("username = {name:?}\npassword = {password:?}"))
    }

    /// The lines of one `[[user]]` of the secrets file.
    #[must_use]
    pub fn secret(mut self, lines: &str) -> Self {
        self.users.push(lines.to_owned());
        self
    }

    /// The lines of one `[[admin]]` of the secrets file.
    #[must_use]
    pub fn admin(mut self, lines: &str) -> Self {
        self.admins.push(lines.to_owned());
        self
    }

    /// The lines of one section, such as `section("pool", "max_connections = 5")`. Once a section;
    /// of `admin`, `http` and `sql` are the harness's own. Without `secrets`, they are in a file of
    /// its own too.
    #[must_use]
    pub fn section(mut self, name: &str, lines: &str) -> Self {
        let _ = writeln!(self.sections, "[{name}]\n{lines}\n");
        self
    }

    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn secrets(&self) -> String {
        let tables = |name: &str, all: &[String]| {
            all.iter().fold(String::new(), |text, one| text + &format!("[[{name}]]\n{one}\n\n"))
        };
        tables("user", &self.users) + &tables("admin", &self.admins)
    }

    fn text(&self, ports: &Ports, folder: &Path) -> String {
        let mut text = String::new();
        let mut gate = self.gate.as_str();
        for ((name, access), port) in self.endpoints.iter().zip(&ports.endpoints) {
            let _ = writeln!(
                text,
                "[[endpoint]]\nname = {name:?}\nlisten = \"127.0.0.1:{port}\"\naccess = {access:?}\n{}\n",
                std::mem::take(&mut gate)
            );
        }
        for (name, address, role) in &self.targets {
            let _ = writeln!(
                text,
                "[[target]]\nname = {name:?}\naddress = {address:?}\nrole = {role:?}\n"
            );
        }
        if !self.sections.contains("[secrets]\n") {
            let path = folder.join("secrets.toml");
            let _ = writeln!(text, "[secrets]\npath = \"{}\"\n", path.display());
        }
        let admin = format!(
            "[admin]\nhttp = \"127.0.0.1:{}\"\nsql = \"127.0.0.1:{}\"\n",
            ports.http, ports.sql
        );
        if self.sections.contains("[admin]\n") {
            text + &self.sections.replacen("[admin]\n", &admin, 1)
        } else {
            text + &admin + "\n" + &self.sections
        }
    }
}

#[derive(Debug)]
struct Ports {
    endpoints: Vec<u16>,
    http: u16,
    sql: u16,
}

pub struct Tidegate {
    config: Config,
    ports: Ports,
    process: Option<Leashed>,
    folder: TempDir,
}

impl Tidegate {
    /// Starts it and waits until it is ready.
    pub fn start(config: Config) -> Self {
        let mut tidegate = Self::start_unready(config);
        tidegate.until_ready();
        tidegate
    }

    /// Starts it and waits for nothing: for a configuration that cannot be ready.
    pub fn start_unready(config: Config) -> Self {
        let ports = Ports {
            endpoints: config.endpoints.iter().map(|_| free_port()).collect(),
            http: free_port(),
            sql: free_port(),
        };
        let folder = tempfile::Builder::new().prefix("tidegate-").tempdir().unwrap();
        let mut tidegate = Self { config, ports, process: None, folder };
        tidegate.write_files();
        tidegate.launch(&[]);
        tidegate
    }

    fn write_files(&self) {
        let text = self.config.text(&self.ports, self.folder.path());
        fs::write(self.config_path(), text).unwrap();
        self.write_secrets(&self.config.secrets());
    }

    fn launch(&mut self, arguments: &[&str]) {
        let mut command = Command::new(program());
        command.arg("run").arg("--config").arg(self.config_path()).args(arguments);
        command.envs(self.config.environment.iter().map(|(name, value)| (name, value)));
        self.process = Some(Leashed::start(&command, self.folder.path(), &self.log_path()));
    }

    pub fn until_ready(&mut self) {
        for _ in 0..1500 {
            if self.http("/readyz").is_some_and(|(status, _)| status == 200) {
                return;
            }
            if let Some(status) = self.ended() {
                panic!("tidegate ended with {status}\n{}", tail(&self.log_path(), 60));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let answer = self.http("/readyz");
        panic!("tidegate is not ready after 30 s: {answer:?}\n{}", tail(&self.log_path(), 60));
    }

    /// The port of the first endpoint.
    pub fn port(&self) -> u16 {
        self.ports.endpoints[0]
    }

    pub fn port_of(&self, endpoint: &str) -> u16 {
        let place = self.config.endpoints.iter().position(|(name, _)| name == endpoint);
        self.ports.endpoints[place.expect("an endpoint of the configuration")]
    }

    /// `host:port` of the first endpoint.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// For `mysql_async`, as `app`.
    pub fn url(&self) -> String {
        format!("mysql://{USER}:{PASSWORD}@{}/{}", self.address(), super::servers::SCHEMA)
    }

    /// The port of the HTTP admin.
    pub fn admin_port(&self) -> u16 {
        self.ports.http
    }

    /// The port of the SQL console.
    pub fn sql_port(&self) -> u16 {
        self.ports.sql
    }

    /// `host:port` of the SQL console.
    pub fn sql_address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.sql)
    }

    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("tidegate.toml")
    }

    pub fn secrets_path(&self) -> PathBuf {
        self.folder.path().join("secrets.toml")
    }

    pub fn log_path(&self) -> PathBuf {
        self.folder.path().join("tidegate.log")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Swaps the secrets file whole, as a careful hand would.
    pub fn write_secrets(&self, text: &str) {
        let next = self.folder.path().join(".secrets.toml.next");
        fs::write(&next, text).unwrap();
        fs::rename(next, self.secrets_path()).unwrap();
    }

    /// Rewrites the configuration with what `change` makes of it, ports unchanged; Tidegate reads it
    /// soon, and at a `HUP` at once.
    pub fn rewrite(&mut self, change: impl FnOnce(Config) -> Config) {
        self.config = change(self.config.clone());
        for _ in self.ports.endpoints.len()..self.config.endpoints.len() {
            self.ports.endpoints.push(free_port());
        }
        self.write_files();
    }

    /// GET on the admin port: status and body, or nothing when nobody answers.
    pub fn http(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports.http)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    }

    /// Every series of `/metrics`, by its name with labels as it is printed.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let (status, body) = self.http("/metrics").expect("/metrics answers");
        assert_eq!(status, 200, "/metrics: {body}");
        body.lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.rsplit_once(' '))
            .filter_map(|(series, value)| Some((series.to_owned(), value.parse().ok()?)))
            .collect()
    }

    /// The sum over every label set of one metric; 0 when there is none.
    pub fn metric(&self, name: &str) -> f64 {
        self.metrics()
            .iter()
            .filter(|(series, _)| series.split('{').next() == Some(name))
            .map(|(_, value)| value)
            .sum()
    }

    pub fn until_metric(&self, name: &str, limit: Duration, is: impl Fn(f64) -> bool) {
        wait_for(name, limit, || is(self.metric(name)).then_some(()));
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("tidegate runs").pid()
    }

    pub fn signal(&self, name: &str) {
        self.process.as_ref().expect("tidegate runs").signal(name);
    }

    pub fn sigterm(&self) {
        self.signal("TERM");
    }

    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.as_mut().expect("tidegate was started").ended()
    }

    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.process.as_mut().expect("tidegate was started").wait(limit)
    }

    pub fn kill(&mut self) {
        self.process.as_mut().expect("tidegate was started").kill();
    }

    /// With the same ports and files, after it has ended.
    pub fn restart(&mut self) {
        self.launch(&[]);
        self.until_ready();
    }

    /// Starts another process of the same configuration that takes over, and returns the old one.
    pub fn take_over(&mut self) -> Leashed {
        let old = self.process.take().expect("tidegate runs");
        self.launch(&["--takeover"]);
        old
    }
}

impl Drop for Tidegate {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- tidegate's log ---\n{}\n---", tail(&self.log_path(), 100));
        }
    }
}

/// The binary under test: cargo's own for an integration test, the one beside it for an example.
pub fn program() -> PathBuf {
    if let Some(program) = option_env!("CARGO_BIN_EXE_tidegate") {
        return program.into();
    }
    let me = std::env::current_exe().expect("this program has a path");
    let built = me.parent().and_then(Path::parent).map(|folder| folder.join("tidegate"));
    built.filter(|path| path.is_file()).expect("tidegate is built: cargo build --release")
}
