//! What a session holds on its connection under a name, and what gives it up again.
//!
//! Owns temporary tables, handlers, text-prepared statements, user locks and the locks for backups,
//! as far as statements name them. A thing that came under no name that could be read stays until
//! the connection is reset. It hears only of statements that have run, and never reads a text.

use std::collections::HashMap;

use super::hints::{Act, Deed, Head, Hints, Reading, Table};
use super::{Pin, Pins};

/// A statement and how it ended.
#[derive(Clone, Copy)]
pub struct Ran<'a> {
    pub reading: Reading,
    pub deed: Option<&'a Deed>,
    /// `false`: an error, before which a part of it may have run.
    pub ok: bool,
    /// It gave a row, or was no SELECT.
    pub rows: bool,
    pub schema: Option<&'a str>,
}

/// Takes no room while nothing is held, as in most sessions.
#[derive(Debug, Default)]
pub struct Holdings(Option<Box<Held>>);

#[derive(Debug, Default)]
struct Held {
    /// Schema and name.
    tables: Vec<(Box<str>, Box<str>)>,
    handlers: Vec<Box<str>>,
    prepared: HashMap<Box<str>, Option<Inner>>,
    locks: Vec<Box<str>>,
    /// Some that no function names.
    other_locks: bool,
    /// Flushed tables, or the global read lock.
    flushed: bool,
    instance: bool,
    backup: bool,
    /// Reasons for which something is held that has no name here.
    nameless: Pins,
}

/// What a text-prepared statement does when it is executed.
#[derive(Clone, Debug)]
pub struct Inner {
    pub reading: Reading,
    pub deed: Option<Box<Deed>>,
}

/// Of each kind, names beyond which they are no longer told apart.
const MOST: usize = 64;

/// Kinds of statements that neither make nor rename nor drop a table under cover.
fn leaves_tables(head: Head) -> bool {
    matches!(
        head,
        Head::Empty
            | Head::Begin
            | Head::Commit
            | Head::Rollback
            | Head::Savepoint
            | Head::Select
            | Head::Insert
            | Head::Update
            | Head::Delete
            | Head::Replace
            | Head::With
            | Head::Values
            | Head::Table
            | Head::Explain
            | Head::Analyze
            | Head::Set
            | Head::Use
            | Head::Show
            | Head::Do
            | Head::Prepare
            | Head::Deallocate
            | Head::Truncate
            | Head::Load
            | Head::Lock
            | Head::Unlock
            | Head::Handler
            | Head::Get
            | Head::Grant
            | Head::Revoke
            | Head::Flush
            | Head::Kill
    )
}

/// Hints of statements that may begin to hold something.
const BEGINS: Hints = Hints::TEMPORARY
    .union(Hints::HANDLER)
    .union(Hints::TEXT_PREPARE)
    .union(Hints::GET_LOCK)
    .union(Hints::LOCK_TABLES)
    .union(Hints::LOCK_INSTANCE);

impl Holdings {
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub fn pins(&self) -> Pins {
        self.0.as_ref().map(|held| held.pins()).unwrap_or_default()
    }

    /// What `EXECUTE name` runs, where that could be read when it was prepared.
    pub fn inner(&self, name: &str) -> Option<&Inner> {
        self.0.as_ref()?.inner(name)
    }

    /// Locks whose names are known: the server can be asked about them.
    pub fn locks(&self) -> &[Box<str>] {
        self.0.as_ref().map_or(&[], |held| &held.locks)
    }

    /// The server's word on [`Holdings::locks`], in their order.
    pub fn keep_locks(&mut self, kept: &[bool]) {
        if let Some(held) = &mut self.0 {
            let mut kept = kept.iter();
            held.locks.retain(|_| kept.next().copied().unwrap_or(true));
        }
        self.tidy();
    }

