//! Owns the kinds of statement, named by the first word. Never reads past the second.

use super::words::Word;

/// What the first statement of a text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Head {
    /// Nothing but white space, comments and semicolons.
    #[default]
    Empty,
    /// `START TRANSACTION`, `BEGIN`
    Begin,
    /// `COMMIT`, also `AND CHAIN`
    Commit,
    /// `ROLLBACK`, also `TO SAVEPOINT` and `AND CHAIN`
    Rollback,
    /// `SAVEPOINT`, `RELEASE SAVEPOINT`
    Savepoint,
    Select,
    Insert,
    Update,
    Delete,
    Replace,
    With,
    Values,
    Table,
    /// `EXPLAIN`, `DESCRIBE`, `DESC`
    Explain,
    Analyze,
    Set,
    Use,
    Show,
    Help,
    Do,
    Call,
    Kill,
    Prepare,
    Execute,
    Deallocate,
    Lock,
    Unlock,
    Handler,
    Xa,
    Load,
    Create,
    Drop,
    Alter,
    Rename,
    Truncate,
    Optimize,
    Repair,
    /// `CHECK TABLE`, `CHECKSUM TABLE`
    Check,
    Flush,
    Reset,
    Purge,
    Backup,
    Binlog,
    Change,
    /// `START REPLICA` and its like
    Start,
    Stop,
    Install,
    Uninstall,
    Grant,
    Revoke,
    /// `GET DIAGNOSTICS`
    Get,
    /// `SIGNAL`, `RESIGNAL`
    Signal,
    /// MariaDB's programs outside a routine: `BEGIN NOT ATOMIC`, `IF`, `LOOP` …
    Compound,
    /// A first word, or a first token, that is none of these
    Other,
}

impl Head {
    pub(super) fn of(first: Word) -> Self {
        Self::of_rows(first)
            .or_else(|| Self::of_session(first))
            .unwrap_or_else(|| Self::of_schema(first))
    }

    /// What the second word adds.
    pub(super) fn then(self, second: Word) -> Self {
        match (self, second) {
            (Self::Start, Word::Transaction) => Self::Begin,
            (Self::Begin, Word::Not) => Self::Compound,
            _ => self,
        }
    }

    fn of_rows(first: Word) -> Option<Self> {
        Some(match first {
            Word::Select => Self::Select,
            Word::Insert => Self::Insert,
            Word::Update => Self::Update,
            Word::Delete => Self::Delete,
            Word::Replace => Self::Replace,
            Word::With => Self::With,
            Word::Values => Self::Values,
            Word::Table => Self::Table,
            Word::Explain => Self::Explain,
            Word::Analyze => Self::Analyze,
            Word::Do => Self::Do,
            Word::Call => Self::Call,
            Word::Load => Self::Load,
            Word::Handler => Self::Handler,
            Word::Begin => Self::Begin,
            Word::Commit => Self::Commit,
            Word::Rollback => Self::Rollback,
            Word::Savepoint | Word::Release => Self::Savepoint,
            Word::Xa => Self::Xa,
            _ => return None,
        })
    }

    fn of_session(first: Word) -> Option<Self> {
        Some(match first {
            Word::Set => Self::Set,
            Word::Use => Self::Use,
            Word::Show => Self::Show,
            Word::Help => Self::Help,
            Word::Kill => Self::Kill,
            Word::Prepare => Self::Prepare,
            Word::Execute => Self::Execute,
            Word::Deallocate => Self::Deallocate,
            Word::Lock => Self::Lock,
            Word::Unlock => Self::Unlock,
            Word::Get => Self::Get,
            Word::Signal => Self::Signal,
            Word::If | Word::Case | Word::Loop | Word::Repeat | Word::While | Word::For => {
                Self::Compound
            }
            _ => return None,
        })
    }

    fn of_schema(first: Word) -> Self {
        match first {
            Word::Create => Self::Create,
            Word::Drop => Self::Drop,
            Word::Alter => Self::Alter,
            Word::Rename => Self::Rename,
            Word::Truncate => Self::Truncate,
            Word::Optimize => Self::Optimize,
            Word::Repair => Self::Repair,
            Word::Check => Self::Check,
            Word::Flush => Self::Flush,
            Word::Reset => Self::Reset,
            Word::Purge => Self::Purge,
            Word::Backup => Self::Backup,
            Word::Binlog => Self::Binlog,
            Word::Change => Self::Change,
            Word::Start => Self::Start,
            Word::Stop => Self::Stop,
            Word::Install => Self::Install,
            Word::Uninstall => Self::Uninstall,
            Word::Grant => Self::Grant,
            Word::Revoke => Self::Revoke,
            _ => Self::Other,
        }
    }
}
