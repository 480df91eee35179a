//! Owns what tokens mean: tokens in, a [`Reading`] out. Never sees a comment or the inside of a
//! literal, and never refuses a text: the server is the judge of grammar, this one of suspicion.
//!
//! Most rules ask "was this word seen earlier in the statement", not "is it right before": words
//! in an executable comment may or may not exist for the server, so that nothing is ever known to
//! be right before. Where a rule must be narrower, it widens once such a comment was seen.

use bitflags::bitflags;

use super::flags::Hints;
use super::harmless::is_harmless;
use super::head::Head;
use super::whole::{Step, Whole};
use super::words::{LONGEST, Word, lookup};
use super::{Dialect, Reading};

bitflags! {
    /// What the statement being read has shown so far.
    #[derive(Clone, Copy)]
    struct Seen: u16 {
        /// `SET` as the first word.
        const SET = 1;
        /// `SET` anywhere.
        const SET_ANYWHERE = 1 << 1;
        /// `SET` or `DO` as the first word.
        const CALLS = 1 << 2;
        const SHOW = 1 << 3;
        const FLUSH = 1 << 4;
        const DROP = 1 << 5;
        const LOAD = 1 << 6;
        const LOCK = 1 << 7;
        const UNLOCK = 1 << 8;
        /// Every user variable in it may be written.
        const WRITES_VARIABLES = 1 << 9;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Word(Word),
    Name,
    Literal,
    UserVariable,
    Sign(u8),
    /// `LAST_INSERT_ID(`
    InsertIdOpened,
    Other,
}

/// The list of targets after `INTO`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Into {
    None,
    Target,
    Comma,
}

pub(super) struct Reader {
    mariadb: bool,
    hints: Hints,
    head: Head,
    statements: u32,
    only_sets: bool,
    tableless: bool,
    whole: Whole,
    /// Between `/*!` and `*/`.
    in_executable: bool,
    /// Its first word is behind.
    entered: bool,
    /// An earlier statement may have changed how the server reads the bytes of the next one.
    reading_changed: bool,
    /// It has: what is between quotes, or no ASCII, may be something else by now.
    wary: bool,
    // Of the statement being read:
    begun: bool,
    /// The next word may be the first word for the server.
    opening: bool,
    /// The next word may begin a statement inside the statement.
    inner: bool,
    seen: Seen,
    last: Last,
    /// The last token is a name that, if called, is not known to be harmless.
    doubtful: bool,
    into: Into,
}