    /// `inner` reads a text that was prepared.
    pub fn on_statement(&mut self, ran: Ran<'_>, inner: impl FnOnce(&[u8]) -> Option<Inner>) {
        if self.0.is_none() && !ran.reading.hints.intersects(BEGINS) {
            return;
        }
        self.0.get_or_insert_default().on_statement(ran, inner);
        self.tidy();
    }

    fn tidy(&mut self) {
        if self.pins().is_empty() {
            self.0 = None;
        }
    }
}

impl Held {
    fn pins(&self) -> Pins {
        let mut pins = self.nameless;
        let named = [
            (!self.tables.is_empty(), Pin::TemporaryTable),
            (!self.handlers.is_empty(), Pin::Handler),
            (!self.prepared.is_empty(), Pin::TextPrepare),
            (!self.locks.is_empty(), Pin::UserLock),
            (self.flushed || self.instance || self.backup, Pin::InstanceLock),
        ];
        for (held, pin) in named {
            if held {
                pins.insert(pin);
            }
        }
        pins
    }

    fn inner(&self, name: &str) -> Option<&Inner> {
        self.prepared.get(name)?.as_ref()
    }

    fn on_statement(&mut self, ran: Ran<'_>, inner: impl FnOnce(&[u8]) -> Option<Inner>) {
        let act = ran.deed.map_or(&Act::Other, |deed| &deed.act);
        self.on_tables(ran, act);
        self.on_handlers(ran, act);
        self.on_prepared(ran, act, inner);
        self.on_locks(ran);
        self.on_backup_locks(ran, act);
    }

    fn on_tables(&mut self, ran: Ran<'_>, act: &Act) {
        let qualified = |table: &Table| {
            let schema = table.schema.as_deref().or(ran.schema).unwrap_or_default();
            (Box::from(schema), table.name.clone())
        };
        let hidden = Hints::MULTI | Hints::EXECUTABLE_COMMENT;
        match act {
            Act::Defines | Act::AlterTable { renames: false } | Act::CreateIndex => {}
            Act::CreateTemporary(table) => {
                let table = qualified(table);
                if ran.ok && !self.tables.contains(&table) {
                    self.tables.push(table);
                }
            }
            Act::DropTables(tables) if ran.ok => {
                let dropped: Vec<_> = tables.iter().map(qualified).collect();
                self.tables.retain(|table| !dropped.contains(table));
            }
            _ if ran.reading.hints.contains(Hints::TEMPORARY)
                && (ran.reading.hints.intersects(hidden) || makes_tables(ran.reading.head)) =>
            {
                self.nameless.insert(Pin::TemporaryTable);
            }
            // It may have given one of them another name.
            _ if !self.tables.is_empty()
                && (ran.reading.hints.intersects(hidden) || !leaves_tables(ran.reading.head))
                && !matches!(ran.reading.head, Head::Create | Head::Drop) =>
            {
                self.nameless.insert(Pin::TemporaryTable);
            }
            _ => {}
        }
        if self.tables.len() > MOST {
            self.tables.clear();
            self.nameless.insert(Pin::TemporaryTable);
        }
    }

    fn on_handlers(&mut self, ran: Ran<'_>, act: &Act) {
        match act {
            Act::HandlerOpen(name) if ran.ok && !self.handlers.contains(name) => {
                self.handlers.push(name.clone());
            }
            Act::HandlerClose(name) if ran.ok => self.handlers.retain(|open| open != name),
            Act::HandlerOpen(_) | Act::HandlerClose(_) | Act::HandlerRead => {}
            _ if ran.reading.hints.contains(Hints::HANDLER) => {
                self.nameless.insert(Pin::Handler);
            }
            _ => {}
        }
        if self.handlers.len() > MOST {
            self.handlers.clear();
            self.nameless.insert(Pin::Handler);
        }
    }

