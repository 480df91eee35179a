//! Statements and exactly what is to be read in them.

use super::{Dialect, Head, Hints, Kill, Reading, read};

const PLAIN: Dialect =
    Dialect { ansi_quotes: false, no_backslash_escapes: false, ascii_safe: true, mariadb: false };
const MARIADB: Dialect = Dialect { mariadb: true, ..PLAIN };
const ANSI: Dialect = Dialect { ansi_quotes: true, ..PLAIN };
const NO_ESCAPES: Dialect = Dialect { no_backslash_escapes: true, ..PLAIN };

/// Flags by name, so that a row of the table stays a line.
fn flags(names: &str) -> Hints {
    names.split_whitespace().fold(Hints::empty(), |all, name| {
        all | Hints::from_name(name).unwrap_or_else(|| panic!("no hint {name}"))
    })
}

fn check(dialect: Dialect, table: &[(&str, Head, &str)]) {
    for &(sql, head, hints) in table {
        let reading = read(sql.as_bytes(), dialect);
        // FROM is no suspicion, and in every second line.
        assert_eq!(reading.hints - Hints::FROM, flags(hints), "{sql}");
        assert_eq!(reading.head, head, "{sql}");
    }
}

#[test]
fn ordinary_statements_raise_no_suspicion() {
    check(
        PLAIN,
        &[
            ("", Head::Empty, ""),
            (" ;; -- nothing\n # nothing\n /* nothing */ ;", Head::Empty, ""),
            ("SELECT 1", Head::Select, ""),
            ("/* ping */ select 1", Head::Select, ""),
            ("((SELECT 1) UNION (SELECT 2))", Head::Select, ""),
            ("SELECT c FROM sbtest1 WHERE id=5012", Head::Select, ""),
            ("SELECT 'it''s', 'it\\'s', \"a @b\", `a``@b` FROM t", Head::Select, ""),
            ("SELECT /*+ MAX_EXECUTION_TIME(1000) INDEX(`t` `i`) */ 1", Head::Select, ""),
            ("SELECT a-- -1\n, b--1, 3 - -4", Head::Select, ""),
            ("SELECT 2*/* c */3", Head::Select, ""),
            ("SELECT * FROM t FOR UPDATE", Head::Select, ""),
            ("SELECT * FROM t LOCK IN SHARE MODE", Head::Select, ""),
            ("SELECT row_count, get_lock, found_rows FROM stats", Head::Select, ""),
            ("SELECT a->>'$.b', a->'$.c' FROM t", Head::Select, ""),
            ("SELECT kill_count, call_id FROM t WHERE locked = 1", Head::Select, ""),
            ("INSERT INTO t (a, b) VALUES (1, x'41'), (N'a', _utf8mb4'b')", Head::Insert, ""),
            ("UPDATE t SET role = 'a', names = 'b', password = 'c'", Head::Update, ""),
            ("REPLACE INTO t VALUES (1)", Head::Replace, ""),
            ("DELETE FROM `lock` WHERE `@x` = ';'", Head::Delete, ""),
            ("WITH x AS (SELECT 1) SELECT * FROM x", Head::With, ""),
            ("VALUES ROW(1, 2)", Head::Values, ""),
            ("TABLE t", Head::Table, ""),
            ("BEGIN", Head::Begin, ""),
            ("START TRANSACTION READ ONLY;", Head::Begin, ""),
            ("START REPLICA", Head::Start, ""),
            ("COMMIT AND CHAIN", Head::Commit, ""),
            ("ROLLBACK TO SAVEPOINT a", Head::Rollback, ""),
            ("RELEASE SAVEPOINT a", Head::Savepoint, ""),
            ("USE `db`", Head::Use, ""),
            ("SET NAMES utf8mb4", Head::Set, ""),
            ("SET autocommit=1, sql_mode=CONCAT('a', ',b'), x = IF(1 IN (1), 2, 3)", Head::Set, ""),
            ("SET binlog_format = STATEMENT", Head::Set, ""),
            ("SHOW VARIABLES LIKE 'session_track%'", Head::Show, "WAIT_TIMEOUT"),
            ("SELECT variables FROM variables", Head::Select, ""),
            ("UNLOCK TABLES", Head::Unlock, ""),
            ("FLUSH TABLES", Head::Flush, ""),
            ("ALTER TABLE t ADD a INT, ALGORITHM=INPLACE, LOCK=NONE", Head::Alter, ""),
            ("GRANT SELECT ON *.* TO 'u'@'%'", Head::Grant, ""),
            ("CREATE DEFINER=`root`@`localhost` VIEW v AS SELECT 1", Head::Create, ""),
            ("explain select 1", Head::Explain, ""),
            ("DO SLEEP(1)", Head::Do, ""),
            ("LOAD DATA INFILE 'f' INTO TABLE t", Head::Load, ""),
            ("nonsense", Head::Other, ""),
            ("'nonsense'", Head::Other, ""),
        ],
    );
}

