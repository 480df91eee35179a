//! Owns the texts that only ask what the statement before them left, or what the session is: all
//! that is in them can be answered without a server. Never accepts one with anything else in it.

use super::Dialect;
use super::tokens::{Token, Tokens};

/// One thing a session can be asked about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum About {
    RowCount,
    FoundRows,
    /// `LAST_INSERT_ID()`
    LastInsertId,
    /// `@@last_insert_id`, `@@identity`
    Identity,
    ConnectionId,
    WarningCount,
    ErrorCount,
}

/// What a whole text asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `SELECT` of such things; each with the heading of its column.
    Values(Vec<(About, String)>),
    /// `SHOW WARNINGS`, `SHOW ERRORS`
    Conditions { errors_only: bool, offset: u32, limit: u32 },
    /// `SHOW COUNT(*) WARNINGS`, `SHOW COUNT(*) ERRORS`
    Count { errors_only: bool },
}

impl Asked {
    /// Is this one of them?
    pub fn is_about(&self, about: About) -> bool {
        matches!(self, Self::Values(values) if values.iter().any(|(it, _)| *it == about))
    }

    /// Nothing but this, once or more.
    pub fn is_only_about(&self, about: About) -> bool {
        matches!(self, Self::Values(values) if values.iter().all(|(it, _)| *it == about))
    }
}

/// `None`: there is more in it, or less.
pub fn asked(text: &[u8], dialect: Dialect) -> Option<Asked> {
    let mut tokens = Spans { text, tokens: Tokens::new(text, dialect), next: None };
    match tokens.take()? {
        token if token.is("select") => values(&mut tokens),
        token if token.is("show") => show(&mut tokens),
        _ => None,
    }
}

/// Tokens, one ahead, with where they stand.
struct Spans<'a> {
    text: &'a [u8],
    tokens: Tokens<'a>,
    next: Option<(Token<'a>, usize)>,
}

impl<'a> Spans<'a> {
    fn peek(&mut self) -> Option<Token<'a>> {
        if self.next.is_none() {
            let start = self.tokens.start();
            self.next = self.tokens.next().map(|token| (token, start));
        }
        self.next.map(|(token, _)| token)
    }

    /// Where the next token begins.
    fn start(&mut self) -> usize {
        self.peek();
        self.next.map_or(self.text.len(), |(_, start)| start)
    }

    fn take(&mut self) -> Option<Token<'a>> {
        self.peek();
        self.next.take().map(|(token, _)| token)
    }

    /// Where the token that was taken last ends.
    fn end(&self) -> usize {
        self.tokens.at()
    }

    fn sign(&mut self, sign: u8) -> Option<()> {
        (self.take()? == Token::Sign(sign)).then_some(())
    }

    /// Nothing but semicolons is left.
    fn is_over(&mut self) -> bool {
        while self.peek() == Some(Token::Sign(b';')) {
            self.take();
        }
        self.peek().is_none()
    }
}

fn values(tokens: &mut Spans<'_>) -> Option<Asked> {
    let mut values = Vec::new();
    loop {
        let start = tokens.start();
        let about = value(tokens)?;
        let typed = tokens.text.get(start..tokens.end()).unwrap_or_default();
        let heading = heading(tokens, typed)?;
        values.push((about, heading));
        match tokens.peek() {
            Some(Token::Sign(b',')) => tokens.take(),
            _ => return tokens.is_over().then_some(Asked::Values(values)),
        };
    }
}

fn value(tokens: &mut Spans<'_>) -> Option<About> {
    match tokens.take()? {
        Token::SystemVariable => variable(tokens),
        word @ Token::Word(_) => {
            tokens.sign(b'(')?;
            tokens.sign(b')')?;
            function(word)
        }
        _ => None,
    }
}

fn function(word: Token<'_>) -> Option<About> {
    let functions = [
        ("row_count", About::RowCount),
        ("found_rows", About::FoundRows),
        ("last_insert_id", About::LastInsertId),
        ("connection_id", About::ConnectionId),
    ];
    functions.iter().find(|(name, _)| word.is(name)).map(|(_, about)| *about)
}

fn variable(tokens: &mut Spans<'_>) -> Option<About> {
    let variables = [
        ("warning_count", About::WarningCount),
        ("error_count", About::ErrorCount),
        ("last_insert_id", About::Identity),
        ("identity", About::Identity),
    ];
    let mut word = tokens.take()?;
    if word.is("session") || word.is("local") {
        tokens.sign(b'.')?;
        word = tokens.take()?;
    }
    variables.iter().find(|(name, _)| word.is(name)).map(|(_, about)| *about)
}

