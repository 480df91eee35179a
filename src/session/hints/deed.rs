//! Owns what a text does to its session by name: which variables, tables, locks and statements.
//!
//! A suspicion pins; a deed that is known by name can be undone by name, and so ends a pin. Only a
//! text of one plain statement has an [`Act`]; whatever is not exactly of a known form is
//! [`Act::Other`], of which the reader's suspicion is all there is to know.

use super::tokens::{Token, Tokens};
use super::{Dialect, Hints, Reading};

/// Does it set a variable as `@@name`, without a scope? MariaDB does not report such a change.
pub fn sets_unscoped(text: &[u8], reading: Reading, dialect: Dialect) -> bool {
    let scopes = ["session", "local", "global"];
    // What is not there for the server may stand before it.
    let anywhere = reading.hints.contains(Hints::EXECUTABLE_COMMENT) || !text.is_ascii();
    let mut tokens = Tokens::new(text, dialect).peekable();
    let mut may_be_target = false;
    while let Some(token) = tokens.next() {
        if (may_be_target || anywhere) && token == Token::SystemVariable {
            let scoped = tokens.peek().is_some_and(|name| scopes.iter().any(|it| name.is(it)));
            if !scoped {
                return true;
            }
        }
        may_be_target = token.is("set") || token == Token::Sign(b',');
    }
    false
}

/// What there is to know by name about a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deed {
    /// Every user variable the text names, in lower case. `None`: more than can be kept, or a name
    /// that cannot be told for sure.
    pub variables: Option<Vec<Box<str>>>,
    pub act: Act,
    /// The locks that `GET_LOCK('…')` names. `None`: a name is not a literal.
    pub locks: Option<Vec<Box<str>>>,
    /// Locks of the locking service, which `RELEASE_ALL_LOCKS()` leaves.
    pub other_locks: bool,
    /// `RELEASE_ALL_LOCKS()`, alone in a `SELECT` or `DO`.
    pub releases_all: bool,
}

impl Deed {
    /// It names nothing.
    pub fn is_nothing(&self) -> bool {
        let no_variables = self.variables.as_ref().is_some_and(Vec::is_empty);
        let no_locks = self.locks.is_none() && !self.other_locks && !self.releases_all;
        no_variables && self.act == Act::Other && no_locks
    }
}

/// A table as the text names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub schema: Option<Box<str>>,
    pub name: Box<str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Act {
    #[default]
    Other,
    /// `CREATE PROCEDURE`, `FUNCTION`, `TRIGGER`, `EVENT`: what is in the body happens later.
    Defines,
    CreateTemporary(Table),
    DropTables(Vec<Table>),
    /// `ALTER TABLE`; `renames`: the table, a column, an index.
    AlterTable {
        renames: bool,
    },
    CreateIndex,
    HandlerOpen(Box<str>),
    /// `HANDLER … READ`
    HandlerRead,
    HandlerClose(Box<str>),
    /// `PREPARE … FROM`; `None`: not from a plain literal.
    Prepare {
        name: Box<str>,
        text: Option<Box<[u8]>>,
    },
    Execute(Box<str>),
    Deallocate(Box<str>),
    /// `FLUSH TABLES … WITH READ LOCK`, `… FOR EXPORT`.
    FlushLock,
    UnlockTables,
    LockInstance,
    UnlockInstance,
    /// `BACKUP STAGE …`, `BACKUP LOCK …`
    Backup,
    /// `BACKUP STAGE END`, `BACKUP UNLOCK`
    BackupEnd,
    SetRole,
}

/// User variables of one text, or locks, beyond which it is not known by name.
const MOST_NAMES: usize = 32;

/// Tokens of a statement that may have an act: a longer one has none.
const MOST_TOKENS: usize = 64;

/// As long as a name may be.
const LONGEST_NAME: usize = 64;

/// Hints of texts of which more can be known than the hint.
const WORTH_READING: Hints = Hints::USER_VARIABLE
    .union(Hints::GET_LOCK)
    .union(Hints::RELEASE_LOCK)
    .union(Hints::LOCK_TABLES)
    .union(Hints::LOCK_INSTANCE)
    .union(Hints::UNLOCK_INSTANCE)
    .union(Hints::HANDLER)
    .union(Hints::TEMPORARY)
    .union(Hints::TEXT_PREPARE)
    .union(Hints::ROLE);