#[test]
fn variables() {
    check(
        PLAIN,
        &[
            ("SELECT @a", Head::Select, "USER_VARIABLE"),
            ("SELECT@a.b$c", Head::Select, "USER_VARIABLE"),
            ("SELECT @`a b`, @'c', @\"d\"", Head::Select, "USER_VARIABLE"),
            ("SELECT @", Head::Select, "USER_VARIABLE"),
            ("SELECT @a:=1", Head::Select, "USER_VARIABLE USER_VARIABLE_SET"),
            ("SELECT @'a' /* c */ := 1", Head::Select, "USER_VARIABLE USER_VARIABLE_SET"),
            ("SELECT 1 INTO @a", Head::Select, "USER_VARIABLE USER_VARIABLE_SET"),
            ("SELECT 1,2 INTO x , @a", Head::Select, "USER_VARIABLE USER_VARIABLE_SET"),
            ("SELECT 1.5into@a", Head::Select, "USER_VARIABLE USER_VARIABLE_SET"),
            ("SELECT 1e5into@a", Head::Select, "USER_VARIABLE USER_VARIABLE_SET"),
            ("SELECT 1.e5into@a", Head::Select, "USER_VARIABLE USER_VARIABLE_SET"),
            ("SELECT 1e+5into@a", Head::Select, "USER_VARIABLE USER_VARIABLE_SET"),
            ("SELECT \\Ninto@a", Head::Select, "USER_VARIABLE USER_VARIABLE_SET"),
            ("SELECT 'x'INTO@a", Head::Select, "USER_VARIABLE USER_VARIABLE_SET"),
            ("INSERT INTO t SELECT @a", Head::Insert, "USER_VARIABLE"),
            ("INSERT INTO t VALUES (@a)", Head::Insert, "USER_VARIABLE"),
            ("SET @a = 1", Head::Set, "USER_VARIABLE USER_VARIABLE_SET"),
            ("SET x = 1, @`a` = 1", Head::Set, "USER_VARIABLE USER_VARIABLE_SET"),
            ("SET @\u{e9} = 1", Head::Set, "USER_VARIABLE USER_VARIABLE_SET"),
            ("SET time_zone = @a", Head::Set, "USER_VARIABLE"),
            (
                "LOAD DATA INFILE 'f' INTO TABLE t (@a)",
                Head::Load,
                "USER_VARIABLE USER_VARIABLE_SET",
            ),
            ("CALL p(@a)", Head::Call, "CALL USER_VARIABLE USER_VARIABLE_SET"),
            ("SELECT @@version", Head::Select, "SYSTEM_VARIABLE"),
            ("SELECT @@warning_count, 1", Head::Select, "SYSTEM_VARIABLE DIAGNOSTICS"),
            ("SELECT @@session . `error_count`", Head::Select, "SYSTEM_VARIABLE DIAGNOSTICS"),
            ("SELECT @@identity", Head::Select, "SYSTEM_VARIABLE LAST_INSERT_ID"),
            ("SELECT @@pseudo_thread_id", Head::Select, "SYSTEM_VARIABLE CONNECTION_ID"),
            ("SET insert_id=1, last_insert_id=5", Head::Set, "LAST_INSERT_ID_SET"),
            ("SELECT @@Wait_Timeout", Head::Select, "SYSTEM_VARIABLE WAIT_TIMEOUT"),
            ("SELECT @@session.`wait_timeout`", Head::Select, "SYSTEM_VARIABLE WAIT_TIMEOUT"),
            ("SET wait_timeout = 5", Head::Set, "WAIT_TIMEOUT"),
            ("SHOW SESSION VARIABLES", Head::Show, "WAIT_TIMEOUT"),
            (
                "SELECT * FROM `performance_schema`.`session_variables`",
                Head::Select,
                "WAIT_TIMEOUT",
            ),
            ("SET session_track_gtids = OWN_GTID", Head::Set, "SESSION_TRACK"),
            ("SET @@`session_track_schema` = 0", Head::Set, "SYSTEM_VARIABLE SESSION_TRACK"),
            (
                "GET DIAGNOSTICS @n = NUMBER",
                Head::Get,
                "DIAGNOSTICS USER_VARIABLE USER_VARIABLE_SET",
            ),
        ],
    );
}