/// The alias, or else the expression as it was typed.
fn heading(tokens: &mut Spans<'_>, typed: &[u8]) -> Option<String> {
    let explicit = tokens.peek().is_some_and(|token| token.is("as"));
    if explicit {
        tokens.take();
    }
    let reserved = ["from", "into", "limit", "where", "union", "order", "for", "group", "having"];
    let raw = match tokens.peek() {
        Some(Token::Word(_))
            if reserved.iter().any(|word| tokens.peek().is_some_and(|t| t.is(word))) =>
        {
            return None;
        }
        Some(Token::Word(raw)) => raw,
        Some(Token::Name(raw) | Token::Text(raw)) if is_plain(raw) => raw,
        Some(Token::Name(_) | Token::Text(_)) => return None,
        _ if explicit => return None,
        _ => return std::str::from_utf8(typed).ok().map(str::to_owned),
    };
    tokens.take();
    std::str::from_utf8(raw).ok().map(str::to_owned)
}

fn is_plain(raw: &[u8]) -> bool {
    !raw.iter().any(|byte| matches!(byte, b'\\' | b'`' | b'\'' | b'"'))
}

fn show(tokens: &mut Spans<'_>) -> Option<Asked> {
    let first = tokens.take()?;
    if first.is("count") {
        tokens.sign(b'(')?;
        tokens.sign(b'*')?;
        tokens.sign(b')')?;
        let errors_only = errors_only(tokens.take()?)?;
        return tokens.is_over().then_some(Asked::Count { errors_only });
    }
    let errors_only = errors_only(first)?;
    let (mut offset, mut limit) = (0, u32::MAX);
    if tokens.peek().is_some_and(|token| token.is("limit")) {
        tokens.take();
        limit = number(tokens)?;
        if tokens.peek() == Some(Token::Sign(b',')) {
            tokens.take();
            offset = limit;
            limit = number(tokens)?;
        } else if tokens.peek().is_some_and(|token| token.is("offset")) {
            tokens.take();
            offset = number(tokens)?;
        }
    }
    tokens.is_over().then_some(Asked::Conditions { errors_only, offset, limit })
}

fn errors_only(word: Token<'_>) -> Option<bool> {
    if word.is("errors") { Some(true) } else { word.is("warnings").then_some(false) }
}

fn number(tokens: &mut Spans<'_>) -> Option<u32> {
    let Token::Word(digits) = tokens.take()? else { return None };
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> Option<Asked> {
        asked(text.as_bytes(), Dialect::default())
    }

    fn values(pairs: &[(About, &str)]) -> Asked {
        Asked::Values(pairs.iter().map(|(about, name)| (*about, (*name).into())).collect())
    }

    #[test]
    fn questions() {
        assert_eq!(ask("SELECT ROW_COUNT()"), Some(values(&[(About::RowCount, "ROW_COUNT()")])));
        assert_eq!(
            ask("/* x */ select  row_count( ) AS n, @@identity,@@session.warning_count `w`; -- y"),
            Some(values(&[
                (About::RowCount, "n"),
                (About::Identity, "@@identity"),
                (About::WarningCount, "w"),
            ]))
        );
        assert_eq!(
            ask("SELECT row_count( ) ;"),
            Some(values(&[(About::RowCount, "row_count( )")]))
        );
        assert_eq!(
            ask("SELECT LAST_INSERT_ID() id, CONNECTION_ID() 'c d'"),
            Some(values(&[(About::LastInsertId, "id"), (About::ConnectionId, "c d")]))
        );
    }

    #[test]
    fn lists() {
        let all = |errors_only| Some(Asked::Conditions { errors_only, offset: 0, limit: u32::MAX });
        assert_eq!(ask("SHOW WARNINGS"), all(false));
        assert_eq!(ask("show errors;"), all(true));
        let some = |offset, limit| Some(Asked::Conditions { errors_only: false, offset, limit });
        assert_eq!(ask("SHOW WARNINGS LIMIT 5"), some(0, 5));
        assert_eq!(ask("SHOW WARNINGS LIMIT 1, 5"), some(1, 5));
        assert_eq!(ask("SHOW WARNINGS LIMIT 5 OFFSET 2"), some(2, 5));
        assert_eq!(ask("SHOW COUNT(*) ERRORS"), Some(Asked::Count { errors_only: true }));
    }

    #[test]
    fn more_is_not_a_question() {
        for text in [
            "SELECT ROW_COUNT() + 1",
            "SELECT ROW_COUNT() FROM t",
            "SELECT ROW_COUNT() LIMIT 0",
            "SELECT LAST_INSERT_ID(5)",
            "SELECT @@version",
            "SELECT @@global.warning_count",
            "SHOW WARNINGS LIMIT ?",
            "SHOW COUNT(*) WARNINGS LIMIT 1",
            "SELECT ROW_COUNT() AS",
            "SELECT",
            "",
        ] {
            assert_eq!(ask(text), None, "{text}");
        }
    }
}
