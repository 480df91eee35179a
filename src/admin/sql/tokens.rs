//! The words of a console statement, comments left out.
//!
//! Small on purpose: it need not read SQL, only what is typed here and what drivers send by
//! themselves.

use super::words::Word;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// As written: a keyword, a name, which may have `-` and `.` inside, or a number.
    Word(String),
    /// `'…'` or `"…"`, without its quotes.
    Text(String),
    /// `` `…` ``
    Name(String),
    /// `@@name`, in lower case and without its scope.
    Variable(String),
    /// `@name`
    UserVariable,
    Sign(char),
}

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub token: Token,
    pub from: usize,
    pub to: usize,
}

impl Token {
    /// Is it this keyword?
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    /// For an error message.
    pub fn shown(&self) -> String {
        match self {
            Self::Word(word) | Self::Text(word) | Self::Name(word) => word.clone(),
            Self::Variable(name) => format!("@@{name}"),
            Self::UserVariable => "@".to_owned(),
            Self::Sign(sign) => sign.to_string(),
        }
    }
}

/// One statement; a `;` at its end is left out.
pub fn tokens(text: &str) -> Result<Vec<Placed>, Word> {
    let mut walk = Walk { text, at: 0 };
    let mut tokens = Vec::new();
    while let Some(placed) = walk.next_token()? {
        tokens.push(placed);
    }
    while tokens.last().is_some_and(|last: &Placed| last.token == Token::Sign(';')) {
        tokens.pop();
    }
    if tokens.iter().any(|placed| placed.token == Token::Sign(';')) {
        return Err(Word::syntax("the console takes one statement at a time"));
    }
    Ok(tokens)
}

struct Walk<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Walk<'t> {
    fn next_token(&mut self) -> Result<Option<Placed>, Word> {
        self.skip_space();
        let from = self.at;
        let Some(first) = self.rest().chars().next() else { return Ok(None) };
        let token = match first {
            '\'' | '"' => Token::Text(self.quoted(first)?),
            '`' => Token::Name(self.quoted(first)?),
            '@' if self.rest().starts_with("@@") => {
                self.at += 2;
                Token::Variable(self.variable())
            }
            '@' => {
                self.at += 1;
                if let Some(quote @ ('\'' | '"' | '`')) = self.rest().chars().next() {
                    self.quoted(quote)?;
                } else {
                    self.word();
                }
                Token::UserVariable
            }
            letter if is_word(letter) => Token::Word(self.word().to_owned()),
            sign => {
                self.at += sign.len_utf8();
                Token::Sign(sign)
            }
        };
        Ok(Some(Placed { token, from, to: self.at }))
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            let dashes = trimmed
                .strip_prefix("--")
                .is_some_and(|after| after.is_empty() || after.starts_with(char::is_whitespace));
            let skipped = if trimmed.starts_with("/*") {
                trimmed.find("*/").map_or(trimmed.len(), |end| end + 2)
            } else if dashes || trimmed.starts_with('#') {
                trimmed.find('\n').unwrap_or(trimmed.len())
            } else {
                return;
            };
            self.at += skipped;
        }
    }

    /// A quote that comes twice, or behind `\`, is itself.
    fn quoted(&mut self, quote: char) -> Result<String, Word> {
        let mut inside = String::new();
        let mut letters = self.rest().char_indices().skip(1).peekable();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' if quote != '`' => match letters.next() {
                    // LIKE reads these for itself.
                    Some((_, wildcard @ ('%' | '_'))) => inside.extend(['\\', wildcard]),
                    Some((_, escaped)) => inside.push(escaped),
                    None => break,
                },
                letter if letter == quote => {
                    if letters.next_if(|(_, next)| *next == quote).is_none() {
                        self.at += at + quote.len_utf8();
                        return Ok(inside);
                    }
                    inside.push(quote);
                }
                letter => inside.push(letter),
            }
        }
        Err(Word::syntax(&format!("there is no end to what {quote} begins")))
    }

    fn word(&mut self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|letter| !is_inside(letter)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn variable(&mut self) -> String {
        let name = self.word().to_ascii_lowercase();
        match name.split_once('.') {
            Some(("global" | "session" | "local", name)) => name.to_owned(),
            _ => name,
        }
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '$')
}

fn is_inside(letter: char) -> bool {
    is_word(letter) || matches!(letter, '-' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<Token> {
        tokens(text).unwrap().into_iter().map(|placed| placed.token).collect()
    }

    fn word(text: &str) -> Token {
        Token::Word(text.to_owned())
    }

    #[test]
    fn what_is_typed() {
        assert_eq!(
            of("SHOW clients LIKE '50\\% of ''it'''; "),
            [word("SHOW"), word("clients"), word("LIKE"), Token::Text("50\\% of 'it'".into())]
        );
        assert_eq!(
            of("drain db-1.eu -- now\n"),
            [word("drain"), word("db-1.eu")],
            "as targets are named"
        );
        assert_eq!(of("/* a */ # b\n USE `x``y`"), [word("USE"), Token::Name("x`y".into())]);
        assert_eq!(of(""), []);
        assert_eq!(of(";"), []);
    }

    #[test]
    fn what_drivers_send() {
        assert_eq!(
            of("/* mysql-connector-j */SELECT  @@session.tx_isolation AS a, @@VERSION,@x"),
            [
                word("SELECT"),
                Token::Variable("tx_isolation".into()),
                word("AS"),
                word("a"),
                Token::Sign(','),
                Token::Variable("version".into()),
                Token::Sign(','),
                Token::UserVariable,
            ]
        );
    }

    #[test]
    fn what_is_wrong() {
        let wrong = |text| tokens(text).unwrap_err().message;
        assert!(wrong("SHOW CLIENTS LIKE 'x").contains("no end to what ' begins"));
        assert!(wrong("SHOW CLIENTS LIKE 'x\\").contains("no end"));
        assert!(wrong("KILL 1; KILL 2").contains("one statement"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: String) {
            if let Ok(tokens) = tokens(&text) {
                for placed in tokens {
                    proptest::prop_assert!(text.get(placed.from..placed.to).is_some());
                }
            }
        }
    }
}