#[test]
fn locks_and_other_state() {
    check(
        PLAIN,
        &[
            ("SELECT GET_LOCK('a', 1)", Head::Select, "GET_LOCK"),
            ("select get_lock /* c */ ('a', 1)", Head::Select, "GET_LOCK"),
            ("DO RELEASE_LOCK('a')", Head::Do, "RELEASE_LOCK"),
            ("SELECT RELEASE_ALL_LOCKS()", Head::Select, "RELEASE_LOCK"),
            ("SELECT IS_FREE_LOCK('a')", Head::Select, "LOCK_STATE"),
            ("LOCK TABLES t READ", Head::Lock, "LOCK_TABLES"),
            ("LOCK TABLE t WRITE", Head::Lock, "LOCK_TABLES"),
            ("LOCK INSTANCE FOR BACKUP", Head::Lock, "LOCK_INSTANCE"),
            ("UNLOCK INSTANCE", Head::Unlock, "UNLOCK_INSTANCE"),
            ("FLUSH TABLES WITH READ LOCK", Head::Flush, "LOCK_TABLES"),
            ("FLUSH TABLES a, b FOR EXPORT", Head::Flush, "LOCK_TABLES"),
            ("BACKUP STAGE START", Head::Backup, "LOCK_TABLES"),
            ("HANDLER t OPEN", Head::Handler, "HANDLER"),
            ("SET ROLE NONE", Head::Set, "ROLE"),
            ("SET DEFAULT ROLE a TO b", Head::Set, "ROLE"),
            ("SET RESOURCE GROUP g", Head::Set, "RESOURCE_GROUP"),
            ("SELECT SQL_CALC_FOUND_ROWS a FROM t", Head::Select, "FOUND_ROWS_CALC"),
            ("SELECT FOUND_ROWS() + 1", Head::Select, "FOUND_ROWS"),
            ("INSERT INTO t VALUES (LAST_INSERT_ID())", Head::Insert, "LAST_INSERT_ID"),
            (
                "UPDATE t SET a=LAST_INSERT_ID(a+1)",
                Head::Update,
                "LAST_INSERT_ID LAST_INSERT_ID_SET",
            ),
            ("SHOW WARNINGS LIMIT 1", Head::Show, "DIAGNOSTICS"),
            ("SHOW PROFILES", Head::Show, "PROFILES"),
            ("CREATE TEMPORARY TABLE t (a INT)", Head::Create, "TEMPORARY"),
            ("PREPARE s FROM 'SELECT 1'", Head::Prepare, "TEXT_PREPARE"),
            ("EXECUTE s", Head::Execute, "TEXT_PREPARE"),
            ("DEALLOCATE PREPARE s", Head::Deallocate, "TEXT_PREPARE"),
            ("DROP PREPARE s", Head::Drop, "TEXT_PREPARE"),
            ("XA PREPARE 'a'", Head::Xa, "XA"),
            ("SET SESSION TRANSACTION READ ONLY", Head::Set, "SET_TRANSACTION"),
            ("SET TRANSACTION READ ONLY", Head::Set, "SET_TRANSACTION SET_TRANSACTION_ONCE"),
            (
                "SET @@transaction_isolation = 'SERIALIZABLE'",
                Head::Set,
                "SYSTEM_VARIABLE SET_TRANSACTION SET_TRANSACTION_ONCE",
            ),
            ("SET @@session.transaction_isolation = 'x'", Head::Set, "SYSTEM_VARIABLE"),
            ("SET PASSWORD = 'a'", Head::Set, "PASSWORD"),
            ("CALL p()", Head::Call, "CALL"),
            ("SET x = f(1)", Head::Set, "FUNCTION_CALL_IN_SET"),
            ("SET x = db.concat(1)", Head::Set, "FUNCTION_CALL_IN_SET"),
            ("DO `f` (1)", Head::Do, "FUNCTION_CALL_IN_SET"),
            ("DO concat\u{e9}(1)", Head::Do, "FUNCTION_CALL_IN_SET"),
            ("SELECT f(1)", Head::Select, ""),
            ("SELECT CONNECTION_ID(), 1", Head::Select, "CONNECTION_ID"),
            ("LOAD DATA LOCAL INFILE 'f' INTO TABLE t", Head::Load, "LOAD_LOCAL"),
            ("BINLOG 'abc'", Head::Binlog, "BINLOG"),
            ("SELECT 1; SELECT 2;", Head::Select, "MULTI"),
            ("SELECT 1; KILL 5", Head::Select, "MULTI KILL"),
        ],
    );
}