    fn on_prepared(&mut self, ran: Ran<'_>, act: &Act, inner: impl FnOnce(&[u8]) -> Option<Inner>) {
        match act {
            Act::Prepare { name, text } if ran.ok => {
                let inner = text.as_deref().and_then(inner);
                self.prepared.insert(name.clone(), inner);
            }
            Act::Deallocate(name) if ran.ok => {
                self.prepared.remove(name);
            }
            Act::Prepare { .. } | Act::Deallocate(_) | Act::Defines => {}
            Act::Execute(name) if self.inner(name).is_some() => {}
            _ if ran.reading.hints.contains(Hints::TEXT_PREPARE) => {
                self.nameless.insert(Pin::TextPrepare);
            }
            _ => {}
        }
        if self.prepared.len() > MOST {
            self.prepared.clear();
            self.nameless.insert(Pin::TextPrepare);
        }
    }

    fn on_locks(&mut self, ran: Ran<'_>) {
        // Those with a name are asked about in any case.
        let released = ran.deed.is_some_and(|deed| deed.releases_all && ran.ok && ran.rows);
        if released && !self.other_locks {
            self.nameless.remove(Pin::UserLock);
        }
        self.other_locks |= ran.deed.is_some_and(|deed| deed.other_locks);
        if !ran.reading.hints.contains(Hints::GET_LOCK) {
            return;
        }
        match ran.deed.and_then(|deed| deed.locks.as_ref()) {
            Some(names) => {
                for name in names {
                    if !self.locks.contains(name) {
                        self.locks.push(name.clone());
                    }
                }
            }
            None => self.nameless.insert(Pin::UserLock),
        }
        if self.locks.len() > MOST {
            self.locks.clear();
            self.nameless.insert(Pin::UserLock);
        }
    }

    fn on_backup_locks(&mut self, ran: Ran<'_>, act: &Act) {
        match act {
            // A part of a failed one may have been locked.
            Act::FlushLock => self.flushed = true,
            Act::UnlockTables if ran.ok => self.flushed = false,
            Act::LockInstance => self.instance = true,
            Act::UnlockInstance if ran.ok => self.instance = false,
            Act::Backup => self.backup = true,
            Act::BackupEnd if ran.ok => self.backup = false,
            Act::UnlockTables | Act::UnlockInstance | Act::BackupEnd | Act::Defines => {}
            _ => {
                let hints = ran.reading.hints;
                // The tracker's letter is of LOCK TABLES only, and must not end what else holds.
                let tables = hints.contains(Hints::LOCK_TABLES) && ran.reading.head != Head::Lock;
                if tables || hints.contains(Hints::LOCK_INSTANCE) {
                    self.nameless.insert(Pin::InstanceLock);
                }
            }
        }
    }
}

