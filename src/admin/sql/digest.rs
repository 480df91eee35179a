//! A client's statement as it may be shown: no value of it, on one line, not too long.

const LONGEST: usize = 160;

/// Every literal is a `?`, comments are gone.
pub fn digest(text: &str) -> String {
    // Where a backslash may or may not escape the quote behind it, nobody can tell here what is a value.
    if text.contains("\\'") || text.contains("\\\"") {
        let shown = text.find(['\'', '"']).and_then(|first| text.get(..first)).unwrap_or_default();
        return digest(shown).chars().chain("?…".chars()).collect();
    }
    let mut digest = String::new();
    let mut inner = String::new();
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if digest.len() >= LONGEST {
            digest.push('…');
            break;
        }
        let rest = text.get(at..).unwrap_or_default();
        let inside = digest.chars().next_back().is_some_and(is_name);
        let skipped = match letter {
            '\'' | '"' => Some(quoted(rest, letter)),
            letter if letter.is_ascii_digit() && !inside => {
                Some(rest.find(|letter| !is_number(letter)).unwrap_or(rest.len()))
            }
            '/' if rest.starts_with("/*") => {
                Some(rest.find("*/").map_or(rest.len(), |end| end + 2))
            }
            '#' => Some(rest.find('\n').unwrap_or(rest.len())),
            '-' if is_dashes(rest) => Some(rest.find('\n').unwrap_or(rest.len())),
            _ => None,
        };
        if letter == '`' {
            // A name, as it stands: what is a quote in it begins nothing.
            let bytes = quoted_name(rest);
            while let Some((_, letter)) = letters.next_if(|(next, _)| *next < at + bytes) {
                inner.push(letter);
            }
            digest.push('`');
            digest.extend(inner.drain(..).map(|it| if it.is_control() { ' ' } else { it }));
            continue;
        }
        match (skipped, letter) {
            (Some(bytes), _) => {
                while letters.next_if(|(next, _)| *next < at + bytes).is_some() {}
                digest.push(if matches!(letter, '/' | '#' | '-') { ' ' } else { '?' });
            }
            (None, letter) if letter.is_whitespace() || letter.is_control() => digest.push(' '),
            (None, letter) => digest.push(letter),
        }
        if digest.ends_with("  ") {
            digest.pop();
        }
    }
    digest.trim().to_owned()
}

/// How long a literal is, its quotes included. One without an end hides all the rest.
fn quoted(text: &str, quote: char) -> usize {
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => {
                letters.next();
            }
            letter if letter == quote && letters.next_if(|(_, next)| *next == quote).is_none() => {
                return at + 1;
            }
            _ => {}
        }
    }
    text.len()
}

/// A doubled one is itself.
fn quoted_name(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '`' && letters.next_if(|(_, next)| *next == '`').is_none() {
            return at + 1;
        }
    }
    text.len()
}

fn is_dashes(text: &str) -> bool {
    let behind = text.strip_prefix("--").map(|rest| rest.chars().next());
    behind.is_some_and(|next| next.is_none_or(|next| next.is_whitespace() || next.is_control()))
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '$' | '`')
}

fn is_number(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '.'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_gone() {
        for (text, shown) in [
            ("SELECT * FROM t1 WHERE id = ?", "SELECT * FROM t1 WHERE id = ?"),
            (
                "SELECT\n  c  FROM `a1` WHERE a=5 AND b='x''y z'",
                "SELECT c FROM `a1` WHERE a=? AND b=?",
            ),
            (
                "SELECT a AS `it's` FROM t WHERE pw='hunter2'",
                "SELECT a AS `it's` FROM t WHERE pw=?",
            ),
            ("SELECT 1 --\tit's\n+ 'hunter2'", "SELECT ? + ?"),
            ("SELECT 5, 'C:\\', 'hunter2'", "SELECT ?,?…"),
            ("SELECT 1.5e3, 0xFF, \"s\" /* who */ -- more\n+ 2 # end", "SELECT ?, ?, ? + ?"),
            ("SELECT 'no end", "SELECT ?"),
            ("", ""),
        ] {
            assert_eq!(digest(text), shown);
        }
        let long = digest(&"a, ".repeat(200));
        assert!(long.chars().count() <= LONGEST + 1 && long.ends_with('…'), "{long}");
    }

    proptest::proptest! {
        #[test]
        fn a_literal_is_never_shown(before in "(`[a-z']{0,4}`)?[a-z =(]{0,9}", after in "[a-z =)'\"\\\\`]{0,9}") {
            for text in [format!("{before}'hunter2'{after}"), format!("{before}\"hunter2\"{after}")] {
                proptest::prop_assert!(!digest(&text).contains("hunter2"), "{}", text);
            }
        }
    }
}