#[test]
fn literals_and_comments_that_end_where_one_does_not_expect() {
    check(
        PLAIN,
        &[
            ("SELECT 'a\\'; KILL 5 -- '", Head::Select, ""),
            ("SELECT \"a\\\"; KILL 5 -- \"", Head::Select, ""),
            ("SELECT `a\\`; KILL 5 -- `", Head::Select, "MULTI KILL"),
            ("SELECT 1 --\n; KILL 5", Head::Select, "MULTI KILL"),
            ("SELECT 1 --; KILL 5", Head::Select, "MULTI KILL"),
            ("SELECT 1 -- ; KILL 5", Head::Select, ""),
            ("SELECT 1 --- ; KILL 5", Head::Select, ""),
            ("SELECT 1 # ; KILL 5", Head::Select, ""),
            ("SELECT 1 /*/; KILL 5 */", Head::Select, ""),
            ("SELECT 1 /* /* */; KILL 5", Head::Select, "MULTI KILL"),
            ("SELECT 1 --", Head::Select, ""),
            (
                "SELECT 0x00000000000000000000000000000000000000000000000000000000000000000000",
                Head::Select,
                "",
            ),
            (
                "SELECT 10000000000000000000000000000000000000000000000000000000000000000000into @a",
                Head::Select,
                "UNREADABLE USER_VARIABLE",
            ),
            ("SELECT 'a", Head::Select, "UNREADABLE"),
            ("SELECT 'a\\'", Head::Select, "UNREADABLE"),
            ("SELECT `a", Head::Select, "UNREADABLE"),
            ("SELECT 1 /* a", Head::Select, "UNREADABLE"),
            ("SELECT 1 /*", Head::Select, "UNREADABLE"),
            ("SELECT 1 \0", Head::Select, "UNREADABLE"),
            ("SELECT 'a\0b'", Head::Select, ""),
            ("SELECT `a\0b`", Head::Select, "UNREADABLE"),
            ("SELECT 1 # a\0b", Head::Select, "UNREADABLE"),
            ("SELECT 1 --\u{e9}", Head::Select, "UNREADABLE"),
            ("SELECT $$ ' $$", Head::Select, "UNREADABLE"),
            ("SELECT a$$b", Head::Select, ""),
            ("SELECT /*+ QB_NAME(`a */ b`) */ 1", Head::Select, "UNREADABLE"),
            ("SET sql_mode = ''; SELECT 1", Head::Set, "MULTI"),
            ("SET sql_mode = ''; SELECT 'a'", Head::Set, "MULTI UNREADABLE"),
            ("SET `sql_mode` = ''; SELECT 1, \"a\"", Head::Set, "MULTI UNREADABLE"),
            ("SET NAMES gbk; SELECT a\u{e9}", Head::Set, "MULTI UNREADABLE"),
            ("SET NAMES gbk; SELECT `a`", Head::Set, "MULTI UNREADABLE"),
            ("SET NAMES gbk; SELECT 1", Head::Set, "MULTI"),
            ("SET NAMES gbk;", Head::Set, ""),
        ],
    );
    check(ANSI, &[("SELECT \"a\\\"; KILL 5 -- \"", Head::Select, "MULTI KILL")]);
    check(ANSI, &[("SET \"session_track_gtids\" = 1", Head::Set, "SESSION_TRACK")]);
    check(NO_ESCAPES, &[("SELECT 'a\\'; KILL 5 -- '", Head::Select, "MULTI KILL")]);
    check(NO_ESCAPES, &[("SELECT 'a\\'", Head::Select, "")]);
    check(MARIADB, &[("SELECT $$", Head::Select, "")]);
}

