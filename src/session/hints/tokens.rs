//! Owns the tokens of a text that is all there, with what they say: names, literals, variables.
//!
//! For the few texts of which more must be known than a suspicion. Never called on a text that is
//! [`super::Hints::UNREADABLE`]: where two servers might read two things, the scanner has said so
//! before. What stands in an executable comment counts as text, so a list of names made from these
//! tokens may be too long and never too short.

use super::Dialect;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword, or a name without quotes.
    Word(&'a [u8]),
    /// A quoted identifier, without the quotes around it.
    Name(&'a [u8]),
    /// A string, without the quotes around it.
    Text(&'a [u8]),
    /// `@name`, without the `@` and the quotes.
    UserVariable(&'a [u8]),
    /// `@@`
    SystemVariable,
    Sign(u8),
}

impl Token<'_> {
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(raw) if raw.eq_ignore_ascii_case(word.as_bytes()))
    }
}

pub(super) struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
    dialect: Dialect,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a [u8], dialect: Dialect) -> Self {
        Self { text, at: 0, dialect }
    }

    /// Where the token that came last ends.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Where the next one begins.
    pub(super) fn start(&mut self) -> usize {
        self.skip_blank();
        self.at
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_until(&mut self, end: &[u8]) {
        let rest = self.rest();
        let found = rest.windows(end.len()).position(|window| window == end);
        self.at += found.map_or(rest.len(), |at| at + end.len());
    }

    /// Stands behind blanks and comments.
    fn skip_blank(&mut self) {
        loop {
            match self.rest() {
                [b' ' | b'\t' | b'\r' | b'\n' | 0x0B | 0x0C, ..] => self.at += 1,
                [b'#', ..] => self.skip_until(b"\n"),
                [b'-', b'-', next, ..] if *next <= b' ' => self.skip_until(b"\n"),
                [b'/', b'*', b'M', b'!', ..] => self.enter_executable(4),
                [b'/', b'*', b'!', ..] => self.enter_executable(3),
                [b'/', b'*', ..] => {
                    self.at += 2;
                    self.skip_until(b"*/");
                }
                // The end of the text, or of an executable comment; in a text that can be read,
                // nothing else.
                [b'-', b'-'] | [b'*', b'/', ..] => self.at += 2,
                _ => return,
            }
        }
    }

    fn enter_executable(&mut self, opening: usize) {
        self.at += opening;
        self.at += self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
    }

    /// What is between the quote that stands here and its end.
    fn quoted(&mut self, quote: u8) -> &'a [u8] {
        self.at += 1;
        let start = self.at;
        let escapes = quote != b'`'
            && !(quote == b'"' && self.dialect.ansi_quotes)
            && !self.dialect.no_backslash_escapes;
        loop {
            match self.rest() {
                [] => return self.text.get(start..).unwrap_or_default(),
                [b'\\', _, ..] if escapes => self.at += 2,
                [a, b, ..] if *a == quote && *b == quote => self.at += 2,
                [byte, ..] => {
                    self.at += 1;
                    if *byte == quote {
                        return self.text.get(start..self.at - 1).unwrap_or_default();
                    }
                }
            }
        }
    }

    fn word(&mut self, also: &[u8]) -> &'a [u8] {
        let start = self.at;
        let letter = |byte: &&u8| is_letter(**byte) || also.contains(*byte);
        self.at += self.rest().iter().take_while(letter).count();
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn at_sign(&mut self) -> Token<'a> {
        self.at += 1;
        match self.rest() {
            [b'@', ..] => {
                self.at += 1;
                Token::SystemVariable
            }
            [quote @ (b'`' | b'\'' | b'"'), ..] => Token::UserVariable(self.quoted(*quote)),
            _ => Token::UserVariable(self.word(b".")),
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blank();
        let first = *self.rest().first()?;
        Some(match first {
            b'`' => Token::Name(self.quoted(b'`')),
            b'"' if self.dialect.ansi_quotes => Token::Name(self.quoted(b'"')),
            b'\'' | b'"' => Token::Text(self.quoted(first)),
            b'@' => self.at_sign(),
            _ if is_letter(first) => Token::Word(self.word(b"")),
            _ => {
                self.at += 1;
                Token::Sign(first)
            }
        })
    }
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token<'_>> {
        Tokens::new(text.as_bytes(), Dialect::default()).collect()
    }

    #[test]
    fn each_kind() {
        use Token::*;
        assert_eq!(
            tokens("SET @a:='it''s \\' x', @`b c` = @@d -- end\n/* c */ `e``f`;"),
            [
                Word(b"SET"),
                UserVariable(b"a"),
                Sign(b':'),
                Sign(b'='),
                Text(b"it''s \\' x"),
                Sign(b','),
                UserVariable(b"b c"),
                Sign(b'='),
                SystemVariable,
                Word(b"d"),
                Name(b"e``f"),
                Sign(b';'),
            ]
        );
    }

    #[test]
    fn what_an_executable_comment_says_counts() {
        use Token::*;
        assert_eq!(
            tokens("/*!40101 SET @old=@@x */;"),
            [
                Word(b"SET"),
                UserVariable(b"old"),
                Sign(b'='),
                SystemVariable,
                Word(b"x"),
                Sign(b';')
            ]
        );
    }

    #[test]
    fn an_end_in_the_middle_ends() {
        for text in ["'abc", "`abc", "@'abc", "/* abc", "--", "'a\\", "@", "@@"] {
            let _ = tokens(text);
        }
    }
}
