//! Owns the names of what a text can be suspected of. Never decides what to do about it.

use bitflags::bitflags;

bitflags! {
    /// What a text may do to its session, or may read from it, that the trackers do not tell.
    ///
    /// A flag that is set means "may"; a flag that is clear means "this text, read by itself, does
    /// not". What a stored routine does inside is out of sight, hence [`Hints::CALL`] and
    /// [`Hints::FUNCTION_CALL_IN_SET`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Hints: u64 {
        /// `@name` is read or written.
        const USER_VARIABLE = 1;
        /// `@name` is written: `:=`, `SET`, `INTO`, an OUT parameter, a `LOAD DATA` column.
        const USER_VARIABLE_SET = 1 << 1;
        /// `@@name`.
        const SYSTEM_VARIABLE = 1 << 2;
        /// `GET_LOCK(`, the locking service, version tokens.
        const GET_LOCK = 1 << 3;
        /// `RELEASE_LOCK(`, `RELEASE_ALL_LOCKS(` and their like.
        const RELEASE_LOCK = 1 << 4;
        /// `IS_FREE_LOCK(`, `IS_USED_LOCK(`: takes nothing, but the answer names server connections.
        const LOCK_STATE = 1 << 5;
        /// `LOCK INSTANCE FOR BACKUP`.
        const LOCK_INSTANCE = 1 << 6;
        /// `UNLOCK INSTANCE`.
        const UNLOCK_INSTANCE = 1 << 7;
        /// `LOCK TABLES`, `FLUSH … WITH READ LOCK`, `FLUSH … FOR EXPORT`, anything `BACKUP`.
        const LOCK_TABLES = 1 << 8;
        /// `HANDLER …`.
        const HANDLER = 1 << 9;
        /// `SET ROLE`, `SET DEFAULT ROLE`, MariaDB's `SET SESSION AUTHORIZATION`.
        const ROLE = 1 << 10;
        /// `SQL_CALC_FOUND_ROWS`.
        const FOUND_ROWS_CALC = 1 << 11;
        /// `FOUND_ROWS(`.
        const FOUND_ROWS = 1 << 12;
        /// `ROW_COUNT(`.
        const ROW_COUNT = 1 << 13;
        /// `LAST_INSERT_ID(`, `@@last_insert_id`, `@@identity`.
        const LAST_INSERT_ID = 1 << 14;
        /// `LAST_INSERT_ID(x)`, `SET last_insert_id = x`.
        const LAST_INSERT_ID_SET = 1 << 15;
        /// `SHOW WARNINGS|ERRORS`, `GET DIAGNOSTICS`, `@@warning_count`, `@@error_count`.
        const DIAGNOSTICS = 1 << 16;
        /// `SHOW PROFILE[S]`, the `profiling` variable and table.
        const PROFILES = 1 << 17;
        /// The word `TEMPORARY`.
        const TEMPORARY = 1 << 18;
        /// `PREPARE`, `EXECUTE`, `DEALLOCATE PREPARE`, `DROP PREPARE` as text.
        const TEXT_PREPARE = 1 << 19;
        /// `XA …`.
        const XA = 1 << 20;
        /// `SET [scope] TRANSACTION …`, with a scope or without.
        const SET_TRANSACTION = 1 << 21;
        /// The form of it that lasts for the next transaction only.
        const SET_TRANSACTION_ONCE = 1 << 22;
        /// A name that begins with `session_track`.
        const SESSION_TRACK = 1 << 23;
        /// `CALL …`.
        const CALL = 1 << 24;
        /// A `SET` or `DO` calls a function that is not a known harmless built-in.
        const FUNCTION_CALL_IN_SET = 1 << 25;
        /// `CONNECTION_ID(`, `PS_CURRENT_THREAD_ID(`, `@@pseudo_thread_id`.
        const CONNECTION_ID = 1 << 26;
        /// A `KILL` statement is somewhere in it.
        const KILL = 1 << 27;
        /// `/*! … */` or `/*M! … */`. Whether the server runs what is inside depends on its version.
        const EXECUTABLE_COMMENT = 1 << 28;
        /// More than one statement.
        const MULTI = 1 << 29;
        /// The reader may have lost its way: nothing else in the reading is reliable.
        const UNREADABLE = 1 << 30;
        /// `LOAD DATA|XML … LOCAL`.
        const LOAD_LOCAL = 1 << 31;
        /// `SET PASSWORD`.
        const PASSWORD = 1 << 32;
        /// MariaDB's `SET STATEMENT … FOR …`.
        const SET_STATEMENT = 1 << 33;
        /// `BINLOG '…'`.
        const BINLOG = 1 << 34;
        /// MariaDB's sequences: `LASTVAL` remembers, for the session, what `NEXTVAL` gave.
        const SEQUENCE = 1 << 35;
        /// `SET RESOURCE GROUP`.
        const RESOURCE_GROUP = 1 << 36;
        /// The word `FROM`: it may use a table.
        const FROM = 1 << 37;
        /// `COMMIT RELEASE`, `ROLLBACK RELEASE`: the server hangs up after it.
        const RELEASE = 1 << 38;
        /// `ON DUPLICATE KEY UPDATE`: the id in its OK may be of a row that was there.
        const DUPLICATE = 1 << 39;
        /// `wait_timeout`, `SHOW VARIABLES`, or a table of variables.
        const WAIT_TIMEOUT = 1 << 40;
    }
}