#[test]
fn executable_comments_are_code_and_are_not() {
    check(
        PLAIN,
        &[
            ("/*!40101 SET NAMES utf8 */", Head::Set, "EXECUTABLE_COMMENT"),
            ("/*!40101SET NAMES utf8 */;", Head::Set, "EXECUTABLE_COMMENT"),
            (
                "/*M!100100 SET @a=@@b */",
                Head::Set,
                "EXECUTABLE_COMMENT USER_VARIABLE USER_VARIABLE_SET SYSTEM_VARIABLE",
            ),
            ("SELECT 1 /*M a*/", Head::Select, ""),
            ("SELECT /*!50000 GET_LOCK('a', 1) */", Head::Select, "EXECUTABLE_COMMENT GET_LOCK"),
            ("/*!99999 SELECT */ KILL 5", Head::Select, "EXECUTABLE_COMMENT KILL"),
            ("SELECT get_lock /*!99999 a */ ('a', 1)", Head::Select, "EXECUTABLE_COMMENT GET_LOCK"),
            (
                "SELECT 1 INTO /*!99999 a */ @a",
                Head::Select,
                "EXECUTABLE_COMMENT USER_VARIABLE USER_VARIABLE_SET",
            ),
            ("LOCK /*!99999 a */ TABLES t READ", Head::Lock, "EXECUTABLE_COMMENT LOCK_TABLES"),
            (
                "SET /*!99999 a */ TRANSACTION READ ONLY",
                Head::Set,
                "EXECUTABLE_COMMENT SET_TRANSACTION SET_TRANSACTION_ONCE",
            ),
            ("/*!40000 SELECT 2*/*3", Head::Select, "EXECUTABLE_COMMENT"),
            // The server that skips the comment, and the one that does not, read another text.
            (
                "/*!99999 ' */ SELECT GET_LOCK('a', 1) -- '",
                Head::Other,
                "EXECUTABLE_COMMENT UNREADABLE",
            ),
            ("/*!99999 a -- */ b\n*/", Head::Other, "EXECUTABLE_COMMENT UNREADABLE"),
            ("/*! /* a */ */ SELECT 1", Head::Select, "EXECUTABLE_COMMENT UNREADABLE"),
            ("/*! SELECT 1; */ SELECT 2", Head::Select, "EXECUTABLE_COMMENT UNREADABLE MULTI"),
            ("/*! SELECT 1", Head::Select, "EXECUTABLE_COMMENT UNREADABLE"),
        ],
    );
    // A no-break space is white space in some character sets.
    let nbsp = read(b"SELECT GET_LOCK\xa0('a',1) INTO\xa0@a", PLAIN);
    assert_eq!(nbsp.hints, flags("GET_LOCK USER_VARIABLE USER_VARIABLE_SET"));
}

