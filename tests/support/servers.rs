//! Throwaway MySQL and MariaDB servers on loopback.
//!
//! Owns a data folder, a port and a process each. A fresh data folder is copied from a template that
//! is made once in the cache folder, so that MySQL is up in about a second and MariaDB in half of it.
//! They keep nothing safe: no doublewrite, no fsync at commit (a `kill9` loses nothing, a power cut
//! would).
//!
//! Each server has the schema `app`, and the users
//! - `app` / `app-password` with everything on `app` (caching_sha2_password on MySQL,
//!   mysql_native_password on MariaDB),
//! - `app_b` / `app_b-password`, the same,
//! - `root` / `root-password` from anywhere, and `root` without a password on the socket.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    time::Duration,
};

use tempfile::TempDir;

use super::{
    cache, certificates,
    client::{Error, Login, RawClient, Row},
    free_port,
    island::Island,
    process::Leashed,
    tail, wait_for,
};

pub const HOST: &str = "127.0.0.1";
pub const SCHEMA: &str = "app";
pub const USER: &str = "app";
pub const PASSWORD: &str = "app-password";
pub const ROOT_PASSWORD: &str = "root-password";

/// In the template's name: change it when what a template holds changes.
const TEMPLATE: &str = "1";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    MySql,
    MariaDb,
}

impl Flavor {
    /// Those that are installed, MySQL first. Says which are missed, and fails when all are.
    pub fn installed() -> Vec<Self> {
        let mut flavors = vec![Self::MySql, Self::MariaDb];
        flavors.retain(|flavor| {
            let found = flavor.program().is_some();
            if !found {
                eprintln!("SKIPPED: {flavor:?} is not installed ({})", flavor.advice());
            }
            found
        });
        assert!(!flavors.is_empty(), "no server is installed: run tests/servers/install.sh");
        flavors
    }

    fn program(self) -> Option<PathBuf> {
        let (variable, places) = match self {
            Self::MySql => ("TIDEGATE_MYSQLD", vec![cache().join("mysql-9.7/bin/mysqld")]),
            Self::MariaDb => {
                ("TIDEGATE_MARIADBD", vec!["/usr/sbin/mariadbd".into(), "/usr/bin/mariadbd".into()])
            }
        };
        let chosen = std::env::var_os(variable).map(PathBuf::from);
        chosen.into_iter().chain(places).find(|path| path.is_file())
    }

    fn advice(self) -> &'static str {
        match self {
            Self::MySql => "tests/servers/install.sh mysql",
            Self::MariaDb => "tests/servers/install.sh mariadb",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::MySql => "mysql",
            Self::MariaDb => "mariadb",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    max_connections: u32,
    arguments: Vec<String>,
    /// The address, and the network namespace it is in.
    island: Option<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_connections: 151, arguments: Vec::new(), island: None }
    }
}

impl Options {
    #[must_use]
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections;
        self
    }

    /// One more argument of mysqld; the last word wins over the harness's own.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// On a host of its own.
    #[must_use]
    pub fn on(mut self, island: &Island) -> Self {
        self.island = Some((island.address(), island.name.clone()));
        self
    }
}

pub struct MySql;

impl MySql {
    pub fn start(options: Options) -> Server {
        Server::start(Flavor::MySql, options)
    }
}

pub struct MariaDb;

impl MariaDb {
    pub fn start(options: Options) -> Server {
        Server::start(Flavor::MariaDb, options)
    }
}

pub struct Server {
    pub flavor: Flavor,
    options: Options,
    port: u16,
    process: Option<Leashed>,
    root: Mutex<Option<RawClient>>,
    folder: TempDir,
}

impl Server {
    pub fn start(flavor: Flavor, options: Options) -> Self {
        let template = template(flavor);
        let folder = new_folder(flavor);
        let copied = Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .arg(template.join("data"))
            .arg(folder.path())
            .status()
            .expect("cp runs");
        assert!(copied.success(), "cannot copy {}", template.display());
        Self::start_in(flavor, options, folder)
    }

    fn start_in(flavor: Flavor, options: Options, folder: TempDir) -> Self {
        let mut server =
            Self { flavor, options, port: 0, process: None, root: Mutex::new(None), folder };
        // Somebody else may have taken the port since it was found free.
        for attempt in 1.. {
            server.port = free_port();
            match server.launch() {
                Ok(()) => break,
                Err(_) if attempt < 3 && server.log().contains("ddress already in use") => {}
                Err(why) => {
                    panic!("{flavor:?} did not start: {why}\n{}", tail(&server.log_path(), 30))
                }
            }
        }
        server
    }