/// Kinds of statements in which the word `TEMPORARY` may make a table.
fn makes_tables(head: Head) -> bool {
    !leaves_tables(head) && head != Head::Drop
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::hints::{self, Dialect};

    fn run(holdings: &mut Holdings, sql: &str) {
        after(holdings, sql, true);
    }

    fn after(holdings: &mut Holdings, sql: &str, ok: bool) {
        let dialect = Dialect::default();
        let read = |text: &[u8]| {
            let reading = hints::read(text, dialect);
            (reading, hints::deed(text, reading, dialect, true))
        };
        let (reading, deed) = read(sql.as_bytes());
        let ran = Ran { reading, deed: deed.as_deref(), ok, rows: true, schema: Some("app") };
        holdings.on_statement(ran, |text| {
            let (reading, deed) = read(text);
            Some(Inner { reading, deed })
        });
    }

    fn pins(holdings: &Holdings) -> Vec<&'static str> {
        holdings.pins().iter().map(Pin::name).collect()
    }

    /// What begins, what ends it, and what is held meanwhile.
    #[test]
    fn what_is_named_ends_by_its_name() {
        let stories: &[(&[&str], &str, &str)] = &[
            (&["CREATE TEMPORARY TABLE a (x INT)"], "temporary_table", "DROP TABLE a"),
            (
                &["CREATE TEMPORARY TABLE a (x INT)"],
                "temporary_table",
                "DROP TEMPORARY TABLE app.a",
            ),
            (
                &["CREATE TEMPORARY TABLE a (x INT)", "CREATE TEMPORARY TABLE b AS SELECT 1"],
                "temporary_table",
                "DROP TABLE IF EXISTS b, a",
            ),
            (
                &[
                    "CREATE TEMPORARY TABLE a (x INT)",
                    "ALTER TABLE a ADD y INT",
                    "CREATE INDEX i ON a (y)",
                ],
                "temporary_table",
                "DROP TABLE a",
            ),
            (&["HANDLER t OPEN AS h", "HANDLER h READ FIRST"], "handler", "HANDLER h CLOSE"),
            (&["PREPARE s FROM 'SELECT 1'", "EXECUTE s"], "text_prepare", "DEALLOCATE PREPARE s"),
            (&["FLUSH TABLES WITH READ LOCK"], "instance_lock", "UNLOCK TABLES"),
            (&["LOCK INSTANCE FOR BACKUP"], "instance_lock", "UNLOCK INSTANCE"),
            (&["BACKUP STAGE START", "BACKUP STAGE FLUSH"], "instance_lock", "BACKUP STAGE END"),
            (&["SELECT GET_LOCK(?, 1)"], "user_lock", "DO RELEASE_ALL_LOCKS()"),
        ];
        for (begin, pin, end) in stories {
            let mut holdings = Holdings::default();
            for sql in *begin {
                run(&mut holdings, sql);
            }
            run(&mut holdings, "SELECT 1");
            assert_eq!(pins(&holdings), [*pin], "{begin:?}");
            after(&mut holdings, end, false);
            assert_eq!(pins(&holdings), [*pin], "{end} failed");
            run(&mut holdings, end);
            assert!(holdings.is_empty(), "{begin:?}, {end}");
        }
    }

    #[test]
    fn what_has_no_name_stays() {
        let stories: &[&[&str]] = &[
            &["CREATE TEMPORARY TABLE a (x INT)", "ALTER TABLE a RENAME TO b", "DROP TABLE a"],
            &["CREATE TEMPORARY TABLE a (x INT); SELECT 1", "DROP TABLE a"],
            &["CREATE /*!50000 TEMPORARY */ TABLE a (x INT)", "DROP TABLE a"],
            &["CREATE TEMPORARY TABLE a (x INT)", "USE other; DROP TABLE a", "DROP TABLE a"],
            &["PREPARE s FROM @sql", "EXECUTE s", "DEALLOCATE PREPARE s"],
            &["SELECT GET_LOCK(CONCAT('a'), 1)", "SELECT RELEASE_LOCK('a')"],
            &["SELECT service_get_write_locks('a', 'b', 1)", "SELECT RELEASE_ALL_LOCKS()"],
        ];
        for story in stories {
            let mut holdings = Holdings::default();
            for sql in *story {
                run(&mut holdings, sql);
            }
            assert!(!holdings.is_empty(), "{story:?}");
        }
    }

    #[test]
    fn what_only_mentions_the_word_holds_nothing() {
        let mut holdings = Holdings::default();
        for sql in [
            "SELECT temporary FROM t",
            "INSERT INTO t (temporary) VALUES (1)",
            "GRANT CREATE TEMPORARY TABLES ON *.* TO a",
            "CREATE PROCEDURE p() BEGIN CREATE TEMPORARY TABLE a (x INT); END",
            "DROP TEMPORARY TABLE IF EXISTS a",
            "SELECT RELEASE_LOCK('a')",
        ] {
            run(&mut holdings, sql);
            assert!(holdings.is_empty(), "{sql}");
        }
    }

    #[test]
    fn the_server_says_which_locks_are_still_held() {
        let mut holdings = Holdings::default();
        run(&mut holdings, "SELECT GET_LOCK('a', 1), GET_LOCK('b', 1)");
        holdings.keep_locks(&[false, true]);
        assert_eq!(holdings.locks(), ["b".into()]);
        holdings.keep_locks(&[false]);
        assert!(holdings.is_empty());
    }
}
