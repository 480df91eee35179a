//! What a statement is like, whatever its values: the text with a `?` for each literal, as the
//! server's own DIGEST_TEXT.
//!
//! Owns what of a text may be shown to others: never a literal, never a comment. It allocates
//! nothing, so that statements can be told apart while they run. Where a text can be read in two
//! ways it is not for here: the caller knows (see [`Hints::UNREADABLE`](super::hints::Hints)).

use std::borrow::Cow;

/// Bytes that a digest may have; what is longer is cut.
const ROOM: usize = 512;

/// Bytes of a text that are looked at.
pub const LOOKED_AT: usize = 4096;

/// Rows and lists that repeat are told once, as deep as this.
const DEEP: usize = 4;

pub struct Digest {
    bytes: [u8; ROOM],
    length: usize,
    is_cut: bool,
}

/// What stands at the end of a digest in the making.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Word,
    /// A literal.
    Value,
    Open,
    Close,
    Comma,
    /// Ends what stands before it, and what comes next stands close: `.`, `@`.
    Joint,
    Sign,
}

struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    escapes: bool,
    digest: Digest,
    last: Last,
    /// There is a blank before the token that comes next.
    apart: bool,
    depth: usize,
    /// Where the group that is open at each depth begins.
    open: [usize; DEEP],
    /// The group before it at each depth.
    closed: [Option<(usize, usize)>; DEEP],
}

impl Digest {
    /// `escapes`: a backslash takes the meaning of what stands behind it in a string. A text in
    /// double quotes is a literal here whatever it is there.
    pub fn of(text: &[u8], escapes: bool) -> Self {
        let looked_at = text.get(..LOOKED_AT).unwrap_or(text);
        let mut walk = Walk {
            text: looked_at,
            at: 0,
            escapes,
            digest: Self { bytes: [0; ROOM], length: 0, is_cut: false },
            last: Last::Nothing,
            apart: false,
            depth: 0,
            open: [0; DEEP],
            closed: [None; DEEP],
        };
        while !walk.digest.is_cut && walk.step() {}
        if looked_at.len() < text.len() && !walk.digest.is_cut {
            walk.cut();
        }
        walk.digest
    }

    /// Without the sign that it is cut.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    pub fn text(&self) -> Cow<'_, str> {
        let text = String::from_utf8_lossy(self.bytes());
        if self.is_cut { Cow::Owned(format!("{} …", text.trim_end())) } else { text }
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        match self.bytes.get_mut(self.length..end) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.length = end;
            }
            None => self.is_cut = true,
        }
    }

    fn ends_with(&self, end: &[u8]) -> bool {
        self.bytes().ends_with(end)
    }
}

