//! SQL of any kind, in any dialect: read without a panic, and in pieces as in one. What was seen in
//! the pieces may only be more.

use tidegate::session::hints::{Dialect, Scanner, read};

pub fn run(bytes: &[u8]) {
    let [dialect, piece, sql @ ..] = bytes else { return };
    let dialect = Dialect {
        ansi_quotes: dialect & 1 != 0,
        no_backslash_escapes: dialect & 2 != 0,
        ascii_safe: dialect & 4 != 0,
        mariadb: dialect & 8 != 0,
    };
    let whole = read(sql, dialect);
    let mut scanner = Scanner::new(dialect);
    for chunk in sql.chunks(usize::from(piece % 16) + 1) {
        scanner.feed(chunk);
    }
    let pieces = scanner.finish();
    assert!(pieces.hints.contains(whole.hints), "{:?} of {:?}", pieces.hints, whole.hints);
    assert_eq!(pieces.head, whole.head);
}
