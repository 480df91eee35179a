//! What both servers hold before a script: users' rights, tables, routines.
//!
//! Owns the schemas `app` and `other`. Each client N has tables of its own, `tN` for rows that
//! others may read and `dN` for definitions that change, so that no step waits for another client.

use crate::support::{
    client::Row,
    servers::{Flavor, Server},
};

pub const CLIENTS: u8 = 6;

/// What outlives a script.
pub fn once(server: &Server) {
    // A client that has just left, or the server's own work on statistics, may hold a table longer
    // than clients are to wait.
    server.root("SET SESSION lock_wait_timeout = 10, innodb_lock_wait_timeout = 10");
    if server.flavor == Flavor::MySql {
        server.root("SET SESSION information_schema_stats_expiry = 0");
    }
    server.root("CREATE ROLE replay_role");
    for user in ["app", "app_b"] {
        server.root(&format!("GRANT replay_role TO {user}@'%'"));
        server.root(&format!("GRANT ALL ON other.* TO {user}@'%'"));
        if server.flavor == Flavor::MySql {
            server.root(&format!("GRANT SESSION_VARIABLES_ADMIN ON *.* TO {user}@'%'"));
        }
    }
}

/// Everything a script may have changed, as it was.
pub fn again(server: &Server) {
    end_prepared(server);
    for schema in ["app", "other"] {
        let drop = format!("DROP DATABASE IF EXISTS {schema}");
        let mut tries = 0;
        while let Err(why) = server.try_root(&drop) {
            eprintln!("{schema} cannot be dropped: {why}; a connection at rest holds it");
            for sql in [
                "SHOW FULL PROCESSLIST",
                "SELECT * FROM information_schema.innodb_trx",
                "XA RECOVER",
            ] {
                eprintln!("{:?}", server.try_root(sql));
            }
            tries += 1;
            assert!(tries < 6, "{schema} cannot be dropped: {why}");
            end_connections(server);
        }
        server.root(&format!("CREATE DATABASE {schema} CHARACTER SET utf8mb4"));
    }
    for client in 1..=CLIENTS {
        server.root(&format!(
            "CREATE TABLE app.t{client} (id INT PRIMARY KEY AUTO_INCREMENT, n INT UNIQUE, \
             s VARCHAR(40), d DECIMAL(10,2), b BLOB)"
        ));
        server.root(&format!("CREATE TABLE app.d{client} (id INT PRIMARY KEY, v INT)"));
    }
    for sql in FIXTURE {
        server.root(sql);
    }
}

/// No client is there: what still holds a table is a connection that Tidegate believes clean.
#[allow(clippy::disallowed_methods, reason = "a test's own thread may wait")]
fn end_connections(server: &Server) {
    for row in server.root("SHOW PROCESSLIST") {
        if row[1].as_deref().is_some_and(|user| user.starts_with("app")) {
            let _ = server.try_root(&format!("KILL {}", row[0].clone().unwrap_or_default()));
        }
    }
    // Tidegate looks every second for the dead.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    end_prepared(server);
}

/// XA transactions outlive their clients.
fn end_prepared(server: &Server) {
    for row in server.root("XA RECOVER") {
        let data = row[3].clone().unwrap_or_default();
        // Refused while the connection that prepared it is still on its way out.
        if let Err(why) = server.try_root(&format!("XA ROLLBACK '{data}'")) {
            eprintln!("{data} cannot be rolled back: {why}");
        }
    }
}

const FIXTURE: &[&str] = &[
    "CREATE TABLE app.shared (id INT PRIMARY KEY, s VARCHAR(20), n INT)",
    "INSERT INTO app.shared VALUES (1, 'one', 10), (2, 'two', 20), (3, 'dréi', 30), \
     (4, NULL, NULL), (5, 'fünf', 50)",
    "CREATE TABLE other.shared (id INT PRIMARY KEY, s VARCHAR(20))",
    "INSERT INTO other.shared VALUES (1, 'elsewhere')",
    "CREATE TABLE app.trig (id INT PRIMARY KEY AUTO_INCREMENT, s VARCHAR(20)) ENGINE = MEMORY",
    "CREATE TRIGGER app.triggered BEFORE INSERT ON app.trig FOR EACH ROW \
     SET @in_trigger = CONCAT('seen ', NEW.s)",
    "CREATE VIEW app.seen AS SELECT id, s FROM app.shared WHERE n > 10",
    "CREATE FUNCTION app.sets_in_function() RETURNS INT NOT DETERMINISTIC NO SQL \
     BEGIN SET @in_function = 8; RETURN 1; END",
    "CREATE FUNCTION app.doubled(n INT) RETURNS INT DETERMINISTIC NO SQL RETURN n * 2",
    "CREATE PROCEDURE app.sets_a_variable() SET @in_call = 7",
    "CREATE PROCEDURE app.sets_group() SET SESSION group_concat_max_len = 77",
    "CREATE PROCEDURE app.several() BEGIN SELECT 1 AS a; SELECT id, s FROM app.shared; END",
    "CREATE PROCEDURE app.out_param(IN a INT, OUT b INT, INOUT c INT) \
     BEGIN SET b = a + 1; SET c = c * 2; END",
    "CREATE PROCEDURE app.warns() SELECT CAST('abc' AS UNSIGNED)",
    "CREATE PROCEDURE app.fails() BEGIN SELECT 1; SELECT * FROM app.nowhere; END",
    "CREATE PROCEDURE app.inserts(IN v INT) INSERT INTO app.t1 (n) VALUES (v)",
    "CREATE PROCEDURE app.signals() \
     SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'as asked', MYSQL_ERRNO = 31001",
    "CREATE PROCEDURE app.makes_a_table() \
     CREATE TEMPORARY TABLE app.made_in_call AS SELECT 10 AS id",
];

/// What the tables hold, as a checksum of each, and the ids they give next.
pub fn contents(server: &Server) -> Vec<Row> {
    let tables: Vec<String> =
        (1..=CLIENTS).map(|client| format!("app.t{client}, app.d{client}")).collect();
    let sums = format!("CHECKSUM TABLE app.trig, app.shared, {}", tables.join(", "));
    let next = "SELECT table_name, auto_increment FROM information_schema.tables \
                WHERE table_schema = 'app' AND auto_increment IS NOT NULL ORDER BY table_name";
    [server.root(&sums), server.root(next)].concat()
}
