//! What holds a connection, and until when: each row of "What Amazon RDS Proxy pins, and what
//! Tidegate does" in docs/compatibility.md is a case here, and the paper's tables have the rows that
//! they must have.
//!
//! One server connection, one client that does something, another that is answered at once or not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: a test's own thread may wait")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use support::{
    binary::{READ_ONLY_CURSOR, Value},
    client::{Login, RawClient, capability},
    servers::{Flavor, Options, Server},
    tidegate::{Config, Tidegate},
};
use tidegate::session::Pin;

const PAPER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/compatibility.md");

/// One thing that happens, and what is true afterwards.
enum Step {
    /// The connection is another's at once.
    Shared(&'static str),
    /// It is held, for this reason and maybe for others.
    Held(&'static str, &'static str),
    /// It is held by a transaction.
    Open(&'static str),
    /// As [`Step::Shared`], or as [`Step::Held`] where a reason is given.
    Command(fn(&mut RawClient), Option<&'static str>),
    /// What the client itself is answered.
    Own(&'static str, &'static str),
    /// What everybody else is answered.
    Others(&'static str, &'static str),
}

use Step::{Command, Held, Open, Others, Own, Shared};

struct Case {
    /// As the table of the paper names it.
    row: &'static str,
    only: Option<Flavor>,
    steps: &'static [Step],
}

const fn case(row: &'static str, steps: &'static [Step]) -> Case {
    Case { row, only: None, steps }
}

const fn only(flavor: Flavor, row: &'static str, steps: &'static [Step]) -> Case {
    Case { row, only: Some(flavor), steps }
}

/// `{20K}` stands for as many letters.
const CASES: &[Case] = &[
    case(
        "a statement of more than 16 KB",
        &[
            Shared("INSERT INTO texts VALUES ('{20K}')"),
            Shared("SELECT '{20K}', @unset"),
            Shared("SET @before = 1, sql_mode = 'ANSI' /* {20K} */"),
            Own("SELECT LENGTH(body), @before, 'a' || 'b' FROM texts", "20000,1,ab"),
            Others("SELECT @before, 'a' || 'b'", "NULL,0"),
        ],
    ),
    case(
        "`PREPARE` as SQL",
        &[
            Held("PREPARE s FROM 'SELECT ? + 1'", "text_prepare"),
            Held("SET @given = 4", "text_prepare"),
            Own("EXECUTE s USING @given", "5"),
            Shared("DEALLOCATE PREPARE s"),
            Own("SELECT @given", "4"),
            Held("PREPARE s FROM 'SELECT 1'", "text_prepare"),
            Shared("DROP PREPARE s"),
            Others("EXECUTE s", "error 1243"),
        ],
    ),
    case(
        "COM_STMT_PREPARE",
        &[
            Command(prepare_and_execute, None),
            Command(execute_the_first, None),
            Others("SELECT @prepared", "NULL"),
        ],
    ),
    case(
        "`SET` of a variable that is not tracked",
        &[
            Shared("SET max_heap_table_size = 16384"),
            Shared("SET SESSION lock_wait_timeout = 7, group_concat_max_len = 9"),
            Own(
                "SELECT @@max_heap_table_size, @@lock_wait_timeout, @@group_concat_max_len",
                "16384,7,9",
            ),
            Others("SELECT @@max_heap_table_size, @@group_concat_max_len = 9", "16777216,0"),
            // Without a scope, which MariaDB does not report.
            Shared("SET @@max_heap_table_size = 32768"),
            Own("SELECT @@max_heap_table_size", "32768"),
            Others("SELECT @@max_heap_table_size", "16777216"),
            // But for a few that run by themselves.
            Held("SET timestamp = 1000000000", "volatile_variable"),
            Own("SELECT UNIX_TIMESTAMP()", "1000000000"),
            Command(reset, None),
            Others("SELECT UNIX_TIMESTAMP() > 1000000000", "1"),
        ],
    ),
    case(
        "user variables",
        &[
            Shared("SET @i = -5, @u = 18446744073709551615, @d = 1.50, @f = 1e3, @n = NULL"),
            Shared("SET @s = _latin1'e' COLLATE latin1_bin, @b = x'00FF', @t = DATE '2026-01-02'"),
            Shared("SELECT @i := @i + 1"),
            Shared("SELECT 'into' INTO @into"),
            Own("SELECT @i, @u, @d, @f + 1, @n", "-4,18446744073709551615,1.50,1001,NULL"),
            Own("SELECT COLLATION(@s), HEX(@b), @t, @into", "latin1_bin,00FF,2026-01-02,into"),
            Others("SELECT @i, @u, @d, @f, @n, @s, @b, @t, @into IS NULL", UNSET),
            Held("SET @long = REPEAT('x', 1025)", "user_variable"),
            Own("SELECT LENGTH(@long)", "1025"),
            Command(reset, None),
            Own("SELECT @long, @i", "NULL,NULL"),
            Others("SELECT @long, @i", "NULL,NULL"),
        ],
    ),
    case(
        "`session_track_…`",
        &[
            Shared("SET session_track_system_variables = 'sql_mode', time_zone = '+03:00'"),
            Shared("SET SESSION session_track_state_change = ON"),
            Own("SELECT @@session_track_system_variables, @@time_zone", "sql_mode,+03:00"),
            Own("SELECT @@session_track_state_change", "1"),
            Shared("SET session_track_system_variables = '*'"),
            Own("SELECT @@session_track_system_variables, @@time_zone", "*,+03:00"),
            Others("SELECT @@session_track_system_variables = '*', @@time_zone", "0,SYSTEM"),
            Others("SELECT @@session_track_state_change", "0"),
            Own("SELECT @@time_zone", "+03:00"),
        ],
    ),
    case(
        "`LOCK TABLES`",
        &[
            Held("LOCK TABLES numbers WRITE", "table_lock"),
            Own("SELECT COUNT(*) FROM texts", "error 1100"),
            Shared("UNLOCK TABLES"),
            Others("SELECT COUNT(*) FROM numbers", "3"),
            Held("LOCK TABLES numbers READ", "table_lock"),
            // It lets go of the lock.
            Open("BEGIN"),
            Shared("COMMIT"),
            Others("UPDATE numbers SET n = n", "no rows"),
        ],
    ),
    case(
        "`FLUSH TABLES WITH READ LOCK`",
        &[
            Held("FLUSH TABLES WITH READ LOCK", "instance_lock"),
            Own("UPDATE numbers SET n = n", "error 1223"),
            Shared("UNLOCK TABLES"),
            Others("UPDATE numbers SET n = n", "no rows"),
        ],
    ),
    case(
        "`GET_LOCK()`",
        &[
            Held("SELECT GET_LOCK('one', 0), GET_LOCK('two', 0)", "user_lock"),
            // As often as it was taken.
            Held("SELECT GET_LOCK('two', 0)", "user_lock"),
            Held("SELECT RELEASE_LOCK('two')", "user_lock"),
            Held("DO RELEASE_LOCK('two')", "user_lock"),
            Shared("SELECT RELEASE_LOCK('one')"),
            Others("SELECT IS_FREE_LOCK('one'), IS_FREE_LOCK('two')", "1,1"),
            Own("SELECT RELEASE_LOCK('one')", "NULL"),
            // Nor does a name hide that is not a literal: it is held until all are released.
            Held("SELECT GET_LOCK(CONCAT('t', 'wo'), 0)", "user_lock"),
            Held("SELECT RELEASE_LOCK('two')", "user_lock"),
            Shared("SELECT RELEASE_ALL_LOCKS()"),
        ],
    ),
    case(
        "`CREATE TEMPORARY TABLE`",
        &[
            Held("CREATE TEMPORARY TABLE numbers (n INT)", "temporary_table"),
            Held("INSERT INTO numbers VALUES (77)", "temporary_table"),
            Held("CREATE TEMPORARY TABLE second AS SELECT 1 AS n", "temporary_table"),
            Own("SELECT n FROM numbers", "77"),
            Held("ALTER TABLE numbers ADD COLUMN m INT", "temporary_table"),
            Held("DROP TEMPORARY TABLE numbers", "temporary_table"),
            Shared("DROP TABLE IF EXISTS second"),
            Own("SELECT COUNT(*) FROM numbers", "3"),
            Others("SELECT n FROM second", "error 1146"),
        ],
    ),
    case(
        "`ROW_COUNT()`, `FOUND_ROWS()`",
        &[
            Shared("UPDATE numbers SET n = n + 1"),
            Own("SELECT ROW_COUNT()", "3"),
            Shared("SELECT n FROM numbers LIMIT 2"),
            Own("SELECT FOUND_ROWS()", "2"),
            Shared("SELECT SQL_CALC_FOUND_ROWS n FROM numbers LIMIT 1"),
            Own("SELECT FOUND_ROWS() AS found", "3"),
            Others("SELECT FOUND_ROWS(), ROW_COUNT()", "1,-1"),
            // Never another's.
            Own("SELECT ROW_COUNT() + 1", "error 1235"),
            Open("BEGIN"),
            Open("UPDATE numbers SET n = n - 1"),
            Own("SELECT ROW_COUNT() + 1", "4"),
            Shared("COMMIT"),
        ],
    ),
    case(
        "`LAST_INSERT_ID()`",
        &[
            Shared("INSERT INTO numbered (body) VALUES ('a'), ('b')"),
            Others("INSERT INTO numbered (body) VALUES ('c')", "no rows"),
            Own("SELECT LAST_INSERT_ID(), @@identity", "1,1"),
            Others("SELECT LAST_INSERT_ID()", "3"),
            Shared("INSERT INTO numbered (id, body) VALUES (100, 'given')"),
            Own("SELECT LAST_INSERT_ID()", "1"),
            Own("SELECT body FROM numbered WHERE id = LAST_INSERT_ID()", "a"),
            Shared("SELECT LAST_INSERT_ID(55)"),
            Others("SELECT LAST_INSERT_ID() + 0", "3"),
            Own("SELECT LAST_INSERT_ID() + 0", "55"),
        ],
    ),
    case(
        "executable comments",
        &[
            Shared("SELECT /*!50000 1, */ 2"),
            Shared("/*!50000 INSERT INTO texts VALUES ('in a comment') */"),
            // The header of a mysqldump.
            Shared("/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='ANSI' */;"),
            Shared("/*!50503 SET NAMES latin1 */;"),
            Shared("/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;"),
            Shared("/*!40103 SET TIME_ZONE='+02:00' */;"),
            Own("SELECT @@time_zone, @OLD_TIME_ZONE, 'a' || 'b'", "+02:00,SYSTEM,ab"),
            Others("SELECT @@time_zone, @OLD_TIME_ZONE, 'a' || 'b'", "SYSTEM,NULL,0"),
            Shared("/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;"),
            Own("SELECT @@time_zone, CHAR_LENGTH('é')", "SYSTEM,2"),
            Held("/*!50000 CREATE TEMPORARY TABLE hidden (n INT) */", "temporary_table"),
            Held("DROP TABLE hidden", "temporary_table"),
            Command(reset, None),
        ],
    ),
    case(
        "isolation or access mode of the next transaction",
        &[
            Shared("SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED"),
            Shared("SET TRANSACTION READ ONLY"),
            Others("UPDATE numbers SET n = n", "no rows"),
            Open("BEGIN"),
            Own("UPDATE numbers SET n = n", "error 1792"),
            Shared("ROLLBACK"),
            Own("UPDATE numbers SET n = n", "no rows"),
        ],
    ),
    case(
        "`SET NAMES` of another character set",
        &[
            Shared("SET NAMES latin1 COLLATE latin1_bin"),
            Own("SELECT CHAR_LENGTH('é'), @@collation_connection", "2,latin1_bin"),
            Others("SELECT CHAR_LENGTH('é'), @@character_set_client", "1,utf8mb4"),
            // Where a quote may be half a character, until something is no ASCII.
            Shared("SET NAMES gbk"),
            Shared("SELECT 'a'"),
            Held("SELECT 'é'", "unreadable"),
            Command(reset, None),
            Own("SELECT CHAR_LENGTH('é')", "1"),
        ],
    ),
    case(
        "several statements in one text",
        &[
            Shared("SELECT 1; SELECT 2"),
            Shared("SET @one = 1; SET sql_mode = 'ANSI', @two = 2; USE elsewhere"),
            Own("SELECT @one, @two, 'a' || 'b', DATABASE()", "1,2,ab,elsewhere"),
            Own("UPDATE app.numbers SET n = n + 1; SELECT ROW_COUNT()", "3"),
            Own("UPDATE app.numbers SET n = n - 1; SELECT ROW_COUNT() + 1", "4"),
            Others("SELECT @one, 'a' || 'b', DATABASE()", "NULL,0,app"),
            Others("SELECT 1; SELECT 2", "error 1064"),
            Open("BEGIN; SELECT 1"),
            Shared("COMMIT; SELECT 1"),
            Held("SET @three = 3; SELECT 1", "unknown"),
            Own("SELECT @three", "3"),
            Command(reset, None),
            Others("SELECT @three", "NULL"),
        ],
    ),
    case(
        "`CALL`",
        &[
            Held("CALL sets_a_variable()", "routine"),
            Own("SELECT @in_call", "7"),
            Command(reset, None),
            Own("SELECT @in_call", "NULL"),
            Others("SELECT @in_call", "NULL"),
        ],
    ),
    case(
        "stored functions",
        &[
            Shared("SELECT doubled(4)"),
            Held("SELECT sets_in_function()", "unknown"),
            Own("SELECT @in_function", "8"),
            Command(reset, None),
            Held("DO doubled(4)", "routine"),
            Command(reset, None),
            Others("SELECT @in_function", "NULL"),
        ],
    ),
    case(
        "`GET DIAGNOSTICS`",
        &[
            Shared("SELECT CAST('12abc' AS UNSIGNED)"),
            Others("SELECT CAST('of another' AS UNSIGNED)", "0"),
            Shared("GET DIAGNOSTICS CONDITION 1 @code = MYSQL_ERRNO, @text = MESSAGE_TEXT"),
            Own("SELECT @code, @text", "1292,Truncated incorrect INTEGER value: '12abc'"),
            Own("SELECT nothing", "error 1054"),
            Shared("GET DIAGNOSTICS CONDITION 1 @code = MYSQL_ERRNO"),
            Own("SELECT @code", "1054"),
            Others("SELECT @code", "NULL"),
            // Never another's.
            Shared("UPDATE numbers SET n = n"),
            Own("GET DIAGNOSTICS @rows = ROW_COUNT", "error 1235"),
        ],
    ),
    only(
        Flavor::MariaDb,
        "`SET ROLE`",
        &[
            Shared("SET ROLE reader"),
            Own("SELECT CURRENT_ROLE()", "reader"),
            Others("SELECT CURRENT_ROLE()", "NULL"),
            Own("SELECT COUNT(*) FROM elsewhere.secrets", "1"),
            Others("SELECT COUNT(*) FROM elsewhere.secrets", "error 1142"),
            Command(reset, None),
            // As on the server.
            Own("SELECT CURRENT_ROLE()", "reader"),
            Others("SELECT CURRENT_ROLE()", "NULL"),
        ],
    ),
    only(
        Flavor::MySql,
        "`SET ROLE`",
        &[
            Shared("SET ROLE reader"),
            Own("SELECT CURRENT_ROLE()", "`reader`@`%`"),
            Others("SELECT CURRENT_ROLE()", "NONE"),
            Own("SELECT COUNT(*) FROM elsewhere.secrets", "1"),
            Others("SELECT COUNT(*) FROM elsewhere.secrets", "error 1142"),
            Command(reset, None),
            // As on the server.
            Own("SELECT CURRENT_ROLE()", "`reader`@`%`"),
            Others("SELECT CURRENT_ROLE()", "NONE"),
        ],
    ),
    case(
        "COM_CHANGE_USER",
        &[
            Held("CREATE TEMPORARY TABLE mine (n INT)", "temporary_table"),
            Held("SET @mine = 1, time_zone = '+03:00'", "temporary_table"),
            Command(become_app_b, None),
            Own("SELECT CURRENT_USER(), @mine, @@time_zone", "app_b@%,NULL,SYSTEM"),
            Own("SELECT n FROM mine", "error 1146"),
            Others("SELECT CURRENT_USER(), @mine, @@time_zone", "app@%,NULL,SYSTEM"),
        ],
    ),
    case(
        "COM_RESET_CONNECTION",
        &[
            Held("CREATE TEMPORARY TABLE mine (n INT)", "temporary_table"),
            Held("SET @mine = 1, time_zone = '+03:00'", "temporary_table"),
            Held("LOCK TABLES numbers WRITE", "table_lock"),
            Command(reset, None),
            Own("SELECT @mine, @@time_zone", "NULL,SYSTEM"),
            Own("SELECT n FROM mine", "error 1146"),
            Others("SELECT COUNT(*), @mine, @@time_zone FROM numbers", "3,NULL,SYSTEM"),
        ],
    ),
    case(
        "`SHOW WARNINGS`",
        &[
            Shared("SELECT CAST('12abc' AS UNSIGNED)"),
            Others("SELECT CAST('of another' AS UNSIGNED)", "0"),
            Own("SHOW WARNINGS", "Warning,1292,Truncated incorrect INTEGER value: '12abc'"),
            Shared("SELECT nothing"),
            Own("SHOW COUNT(*) ERRORS", "1"),
        ],
    ),
    case(
        "`HANDLER`",
        &[
            Held("HANDLER numbers OPEN AS h", "handler"),
            Own("HANDLER h READ FIRST", "1"),
            Shared("HANDLER h CLOSE"),
            Own("HANDLER h READ FIRST", "error 1109"),
            Others("HANDLER h READ FIRST", "error 1109"),
        ],
    ),
    case(
        "`XA`",
        &[
            Open("XA START 'x'"),
            Open("INSERT INTO texts VALUES ('xa')"),
            Open("XA END 'x'"),
            Shared("XA ROLLBACK 'x'"),
            Others("SELECT COUNT(*) FROM texts WHERE body = 'xa'", "0"),
        ],
    ),
    case(
        "cursors",
        &[
            Command(open_cursor, Some("cursor")),
            Command(fetch_one, Some("cursor")),
            Command(fetch_the_rest, None),
            Command(open_cursor, Some("cursor")),
            Command(close_cursor, None),
        ],
    ),
];

const UNSET: &str = "NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1";

fn prepare_and_execute(client: &mut RawClient) {
    let statement = client.prepare("SET @prepared = ?").unwrap();
    assert_eq!(statement.id, 1, "the first of its client");
    client.execute(statement.id, &[Value::Int(5)]).unwrap();
    assert_eq!(client.query("SELECT @prepared").unwrap()[0][0].as_deref(), Some("5"));
}

/// Prepared on a connection that others have had since.
fn execute_the_first(client: &mut RawClient) {
    client.execute(1, &[Value::Int(6)]).unwrap();
    assert_eq!(client.query("SELECT @prepared").unwrap()[0][0].as_deref(), Some("6"));
}

fn reset(client: &mut RawClient) {
    client.reset().unwrap();
}

fn become_app_b(client: &mut RawClient) {
    client.change_user(&Login::new("app_b", "app_b-password").schema("app")).unwrap();
}

fn open_cursor(client: &mut RawClient) {
    let statement = client.prepare("SELECT n FROM numbers ORDER BY n").unwrap();
    client.send_execute(statement.id, READ_ONLY_CURSOR, &[], true).unwrap();
    client.read_binary_result().unwrap();
}

fn fetch(client: &mut RawClient, most: u32) -> usize {
    client.fetch(1, most, &[3]).unwrap().0.len()
}

fn fetch_one(client: &mut RawClient) {
    assert_eq!(fetch(client, 1), 1);
}

fn fetch_the_rest(client: &mut RawClient) {
    assert_eq!(fetch(client, 9), 2);
}

/// Of the second statement.
fn close_cursor(client: &mut RawClient) {
    client.close_statement(2).unwrap();
    // It has no reply; this has.
    client.ping().unwrap();
}

fn prepare_server(server: &Server) {
    for sql in [
        "CREATE DATABASE elsewhere",
        "CREATE TABLE elsewhere.secrets AS SELECT 1 AS n",
        "CREATE TABLE app.texts (body TEXT)",
        "CREATE TABLE app.numbers (n INT)",
        "INSERT INTO app.numbers VALUES (1), (2), (3)",
        "CREATE TABLE app.numbered (id INT PRIMARY KEY AUTO_INCREMENT, body VARCHAR(20))",
        "CREATE PROCEDURE app.sets_a_variable() SET @in_call = 7",
        "CREATE FUNCTION app.sets_in_function() RETURNS INT NOT DETERMINISTIC NO SQL \
         BEGIN SET @in_function = 8; RETURN 1; END",
        "CREATE FUNCTION app.doubled(n INT) RETURNS INT DETERMINISTIC NO SQL RETURN 2 * n",
        "CREATE ROLE reader",
        "GRANT SELECT ON elsewhere.* TO reader",
        "GRANT reader TO app@'%'",
        "GRANT RELOAD ON *.* TO app@'%'",
        "GRANT CREATE ON elsewhere.* TO app@'%'",
    ] {
        server.root(sql);
    }
}

struct Stage {
    tidegate: Tidegate,
    client: RawClient,
    other: RawClient,
    wrongs: Vec<String>,
    what: String,
}

impl Stage {
    fn check(&mut self, step: &str, found: &str, expected: &str) {
        if found != expected {
            let short: String = step.chars().take(90).collect();
            self.wrongs.push(format!("{}: {short}: {found}, expected {expected}", self.what));
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Shared(sql) => {
                ask(&mut self.client, sql);
                self.is_shared(sql);
            }
            Held(sql, pin) => {
                let answer = ask(&mut self.client, sql);
                self.is_held(sql, pin);
                assert!(!answer.starts_with("error"), "{}: {sql}: {answer}", self.what);
            }
            Open(sql) => {
                ask(&mut self.client, sql);
                self.is_held(sql, "a transaction");
            }
            Command(act, pin) => {
                act(&mut self.client);
                match pin {
                    Some(pin) => self.is_held("a command", pin),
                    None => self.is_shared("a command"),
                }
            }
            Own(sql, expected) => {
                let found = ask(&mut self.client, sql);
                self.check(sql, &found, expected);
            }
            Others(sql, expected) => {
                let found = ask(&mut self.other, sql);
                self.check(&format!("another's {sql}"), &found, expected);
            }
        }
    }

    fn is_shared(&mut self, step: &str) {
        let found = ask(&mut self.other, "SELECT 'at once'");
        self.check(step, &found, "at once");
        self.is_held(step, "nothing");
    }

    /// The client has its answer a moment before the metrics tell.
    fn is_held(&mut self, step: &str, expected: &str) {
        let started = Instant::now();
        let mut found = self.holder(expected);
        while found != expected && started.elapsed() < Duration::from_millis(300) {
            std::thread::sleep(Duration::from_millis(5));
            found = self.holder(expected);
        }
        self.check(step, &found, expected);
    }

    /// What holds the one connection, by the metrics: nothing, a transaction, or a pin; of several
    /// pins the expected one.
    fn holder(&self, expected: &str) -> String {
        let metrics = self.tidegate.metrics();
        let pinned = metrics.iter().filter(|(_, value)| **value > 0.0).filter_map(|(name, _)| {
            name.strip_prefix("tidegate_pinned{reason=\"")?.strip_suffix("\"}")
        });
        let pinned: Vec<&str> = pinned.collect();
        let borrowed = metrics["tidegate_server_connections{state=\"borrowed\"}"] > 0.0;
        match borrowed {
            true if pinned.contains(&expected) => expected.to_owned(),
            true if pinned.is_empty() => "a transaction".to_owned(),
            false if pinned.is_empty() => "nothing".to_owned(),
            _ => pinned.join(", "),
        }
    }
}

/// All rows of the last result; `NULL` and errors as words.
fn ask(client: &mut RawClient, sql: &str) -> String {
    match client.query(&sql.replace("{20K}", &"x".repeat(20_000))) {
        Ok(rows) => match rows.first() {
            Some(row) => {
                let word = |value: &Option<String>| value.clone().unwrap_or("NULL".to_owned());
                row.iter().map(word).collect::<Vec<_>>().join(",")
            }
            None => "no rows".to_owned(),
        },
        Err(error) => format!("error {}", error.code()),
    }
}

#[test]
fn each_row_of_rds_proxys_pins_is_as_the_paper_says() {
    let mut wrongs = Vec::new();
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        prepare_server(&server);
        let pool = "max_connections = 1\nborrow_timeout = \"2s\"";
        let config = Config::to(&server).user("app_b", "app_b-password").section("pool", pool);
        let tidegate = Tidegate::start(config);
        let several = Login::app().with(capability::MULTI_STATEMENTS);
        let login = |as_who: &Login| RawClient::login(tidegate.address(), as_who).unwrap();
        let (client, other) = (login(&several), login(&Login::app()));
        let mut stage = Stage { tidegate, client, other, wrongs: Vec::new(), what: String::new() };
        for case in CASES.iter().filter(|case| case.only.is_none_or(|only| only == flavor)) {
            stage.what = format!("{flavor:?}, {}", case.row);
            let address = stage.tidegate.address();
            stage.client = RawClient::login(address.as_str(), &several).unwrap();
            stage.other = RawClient::login(address.as_str(), &Login::app()).unwrap();
            case.steps.iter().for_each(|step| stage.step(step));
        }
        wrongs.append(&mut stage.wrongs);
    }
    assert!(wrongs.is_empty(), "\n{}", wrongs.join("\n"));
}

/// The first cells of the table whose heading begins so.
fn rows_of(heading: &str) -> Vec<String> {
    let paper = fs::read_to_string(PAPER).unwrap();
    let table = paper.lines().skip_while(|line| !line.starts_with(heading));
    let rows: Vec<String> = table
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split(" | ").next().unwrap().trim_matches(['|', ' ']).to_owned())
        .collect();
    assert!(!rows.is_empty(), "no table begins with {heading}");
    rows
}

#[test]
fn every_pin_has_one_row_in_the_paper_and_nothing_else_has() {
    let rows = rows_of("| pin | cause | until |");
    let names: Vec<String> = Pin::NAMES.iter().map(|name| format!("`{name}`")).collect();
    assert_eq!(rows, names, "in the order of Pin::NAMES");
}

#[test]
fn every_row_about_rds_proxy_has_a_case_and_every_case_a_row() {
    let rows = rows_of("| what a client does | RDS Proxy | Tidegate |");
    let set: BTreeSet<&str> = rows.iter().map(String::as_str).collect();
    assert_eq!(set.len(), rows.len(), "a row comes twice");
    let cases: BTreeSet<&str> = CASES.iter().map(|case| case.row).collect();
    assert_eq!(set, cases);
}
