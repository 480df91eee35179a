//! The promise: a driver that works against the server works through Tidegate.
//!
//! Each driver runs one script of everything people do with it, on every server that is installed,
//! with and without TLS: straight first, the control that keeps the scripts honest, then through
//! Tidegate. `tests/servers/install.sh drivers` installs them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod support;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use mysql_async::{
    Conn, Error, OptsBuilder, SslOpts, TxOpts, WhiteListFsHandler, params, prelude::Queryable,
};
use support::{
    cache,
    servers::{Flavor, Options, PASSWORD, SCHEMA, Server, USER},
    tidegate::{Config, Tidegate},
};

macro_rules! drivers {
    ($($name:ident: $program:expr, $arguments:expr;)*) => {
        mod straight {
            use super::*;
            $(#[test] fn $name() { straight(stringify!($name), |port, tls| run(&PathBuf::from($program), $arguments, port, tls)); })*
        }
        mod through_tidegate {
            use super::*;
            $(#[test]
            fn $name() { through_tidegate(|port, tls| run(&PathBuf::from($program), $arguments, port, tls)); })*
        }
    };
}

drivers! {
    python_pymysql: cache().join("python/bin/python"), &[script("python_pymysql.py")];
    python_connector: cache().join("python/bin/python"), &[script("python_connector.py")];
    node_mysql2: "node", &[script("node_mysql2.js")];
    go_sql_driver: cache().join("go/driver"), &[];
    connector_j_2: "java", &java("/usr/share/java/mariadb-java-client.jar");
    connector_j_3: "java", &java(cache().join("java/mariadb-3.jar"));
    ruby_mysql2: "ruby", &[script("ruby_mysql2.rb")];
    php_pdo: "php", &[script("php_pdo.php")];
    cli_mysql: script("cli.sh"), &[cache().join("mysql-9.7/bin/mysql")];
    cli_mariadb: script("cli.sh"), &["mariadb".into()];
    rust_mysql_async: "", &[];
}

fn straight(name: &str, drive: impl Fn(u16, bool)) {
    for flavor in Flavor::installed() {
        // MySQL 9's own client has lost mysql_native_password; through Tidegate it reaches MariaDB.
        if (name, flavor) == ("cli_mysql", Flavor::MariaDb) {
            continue;
        }
        let server = Server::start(flavor, Options::default());
        for tls in [false, true] {
            drive(server.port(), tls);
        }
    }
}

fn through_tidegate(drive: impl Fn(u16, bool)) {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        let tidegate = Tidegate::start(Config::to(&server));
        for tls in [false, true] {
            drive(tidegate.port(), tls);
        }
    }
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/drivers").join(name)
}

/// The classes that install.sh made of `tests/drivers/java`, on one version of the driver.
fn java(driver: impl Into<PathBuf>) -> [PathBuf; 3] {
    let mut class_path = cache().join("java").into_os_string();
    class_path.push(":");
    class_path.push(driver.into());
    ["-cp".into(), class_path.into(), "Connector".into()]
}

/// Runs one driver's script; without a program it is this test's own, `mysql_async`.
fn run(program: &Path, arguments: &[PathBuf], port: u16, tls: bool) {
    if program.as_os_str().is_empty() {
        return mysql_async_script(port, tls);
    }
    if arguments
        .iter()
        .any(|program| program.starts_with(cache().join("mysql-9.7")) && !program.exists())
    {
        return; // the mysql client comes with the server, whose absence has been told
    }
    let output = Command::new("timeout")
        .arg("120")
        .arg(program)
        .args(arguments)
        .args(["127.0.0.1", &port.to_string(), USER, PASSWORD])
        .args(tls.then_some("tls"))
        .env("NODE_PATH", cache().join("node/node_modules"))
        .stdin(Stdio::null())
        .output()
        .expect("timeout runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.trim_end().ends_with("OK"),
        "{} {arguments:?}, tls {tls}: {}\n{told}{}\n(not installed? tests/servers/install.sh drivers)",
        program.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr),
    );
}

#[tokio::main(flavor = "current_thread")]
async fn mysql_async_script(port: u16, tls: bool) {
    let script = async {
        let lines = tempfile::NamedTempFile::new().unwrap();
        let opts = options(port, PASSWORD, tls)
            .local_infile_handler(Some(WhiteListFsHandler::new([lines.path()])));
        let mut conn = Conn::new(opts).await.unwrap();
        let table = if tls { "rust_tls" } else { "rust_plain" };
        conn.query_drop(format!("DROP TABLE IF EXISTS {table}")).await.unwrap();
        let create = format!("CREATE TABLE {table} (id INT PRIMARY KEY, body LONGTEXT)");
        conn.query_drop(create).await.unwrap();
        queries(&mut conn, table).await;
        local_infile(&mut conn, table, lines.path()).await;
        large(&mut conn, table).await;
        several_results(&mut conn, table).await;
        errors(&mut conn, table).await;
        conn.query_drop(format!("DROP TABLE {table}")).await.unwrap();
        conn.disconnect().await.unwrap();
        let refusal = Conn::new(options(port, "wrong", tls)).await.unwrap_err();
        assert_eq!(code(&refusal), 1045, "{refusal}");
    };
    tokio::time::timeout(Duration::from_secs(120), script).await.expect("in two minutes");
}