impl Walk<'_> {
    /// The next token; `false`: there is none.
    fn step(&mut self) -> bool {
        self.apart = self.skip_blank();
        let Some(&byte) = self.text.get(self.at) else { return false };
        match byte {
            0 => return false,
            b'\'' | b'"' => {
                self.skip_quoted(byte);
                self.value();
            }
            b'`' => self.name(),
            b'0'..=b'9' => {
                self.skip_number();
                if self.last == Last::Joint { self.word(b"?") } else { self.value() }
            }
            b'.' if self.rest().get(1).is_some_and(u8::is_ascii_digit) && !self.goes_on() => {
                self.skip_number();
                self.value();
            }
            b'?' => {
                self.at += 1;
                self.value();
            }
            // MySQL 9 has strings between such signs.
            b'$' => self.cut(),
            _ if is_letter(byte) => self.letters(),
            _ => self.sign(byte),
        }
        true
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// A name is being told, part by part.
    fn goes_on(&self) -> bool {
        self.last == Last::Word && !self.apart
    }

    /// `true`: there was something.
    fn skip_blank(&mut self) -> bool {
        // Most words stand one blank apart.
        let start = self.at;
        if let [b' ', next, ..] = self.rest()
            && is_letter(*next)
        {
            self.at += 1;
            return true;
        }
        loop {
            let skipped = match self.rest() {
                [b' ' | b'\t' | b'\r' | b'\n' | 0x0B | 0x0C, ..] => 1,
                [b'#', ..] => self.line(),
                [b'-', b'-', next, ..] if *next <= b' ' || *next == 0x7F => self.line(),
                [b'-', b'-'] => 2,
                // The server's version decides whether that is a comment, and where it ends.
                [b'/', b'*', b'!', ..] | [b'/', b'*', b'M', b'!', ..] => {
                    self.cut();
                    self.rest().len()
                }
                [b'/', b'*', rest @ ..] => {
                    let end = rest.windows(2).position(|two| two == b"*/");
                    end.map_or(self.rest().len(), |end| end + 4)
                }
                _ => return self.at > start,
            };
            self.at += skipped;
        }
    }

    fn line(&self) -> usize {
        let rest = self.rest();
        memchr::memchr(b'\n', rest).unwrap_or(rest.len())
    }

    /// One without an end hides all the rest.
    fn skip_quoted(&mut self, quote: u8) {
        self.at += 1;
        loop {
            match self.rest() {
                [] => return,
                [b'\\', ..] if self.escapes && quote != b'`' => self.at += 2,
                [a, b, ..] if *a == quote && *b == quote => self.at += 2,
                &[byte, ..] => {
                    self.at += 1;
                    if byte == quote {
                        return;
                    }
                }
            }
        }
    }

    /// With whatever is stuck to it.
    fn skip_number(&mut self) {
        loop {
            let part = |byte: &u8| is_letter(*byte) || matches!(byte, b'.' | b'$');
            self.at += self.rest().iter().take_while(|byte| part(byte)).count();
            let exponent = self.at.checked_sub(1).and_then(|at| self.text.get(at));
            match self.rest() {
                [b'+' | b'-', digit, ..]
                    if matches!(exponent, Some(b'e' | b'E')) && digit.is_ascii_digit() =>
                {
                    self.at += 1;
                }
                _ => return,
            }
        }
    }

    fn name(&mut self) {
        let start = self.at;
        self.skip_quoted(b'`');
        let name = self.text.get(start..self.at).unwrap_or_default();
        self.word(name);
    }

    fn letters(&mut self) {
        let start = self.at;
        let part = |byte: &u8| !is_letter(*byte) && *byte != b'$';
        let rest = self.rest();
        self.at += rest.iter().position(part).unwrap_or(rest.len());
        let word = self.text.get(start..self.at).unwrap_or_default();
        let listed = matches!(self.last, Last::Open | Last::Comma);
        // Not the name of a literal's character set or base, which belongs to the literal.
        let belongs = matches!(self.text.get(self.at), Some(b'\'' | b'"'))
            && (word.len() == 1 || word.first() == Some(&b'_'))
            && self.last != Last::Joint;
        if belongs {
            return;
        }
        if listed && word.eq_ignore_ascii_case(b"NULL") {
            return self.value();
        }
        self.word(word);
    }

    fn word(&mut self, word: &[u8]) {
        self.space();
        self.digest.push(word);
        self.last = Last::Word;
    }

    fn space(&mut self) {
        if !matches!(self.last, Last::Nothing | Last::Open | Last::Joint) {
            self.digest.push(b" ");
        }
    }

    /// A list of them is `...`.
    fn value(&mut self) {
        if self.last == Last::Comma {
            if self.digest.ends_with(b"?,") {
                self.digest.length -= 2;
                self.digest.push(b"...");
                self.last = Last::Value;
                return;
            }
            if self.digest.ends_with(b"...,") {
                self.digest.length -= 1;
                self.last = Last::Value;
                return;
            }
        }
        // What was joined was the name of a variable, or of a host.
        self.space();
        self.digest.push(b"?");
        self.last = Last::Value;
    }

    fn sign(&mut self, sign: u8) {
        self.at += 1;
        match sign {
            b'(' => self.open(),
            b')' => self.close(),
            b',' => {
                self.digest.push(b",");
                self.last = Last::Comma;
            }
            b';' => {
                self.digest.push(b";");
                self.last = Last::Sign;
            }
            b'.' => {
                self.digest.push(b".");
                self.last = Last::Joint;
            }
            b'@' => {
                if self.last != Last::Value {
                    self.space();
                }
                self.digest.push(b"@");
                self.last = Last::Joint;
            }
            b'+' | b'-' if self.is_of_a_number() => {}
            _ => {
                let sticks = self.last == Last::Sign && !self.apart && !self.digest.ends_with(b";");
                if !sticks {
                    self.space();
                }
                self.digest.push(if sign.is_ascii_graphic() {
                    std::slice::from_ref(&sign)
                } else {
                    b" "
                });
                self.last = Last::Sign;
            }
        }
    }

    /// A sign between nothing and a number.
    fn is_of_a_number(&self) -> bool {
        let alone = !matches!(self.last, Last::Word | Last::Value | Last::Close);
        alone && matches!(self.rest(), [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..])
    }

    fn open(&mut self) {
        self.space();
        if let Some(open) = self.open.get_mut(self.depth) {
            *open = self.digest.length;
        }
        self.digest.push(b"(");
        self.last = Last::Open;
        self.depth += 1;
        if let Some(closed) = self.closed.get_mut(self.depth) {
            *closed = None;
        }
    }

    /// One that is as the one before it is not told again.
    fn close(&mut self) {
        self.digest.push(b")");
        self.last = Last::Close;
        self.depth = self.depth.saturating_sub(1);
        let (Some(&start), Some(closed)) =
            (self.open.get(self.depth), self.closed.get_mut(self.depth))
        else {
            return;
        };
        let bytes = self.digest.bytes.get(..self.digest.length).unwrap_or_default();
        let this = bytes.get(start..);
        let same = closed.is_some_and(|(from, to)| bytes.get(from..to) == this);
        let before = bytes.get(..start).unwrap_or_default();
        match *closed {
            Some((_, end)) if same && before.len() == end + 2 && before.ends_with(b", ") => {
                self.digest.length = start;
                self.digest.push(b"...");
            }
            Some(_) if same && before.ends_with(b"), ..., ") => self.digest.length = start - 2,
            _ => *closed = Some((start, self.digest.length)),
        }
    }

    /// What is to come is not told, nor is a row or a group that has begun: what is cut elsewhere is
    /// to look the same.
    fn cut(&mut self) {
        let row = self.open.first().filter(|start| {
            let before = self.digest.bytes.get(..**start).unwrap_or_default();
            before.ends_with(b"), ") || before.ends_with(b"), ..., ")
        });
        let group = self.open.get(self.depth.saturating_sub(1));
        if let Some(start) = row.or(group).filter(|_| self.depth > 0) {
            self.digest.length = (*start).min(self.digest.length);
        }
        for end in [&b","[..], b", ", b", ...", b", "] {
            if self.digest.ends_with(end) {
                self.digest.length -= end.len();
            }
        }
        self.digest.is_cut = true;
    }
}

