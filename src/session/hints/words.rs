//! Owns the words that mean something to the reader. Never looks at what stands around them.

use super::names::Names;

macro_rules! word {
    ($text:literal, $word:ident) => {
        Word::$word
    };
}

macro_rules! words {
    ($($word:ident: $($text:literal)|+;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Word {
            /// An identifier, or a keyword that changes nothing here.
            Other,
            /// Any name that begins with `session_track`.
            SessionTrack,
            $($word,)*
        }

        const TEXTS: &[&[u8]] = &[$($($text),+),*];
        /// Beside each text, its word.
        const WORDS: &[Word] = &[$($(word!($text, $word)),+),*];
    };
}

words! {
    // First words of statements.
    Alter: b"alter";
    Analyze: b"analyze";
    Backup: b"backup";
    Begin: b"begin";
    Binlog: b"binlog";
    Call: b"call";
    Case: b"case";
    Change: b"change";
    Check: b"check" | b"checksum";
    Commit: b"commit";
    Create: b"create";
    Deallocate: b"deallocate";
    Delete: b"delete";
    Do: b"do";
    Drop: b"drop";
    Execute: b"execute";
    Explain: b"explain" | b"describe" | b"desc";
    Flush: b"flush";
    For: b"for";
    Get: b"get";
    Grant: b"grant";
    Handler: b"handler";
    Help: b"help";
    If: b"if";
    Insert: b"insert";
    Install: b"install";
    Kill: b"kill";
    Load: b"load";
    Lock: b"lock";
    Loop: b"loop";
    Optimize: b"optimize";
    Prepare: b"prepare";
    Purge: b"purge";
    Release: b"release";
    Rename: b"rename";
    Repair: b"repair";
    Repeat: b"repeat";
    Replace: b"replace";
    Reset: b"reset";
    Revoke: b"revoke";
    Rollback: b"rollback";
    Savepoint: b"savepoint";
    Select: b"select";
    Set: b"set";
    Show: b"show";
    Signal: b"signal" | b"resignal";
    Start: b"start";
    Stop: b"stop";
    Table: b"table";
    Truncate: b"truncate";
    Uninstall: b"uninstall";
    Unlock: b"unlock";
    Update: b"update";
    Use: b"use";
    Values: b"values";
    While: b"while";
    With: b"with";
    Xa: b"xa";
    // Words inside statements.
    Atomic: b"atomic";
    Authorization: b"authorization";
    Connection: b"connection";
    Count: b"count";
    Diagnostics: b"diagnostics";
    Duplicate: b"duplicate";
    Else: b"else";
    Errors: b"errors";
    Export: b"export";
    From: b"from";
    Hard: b"hard";
    Instance: b"instance";
    Into: b"into";
    Local: b"local";
    Next: b"next";
    No: b"no";
    Not: b"not";
    Password: b"password";
    Previous: b"previous";
    Profile: b"profile" | b"profiles";
    Profiling: b"profiling";
    Query: b"query";
    Resource: b"resource";
    Role: b"role";
    Soft: b"soft";
    CalcFoundRows: b"sql_calc_found_rows";
    Statement: b"statement";
    Tables: b"tables";
    Temporary: b"temporary";
    Then: b"then";
    Transaction: b"transaction";
    Value: b"value";
    Variables: b"variables";
    Warnings: b"warnings";
    // Functions.
    ConnectionId: b"connection_id";
    PsThreadId: b"ps_current_thread_id";
    CurrentValue: b"lastval" | b"setval";
    NextValue: b"nextval" | b"currval";
    FoundRows: b"found_rows";
    GetLock: b"get_lock" | b"service_get_read_locks" | b"service_get_write_locks"
        | b"version_tokens_lock_shared" | b"version_tokens_lock_exclusive";
    LockState: b"is_free_lock" | b"is_used_lock";
    ReleaseLock: b"release_lock" | b"release_all_locks" | b"service_release_locks"
        | b"version_tokens_unlock";
    RowCount: b"row_count";
    // System variables; the first is a function too.
    LastInsertId: b"last_insert_id";
    Identity: b"identity";
    WarningCount: b"warning_count";
    ErrorCount: b"error_count";
    ThreadId: b"pseudo_thread_id";
    WaitTimeout: b"wait_timeout";
    Isolation: b"transaction_isolation" | b"transaction_read_only" | b"tx_isolation"
        | b"tx_read_only";
    // Tables that list system variables.
    VariablesTable: b"session_variables" | b"variables_by_thread" | b"system_variables";
    // Set one of these, and the server may read the next statement's bytes in another way.
    Reading: b"sql_mode" | b"names" | b"character" | b"charset" | b"character_set_client";
}

static NAMES: Names = Names::new(TEXTS);

/// A longer word is not known; the lexer gives no more than one byte more of it.
pub(super) const LONGEST: usize = 64;

const TRACK: &[u8] = b"session_track";

/// Names a word, in any case.
#[inline]
pub(super) fn lookup(raw: &[u8]) -> Word {
    if let Some(word) = NAMES.find(raw).and_then(|place| WORDS.get(place)) {
        return *word;
    }
    match raw.get(..TRACK.len()) {
        Some(start) if raw.len() <= LONGEST && start.eq_ignore_ascii_case(TRACK) => {
            Word::SessionTrack
        }
        _ => Word::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_in_any_case() {
        for text in TEXTS {
            assert_ne!(lookup(text), Word::Other, "{}", text.escape_ascii());
            assert_eq!(lookup(text), lookup(&text.to_ascii_uppercase()));
            let longer = [text, &b"_"[..]].concat();
            assert_eq!(lookup(&longer), Word::Other, "{}", longer.escape_ascii());
        }
    }

    #[test]
    fn session_track_is_a_beginning() {
        assert_eq!(lookup(b"Session_Track_GTIDS"), Word::SessionTrack);
        assert_eq!(lookup(b"session_track_transaction_info_and_more"), Word::SessionTrack);
        assert_eq!(lookup(b"session_trac"), Word::Other);
        assert_eq!(lookup(&b"session_track_".repeat(5)), Word::Other);
        assert_eq!(lookup(&[b's'; 65]), Word::Other);
        assert_eq!(lookup(b""), Word::Other);
        assert_eq!(lookup(b"_select"), Word::Other);
    }
}