/// `None`: nothing is named that a hint does not say. `always`: something is held, which any text
/// might end.
pub fn deed(text: &[u8], reading: Reading, dialect: Dialect, always: bool) -> Option<Box<Deed>> {
    let hints = reading.hints;
    if hints.contains(Hints::UNREADABLE) || !(always || hints.intersects(WORTH_READING)) {
        return None;
    }
    let takes = hints.contains(Hints::GET_LOCK);
    // A no-break space is a letter here and may be a space there; a comment may be there or not.
    let sure = text.is_ascii() && !hints.contains(Hints::EXECUTABLE_COMMENT);
    let locks = (takes && sure).then(|| locks(text, dialect)).flatten();
    let plain =
        reading.statements == 1 && !hints.intersects(Hints::MULTI | Hints::EXECUTABLE_COMMENT);
    let act = match act_of(text, reading, dialect, plain) {
        act if plain || act == Act::Defines => act,
        _ => Act::Other,
    };
    Some(Box::new(Deed {
        variables: variables(text, hints, dialect),
        act,
        locks,
        other_locks: hints.contains(Hints::GET_LOCK) && other_locks(text, dialect),
        releases_all: plain && releases_all(text, dialect),
    }))
}

/// The body of a stored program counts as statements of its text.
fn act_of(text: &[u8], reading: Reading, dialect: Dialect, plain: bool) -> Act {
    let may_define =
        reading.head == super::Head::Create && !reading.hints.contains(Hints::EXECUTABLE_COMMENT);
    if plain || may_define { act(text, dialect) } else { Act::Other }
}

fn variables(text: &[u8], hints: Hints, dialect: Dialect) -> Option<Vec<Box<str>>> {
    let mut names: Vec<Box<str>> = Vec::new();
    let mut quoted = false;
    for token in Tokens::new(text, dialect) {
        // 'user'@'host' names no variable.
        let account =
            std::mem::replace(&mut quoted, matches!(token, Token::Text(_) | Token::Name(_)));
        let Token::UserVariable(raw) = token else { continue };
        if account && !hints.contains(Hints::EXECUTABLE_COMMENT) {
            continue;
        }
        let name = plain_name(raw)?.to_ascii_lowercase().into_boxed_str();
        if !names.contains(&name) {
            names.push(name);
        }
        if names.len() > MOST_NAMES {
            return None;
        }
    }
    Some(names)
}

/// A name that means the same in every character set and between any quotes.
fn plain_name(raw: &[u8]) -> Option<&str> {
    let plain =
        |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'`' | b'\'' | b'"' | b'\\');
    let fits = !raw.is_empty() && raw.len() <= LONGEST_NAME && raw.iter().all(plain);
    if fits { std::str::from_utf8(raw).ok() } else { None }
}

fn locks(text: &[u8], dialect: Dialect) -> Option<Vec<Box<str>>> {
    let mut names: Vec<Box<str>> = Vec::new();
    let mut tokens = Tokens::new(text, dialect).peekable();
    while let Some(token) = tokens.next() {
        if !matches!(token, Token::Word(raw) if takes_lock(raw)) {
            continue;
        }
        let (open, name) = (tokens.next(), tokens.next());
        let (Some(Token::Sign(b'(')), Some(Token::Text(raw))) = (open, name) else { return None };
        if !token.is("get_lock") || tokens.peek() != Some(&Token::Sign(b',')) {
            return None;
        }
        names.push(plain_name(raw)?.into());
        if names.len() > MOST_NAMES {
            return None;
        }
    }
    Some(names)
}

fn other_locks(text: &[u8], dialect: Dialect) -> bool {
    let other = |token: Token<'_>| {
        !token.is("get_lock") && matches!(token, Token::Word(raw) if takes_lock(raw))
    };
    Tokens::new(text, dialect).any(other)
}

fn takes_lock(raw: &[u8]) -> bool {
    super::words::lookup(raw) == super::words::Word::GetLock
}

fn releases_all(text: &[u8], dialect: Dialect) -> bool {
    let mut tokens = Tokens::new(text, dialect);
    let begins = tokens.next().is_some_and(|first| first.is("select") || first.is("do"));
    let all = begins && tokens.next().is_some_and(|name| name.is("release_all_locks"));
    all && tokens.next() == Some(Token::Sign(b'('))
        && tokens.next() == Some(Token::Sign(b')'))
        && tokens.all(|token| token == Token::Sign(b';'))
}

fn act(text: &[u8], dialect: Dialect) -> Act {
    let mut tokens: Vec<Token<'_>> = Tokens::new(text, dialect).take(MOST_TOKENS + 1).collect();
    if defines(&tokens) {
        return Act::Defines;
    }
    if tokens.len() > MOST_TOKENS {
        return create_temporary(&tokens).unwrap_or_default();
    }
    while tokens.last() == Some(&Token::Sign(b';')) {
        tokens.pop();
    }
    named(&tokens, dialect).unwrap_or_default()
}