    fn launch(&mut self) -> Result<(), String> {
        let mut command = mysqld(self.flavor, &self.data());
        if let Some((_, namespace)) = &self.options.island {
            command = Island::inside(namespace, &command);
        }
        command
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--pid-file={}", self.folder.path().join("pid").display()))
            .arg(format!("--port={}", self.port))
            .arg(format!("--max-connections={}", self.options.max_connections))
            .arg(format!("--bind-address={}", self.host()))
            .args(["--skip-name-resolve", "--skip-log-bin"])
            .args(["--max-allowed-packet=1G", "--local-infile=ON", "--back-log=1000"])
            .args(["--innodb-doublewrite=OFF", "--innodb-flush-log-at-trx-commit=2"])
            .args(["--innodb-buffer-pool-size=128M", "--performance-schema=OFF"]);
        for (option, file) in
            [("ca", "ca.pem"), ("cert", "server-cert.pem"), ("key", "server-key.pem")]
        {
            command.arg(format!("--ssl-{option}={}", self.data().join(file).display()));
        }
        match self.flavor {
            Flavor::MySql => command.args(["--mysqlx=OFF", "--innodb-redo-log-capacity=64M"]),
            Flavor::MariaDb => command.arg("--innodb-log-file-size=64M"),
        };
        command.args(&self.options.arguments);
        self.process = Some(Leashed::start(&command, self.folder.path(), &self.log_path()));
        self.until_it_answers()
    }

