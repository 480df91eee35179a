//! Small scripts by hand, one for each thing a session can do to a connection.
//!
//! Owns the table. A story is a name, how many server connections there are, and lines as
//! [`super::script`] reads them.

use super::script::Script;
use crate::support::servers::Flavor;

pub struct Story {
    pub name: &'static str,
    pub bound: u32,
    pub known_limit: Option<&'static str>,
    only: Option<Flavor>,
    lines: &'static str,
}

const fn story(name: &'static str, bound: u32, lines: &'static str) -> Story {
    Story { name, bound, known_limit: None, only: None, lines }
}

impl Story {
    const fn limit(mut self, why: &'static str) -> Self {
        self.known_limit = Some(why);
        self
    }

    const fn only(mut self, flavor: Flavor) -> Self {
        self.only = Some(flavor);
        self
    }

    pub fn is_for(&self, flavor: Flavor) -> bool {
        self.only.is_none_or(|only| only == flavor)
    }

    pub fn script(&self) -> Script {
        Script::parse(self.lines)
    }
}

pub const STORIES: &[Story] = &[
    story(
        "variables of two clients on one connection",
        1,
        "
        1: SET sql_mode = 'ANSI_QUOTES', time_zone = '+05:00'
        2: SET NAMES latin1
        1: SELECT @@sql_mode, @@time_zone, @@character_set_client
        2: SELECT @@sql_mode, @@time_zone, @@character_set_client
        1: SET sql_mode = CONCAT(@@sql_mode, ',PIPES_AS_CONCAT')
        1: SELECT 'a' || 'b'
        2: SELECT 'a' || 'b'
        2: SELECT HEX('é'), CHAR_LENGTH('é')
        1: SET sql_mode = DEFAULT, time_zone = DEFAULT
        1: SHOW VARIABLES LIKE 'sql_mode'
        2: SHOW VARIABLES LIKE 'character_set_c%'",
    ),
    story(
        "a SET that fails changes nothing",
        1,
        "
        1: SET time_zone = '+03:00', no_such_variable = 1
        1: SELECT @@time_zone
        1: SET sql_select_limit = 2, sql_mode = 'NONSENSE'
        2: SELECT @@sql_select_limit
        1: SELECT @@sql_select_limit, @@sql_mode
        1: SET character_set_client = ucs2
        1: SELECT @@character_set_client",
    ),
    story(
        "a limit on selects does not cut the list of warnings",
        1,
        "
        1: SET sql_select_limit = 1
        1: SELECT 1/0, CAST('a' AS UNSIGNED)
        2: SELECT 1
        1: SHOW WARNINGS
        1: SET sql_select_limit = -1
        2: SELECT 1
        1: SHOW WARNINGS
        1: SELECT 1/0
        1: SET @@sql_select_limit = 1
        2: SET @@sql_notes = DEFAULT
        1: SELECT @@sql_select_limit, @@sql_notes
        1: SET @@sql_select_limit = DEFAULT
        2: SELECT @@sql_select_limit, @@sql_notes",
    ),
    story(
        "a list that the last of several statements keeps",
        1,
        "
        1! login app multi
        2! login app multi
        1: SELECT CAST('a' AS SIGNED); SHOW WARNINGS
        2: SELECT 1
        1: SHOW WARNINGS
        1: SELEKT
        1: DO 1; SELECT 1
        2: SELECT 1
        1: SHOW WARNINGS
        1: SELECT CAST('b' AS SIGNED); DO 1
        2: SELECT 1
        1: SHOW WARNINGS",
    ),
    story(
        "commands that leave the list of another client where it is",
        1,
        "
        1: SELECT CAST('a' AS SIGNED)
        2! init_db app
        2! field_list shared
        2: SHOW WARNINGS
        1: SELECT CAST('a' AS SIGNED)
        2! statistics
        2! ping
        2: DO 1
        2: SHOW WARNINGS
        1: SELECT CAST('a' AS SIGNED)
        2! set_option 1
        2: DO 1
        2: SHOW COUNT(*) WARNINGS
        1: SELECT CAST('a' AS SIGNED)
        2! init_db other
        2: BEGIN
        2: SHOW WARNINGS
        2: COMMIT",
    ),
    story(
        "errors of what a client did not say stay with nobody",
        1,
        "
        1! prepare s SELECT id FROM t1
        1: DROP TABLE t1
        1! reset
        2: SET @@sql_notes = 1
        1: SET time_zone = '+01:00'
        1! execute s
        2: DO 1
        2: SHOW WARNINGS
        2! init_db app
        2! field_list shared
        2: SHOW WARNINGS",
    ),
    story(
        "statements that use a table by name only",
        1,
        "
        1: SELECT CAST('a' AS SIGNED)
        2: SELECT 1 FROM DUAL
        2: SHOW WARNINGS
        1: SELECT CAST('a' AS SIGNED)
        2: SELECT EXTRACT(YEAR FROM '2020-01-02')
        2: SHOW WARNINGS
        1: SELECT CAST('a' AS SIGNED)
        2: EXPLAIN SELECT 1
        2: SELECT 1
        1: SELECT CAST('a' AS SIGNED)
        2: SELECT TRIM(LEADING 'x' FROM 'xxa')
        2: SHOW WARNINGS
        1: SELECT CAST('a' AS SIGNED)
        2! prepare s SELECT 1
        2! execute s
        2: SHOW COUNT(*) WARNINGS
        1: SELECT CAST('a' AS SIGNED)
        2: FLUSH STATUS
        2: SHOW WARNINGS",
    ),
    story(
        "long data ahead of all else",
        1,
        "
        1! prepare s SELECT LENGTH(?), FOUND_ROWS()
        1! prepare p INSERT INTO t1 (s) VALUES (?)
        1: SELECT 1 UNION SELECT 2
        2: SELECT CAST('a' AS SIGNED)
        1! long_data p 0 abc
        1! long_data p 0 def
        1: SHOW WARNINGS
        1: SELECT FOUND_ROWS()
        1! execute p 'x'",
    ),
    story(
        "counts of a connection that is new to a transaction",
        1,
        "
        1: SELECT 1 UNION SELECT 2 UNION SELECT 3
        2: SELECT 1 UNION SELECT 2
        1: BEGIN
        1: SELECT FOUND_ROWS()
        1: SELECT FOUND_ROWS(), ROW_COUNT()
        1: COMMIT
        1: SELECT 1 UNION SELECT 2 UNION SELECT 3
        2: SELECT 1 UNION SELECT 2
        1: BEGIN
        1: INSERT INTO t1 (id, s) VALUES (77, 'a')
        1: SELECT FOUND_ROWS()
        1: UPDATE t1 SET s = 'b'
        1: SELECT ROW_COUNT()
        1: SELECT 1 UNION SELECT 2 INTO @none
        1: SELECT id FROM t1 LIMIT 1 INTO @one
        1: SELECT FOUND_ROWS()
        1: SELECT 1 UNION SELECT 2
        1: SELECT FOUND_ROWS()
        1: ROLLBACK
        1: SELECT 1 UNION SELECT 2 UNION SELECT 3
        2: SELECT 1 UNION SELECT 2
        1: BEGIN
        1: INSERT IGNORE INTO t1 (n) VALUES ('x')
        1: SELECT FOUND_ROWS()
        1: SELECT ROW_COUNT()
        1: SHOW WARNINGS
        1: ROLLBACK",
    ),
    story(
        "a list to be wiped before what was said of the next transaction",
        1,
        "
        1: SELECT CAST('a' AS SIGNED)
        1: SET TRANSACTION READ ONLY
        2: SELECT CAST('b' AS SIGNED)
        1: BEGIN
        1: SHOW WARNINGS
        1: INSERT INTO t1 (n) VALUES (1)
        1: COMMIT
        1: SET TRANSACTION READ ONLY
        1: SELECT CAST('a' AS SIGNED)
        1: SELECT 1 UNION SELECT 2
        1: BEGIN
        1: SELECT 1 UNION SELECT 2
        1: SHOW WARNINGS
        1: SELECT CONNECTION_ID()
        1: SELECT ROW_COUNT()
        1: COMMIT
        2: SELECT 1
        1: SELECT FOUND_ROWS()",
    ),
    story(
        "the rows of a list are not found rows",
        1,
        "
        1: BEGIN
        1: SELECT id FROM shared UNION SELECT 2 UNION SELECT 3
        1: SHOW WARNINGS
        1: SELECT FOUND_ROWS()
        1: SELECT id FROM shared UNION SELECT 2 UNION SELECT 3
        1: SHOW WARNINGS
        1: COMMIT
        2: SELECT 1
        1: SELECT FOUND_ROWS()",
    ),
    story(
        "a reset that would come before an execute that is malformed",
        1,
        "
        1! prepare s SELECT ?
        2: SET @x = 1
        1! bytes 17010000000001000000
        3: SELECT @x
        3: SET @x = 2
        1: SELECT @x",
    )
    .only(Flavor::MySql),
    story(
        "errors of Tidegate's own join a list that is still on the connection",
        1,
        "
        1: BEGIN
        1: SELECT CAST('a' AS SIGNED)
        1! fetch q 1
        1: SHOW WARNINGS
        1! field_list nowhere
        1! reset_statement q
        1! execute q
        1! bytes 7f
        1: SHOW WARNINGS
        1: INSERT INTO t1 (n) VALUES (1)
        1: COMMIT",
    ),
    story(
        "a list that several statements may keep, on a connection that is held",
        2,
        "
        1! login app multi schema=-
        1: INSERT INTO `t1` () VALUES ()
        1: SET sql_notes = 1; SELECT 1
        1: SHOW WARNINGS
        1: SELECT 1; SELECT CAST('a' AS SIGNED)
        1: SHOW WARNINGS
        1: SET @a = 1; SELECT 1
        1: SHOW COUNT(*) WARNINGS
        1: SHOW WARNINGS",
    ),
    story(
        "the way back from where a statement was prepared",
        1,
        "
        1: SET sql_mode = 'ANSI_QUOTES'
        1! prepare s SELECT ?
        1: SET sql_mode = ''
        2: SET @x = 1
        1! execute s 'x'
        2: SET @x = 2
        1: BEGIN
        1! bytes 17010000000001000000
        1: SELECT @@sql_mode
        1: SELECT \"a\"
        1: COMMIT
        3: SET sql_mode = ''
        3: SELECT \"a\"",
    )
    .only(Flavor::MySql),
    story(
        "errors of what went ahead",
        1,
        "
        1: CREATE DATABASE gone
        1! init_db gone
        1! prepare s SELECT LAST_INSERT_ID()
        2: DROP DATABASE gone
        1! init_db app
        2: SELECT 1
        2! field_list shared
        2: SHOW WARNINGS",
    ),
    story(
        "statements that count no rows",
        1,
        "
        1: SELECT 1 FROM shared WHERE FALSE
        2: SELECT 1 UNION SELECT 2 UNION SELECT 3
        1: BEGIN
        1: UPDATE nowhere SET n = 1
        1: SELECT FOUND_ROWS()
        1: COMMIT
        1: SELECT 1 FROM shared WHERE FALSE
        2: SELECT 1 UNION SELECT 2 UNION SELECT 3
        1: BEGIN
        1! field_list shared
        1: SELECT FOUND_ROWS()
        1: COMMIT
        1! prepare s SHOW WARNINGS
        1: SELECT 1 FROM shared WHERE FALSE
        2: SELECT 1 UNION SELECT 2 UNION SELECT 3
        1: BEGIN
        1! execute s
        1: SELECT FOUND_ROWS()
        1: COMMIT",
    ),
    story(
        "counts inside texts that are let pass",
        1,
        "
        1! login app multi
        1: CREATE PROCEDURE app.counts() SELECT FOUND_ROWS(), ROW_COUNT()
        1: SELECT 1 FROM shared WHERE FALSE
        2: SELECT 1 UNION SELECT 2 UNION SELECT 3
        1: BEGIN
        1: DO 1; SELECT FOUND_ROWS() + 1
        1: COMMIT
        1! reset
        1: SELECT 1 FROM shared WHERE FALSE
        2: SELECT 1 UNION SELECT 2 UNION SELECT 3
        1: CALL counts()
        1! reset
        2: SELECT 1 UNION SELECT 2 UNION SELECT 3
        1: LOCK TABLES t1 WRITE
        1: SELECT 1 FROM t1 WHERE FALSE
        1: DO 1; SELECT FOUND_ROWS() + 1
        1: UNLOCK TABLES",
    ),
    story(
        "a count that is still to be asked for",
        1,
        "
        1: BEGIN
        1: SELECT SQL_CALC_FOUND_ROWS 1 UNION SELECT 2 LIMIT 1
        1! bytes 7f
        1: SELECT FOUND_ROWS()
        1: SELECT SQL_CALC_FOUND_ROWS 1 UNION SELECT 2 LIMIT 1
        1: SELECT CONNECTION_ID()
        1: SELECT FOUND_ROWS()
        1: COMMIT
        2: SELECT 1
        1: SELECT FOUND_ROWS()",
    ),
    story(
        "an error that is counted and not listed",
        2,
        "
        1! login app schema=-
        1: SET max_error_count = 0
        1: UPDATE t1 SET s = 'a' WHERE n = 1
        2: SELECT CAST('a' AS SIGNED)
        1: GET DIAGNOSTICS @n = NUMBER
        1: SELECT @n",
    ),
    story(
        "an insert id told in vain",
        1,
        "
        1: INSERT INTO t1 (n) VALUES (1)
        1: INSERT INTO t1 (n) VALUES (2)
        1: CREATE TABLE gone (v INT)
        1! prepare s SELECT LAST_INSERT_ID(), v FROM gone
        1: DROP TABLE gone
        1! reset
        2: INSERT INTO t2 (n) VALUES (1)
        1! prepare p SELECT LAST_INSERT_ID()
        1: BEGIN
        1! execute s
        1: SELECT LAST_INSERT_ID()
        1! execute p
        1: ROLLBACK",
    ),
    story(
        "statements nobody prepared",
        1,
        "
        1! fetch p 1
        1! execute p
        1: SHOW WARNINGS
        1! bytes 7f
        1: SHOW WARNINGS
        1: SELECT CAST('a' AS SIGNED)
        1! reset_statement p
        1! fetch p 1
        2: SELECT 1
        1: SHOW WARNINGS
        1! execute p
        1: SHOW WARNINGS",
    ),
    story(
        "a variable set without a scope",
        1,
        "
        1: SET @@time_zone = '+05:00'
        2: SELECT @@time_zone
        1: SELECT @@time_zone",
    )
    .only(Flavor::MySql),
    story(
        "a variable set without a scope on MariaDB",
        1,
        "
        1: SET @@time_zone = '+05:00'
        2: SELECT @@time_zone
        1: SELECT @@time_zone",
    )
    .only(Flavor::MariaDb),
    story(
        "schemas",
        1,
        "
        1! login app schema=-
        2! login app schema=other
        1: SELECT DATABASE()
        2: SELECT * FROM shared
        1: SELECT * FROM shared
        3: SELECT DATABASE()
        1! init_db other
        1: SELECT DATABASE()
        3! init_db nowhere
        3: SELECT DATABASE()
        2: USE app
        2: SELECT COUNT(*) FROM shared",
    ),
    story(
        "transactions and what others see",
        2,
        "
        1: BEGIN
        1: INSERT INTO t1 (s) VALUES ('mine')
        2: SELECT * FROM t1
        1: SELECT * FROM t1
        1: SAVEPOINT a
        1: INSERT INTO t1 (s) VALUES ('lost')
        1: ROLLBACK TO a
        1: COMMIT
        2: SELECT * FROM t1
        2: SET autocommit = 0
        2: INSERT INTO t2 (s) VALUES ('two')
        1: SELECT COUNT(*) FROM t2
        2: ROLLBACK
        2: SELECT COUNT(*) FROM t2
        2: COMMIT",
    ),
    story(
        "one transaction's characteristics",
        2,
        "
        1: SET TRANSACTION READ ONLY
        1: BEGIN
        1: INSERT INTO t1 (s) VALUES ('no')
        1: COMMIT
        1: INSERT INTO t1 (s) VALUES ('yes')
        2: SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED
        2: BEGIN
        1: INSERT INTO t1 (s) VALUES ('more')
        2: SELECT COUNT(*) FROM t1
        1: INSERT INTO t1 (s) VALUES ('most')
        2: SELECT COUNT(*) FROM t1
        2: COMMIT",
    ),
    story(
        "one transaction's characteristics on one connection",
        1,
        "
        1: SET TRANSACTION READ ONLY
        2: INSERT INTO t2 (s) VALUES ('yes')
        1: INSERT INTO t1 (s) VALUES ('no')
        1: INSERT INTO t1 (s) VALUES ('yes')",
    ),
    story(
        "one transaction's characteristics used up by what fails",
        2,
        "
        1: SET TRANSACTION READ ONLY
        1: CREATE DATABASE forbidden
        2: SELECT 1
        1: INSERT INTO shared VALUES (1, 'dup', 1)
        1: SET TRANSACTION ISOLATION LEVEL SERIALIZABLE
        1: INSERT INTO shared VALUES (1, 'dup', 1)
        2: SELECT 1
        1: INSERT INTO shared VALUES (1, 'dup', 1)",
    ),
    story(
        "lists that statements without a table leave",
        1,
        "
        1: SELEKT
        1: XA START 'x1'
        1: BEGIN
        1: XA END 'x1'
        1: XA COMMIT 'x1' ONE PHASE
        2: SELECT 1
        1: SHOW WARNINGS
        1: SELEKT
        1: PREPARE s FROM 'SELECT 1'
        1: DEALLOCATE PREPARE s
        2: SELECT 1
        1: SHOW WARNINGS
        1: EXPLAIN shared
        1: SHOW COUNT(*) WARNINGS
        1: SELEKT
        1: DO GET_LOCK('a', 1)
        1: SHOW WARNINGS
        1: DO RELEASE_LOCK('a')
        1: CALL sets_a_variable()
        1! reset_statement nothing
        1: SET @c = 'abc'
        1: SHOW COUNT(*) WARNINGS",
    ),
    story(
        "lists that another client left on the connection",
        1,
        "
        1: SELECT CAST('mine' AS SIGNED) FROM shared
        2: SET SESSION max_sort_length = 1024
        2: SHOW WARNINGS
        1: SELECT CAST('mine' AS SIGNED) FROM shared
        2! field_list shared
        2: SHOW COUNT(*) WARNINGS
        1: INSERT INTO shared VALUES (1)
        2: SELECT 1
        1! field_list shared
        1: SHOW WARNINGS
        1: SELECT CAST('mine' AS SIGNED) FROM shared LIMIT 1
        2: SELECT 1
        1: GET DIAGNOSTICS @a = NUMBER
        1: SHOW WARNINGS",
    ),
    story(
        "lists that a question ends",
        1,
        "
        1: SELECT CAST('a' AS SIGNED)
        1! init_db other
        2: SELECT 1
        1: SHOW WARNINGS
        1! init_db nowhere
        2: SELECT 1
        1: SHOW WARNINGS
        1! init_db app
        1: SELEKT
        1: SHOW COUNT(*) ERRORS
        2: SELECT 1
        1: SHOW ERRORS
        1: SELECT @@error_count
        1: SHOW COUNT(*) WARNINGS
        1: DROP TEMPORARY TABLE IF EXISTS temp
        1! bytes 1d
        1: SHOW WARNINGS",
    ),
    story(
        "user variables of every type",
        3,
        "
        1: SET @i = -5, @u = 18446744073709551615, @d = 1.50, @f = 1e3, @s = 'é', @n = NULL
        2: SELECT @i, @u, @d, @f, @s, @n
        1: SELECT @i, @u, @d, @f, @s, @n
        1: SELECT @i + 1, @u, @d / 3, @f + 1, CONCAT(@s, 'x'), @n IS NULL
        2: SET @s = _latin1'e' COLLATE latin1_bin
        1: SELECT HEX(@s), CHARSET(@s), COLLATION(@s), COERCIBILITY(@s)
        2: SELECT HEX(@s), CHARSET(@s), COLLATION(@s), COERCIBILITY(@s)
        1: SELECT @i := @i + 1
        1: SELECT id, s FROM shared WHERE id = 3 INTO @a, @b
        2: SELECT @a, @b
        1: SELECT @a, @b",
    ),
    story(
        "user variables on one connection",
        1,
        "
        1: SET @a = 1
        2: SET @a = 'two'
        1: SELECT @a
        2: SELECT @a
        3: SELECT @a",
    ),
    story(
        "last insert id in every spelling",
        1,
        "
        1: INSERT INTO t1 (s) VALUES ('a'), ('b')
        2: INSERT INTO t2 (s) VALUES ('a')
        1: SELECT LAST_INSERT_ID()
        2: SELECT LAST_INSERT_ID(), @@identity, @@last_insert_id
        1: SELECT @@identity
        1: INSERT INTO t1 (s) VALUES (CONCAT('after ', LAST_INSERT_ID()))
        2: SELECT 1
        1: SELECT * FROM t1
        1: SELECT LAST_INSERT_ID()
        1! prepare s SELECT LAST_INSERT_ID()
        2: INSERT INTO t2 (s) VALUES ('b')
        1! execute s",
    ),
    story(
        "last insert id after a given id",
        1,
        "
        1: INSERT INTO t1 (s) VALUES ('a')
        1: INSERT INTO t1 (id, s) VALUES (100, 'given')
        2: SELECT 1
        1: SELECT LAST_INSERT_ID()",
    ),
    story(
        "counts of the last statement",
        1,
        "
        1: SELECT * FROM shared
        2: UPDATE t2 SET s = 'x'
        1: SELECT FOUND_ROWS()
        1: INSERT INTO t1 (s) VALUES ('a'), ('b')
        2: SELECT * FROM shared LIMIT 1
        1: SELECT ROW_COUNT()
        1: SELECT ROW_COUNT()
        2: SELECT FOUND_ROWS()
        1: SELECT SQL_CALC_FOUND_ROWS id FROM shared LIMIT 2
        1: SELECT FOUND_ROWS()",
    ),
    story(
        "the count of a statement with rows",
        1,
        "
        1: INSERT INTO t1 (s) VALUES ('a'), ('b')
        1: SELECT * FROM shared
        2: UPDATE t2 SET s = 'x'
        1: SELECT ROW_COUNT()",
    ),
    story(
        "counts inside a larger statement",
        1,
        "
        1: INSERT INTO t1 (s) VALUES ('a'), ('b')
        1: SELECT ROW_COUNT() + 1",
    )
    .limit("refused with 1235"),
    story(
        "warnings after others' statements",
        2,
        "
        1: SELECT CAST('12abc' AS UNSIGNED)
        2: SELECT CAST('two' AS UNSIGNED)
        1: SHOW WARNINGS
        2: SHOW COUNT(*) WARNINGS
        1: SHOW WARNINGS",
    ),
    story(
        "warnings and a statement without a table",
        2,
        "
        1: SELECT CAST('12abc' AS UNSIGNED)
        2: SELECT 2
        1: SELECT 1
        1: SHOW WARNINGS
        1: SELECT id FROM shared
        1: SHOW WARNINGS",
    )
    .only(Flavor::MariaDb),
    story(
        "warnings end with the next statement",
        2,
        "
        1: SELECT CAST('12abc' AS UNSIGNED)
        2: SELECT 2
        1: SELECT 1
        1: SHOW WARNINGS",
    )
    .only(Flavor::MySql),
    story(
        "warnings on one connection",
        1,
        "
        1: SELECT CAST('12abc' AS UNSIGNED)
        2: SELECT CAST('two' AS UNSIGNED)
        1: SHOW WARNINGS
        2: SHOW WARNINGS",
    ),
    story(
        "warnings by halves",
        2,
        "
        1: SELECT CAST('1a' AS UNSIGNED), CAST('2b' AS UNSIGNED)
        2: SELECT 1
        1: SHOW WARNINGS LIMIT 1
        1: SELECT CAST('1a' AS UNSIGNED)
        1: SELECT @@warning_count",
    ),
    story(
        "errors and what is asked about them",
        1,
        "
        1: SELECT * FROM nowhere
        2: SELECT * FROM nothing
        1: SHOW ERRORS
        2: SHOW WARNINGS
        1: SELEKT
        1: SHOW COUNT(*) ERRORS
        1: SELECT * FROM nowhere
        1: SELECT @@error_count
        1: INSERT INTO shared VALUES (1, 'dup', 1)
        2: SELECT 1
        1: SHOW ERRORS",
    ),
    story(
        "diagnostics into variables",
        2,
        "
        1: SELECT CAST('12abc' AS UNSIGNED)
        1: GET DIAGNOSTICS CONDITION 1 @m = MESSAGE_TEXT, @s = RETURNED_SQLSTATE
        2: SELECT @m
        1: SELECT @m, @s",
    ),
    story(
        "diagnostics of an error into variables",
        2,
        "
        1: SELECT * FROM nowhere
        1: GET DIAGNOSTICS @n = NUMBER
        1: SELECT @n",
    ),
    story(
        "temporary tables",
        2,
        "
        1: CREATE TEMPORARY TABLE shared (id INT)
        1: INSERT INTO shared VALUES (77)
        2: SELECT id FROM shared
        1: SELECT id FROM shared
        1: DROP TEMPORARY TABLE shared
        1: SELECT id FROM shared",
    ),
    story(
        "a temporary table that is gone",
        1,
        "
        1: CREATE TEMPORARY TABLE temp (id INT)
        1: DROP TEMPORARY TABLE temp
        2: SELECT * FROM temp
        1: SELECT * FROM temp",
    ),
    story(
        "table locks",
        2,
        "
        1: LOCK TABLES d1 WRITE
        1: INSERT INTO d1 VALUES (1, 1)
        2: SELECT 1
        1: SELECT * FROM shared
        1: UNLOCK TABLES
        1: SELECT * FROM d1
        2: SELECT * FROM d1",
    ),
    story(
        "named locks",
        3,
        "
        1: SELECT GET_LOCK('a', 1)
        2: SELECT IS_FREE_LOCK('a'), GET_LOCK('b', 0)
        2: SELECT RELEASE_LOCK('a')
        1: SELECT RELEASE_LOCK('a')
        2: SELECT GET_LOCK('a', 0), RELEASE_LOCK('a'), RELEASE_LOCK('b')
        1: SELECT RELEASE_LOCK('a')",
    ),
    story(
        "a named lock that is gone",
        1,
        "
        1: SELECT GET_LOCK('a', 1)
        1: SELECT RELEASE_LOCK('a')
        2: SELECT GET_LOCK('a', 0)
        2: SELECT RELEASE_LOCK('a')",
    ),
    story(
        "handler",
        2,
        "
        1: HANDLER shared OPEN
        2: HANDLER shared READ FIRST
        1: HANDLER shared READ FIRST
        2: SELECT 1
        1: HANDLER shared READ NEXT
        1: HANDLER shared CLOSE",
    ),
    story(
        "prepare in text",
        3,
        "
        1: PREPARE s FROM 'SELECT ?'
        2: PREPARE s FROM 'SELECT 2, ?'
        1: SET @a = 'x'
        1: EXECUTE s USING @a
        2: EXECUTE s USING @a
        3: EXECUTE s
        1: DEALLOCATE PREPARE s
        1: EXECUTE s",
    ),
    story(
        "xa",
        2,
        "
        1: XA START 'x'
        1: INSERT INTO t1 (s) VALUES ('xa')
        2: SELECT COUNT(*) FROM t1
        1: XA END 'x'
        1: XA PREPARE 'x'
        2: XA RECOVER
        1: XA COMMIT 'x'
        2: SELECT COUNT(*) FROM t1",
    ),
    story(
        "the other spelling of isolation",
        2,
        "
        1: SET tx_isolation = 'SERIALIZABLE'
        2: SELECT @@tx_isolation
        1: SELECT @@tx_isolation",
    )
    .only(Flavor::MariaDb),
    story(
        "a time limit",
        1,
        "
        1: SET max_execution_time = 60000
        2: SELECT @@max_execution_time
        1: SELECT @@max_execution_time",
    )
    .only(Flavor::MySql),
    story(
        "routines",
        3,
        "
        1: CALL sets_a_variable()
        2: SELECT @in_call
        1: SELECT @in_call
        1: CALL several()
        2: SET @c = 4
        2: CALL out_param(1, @b, @c)
        1: SELECT @b, @c
        2: SELECT @b, @c
        1: CALL fails()
        1: CALL signals()
        1: SHOW WARNINGS",
    ),
    story(
        "functions and triggers",
        3,
        "
        1: SELECT sets_in_function()
        2: SELECT @in_function
        1: SELECT @in_function
        2: INSERT INTO trig (s) VALUES ('mine')
        1: SELECT @in_trigger
        2: SELECT @in_trigger
        1: SELECT doubled(4)",
    ),
    story(
        "executable comments",
        2,
        "
        1: SELECT /*!50000 1, */ 2
        1: /*!50000 SET @a = 11 */
        2: SELECT @a
        1: SELECT @a
        1: /*!40101 SET NAMES latin1 */
        2: SELECT HEX('é'), @@character_set_client
        1: SELECT CHAR_LENGTH('é'), @@character_set_client",
    ),
    story(
        "roles",
        2,
        "
        1: SET ROLE replay_role
        2: SELECT CURRENT_ROLE()
        1: SELECT CURRENT_ROLE()
        1: SET ROLE NONE
        1: SELECT CURRENT_ROLE()
        2: SET ROLE nobody",
    ),
    story(
        "a role of somebody who left",
        1,
        "
        1: SET ROLE replay_role
        1! quit
        2: SELECT CURRENT_ROLE()
        2: SET ROLE replay_role
        2! reset
        2: SELECT CURRENT_ROLE()
        3: SELECT CURRENT_ROLE()",
    ),
    story(
        "prepared statements on one connection",
        1,
        "
        1! prepare s SELECT ?, id FROM shared WHERE id < ?
        2! prepare s SELECT 'two', ?
        1! execute s 'x' 3
        2! execute s NULL
        1! again s 'y' 2
        3! execute s 1
        2! close_statement s
        1! execute s NULL 2
        2! execute s 1
        1! reset_statement s
        1! again s NULL 2",
    ),
    story(
        "the collation of a login",
        1,
        "
        1! login app collation=46
        1: SELECT @@collation_connection, @@character_set_results
        1: SELECT 'a' = 'A', 'x'
        1! prepare q SELECT ?
        1! execute q 'a'
        2: SELECT 'a' = 'A'
        1! execute q 'a'",
    )
    .only(Flavor::MySql),
    story(
        "the collation of a login in a parameter",
        1,
        "
        1! login app collation=46
        1! prepare q SELECT ?
        1! execute q 'a'",
    )
    .limit("bug: a login's collation becomes the default one of its character set")
    .only(Flavor::MariaDb),
    story(
        "a prepared statement whose table changes",
        1,
        "
        1! prepare s SELECT * FROM d1
        1! execute s
        1: ALTER TABLE d1 ADD COLUMN w INT
        2: SELECT 1
        1! execute s
        1: DROP TABLE d1
        1! execute s
        1: CREATE TABLE d1 (only_one VARCHAR(5))
        1! execute s",
    ),
    story(
        "long data and cursors",
        2,
        "
        1! prepare s SELECT LENGTH(?), ?
        1! long_data s 0 abc
        2: SELECT 1
        1! long_data s 0 def
        1! execute s LONG 5
        1! prepare c SELECT id, s FROM shared ORDER BY id
        1! cursor c
        2: SELECT 2
        1! fetch c 2
        1! fetch c 9
        1! fetch c 1
        1! close_statement c",
    ),
    story(
        "several statements in one text",
        2,
        "
        1! login app multi eof
        2: SELECT 1; SELECT 2
        1: SELECT 1; SELECT 2
        1: INSERT INTO t1 (s) VALUES ('a'); SELECT LAST_INSERT_ID(); SELECT * FROM nowhere; SELECT 3
        2: SELECT 1
        2! set_option 0
        2: SELECT 1; SELECT 2
        2! set_option 1
        2: SELECT 1; SELECT 2",
    ),
    story(
        "several statements and a change of user in the pool",
        1,
        "
        1! login app multi
        1: SELECT 1; SELECT 2
        2! login app_b
        2: SELECT 1
        3! login app
        3: SELECT 1; SELECT 2",
    ),
    story(
        "last insert id of an insert that fails",
        1,
        "
        1: INSERT INTO t1 (n) VALUES (1)
        1! login app
        1: INSERT INTO t1 (n) VALUES (7), (1)
        1: SELECT LAST_INSERT_ID()",
    )
    .limit("bug: the error does not report the id that the row before it was given"),
    story(
        "a prepared transaction that is left behind",
        1,
        "
        1: XA START 'x1'
        1: INSERT INTO t1 (s) VALUES ('a')
        1: XA END 'x1'
        1: XA PREPARE 'x1'
        1! quit
        2: SELECT 1
        2: INSERT INTO t2 (s) VALUES ('b')",
    )
    .only(Flavor::MySql),
    story(
        "capabilities of the login",
        1,
        "
        1! login app eof track
        2! login app found
        3! login app collation=8
        1: USE other
        2: INSERT INTO t2 (n) VALUES (1)
        2: UPDATE t2 SET n = 1
        3: SELECT HEX('é'), @@collation_connection
        1: SET time_zone = '+01:00', sql_mode = ''
        1: SELECT * FROM shared
        1: SET NAMES latin1
        3: UPDATE t2 SET n = 1
        1: BEGIN
        1: COMMIT",
    ),
    story(
        "a reset and another user",
        2,
        "
        1: SET time_zone = '+02:00', @a = 1
        1: CREATE TEMPORARY TABLE temp (id INT)
        1! prepare s SELECT 1
        1! reset
        1: SELECT @@time_zone, @a
        1: SELECT * FROM temp
        1! execute s
        1! change_user app_b schema=other
        2: SELECT CURRENT_USER(), DATABASE()
        1: SELECT CURRENT_USER(), DATABASE()
        1! change_user app",
    ),
    story(
        "commands",
        1,
        "
        1! ping
        2! statistics
        1! field_list shared
        1: SHOW WARNINGS
        1! field_list nowhere
        1: SHOW WARNINGS
        1! set_option 7
        1! bytes 1d
        2! fetch nothing 1
        2! reset_statement nothing
        1: SELECT CONNECTION_ID()
        2: SELECT CONNECTION_ID()",
    ),
    // The last, as what it leaves behind would be in the way of others.
    story(
        "a prepared transaction that is left behind on MariaDB",
        1,
        "
        1: XA START 'x1'
        1: INSERT INTO t1 (s) VALUES ('a')
        1: XA END 'x1'
        1: XA PREPARE 'x1'
        1! quit
        2: SELECT 1
        2: INSERT INTO t2 (s) VALUES ('b')",
    )
    .only(Flavor::MariaDb),
];