/// Of a word, or of a number and what is stuck to it.
fn is_letter(byte: u8) -> bool {
    LETTERS.get(usize::from(byte)).copied().unwrap_or_default()
}

const LETTERS: [bool; 256] = {
    let mut letters = [false; 256];
    let mut byte: u8 = 0;
    loop {
        letters[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    letters
};

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> String {
        Digest::of(text.as_bytes(), true).text().into_owned()
    }

    #[test]
    fn values_are_gone_and_the_rest_stays() {
        for (text, shown) in [
            ("SELECT * FROM t1 WHERE id = 5", "SELECT * FROM t1 WHERE id = ?"),
            (
                "select  c\n from`a1` where a=5 and b='x''y z'",
                "select c from `a1` where a = ? and b = ?",
            ),
            (
                "SELECT a AS `it's` FROM t WHERE pw='hunter2'",
                "SELECT a AS `it's` FROM t WHERE pw = ?",
            ),
            ("SELECT 1 --\tit's\n+ 'hunter2'", "SELECT ? + ?"),
            ("SELECT 5--'hunter2'", "SELECT ? -- ?"),
            ("SELECT 1.5e-3, 0xFF, \"s\" /* who */ -- more\n", "SELECT ..."),
            ("SELECT x'41', N'a', _utf8mb4'b' , b.c", "SELECT ..., b.c"),
            ("SELECT -5, a-5, a - -5, .5, a = -5", "SELECT - ?, a - ?, a - ..., a = ?"),
            ("SELECT 'it\\'s hunter2', a", "SELECT ?, a"),
            ("SELECT 'no end", "SELECT ?"),
            (
                "SELECT COUNT(*), t.1st FROM t WHERE a>=1 AND b IS NULL",
                "SELECT COUNT (*), t.? FROM t WHERE a >= ? AND b IS NULL",
            ),
            ("SET @a := 1, @@session.sql_mode = ''", "SET @a := ?, @@session.sql_mode = ?"),
            ("CREATE USER 'a'@'%' IDENTIFIED BY 'hunter2'", "CREATE USER ?@? IDENTIFIED BY ?"),
            ("SELECT 1; SELECT 2", "SELECT ?; SELECT ?"),
            ("SELECT /*!99999 it's */ 'hunter2'", "SELECT …"),
            ("SELECT a*/* it's */'hunter2'", "SELECT a * ?"),
            ("SELECT $$hunter2$$", "SELECT …"),
            ("", ""),
        ] {
            assert_eq!(digest(text), shown);
        }
    }

    #[test]
    fn lists_are_told_once() {
        for (text, shown) in [
            ("SELECT a FROM t WHERE b IN (1)", "SELECT a FROM t WHERE b IN (?)"),
            ("SELECT a FROM t WHERE b IN (1, -2,NULL,'x')", "SELECT a FROM t WHERE b IN (...)"),
            ("INSERT INTO t (a, b) VALUES (1, 2)", "INSERT INTO t (a, b) VALUES (...)"),
            (
                "INSERT INTO t (a, b) VALUES (1, 2), (3, 4)",
                "INSERT INTO t (a, b) VALUES (...), ...",
            ),
            ("INSERT INTO t VALUES (1,2),(3,4),(5,6),(7,8)", "INSERT INTO t VALUES (...), ..."),
            (
                "INSERT INTO t VALUES (1, NOW(), 2), (3, NOW(), 4), (5, NOW(), 6)",
                "INSERT INTO t VALUES (?, NOW (), ?), ...",
            ),
            ("UPDATE t SET a = 1, b = 2 LIMIT 3, 4", "UPDATE t SET a = ?, b = ? LIMIT ..."),
        ] {
            assert_eq!(digest(text), shown);
        }
    }

    #[test]
    fn what_is_long_is_cut_the_same() {
        let rows = |count: usize| {
            let rows = vec!["(1, 'hunter2')"; count].join(", ");
            digest(&format!("INSERT INTO t VALUES {rows}"))
        };
        assert_eq!(rows(2), "INSERT INTO t VALUES (...), ...");
        assert_eq!(rows(1000), rows(5000));
        assert_eq!(rows(5000), "INSERT INTO t VALUES (...) …");
        let wide = digest(&"abc, ".repeat(500));
        assert!(wide.len() < ROOM + 8 && wide.ends_with(" …"), "{wide}");
    }

    proptest::proptest! {
        #[test]
        fn a_literal_is_never_shown(
            before in "(`[a-z']{0,4}`)?[a-z0-9 =(,.@-]{0,12}",
            value in "[a-z '\"\\\\]{0,5}",
            after in "[a-z =)'\"\\\\`;]{0,9}",
        ) {
            // As drivers write a value: both quotes, both ways to escape.
            let escaped = value.replace('\\', "\\\\");
            let doubled = value.replace('\'', "''");
            for (text, escapes) in [
                (format!("{before}'hunter2{}'{after}", escaped.replace('\'', "\\'")), true),
                (format!("{before}\"{}hunter2\"{after}", escaped.replace('"', "\\\"")), true),
                (format!("{before}'{doubled}hunter2'{after}"), false),
            ] {
                let digest = Digest::of(text.as_bytes(), escapes);
                proptest::prop_assert!(!digest.text().contains("hunter2"), "{text}");
            }
        }

        #[test]
        fn anything_has_a_digest(text: Vec<u8>, escapes: bool) {
            let digest = Digest::of(&text, escapes);
            proptest::prop_assert!(digest.bytes().len() <= ROOM);
        }
    }
}