    fn until_it_answers(&mut self) -> Result<(), String> {
        let socket = self.socket();
        for _ in 0..3000 {
            // The socket answers last, after the port: what can log in there can at both.
            if let Ok(root) = RawClient::login(socket.as_path(), &Login::new("root", "")) {
                // Kept, as one that closes would be counted among the connections for a moment.
                *self.root.lock().unwrap() = Some(root);
                return Ok(());
            }
            if let Some(status) = self.process.as_mut().and_then(Leashed::ended) {
                return Err(format!("it ended with {status}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("it does not answer after a minute".to_owned())
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn host(&self) -> &str {
        self.options.island.as_ref().map_or(HOST, |(address, _)| address)
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host(), self.port)
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The authority behind the server's certificate, PEM.
    pub fn ca(&self) -> PathBuf {
        self.data().join("ca.pem")
    }

    pub fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// For `mysql_async`.
    pub fn url(&self) -> String {
        format!("mysql://{USER}:{PASSWORD}@{}/{SCHEMA}", self.address())
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server runs").pid()
    }

    /// Asks as root, over a connection that stays (and so takes one of the server's
    /// `max_connections`).
    pub fn root(&self, sql: &str) -> Vec<Row> {
        self.try_root(sql).unwrap_or_else(|why| panic!("{sql}: {why}"))
    }

    pub fn try_root(&self, sql: &str) -> Result<Vec<Row>, Error> {
        let mut connection = self.root.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if connection.is_none() {
            *connection = Some(RawClient::login(self.socket().as_path(), &Login::new("root", ""))?);
        }
        let answer = connection.as_mut().unwrap().query(sql);
        if matches!(answer, Err(Error::Io(_))) {
            *connection = None;
        }
        answer
    }

    /// Connections the server has, without the one that asks.
    pub fn threads_connected(&self) -> usize {
        self.status("Threads_connected").saturating_sub(1)
    }

    /// The highest number of connections at once since the start or [`Server::forget_status`], the
    /// asking one among them.
    pub fn max_used_connections(&self) -> usize {
        self.status("Max_used_connections")
    }

    /// Counters and high-water marks begin anew.
    pub fn forget_status(&self) {
        self.root("FLUSH STATUS");
    }

    /// A number of SHOW GLOBAL STATUS.
    pub fn status(&self, name: &str) -> usize {
        let rows = self.root(&format!("SHOW GLOBAL STATUS LIKE '{name}'"));
        rows[0][1].as_ref().and_then(|value| value.parse().ok()).expect("a number")
    }

    /// Connections of one user.
    pub fn connections_of(&self, user: &str) -> usize {
        let rows = self.root("SHOW PROCESSLIST");
        rows.iter().filter(|row| row[1].as_deref() == Some(user)).count()
    }

    /// `TERM` and an orderly end.
    pub fn stop(&mut self) {
        self.end(|process| {
            process.signal("TERM");
            process.wait(Duration::from_secs(60)).expect("the server stops");
        });
    }

    pub fn kill9(&mut self) {
        self.end(Leashed::kill);
    }

    fn end(&mut self, how: impl FnOnce(&mut Leashed)) {
        *self.root.lock().unwrap() = None;
        if let Some(mut process) = self.process.take() {
            how(&mut process);
        }
    }

    /// On the same port and data, after [`Server::stop`] or [`Server::kill9`] or instead of them.
    pub fn restart(&mut self) {
        if self.process.is_some() {
            self.stop();
        }
        let _ = fs::remove_file(self.socket());
        if let Err(why) = self.launch() {
            panic!("{:?} did not start again: {why}\n{}", self.flavor, tail(&self.log_path(), 30));
        }
    }

    /// The same, with one more argument from now on.
    pub fn restart_with(&mut self, argument: &str) {
        if !self.options.arguments.iter().any(|it| it == argument) {
            self.options.arguments.push(argument.to_owned());
        }
        self.restart();
    }

    /// Frozen: the port accepts, nobody answers. Returns when every thread has stopped.
    pub fn pause(&self) {
        self.process.as_ref().expect("the server runs").signal("STOP");
        let tasks = format!("/proc/{}/task", self.pid());
        let is_stopped = |task: fs::DirEntry| {
            let status = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            status.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T"))
        };
        wait_for("the server to freeze", Duration::from_secs(10), || {
            fs::read_dir(&tasks).unwrap().flatten().all(is_stopped).then_some(())
        });
    }

    pub fn resume(&self) {
        self.process.as_ref().expect("the server runs").signal("CONT");
    }
}

fn new_folder(flavor: Flavor) -> TempDir {
    tempfile::Builder::new()
        .prefix(&format!("tidegate-{}-", flavor.name()))
        .tempdir()
        .expect("a temporary folder")
}

fn mysqld(flavor: Flavor, data: &Path) -> Command {
    let program = flavor
        .program()
        .unwrap_or_else(|| panic!("{flavor:?} is not installed: run {}", flavor.advice()));
    let mut command = Command::new(program);
    command.args(["--no-defaults", &format!("--datadir={}", data.display())]);
    // mysqld refuses to be root unless it is told to.
    if fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
        command.arg("--user=root");
    }
    command
}

/// The folder with a data folder ready to be copied; made if this is the first time.
fn template(flavor: Flavor) -> PathBuf {
    let program = mysqld(flavor, Path::new(""));
    let version =
        Command::new(program.get_program()).arg("--version").output().expect("mysqld runs");
    let version = String::from_utf8_lossy(&version.stdout);
    let version = version.split_whitespace().skip_while(|word| *word != "Ver").nth(1);
    let name = format!("{}-{}-{TEMPLATE}", flavor.name(), version.unwrap_or("unknown"));
    let templates = cache().join("templates");
    let template = templates.join(name);
    if template.is_dir() {
        return template;
    }

    fs::create_dir_all(&templates).unwrap();
    let folder = new_folder(flavor);
    initialize(flavor, folder.path());
    certificates::write(&folder.path().join("data"));
    let mut server = Server::start_in(flavor, Options::default(), folder);
    let plugin = match flavor {
        Flavor::MySql => "caching_sha2_password",
        Flavor::MariaDb => "mysql_native_password",
    };
    create_users(&server, plugin);
    server.stop();
    // Each server is to have an id of its own.
    let _ = fs::remove_file(server.data().join("auto.cnf"));

    // Whole or not at all: another test may be making it too, and whoever is first has made it.
    let staging = tempfile::Builder::new().prefix("making-").tempdir_in(&templates).unwrap();
    let copied =
        Command::new("cp").arg("-a").arg(server.data()).arg(staging.path()).status().unwrap();
    assert!(copied.success(), "cannot copy {}", server.data().display());
    let _ = fs::rename(staging.path(), &template);
    wait_for("the template", Duration::from_secs(1), || template.is_dir().then_some(()));
    template
}

fn initialize(flavor: Flavor, folder: &Path) {
    let data = folder.join("data");
    let mut command = match flavor {
        Flavor::MySql => {
            let mut command = mysqld(flavor, &data);
            command.args(["--initialize-insecure", "--innodb-redo-log-capacity=64M"]);
            command
        }
        Flavor::MariaDb => {
            let mut command = Command::new("mariadb-install-db");
            command
                .args(mysqld(flavor, &data).get_args())
                .args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
            command
        }
    };
    let output = command.output().expect("the data folder's maker runs");
    assert!(
        output.status.success(),
        "{flavor:?} cannot be initialized: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn create_users(server: &Server, plugin: &str) {
    server.root(&format!("CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4"));
    for user in [USER, "app_b", "root"] {
        server.root(&format!("CREATE USER {user}@'%' IDENTIFIED WITH {plugin}"));
        server.root(&format!("SET PASSWORD FOR {user}@'%' = {}", password(server.flavor, user)));
    }
    for user in [USER, "app_b"] {
        server.root(&format!("GRANT ALL ON {SCHEMA}.* TO {user}@'%'"));
    }
    server.root("GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION");
}

fn password(flavor: Flavor, user: &str) -> String {
    match flavor {
        Flavor::MySql => format!("'{user}-password'"),
        Flavor::MariaDb => format!("PASSWORD('{user}-password')"),
    }
}
