//! Properties: any chunking gives one reading, no bytes panic, memory is constant.

use proptest::prelude::*;

use super::{Dialect, Head, Hints, Reading, Scanner, read};

/// Pieces that begin, end or nearly end something.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "'", "''", "\"", "\"\"", "`", "``", "\\", "\\'", "\\\\", "\\N", "--", "-- ", "-", "#", "\n", " ",
    "/*", "*/", "/*!", "/*!40101", "/*M!", "/*M", "/*+", "*", "/", "@", "@@", "@a", ":=", "=", ";",
    "(", ")", ",", ".", "1", "1e5", "5", "e5", "0x", "0b1", "$", "$$", "\0", "\u{e9}", "\u{a0}", "a",
    "SELECT ", "SET ", "INTO ", "KILL ", "QUERY ", "SHOW ", "WARNINGS", "COUNT", "ROW_COUNT",
    "LAST_INSERT_ID", "GET_LOCK", "session_track_x", "warning_count", "sql_mode", "LOCK ", "TABLES ",
    "TRANSACTION ", "CALL ", "DO ", "concat", "unknown", "000000000000000000000000000000000000000000",
    "a_word_that_is_longer_than_sixty_four_bytes_and_so_longer_than_any_word_that_is_known",
];

fn dialects() -> impl Strategy<Value = Dialect> {
    any::<[bool; 3]>().prop_map(|[ansi_quotes, no_backslash_escapes, mariadb]| Dialect {
        ansi_quotes,
        no_backslash_escapes,
        ascii_safe: true,
        mariadb,
    })
}

fn texts() -> impl Strategy<Value = Vec<u8>> {
    let piece = proptest::sample::select(PIECES);
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

fn read_in_chunks(text: &[u8], sizes: &[usize], dialect: Dialect) -> Reading {
    let mut scanner = Scanner::new(dialect);
    let mut rest = text;
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let size = sizes.next().map_or(1, |&size| size.min(rest.len()));
        let (chunk, after) = rest.split_at(size);
        scanner.feed(chunk);
        rest = after;
    }
    scanner.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_chunking_gives_one_reading(
        text in texts(),
        sizes in proptest::collection::vec(1_usize..9, 1..6),
        dialect in dialects(),
    ) {
        let whole = read(&text, dialect);
        prop_assert_eq!(whole, read_in_chunks(&text, &[1], dialect));
        prop_assert_eq!(whole, read_in_chunks(&text, &sizes, dialect));
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        text in proptest::collection::vec(any::<u8>(), 0..300),
        sizes in proptest::collection::vec(1_usize..40, 1..6),
        dialect in dialects(),
    ) {
        let whole = read(&text, dialect);
        prop_assert_eq!(whole, read_in_chunks(&text, &sizes, dialect));
    }

    /// A lock that stands in plain code is seen whatever text, closed or not, stands before it.
    #[test]
    fn nothing_hides_a_statement_that_follows(text in texts(), dialect in dialects()) {
        let before = read(&text, dialect);
        let text = [&text[..], b"\n; SELECT GET_LOCK('a', 1)"].concat();
        let after = read(&text, dialect);
        prop_assert!(
            before.hints.contains(Hints::UNREADABLE)
                || after.hints.intersects(Hints::GET_LOCK | Hints::UNREADABLE),
            "{}", text.escape_ascii()
        );
        prop_assert!(after.hints.contains(before.hints - Hints::UNREADABLE));
    }
}

#[test]
fn a_scanner_is_small() {
    let size = size_of::<Scanner>();
    assert!(size <= 192, "{size}");
}

#[test]
fn a_large_literal_takes_no_memory() {
    let mut scanner = Scanner::new(Dialect::default());
    scanner.feed(b"INSERT INTO t VALUES (1, '");
    let chunk = vec![b'x'; 64 * 1024];
    for _ in 0..100 * 1024 * 1024 / chunk.len() {
        scanner.feed(&chunk);
    }
    scanner.feed(b"'), (2, @a)");
    let reading = scanner.finish();
    assert_eq!(reading.head, Head::Insert);
    assert_eq!(reading.hints, Hints::USER_VARIABLE);
    assert_eq!(reading.statements, 1);
}

#[test]
fn a_large_name_and_a_large_word_take_no_memory() {
    let chunk = vec![b'k'; 64 * 1024];
    for (open, close) in [("SELECT `", "`"), ("SELECT ", " "), ("SELECT @", " ")] {
        let mut scanner = Scanner::new(Dialect::default());
        scanner.feed(open.as_bytes());
        for _ in 0..100 {
            scanner.feed(&chunk);
        }
        scanner.feed(close.as_bytes());
        scanner.feed(b"; KILL 5");
        let reading = scanner.finish();
        assert!(reading.hints.contains(Hints::KILL | Hints::MULTI), "{open}");
        assert!(!reading.hints.contains(Hints::UNREADABLE), "{open}");
    }
}

#[test]
fn a_character_set_that_hides_quotes_is_not_read() {
    let dialect = Dialect { ascii_safe: false, ..Dialect::default() };
    let reading = read(b"SELECT 1", dialect);
    assert_eq!(reading.hints, Hints::UNREADABLE);
    assert_eq!((reading.head, reading.statements), (Head::Other, 1));
    assert_eq!(read(b"", dialect).head, Head::Empty);
    assert_eq!(read(b"KILL 5", dialect).kill, None);
}