#[test]
fn mariadb_has_more() {
    check(
        MARIADB,
        &[
            ("SET STATEMENT a=1 FOR SELECT 1", Head::Set, "SET_STATEMENT"),
            ("SET STATEMENT a=1 FOR KILL 5", Head::Set, "SET_STATEMENT KILL"),
            ("BEGIN NOT ATOMIC CALL p(); END", Head::Compound, "CALL MULTI"),
            ("IF 1 THEN KILL 5; END IF", Head::Compound, "KILL MULTI"),
            ("SELECT NEXTVAL(s)", Head::Select, "SEQUENCE"),
            ("SELECT PREVIOUS VALUE FOR s", Head::Select, "SEQUENCE"),
            ("SET SESSION AUTHORIZATION a", Head::Set, "ROLE"),
            (
                "EXECUTE IMMEDIATE 'a' USING @a",
                Head::Execute,
                "TEXT_PREPARE USER_VARIABLE USER_VARIABLE_SET",
            ),
        ],
    );
}

#[test]
fn kills() {
    let kill = |sql: &str, dialect| {
        let Reading { head, hints, kill, .. } = read(sql.as_bytes(), dialect);
        assert_eq!(head, Head::Kill, "{sql}");
        assert!(hints.contains(Hints::KILL), "{sql}");
        kill
    };
    let plain = |id, query_only| Some(Kill { id, query_only });
    assert_eq!(kill("KILL 5", PLAIN), plain(5, false));
    assert_eq!(kill(" /* a */ kill connection 5 ; -- b", PLAIN), plain(5, false));
    assert_eq!(kill("KILL QUERY 18446744073709551615;", PLAIN), plain(u64::MAX, true));
    assert_eq!(kill("KILL HARD QUERY 5", MARIADB), plain(5, true));
    assert_eq!(kill("KILL SOFT 5", MARIADB), plain(5, false));
    for sql in [
        "KILL",
        "KILL HARD 5",
        "KILL QUERY ID 5",
        "KILL USER a",
        "KILL 5+1",
        "KILL 5 6",
        "KILL -5",
        "KILL 0x5",
        "KILL 5e1",
        "KILL 5.0",
        "KILL '5'",
        "KILL @a",
        "KILL CONNECTION_ID()",
        "KILL 18446744073709551616",
        "KILL 5; KILL 6",
        "KILL /*! 5 */",
        "KILL 5 /*",
        "KILL 5\u{a0}",
    ] {
        assert_eq!(kill(sql, PLAIN), None, "{sql}");
    }
}

#[test]
fn words_that_are_no_suspicion() {
    let hints = |sql: &str| read(sql.as_bytes(), PLAIN).hints;
    assert_eq!(hints("SELECT a FROM t"), Hints::FROM);
    assert_eq!(hints("SELECT 'from'"), Hints::empty());
    assert_eq!(hints("COMMIT AND NO CHAIN RELEASE"), Hints::RELEASE);
    assert_eq!(hints("COMMIT NO RELEASE"), Hints::empty());
    assert_eq!(hints("RELEASE SAVEPOINT a"), Hints::empty());
    assert_eq!(hints("INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = 1"), Hints::DUPLICATE);
}

#[test]
fn statements_are_counted() {
    let count = |sql: &str| read(sql.as_bytes(), PLAIN).statements;
    assert_eq!(count(""), 0);
    assert_eq!(count("-- a"), 0);
    assert_eq!(count(";;"), 0);
    assert_eq!(count("SELECT ';'"), 1);
    assert_eq!(count("SELECT 1;; /* a */ ;SELECT 2; "), 2);
}