impl Reader {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            mariadb: dialect.mariadb,
            hints: Hints::empty(),
            head: Head::Empty,
            statements: 0,
            only_sets: true,
            tableless: true,
            whole: Whole::Nothing,
            in_executable: false,
            entered: false,
            reading_changed: false,
            wary: false,
            begun: false,
            opening: true,
            inner: false,
            seen: Seen::empty(),
            last: Last::Nothing,
            doubtful: false,
            into: Into::None,
        }
    }

    pub(super) fn finish(mut self) -> Reading {
        if self.hints.contains(Hints::EXECUTABLE_COMMENT | Hints::USER_VARIABLE) {
            // An INTO, or a `:=`, may stand on the other side of a comment that is not there.
            self.hints |= Hints::USER_VARIABLE_SET;
        }
        if self.statements > 0 && self.head == Head::Empty {
            self.head = Head::Other;
        }
        let kill = match self.whole {
            Whole::Killed(kill) if !self.hints.contains(Hints::UNREADABLE) => Some(kill),
            _ => None,
        };
        // What stands behind its FROM is no table.
        let prepares = self.head == Head::Prepare && self.statements == 1;
        Reading {
            head: self.head,
            hints: self.hints,
            statements: self.statements,
            only_sets: self.only_sets && self.statements > 0,
            tableless: self.tableless && !self.hints.contains(Hints::FROM) || prepares,
            kill,
        }
    }

    pub(super) fn unreadable(&mut self) {
        self.hints |= Hints::UNREADABLE;
    }

    pub(super) fn in_executable(&self) -> bool {
        self.in_executable
    }

    pub(super) fn enter_executable(&mut self) {
        if self.in_executable {
            // Servers differ on which end closes what.
            self.unreadable();
        }
        self.in_executable = true;
        self.entered = false;
        self.hints |= Hints::EXECUTABLE_COMMENT;
        self.whole = Whole::Another;
        // If the server skips the comment, what follows it follows what was before it.
        if let Last::Word(word) = self.last {
            self.function(word);
        }
        let name = matches!(self.last, Last::Word(_) | Last::Name);
        if self.seen.contains(Seen::CALLS) && self.doubtful && name {
            self.hints |= Hints::FUNCTION_CALL_IN_SET;
        }
        if self.last == Last::InsertIdOpened {
            self.hints |= Hints::LAST_INSERT_ID_SET;
        }
    }

    pub(super) fn leave_executable(&mut self) {
        self.in_executable = false;
    }

    pub(super) fn word(&mut self, raw: &[u8]) {
        if raw.first().is_some_and(u8::is_ascii_digit) {
            return self.number(raw);
        }
        let word = lookup(raw);
        self.arrive(Step::Word(word));
        if self.opening || self.inner {
            self.open(word);
        }
        if word == Word::Other {
            self.exponent(raw);
        } else {
            self.mean(word);
        }
        if self.seen.contains(Seen::CALLS) {
            self.doubtful = self.last == Last::Sign(b'.') || !is_harmless(raw);
        }
        self.last = Last::Word(word);
    }

    /// Digits, or an identifier that begins with digits, or digits with a word glued on: `1e5into`
    /// and `.5into` are two tokens to the server. The word behind the digits is read in each case.
    fn number(&mut self, raw: &[u8]) {
        // Nothing can be glued to these: one letter more, and the whole is an identifier.
        let prefixed = matches!(raw, [b'0', b'x' | b'b', ..]);
        if !prefixed && raw.len() > LONGEST {
            self.unreadable();
        }
        let end = if prefixed || raw.len() > LONGEST { raw.len() } else { digits_end(raw) };
        let mut rest = raw.get(end..).unwrap_or_default();
        self.arrive(if rest.is_empty() { Step::Number(raw) } else { Step::Literal });
        self.close_opening();
        self.last = Last::Other;
        if let [b'e' | b'E', exponent @ ..] = rest
            && digits_end(exponent) > 0
        {
            rest = exponent.get(digits_end(exponent)..).unwrap_or_default();
        }
        if !rest.is_empty() {
            self.word(rest);
        }
    }

    /// The last piece of `1.e5into`.
    fn exponent(&mut self, raw: &[u8]) {
        if self.last == Last::Sign(b'.')
            && let [b'e' | b'E', rest @ ..] = raw
            && digits_end(rest) > 0
        {
            if raw.len() > LONGEST {
                return self.unreadable();
            }
            let word = lookup(rest.get(digits_end(rest)..).unwrap_or_default());
            self.mean(word);
        }
    }

    /// Bytes above ASCII: letters in one character set, a no-break space in another. So they are
    /// a space behind a known word, and a name by themselves.
    pub(super) fn foreign(&mut self) {
        self.begin();
        self.be_wary();
        self.whole = Whole::Another;
        self.doubtful = true;
        if !matches!(self.last, Last::Word(_)) {
            match self.last {
                Last::InsertIdOpened => self.hints |= Hints::LAST_INSERT_ID_SET,
                // The name of the variable goes on, and an `=` may follow.
                Last::UserVariable => self.when(Seen::SET_ANYWHERE, Hints::USER_VARIABLE_SET),
                _ => {}
            }
            self.last = Last::Word(Word::Other);
        }
    }

    pub(super) fn literal(&mut self) {
        self.arrive(Step::Literal);
        self.be_wary();
        self.close_opening();
        self.last = Last::Literal;
    }

    /// A quoted identifier: it can name a variable, not a keyword nor a built-in function.
    pub(super) fn name(&mut self, raw: &[u8]) {
        self.arrive(Step::Name);
        self.be_wary();
        self.close_opening();
        if self.seen.contains(Seen::SET)
            || self.hints.contains(Hints::SYSTEM_VARIABLE)
            || raw.len() >= "session_track".len()
        {
            self.variable(lookup(raw));
        }
        self.doubtful = true;
        self.last = Last::Name;
    }

    pub(super) fn user_variable(&mut self) {
        let quoted_before = matches!(self.last, Last::Literal | Last::Name);
        let target = self.into == Into::Target;
        self.arrive(Step::UserVariable);
        self.close_opening();
        self.last = Last::UserVariable;
        if quoted_before && !self.hints.contains(Hints::EXECUTABLE_COMMENT) {
            // 'user'@'host': no variable ever stands right behind a quoted thing.
            return;
        }
        self.hints |= Hints::USER_VARIABLE;
        if target || self.seen.contains(Seen::WRITES_VARIABLES) {
            self.hints |= Hints::USER_VARIABLE_SET;
        }
    }

    pub(super) fn system_variable(&mut self) {
        self.arrive(Step::SystemVariable);
        self.close_opening();
        self.hints |= Hints::SYSTEM_VARIABLE;
        self.last = Last::Sign(b'@');
    }

    pub(super) fn sign(&mut self, sign: u8) {
        if sign == b';' {
            return self.end_statement();
        }
        self.arrive(Step::Sign(sign));
        if sign == b'\\' {
            self.be_wary();
        }
        if sign == b'(' {
            self.call();
            return;
        }
        self.close_opening();
        match sign {
            b':' => {
                self.inner = true;
                if self.hints.contains(Hints::USER_VARIABLE) {
                    self.hints |= Hints::USER_VARIABLE_SET;
                }
            }
            b'=' if self.last == Last::UserVariable && self.seen.contains(Seen::SET_ANYWHERE) => {
                self.hints |= Hints::USER_VARIABLE_SET;
            }
            _ => {}
        }
        self.last = Last::Sign(sign);
    }

    fn end_statement(&mut self) {
        if self.in_executable {
            self.unreadable();
        }
        self.whole = self.whole.end();
        self.begun = false;
        self.opening = true;
        self.inner = false;
        self.seen = Seen::empty();
        self.last = Last::Nothing;
        self.doubtful = false;
        self.into = Into::None;
    }

    fn call(&mut self) {
        let mut opened = Last::Sign(b'(');
        if let Last::Word(word) = self.last {
            self.function(word);
            if word == Word::LastInsertId {
                opened = Last::InsertIdOpened;
            }
        }
        if self.doubtful
            && self.seen.contains(Seen::CALLS)
            && matches!(self.last, Last::Word(_) | Last::Name)
        {
            self.hints |= Hints::FUNCTION_CALL_IN_SET;
        }
        self.last = opened;
    }

    #[inline]
    fn arrive(&mut self, step: Step<'_>) {
        self.begin();
        if self.last == Last::InsertIdOpened && step != Step::Sign(b')') {
            self.hints |= Hints::LAST_INSERT_ID_SET;
        }
        if self.whole != Whole::Another {
            self.whole = self.whole.step(step, self.mariadb);
        }
        if self.into != Into::None {
            self.into = match (self.into, step) {
                (Into::Target, Step::Word(_) | Step::Name | Step::UserVariable) => Into::Comma,
                (_, Step::Sign(b',')) => Into::Target,
                _ => Into::None,
            };
        }
    }

    #[inline]
    fn begin(&mut self) {
        if self.begun {
            return;
        }
        self.begun = true;
        self.statements = self.statements.saturating_add(1);
        if self.statements > 1 {
            self.hints |= Hints::MULTI;
            self.wary |= self.reading_changed;
        }
    }

    fn be_wary(&mut self) {
        if self.wary {
            self.unreadable();
        }
    }

    fn close_opening(&mut self) {
        if self.opening && !self.in_executable {
            self.opening = false;
            self.only_sets = false;
            self.tableless = false;
            if self.head == Head::Empty {
                self.head = Head::Other;
            }
        }
    }

    /// A word that may be the first of a statement.
    fn open(&mut self, word: Word) {
        if !(self.in_executable && std::mem::replace(&mut self.entered, true)) {
            self.only_sets &= matches!(word, Word::Set | Word::Use);
            // Behind DO there may be another statement, or what is to be done.
            self.tableless &= !self.opening || names_no_table(word);
        }
        if self.opening && self.head == Head::Empty {
            self.head = Head::of(word);
        }
        if !self.in_executable {
            self.opening = false;
            self.inner = false;
        }
        match word {
            Word::Set => self.seen |= Seen::SET | Seen::CALLS,
            Word::Do => self.seen |= Seen::CALLS,
            Word::Show => self.seen |= Seen::SHOW,
            Word::Flush => self.seen |= Seen::FLUSH,
            Word::Drop => self.seen |= Seen::DROP,
            Word::Get => self.seen |= Seen::WRITES_VARIABLES,
            Word::Load => self.seen |= Seen::LOAD | Seen::WRITES_VARIABLES,
            Word::Call => {
                self.hints |= Hints::CALL;
                self.seen |= Seen::WRITES_VARIABLES;
            }
            Word::Execute => {
                self.hints |= Hints::TEXT_PREPARE;
                self.seen |= Seen::WRITES_VARIABLES;
                self.reading_changed = true;
            }
            Word::Prepare | Word::Deallocate => self.hints |= Hints::TEXT_PREPARE,
            Word::Handler => self.hints |= Hints::HANDLER,
            Word::Xa => self.hints |= Hints::XA,
            Word::Kill => self.hints |= Hints::KILL,
            // Not LOCK INSTANCE FOR BACKUP.
            Word::Backup if !self.seen.intersects(Seen::LOCK | Seen::UNLOCK) => {
                self.hints |= Hints::LOCK_TABLES;
            }
            Word::Binlog => self.hints |= Hints::BINLOG,
            _ => {}
        }
    }

    /// What a known word means, wherever it stands.
    fn mean(&mut self, word: Word) {
        match word {
            Word::Into => self.into = Into::Target,
            Word::Set => self.seen |= Seen::SET_ANYWHERE,
            Word::Lock => self.lock(),
            Word::Unlock => self.seen |= Seen::UNLOCK,
            Word::Export => self.when(Seen::FLUSH, Hints::LOCK_TABLES),
            Word::Table | Word::Tables => self.when(Seen::LOCK, Hints::LOCK_TABLES),
            Word::Instance => {
                self.when(Seen::LOCK, Hints::LOCK_INSTANCE);
                self.when(Seen::UNLOCK, Hints::UNLOCK_INSTANCE);
            }
            Word::Warnings | Word::Errors => self.when(Seen::SHOW, Hints::DIAGNOSTICS),
            Word::Profile => self.when(Seen::SHOW, Hints::PROFILES),
            Word::Variables => self.when(Seen::SHOW, Hints::WAIT_TIMEOUT),
            Word::Prepare => self.when(Seen::DROP, Hints::TEXT_PREPARE),
            Word::Local => self.when(Seen::LOAD, Hints::LOAD_LOCAL),
            Word::Diagnostics => {
                self.hints |= Hints::DIAGNOSTICS;
                self.seen |= Seen::WRITES_VARIABLES;
            }
            Word::Profiling => self.hints |= Hints::PROFILES,
            Word::Temporary => self.hints |= Hints::TEMPORARY,
            Word::CalcFoundRows => self.hints |= Hints::FOUND_ROWS_CALC,
            Word::NextValue => self.hints |= Hints::SEQUENCE,
            Word::From => self.hints |= Hints::FROM,
            // GET DIAGNOSTICS @n = ROW_COUNT
            Word::RowCount if self.head == Head::Get => self.hints |= Hints::ROW_COUNT,
            Word::Duplicate => self.hints |= Hints::DUPLICATE,
            // Not ROLLBACK TO a, NO RELEASE, nor RELEASE SAVEPOINT.
            Word::Release if matches!(self.head, Head::Commit | Head::Rollback) => {
                if self.last != Last::Word(Word::No) {
                    self.hints |= Hints::RELEASE;
                }
            }
            Word::Value => {
                if matches!(self.last, Last::Word(Word::Next | Word::Previous)) {
                    self.hints |= Hints::SEQUENCE;
                }
            }
            Word::Atomic
            | Word::Begin
            | Word::Do
            | Word::Else
            | Word::For
            | Word::Loop
            | Word::Repeat
            | Word::Then => self.inner = true,
            Word::Transaction | Word::Not => self.second(word),
            Word::Role | Word::Authorization => self.when(Seen::SET, Hints::ROLE),
            Word::Password => self.after_set(Hints::PASSWORD),
            Word::Statement => self.after_set(Hints::SET_STATEMENT),
            Word::Resource => self.after_set(Hints::RESOURCE_GROUP),
            _ => self.variable(word),
        }
    }

    /// What a word means as the name of a system variable.
    fn variable(&mut self, word: Word) {
        let read = self.hints.contains(Hints::SYSTEM_VARIABLE);
        match word {
            Word::SessionTrack => self.hints |= Hints::SESSION_TRACK,
            Word::WaitTimeout | Word::VariablesTable => self.hints |= Hints::WAIT_TIMEOUT,
            Word::Reading if self.seen.contains(Seen::SET) || self.head == Head::Compound => {
                self.reading_changed = true;
            }
            Word::WarningCount | Word::ErrorCount if read => self.hints |= Hints::DIAGNOSTICS,
            Word::ThreadId if read => self.hints |= Hints::CONNECTION_ID,
            Word::LastInsertId | Word::Identity => {
                if read {
                    self.hints |= Hints::LAST_INSERT_ID;
                }
                self.when(Seen::SET, Hints::LAST_INSERT_ID_SET);
            }
            // Without a scope, `SET @@transaction_isolation` is for the next transaction only.
            Word::Isolation if self.last == Last::Sign(b'@') => {
                self.when(Seen::SET, Hints::SET_TRANSACTION | Hints::SET_TRANSACTION_ONCE);
            }
            _ => {}
        }
    }

    fn lock(&mut self) {
        self.seen |= Seen::LOCK;
        self.when(Seen::FLUSH, Hints::LOCK_TABLES);
    }

    fn second(&mut self, word: Word) {
        if matches!(self.last, Last::Word(Word::Start | Word::Begin)) && self.statements == 1 {
            self.head = self.head.then(word);
        }
        if word == Word::Transaction {
            self.when(Seen::SET, Hints::SET_TRANSACTION);
            self.after_set(Hints::SET_TRANSACTION_ONCE);
        }
    }

    fn function(&mut self, word: Word) {
        self.hints |= match word {
            Word::GetLock => Hints::GET_LOCK,
            Word::ReleaseLock => Hints::RELEASE_LOCK,
            Word::LockState => Hints::LOCK_STATE,
            Word::FoundRows => Hints::FOUND_ROWS,
            Word::RowCount => Hints::ROW_COUNT,
            Word::LastInsertId => Hints::LAST_INSERT_ID,
            Word::ConnectionId | Word::PsThreadId => Hints::CONNECTION_ID,
            Word::CurrentValue => Hints::SEQUENCE,
            _ => Hints::empty(),
        };
    }

    fn when(&mut self, seen: Seen, hints: Hints) {
        if self.seen.contains(seen) {
            self.hints |= hints;
        }
    }

    /// The word right behind `SET`, as far as that can be known.
    fn after_set(&mut self, hints: Hints) {
        if self.last == Last::Word(Word::Set) || self.hints.contains(Hints::EXECUTABLE_COMMENT) {
            self.when(Seen::SET, hints);
        }
    }
}

/// First words of statements that name a table behind a FROM or not at all.
fn names_no_table(first: Word) -> bool {
    matches!(
        first,
        Word::Set
            | Word::Use
            | Word::Do
            | Word::Begin
            | Word::Start
            | Word::Commit
            | Word::Rollback
            | Word::Savepoint
            | Word::Release
            | Word::Xa
            | Word::Prepare
            | Word::Deallocate
            | Word::Unlock
            | Word::Help
            | Word::Values
            | Word::Select
    )
}

fn digits_end(raw: &[u8]) -> usize {
    raw.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(raw.len())
}