fn defines(tokens: &[Token<'_>]) -> bool {
    let stored = ["procedure", "function", "trigger", "event"];
    let other = ["table", "view", "index", "database", "schema", "user", "role", "as"];
    tokens.first().is_some_and(|first| first.is("create"))
        && tokens
            .iter()
            .find(|token| stored.iter().chain(&other).any(|word| token.is(word)))
            .is_some_and(|token| stored.iter().any(|word| token.is(word)))
}

fn named(tokens: &[Token<'_>], dialect: Dialect) -> Option<Act> {
    let [first, rest @ ..] = tokens else { return None };
    let Token::Word(word) = first else { return None };
    match word.to_ascii_lowercase().as_slice() {
        b"create" if rest.iter().take(2).any(|word| word.is("index")) => Some(Act::CreateIndex),
        b"create" => create_temporary(tokens),
        b"alter" => {
            words(rest, &["table"])?;
            Some(Act::AlterTable { renames: rest.iter().any(|word| word.is("rename")) })
        }
        b"drop" => drop(rest),
        b"handler" => handler(rest),
        b"prepare" => prepare(rest, dialect),
        b"execute" => execute(rest),
        b"deallocate" => deallocate(rest),
        b"flush" => flush(rest),
        b"unlock" => match rest {
            [what] if what.is("tables") || what.is("table") => Some(Act::UnlockTables),
            [what] if what.is("instance") => Some(Act::UnlockInstance),
            _ => None,
        },
        b"lock" => rest.first().filter(|what| what.is("instance")).map(|_| Act::LockInstance),
        b"backup" => Some(match rest {
            [stage, end] if stage.is("stage") && end.is("end") => Act::BackupEnd,
            [unlock] if unlock.is("unlock") => Act::BackupEnd,
            _ => Act::Backup,
        }),
        b"set" => set_role(rest),
        _ => None,
    }
}

fn set_role(rest: &[Token<'_>]) -> Option<Act> {
    let default = |second: &Token<'_>| second.is("role");
    match rest {
        [role, _, ..] if role.is("role") => Some(Act::SetRole),
        [word, second, ..] if word.is("default") && default(second) => Some(Act::SetRole),
        _ => None,
    }
}

/// `CREATE [OR REPLACE] TEMPORARY TABLE [IF NOT EXISTS] name …`
fn create_temporary(tokens: &[Token<'_>]) -> Option<Act> {
    let rest = words(tokens, &["create"])?;
    let rest = words(rest, &["or", "replace"]).unwrap_or(rest);
    let rest = words(rest, &["temporary", "table"])?;
    let rest = words(rest, &["if", "not", "exists"]).unwrap_or(rest);
    let (table, _) = table(rest)?;
    Some(Act::CreateTemporary(table))
}

/// `DROP [TEMPORARY] TABLE [IF EXISTS] a, b`
fn drop(rest: &[Token<'_>]) -> Option<Act> {
    if let Some(rest) = words(rest, &["prepare"]) {
        return deallocated(rest);
    }
    let rest = words(rest, &["temporary"]).unwrap_or(rest);
    let rest = words(rest, &["table"]).or_else(|| words(rest, &["tables"]))?;
    let mut rest = words(rest, &["if", "exists"]).unwrap_or(rest);
    let mut tables = Vec::new();
    loop {
        let (table, after) = table(rest)?;
        tables.push(table);
        rest = match after {
            [] => return Some(Act::DropTables(tables)),
            [last] if last.is("restrict") || last.is("cascade") => {
                return Some(Act::DropTables(tables));
            }
            [Token::Sign(b','), after @ ..] => after,
            _ => return None,
        };
    }
}

/// `t OPEN [[AS] alias]`, `alias READ …`, `alias CLOSE`
fn handler(rest: &[Token<'_>]) -> Option<Act> {
    let (table, rest) = table(rest)?;
    match rest {
        [open] if open.is("open") => Some(Act::HandlerOpen(table.name)),
        [open, alias] if open.is("open") => Some(Act::HandlerOpen(name(alias)?)),
        [open, by, alias] if open.is("open") && by.is("as") => Some(Act::HandlerOpen(name(alias)?)),
        [close] if close.is("close") => Some(Act::HandlerClose(table.name)),
        [read, ..] if read.is("read") => Some(Act::HandlerRead),
        _ => None,
    }
}

fn prepare(rest: &[Token<'_>], dialect: Dialect) -> Option<Act> {
    let [statement, from, source @ ..] = rest else { return None };
    if !from.is("from") {
        return None;
    }
    let plain = |raw: &[u8]| {
        let doubled = raw.windows(2).any(|pair| pair == b"''" || pair == b"\"\"");
        !doubled && (dialect.no_backslash_escapes || !raw.contains(&b'\\'))
    };
    let text = match source {
        [Token::Text(raw)] if plain(raw) => Some(Box::from(*raw)),
        _ => None,
    };
    Some(Act::Prepare { name: name(statement)?.to_lowercase().into(), text })
}

/// `name [USING @a, @b]`; MariaDB takes any expression there.
fn execute(rest: &[Token<'_>]) -> Option<Act> {
    let [statement, using @ ..] = rest else { return None };
    let plain = |token: &Token<'_>| matches!(token, Token::UserVariable(_) | Token::Sign(b','));
    let passes = match using {
        [] => true,
        [word, values @ ..] => word.is("using") && values.iter().all(plain),
    };
    passes.then_some(Act::Execute(name(statement)?))
}

fn deallocate(rest: &[Token<'_>]) -> Option<Act> {
    deallocated(words(rest, &["prepare"])?)
}

fn deallocated(rest: &[Token<'_>]) -> Option<Act> {
    let [statement] = rest else { return None };
    Some(Act::Deallocate(name(statement)?.to_lowercase().into()))
}

fn flush(rest: &[Token<'_>]) -> Option<Act> {
    let locks = rest.windows(2).any(|pair| pair[0].is("read") && pair[1].is("lock"));
    let exports = rest.last().is_some_and(|last| last.is("export"));
    (locks || exports).then_some(Act::FlushLock)
}

fn words<'t, 'a>(tokens: &'t [Token<'a>], expected: &[&str]) -> Option<&'t [Token<'a>]> {
    let (begin, rest) = tokens.split_at_checked(expected.len())?;
    begin.iter().zip(expected).all(|(token, word)| token.is(word)).then_some(rest)
}

fn table<'t, 'a>(tokens: &'t [Token<'a>]) -> Option<(Table, &'t [Token<'a>])> {
    match tokens {
        [schema, Token::Sign(b'.'), table, rest @ ..] => {
            Some((Table { schema: Some(name(schema)?), name: name(table)? }, rest))
        }
        [table, rest @ ..] => Some((Table { schema: None, name: name(table)? }, rest)),
        [] => None,
    }
}

/// Only in ASCII are two names equal when their bytes are.
fn name(token: &Token<'_>) -> Option<Box<str>> {
    match token {
        Token::Word(raw) | Token::Name(raw) if !raw.is_ascii() => None,
        Token::Word(raw) => std::str::from_utf8(raw).ok().map(Box::from),
        Token::Name(raw) if !raw.contains(&b'`') && !raw.contains(&b'"') => {
            std::str::from_utf8(raw).ok().map(Box::from)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Deed {
        let dialect = Dialect::default();
        let reading = super::super::read(text.as_bytes(), dialect);
        *deed(text.as_bytes(), reading, dialect, true).unwrap()
    }

    fn table(name: &str) -> Table {
        Table { schema: None, name: name.into() }
    }

    #[test]
    fn acts_of_tables() {
        let create = |text| of(text).act;
        assert_eq!(create("CREATE TEMPORARY TABLE a (x INT)"), Act::CreateTemporary(table("a")));
        assert_eq!(
            create("create temporary table if not exists `s`.`b` as select 1;"),
            Act::CreateTemporary(Table { schema: Some("s".into()), name: "b".into() })
        );
        assert_eq!(create("CREATE TABLE a (temporary INT)"), Act::Other);
        assert_eq!(
            create("DROP TABLE IF EXISTS a, `b`"),
            Act::DropTables(vec![table("a"), table("b")])
        );
        assert_eq!(create("DROP TEMPORARY TABLE a;"), Act::DropTables(vec![table("a")]));
        assert_eq!(create("ALTER TABLE a ADD b INT"), Act::AlterTable { renames: false });
        assert_eq!(create("ALTER TABLE a RENAME TO b"), Act::AlterTable { renames: true });
        assert_eq!(create("CREATE UNIQUE INDEX i ON a (x)"), Act::CreateIndex);
        assert_eq!(create("DROP TABLE a WAIT 5"), Act::Other);
        assert_eq!(create("DROP TABLE a; SELECT 1"), Act::Other);
        assert_eq!(create("DROP /*!40000 TABLE */ a"), Act::Other);
    }

    #[test]
    fn acts_of_statements_handlers_and_locks() {
        let prepare = |text: Option<&str>| Act::Prepare {
            name: "s".into(),
            text: text.map(|text| text.as_bytes().into()),
        };
        assert_eq!(of("PREPARE S FROM 'SELECT 1'").act, prepare(Some("SELECT 1")));
        assert_eq!(of("PREPARE s FROM @sql").act, prepare(None));
        assert_eq!(of("PREPARE s FROM 'SELECT ''a'''").act, prepare(None));
        assert_eq!(of("EXECUTE s USING @a").act, Act::Execute("s".into()));
        assert_eq!(of("EXECUTE s USING (@a := 5)").act, Act::Other);
        assert_eq!(of("PREPARE \u{e9} FROM 'SELECT 1'").act, Act::Other);
        assert_eq!(of("DROP PREPARE s").act, Act::Deallocate("s".into()));
        assert_eq!(of("HANDLER t OPEN AS h").act, Act::HandlerOpen("h".into()));
        assert_eq!(of("HANDLER a.t OPEN").act, Act::HandlerOpen("t".into()));
        assert_eq!(of("HANDLER h READ FIRST").act, Act::HandlerRead);
        assert_eq!(of("HANDLER h CLOSE").act, Act::HandlerClose("h".into()));
        assert_eq!(of("FLUSH TABLES WITH READ LOCK").act, Act::FlushLock);
        assert_eq!(of("FLUSH TABLES a, b FOR EXPORT").act, Act::FlushLock);
        assert_eq!(of("UNLOCK TABLES").act, Act::UnlockTables);
        assert_eq!(of("BACKUP STAGE END").act, Act::BackupEnd);
        assert_eq!(of("SET ROLE 'a', 'b'").act, Act::SetRole);
        assert_eq!(of("SET role = 5").act, Act::SetRole);
    }

    #[test]
    fn a_body_is_not_run_when_it_is_defined() {
        let text = "CREATE DEFINER=a@b PROCEDURE p() BEGIN CREATE TEMPORARY TABLE t (a INT); END";
        assert_eq!(of(text).act, Act::Defines);
        assert_eq!(of("CREATE TABLE t (`trigger` INT)").act, Act::Other);
    }

    #[test]
    fn user_variables_by_name() {
        let names = |text: &str| of(text).variables.map(|names| names.join(" "));
        assert_eq!(names("SELECT @A := @b.c, @`d e`, @a"), Some("a b.c d e".into()));
        assert_eq!(names("SELECT 1 -- @a\n"), Some(String::new()));
        assert_eq!(names("GRANT SELECT ON a TO 'x'@'y'"), Some(String::new()));
        assert_eq!(names("/*!40101 SET @OLD=@@x */"), Some("old".into()));
        assert_eq!(names("SELECT @`\u{e9}`"), None);
        assert_eq!(names("SELECT /*!99999 'x' */ @a := 42"), Some("a".into()));
    }

    #[test]
    fn variables_without_a_scope() {
        let unscoped = |text: &str| {
            let reading = super::super::read(text.as_bytes(), Dialect::default());
            sets_unscoped(text.as_bytes(), reading, Dialect::default())
        };
        assert!(unscoped("SET /*!99999 x */ @@sql_mode = ''"));
        assert!(unscoped("SET @@sql_mode = ''"));
        assert!(unscoped("SET a = 1, @@b := 2"));
        assert!(unscoped("SELECT 1; SET @@time_zone = 'UTC'"));
        assert!(!unscoped("SET @@session.sql_mode = ''"));
        assert!(!unscoped("SET sql_mode = CONCAT(@@sql_mode)"));
        assert!(!unscoped("SELECT @@sql_mode"));
    }

    #[test]
    fn locks_by_name() {
        let names = |text: &str| of(text).locks.map(|names| names.join(" "));
        assert_eq!(names("SELECT GET_LOCK('a', 1), get_lock(\"b\",2)"), Some("a b".into()));
        assert_eq!(names("SELECT GET_LOCK(?, 1)"), None);
        assert_eq!(names("SELECT GET_LOCK(/*!99999 'z', */ 'a', 1)"), None);
        assert_eq!(names("SELECT GET_LOCK\u{a0}('a', 1)"), None);
        assert_eq!(names("SELECT GET_LOCK(CONCAT('a', 1), 1)"), None);
        assert_eq!(names("SELECT GET_LOCK('a' 'b', 1)"), None);
        assert!(of("DO RELEASE_ALL_LOCKS();").releases_all);
        assert!(!of("SELECT RELEASE_ALL_LOCKS(), GET_LOCK('a', 1)").releases_all);
    }
}