fn options(port: u16, password: &str, tls: bool) -> OptsBuilder {
    let tls = tls.then(|| SslOpts::default().with_danger_accept_invalid_certs(true));
    OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(port)
        .user(Some(USER))
        .pass(Some(password))
        .db_name(Some(SCHEMA))
        .prefer_socket(false)
        .max_allowed_packet(Some(1 << 30))
        .ssl_opts(tls)
}

async fn queries(conn: &mut Conn, table: &str) {
    let row: (u8, Option<u8>, String) =
        conn.query_first("SELECT 1, NULL, 'é€😀'").await.unwrap().unwrap();
    assert_eq!(row, (1, None, "é€😀".to_owned()));

    let statement = conn.prep("SELECT ? + 1, ?").await.unwrap();
    for number in 1..4_u32 {
        let row: (u32, String) =
            conn.exec_first(&statement, (number, "text")).await.unwrap().unwrap();
        assert_eq!(row, (number + 1, "text".to_owned()));
    }
    conn.close(statement).await.unwrap();

    let insert = format!("INSERT INTO {table} VALUES (:id, :body)");
    let mut transaction = conn.start_transaction(TxOpts::default()).await.unwrap();
    transaction.exec_drop(&insert, params! { "id" => 1, "body" => "rolled back" }).await.unwrap();
    transaction.rollback().await.unwrap();
    let mut transaction = conn.start_transaction(TxOpts::default()).await.unwrap();
    transaction.exec_drop(&insert, params! { "id" => 1, "body" => "kept" }).await.unwrap();
    transaction.commit().await.unwrap();
    let rows: Vec<(u32, String)> = conn.query(format!("SELECT * FROM {table}")).await.unwrap();
    assert_eq!(rows, [(1, "kept".to_owned())]);
}

async fn local_infile(conn: &mut Conn, table: &str, file: &Path) {
    let mut file_of_lines = std::fs::File::create(file).unwrap();
    for number in 100..1100 {
        writeln!(file_of_lines, "{number}\tline {number}").unwrap();
    }
    let load = format!("LOAD DATA LOCAL INFILE '{}' INTO TABLE {table}", file.display());
    conn.query_drop(load).await.unwrap();
    let count = format!("SELECT COUNT(*) FROM {table} WHERE id >= 100");
    assert_eq!(conn.query_first::<u32, _>(count).await.unwrap(), Some(1000));
}

async fn large(conn: &mut Conn, table: &str) {
    let big: Vec<u8> = conn.query_first("SELECT REPEAT('x', 40000000)").await.unwrap().unwrap();
    assert_eq!(big.len(), 40_000_000);
    let insert = format!("INSERT INTO {table} VALUES (2, ?)");
    conn.exec_drop(insert, (vec![b'y'; 20_000_000],)).await.unwrap();
    let length = format!("SELECT LENGTH(body) FROM {table} WHERE id = 2");
    assert_eq!(conn.query_first::<u32, _>(length).await.unwrap(), Some(20_000_000));
}

async fn several_results(conn: &mut Conn, table: &str) {
    let mut results = conn.query_iter("SELECT 1; SELECT 2, 3; DO 0").await.unwrap();
    assert_eq!(results.collect::<u8>().await.unwrap(), [1]);
    assert_eq!(results.collect::<(u8, u8)>().await.unwrap(), [(2, 3)]);
    results.drop_result().await.unwrap();

    let procedure = format!("{table}_two");
    conn.query_drop(format!("DROP PROCEDURE IF EXISTS {procedure}")).await.unwrap();
    let body = "BEGIN SELECT n; SELECT n + 1, 'b'; END";
    conn.query_drop(format!("CREATE PROCEDURE {procedure}(n INT) {body}")).await.unwrap();
    let mut results = conn.exec_iter(format!("CALL {procedure}(?)"), (7,)).await.unwrap();
    assert_eq!(results.collect::<u8>().await.unwrap(), [7]);
    assert_eq!(results.collect::<(u8, String)>().await.unwrap(), [(8, "b".to_owned())]);
    results.drop_result().await.unwrap();
    conn.query_drop(format!("DROP PROCEDURE {procedure}")).await.unwrap();
}

async fn errors(conn: &mut Conn, table: &str) {
    assert_eq!(code(&conn.query_drop("SELEKT 1").await.unwrap_err()), 1064);
    assert_eq!(code(&conn.exec_drop("SELEKT ?", (1,)).await.unwrap_err()), 1064);
    let again = format!("INSERT INTO {table} VALUES (?, 'again')");
    assert_eq!(code(&conn.exec_drop(again, (1,)).await.unwrap_err()), 1062);
    conn.ping().await.unwrap();
    conn.reset().await.unwrap();
    assert_eq!(conn.query_first::<u8, _>("SELECT 5").await.unwrap(), Some(5));
}

fn code(error: &Error) -> u16 {
    match error {
        Error::Server(refusal) => refusal.code,
        other => panic!("not the server's word: {other}"),
    }
}
