//! What a text asks for.
//!
//! The tables and the verbs are lists of their own; this knows only how statements are put together
//! of them, and the few words that drivers send by themselves.

use super::answer::Table;
use super::drivers::{self, Asked};
use super::tables::{self, Form};
use super::tokens::{Placed, Token, tokens};
use super::verbs::{Argument, Takes, Verb};
use super::words::Word;

#[derive(Debug)]
pub enum Statement {
    Show {
        form: &'static Form,
        like: Option<String>,
    },
    ShowClient(u64),
    Help {
        topic: Option<String>,
        like: Option<String>,
    },
    /// The place of the verb.
    Verb(usize, Argument),
    /// One row, of drivers.
    Select(Vec<Asked>),
    Variables {
        like: Option<String>,
    },
    /// The same for everybody.
    Fixed {
        table: Table,
        like: Option<String>,
    },
    Use(String),
    /// It changes nothing here: `SET`, `BEGIN` and their like.
    Nothing,
}

/// First words beside those of the verbs.
const FIRST: [&str; 9] =
    ["SHOW", "HELP", "SELECT", "SET", "USE", "BEGIN", "START", "COMMIT", "ROLLBACK"];

/// Bytes of a pattern or a name.
const LONGEST: usize = 256;

/// Words between SHOW and what is shown, without meaning here.
const SCOPES: [&str; 4] = ["FULL", "GLOBAL", "SESSION", "LOCAL"];

impl Statement {
    pub fn parse(text: &str, verbs: &[Verb]) -> Result<Self, Word> {
        let tokens = tokens(text)?;
        let mut rest = Rest { text, tokens: &tokens };
        let Some(first) = rest.next() else { return Err(Word::empty()) };
        match first {
            first if first.is("SHOW") => show(&mut rest),
            first if first.is("HELP") => help(&mut rest),
            first if first.is("SELECT") => drivers::select(&mut rest).map(Self::Select),
            first if first.is("USE") => {
                let schema = rest.next().map(Token::shown).unwrap_or_default();
                rest.end("USE").map(|()| Self::Use(schema))
            }
            first
                if ["SET", "BEGIN", "START", "COMMIT", "ROLLBACK"]
                    .iter()
                    .any(|it| first.is(it)) =>
            {
                Ok(Self::Nothing)
            }
            _ => verb(&tokens, text, verbs),
        }
    }
}

fn show(rest: &mut Rest<'_>) -> Result<Statement, Word> {
    while SCOPES.iter().any(|scope| rest.next_is(scope)) {}
    let what = rest.next().map(Token::shown).unwrap_or_default();
    let form = tables::FORMS.iter().find(|form| form.name.eq_ignore_ascii_case(&what));
    if let Some(form) = form {
        let like = rest.like()?;
        rest.end_or(form.name, &["LIKE"])?;
        return Ok(Statement::Show { form, like });
    }
    match what.to_ascii_uppercase().as_str() {
        "CLIENT" => {
            let id = rest.number("SHOW CLIENT", "the id of a client")?;
            rest.end("SHOW CLIENT id").map(|()| Statement::ShowClient(id))
        }
        "HELP" => help(rest),
        "VARIABLES" => Ok(Statement::Variables { like: rest.like_or_where()? }),
        // Two words in the manual.
        "CHARACTER" if rest.next_is("SET") => drivers::fixed("CHARSET", rest),
        driven if drivers::is_fixed(driven) => drivers::fixed(driven, rest),
        _ => {
            let known: Vec<&str> =
                tables::FORMS.iter().map(|form| form.name).chain(["CLIENT", "HELP"]).collect();
            Err(Word::unexpected(&what, "SHOW", &known))
        }
    }
}

fn help(rest: &mut Rest<'_>) -> Result<Statement, Word> {
    if let Some(like) = rest.like()? {
        rest.end("HELP LIKE")?;
        return Ok(Statement::Help { topic: None, like: Some(like) });
    }
    let mut topic: Vec<String> = rest.tokens.iter().map(|placed| placed.token.shown()).collect();
    // HELP SHOW CLIENTS is HELP CLIENTS.
    if topic.len() > 1 && topic.first().is_some_and(|first| first.eq_ignore_ascii_case("SHOW")) {
        topic.remove(0);
    }
    let topic = (!topic.is_empty()).then(|| topic.join(" "));
    Ok(Statement::Help { topic, like: None })
}

/// The longest of those that begin so: KILL QUERY before KILL.
fn verb(tokens: &[Placed], text: &str, verbs: &[Verb]) -> Result<Statement, Word> {
    let begins = |verb: &Verb| {
        let words: Vec<&str> = verb.words.split(' ').collect();
        let is = |(word, placed): (&&str, &Placed)| placed.token.is(word);
        (tokens.len() >= words.len() && words.iter().zip(tokens).all(is)).then_some(words.len())
    };
    let found = verbs.iter().enumerate().filter_map(|(at, verb)| Some((begins(verb)?, at, verb)));
    let Some((length, at, verb)) = found.max_by_key(|(length, ..)| *length) else {
        let said = tokens.first().map(|placed| placed.token.shown()).unwrap_or_default();
        let firsts = verbs.iter().filter_map(|verb| verb.words.split(' ').next());
        let known: Vec<&str> = FIRST.into_iter().chain(firsts).collect();
        return Err(Word::unexpected(&said, "", &known));
    };
    let mut rest = Rest { text, tokens: tokens.get(length..).unwrap_or_default() };
    let argument = match verb.takes {
        Takes::Nothing => Argument::None,
        Takes::Client => Argument::Client(rest.number(verb.words, "the id of a client")?),
        Takes::Target => Argument::Target(rest.name(verb.words)?),
        Takes::Move => rest.moves(verb.words)?,
    };
    let options: &[&str] =
        if verb.takes == Takes::Move { &["WITHIN seconds", "FORCE"] } else { &[] };
    rest.end_or(verb.words, options)?;
    Ok(Statement::Verb(at, argument))
}

/// What has not been read yet.
pub struct Rest<'t> {
    pub text: &'t str,
    pub tokens: &'t [Placed],
}

impl<'t> Rest<'t> {
    pub fn peek(&self) -> Option<&'t Token> {
        self.tokens.first().map(|placed| &placed.token)
    }

    pub fn next(&mut self) -> Option<&'t Token> {
        self.next_placed().map(|placed| &placed.token)
    }

    pub fn next_placed(&mut self) -> Option<&'t Placed> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    /// Takes the keyword, if it is next.
    pub fn next_is(&mut self, keyword: &str) -> bool {
        let is = self.peek().is_some_and(|token| token.is(keyword));
        if is {
            self.next();
        }
        is
    }

    pub fn next_is_sign(&mut self, sign: char) -> bool {
        let is = self.peek() == Some(&Token::Sign(sign));
        if is {
            self.next();
        }
        is
    }

    /// Nothing may follow.
    pub fn end(&self, behind: &str) -> Result<(), Word> {
        self.end_or(behind, &[])
    }

    /// Nor what might have.
    fn end_or(&self, behind: &str, known: &[&str]) -> Result<(), Word> {
        match self.peek() {
            None => Ok(()),
            Some(more) => Err(Word::unexpected(&more.shown(), behind, known)),
        }
    }

    pub fn like(&mut self) -> Result<Option<String>, Word> {
        if !self.next_is("LIKE") {
            return Ok(None);
        }
        match self.next() {
            Some(Token::Text(pattern) | Token::Word(pattern)) if pattern.len() <= LONGEST => {
                Ok(Some(pattern.clone()))
            }
            other => {
                let said = other.map(Token::shown).unwrap_or_default();
                Err(Word::unexpected(&said, "LIKE", &["'pattern'"]))
            }
        }
    }

    /// Of what drivers ask, a WHERE and a LIMIT are passed over: they get more than they asked for.
    pub fn like_or_where(&mut self) -> Result<Option<String>, Word> {
        let scoped = ["FROM", "IN"].iter().any(|word| self.next_is(word));
        if scoped {
            self.next();
        }
        let passed = ["WHERE", "LIMIT"];
        if self.peek().is_some_and(|token| passed.iter().any(|word| token.is(word))) {
            self.tokens = &[];
            return Ok(None);
        }
        let like = self.like()?;
        self.end("SHOW")?;
        Ok(like)
    }

    fn number(&mut self, behind: &str, what: &str) -> Result<u64, Word> {
        let said = self.next().map(Token::shown).unwrap_or_default();
        let number = said.parse();
        number.map_err(|_| Word::unexpected(&said, behind, &[what]))
    }

    fn moves(&mut self, behind: &str) -> Result<Argument, Word> {
        let to = self.name(behind)?;
        let within = if self.next_is("WITHIN") {
            let seconds = self.number("WITHIN", "a number of seconds")?;
            let _ = self.next_is("SECONDS") || self.next_is("SECOND");
            Some(seconds)
        } else {
            None
        };
        Ok(Argument::Move { to, within, force: self.next_is("FORCE") })
    }

    fn name(&mut self, behind: &str) -> Result<String, Word> {
        match self.next() {
            Some(Token::Word(name) | Token::Text(name) | Token::Name(name))
                if name.len() <= LONGEST =>
            {
                Ok(name.clone())
            }
            other => {
                let said = other.map(Token::shown).unwrap_or_default();
                Err(Word::unexpected(&said, behind, &["the name of a target"]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::verbs::Done;
    use super::*;

    fn verbs() -> Vec<Verb> {
        [
            ("KILL", Takes::Client),
            ("KILL QUERY", Takes::Client),
            ("DRAIN", Takes::Target),
            ("RELOAD", Takes::Nothing),
            ("SWITCHOVER TO", Takes::Move),
        ]
        .into_iter()
        .map(|(words, takes)| Verb {
            words,
            takes,
            does: "",
            run: Box::new(|_| Box::pin(async { Ok(Done::Silently) })),
        })
        .collect()
    }

    fn parsed(text: &str) -> String {
        match Statement::parse(text, &verbs()) {
            Ok(Statement::Show { form, like }) => format!("{} {like:?}", form.name),
            Ok(Statement::Verb(at, argument)) => format!("{} {argument:?}", verbs()[at].words),
            Ok(Statement::Fixed { table, .. }) => table.columns[0].0.clone().into_owned(),
            Ok(other) => format!("{other:?}"),
            Err(word) => word.message,
        }
    }

    #[test]
    fn what_is_asked() {
        for (text, meant) in [
            ("show clients", "CLIENTS None"),
            ("SHOW CLIENTS LIKE '%app%';", "CLIENTS Some(\"%app%\")"),
            ("SHOW CLIENT 12", "ShowClient(12)"),
            ("SHOW HELP", "Help { topic: None, like: None }"),
            ("help show Clients", "Help { topic: Some(\"Clients\"), like: None }"),
            ("HELP LIKE 'k%'", "Help { topic: None, like: Some(\"k%\") }"),
            ("KILL 7", "KILL Client(7)"),
            ("kill query 7", "KILL QUERY Client(7)"),
            ("DRAIN db-1", "DRAIN Target(\"db-1\")"),
            ("DRAIN 'a b'", "DRAIN Target(\"a b\")"),
            ("RELOAD", "RELOAD None"),
            ("SWITCHOVER TO db2", "SWITCHOVER TO Move { to: \"db2\", within: None, force: false }"),
            (
                "switchover to 'a b' within 5 seconds force",
                "SWITCHOVER TO Move { to: \"a b\", within: Some(5), force: true }",
            ),
            ("SET NAMES utf8mb4 COLLATE x", "Nothing"),
            ("START TRANSACTION", "Nothing"),
            ("USE `a`", "Use(\"a\")"),
            ("SHOW SESSION VARIABLES LIKE 'a%'", "Variables { like: Some(\"a%\") }"),
            ("SHOW VARIABLES WHERE Variable_name IN ('a', 'b')", "Variables { like: None }"),
            ("SHOW WARNINGS LIMIT 5", "Level"),
            ("SHOW CHARACTER SET", "Charset"),
            ("SHOW FULL TABLES FROM `x` LIKE '%'", "Tables_in_tidegate"),
        ] {
            assert_eq!(parsed(text), meant, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_was_meant() {
        let long = format!("SHOW CLIENTS LIKE '{}'", "x".repeat(257));
        for (text, told) in [
            ("", "Query was empty"),
            ("-- nothing", "Query was empty"),
            ("SHWO CLIENTS", "did you mean SHOW?"),
            ("SHOW CLENTS", "did you mean CLIENTS?"),
            ("SHOW", "missing behind SHOW"),
            ("SHOW CLIENTS LKE 'a'", "did you mean LIKE?"),
            ("SHOW CLIENTS LIKE", "missing behind LIKE; expected 'pattern'"),
            ("SHOW CLIENTS 5", "no '5' behind CLIENTS"),
            ("SHOW CLIENT x", "no 'x' behind SHOW CLIENT; expected the id of a client"),
            ("KILL", "missing behind KILL"),
            ("KILL all", "no 'all' behind KILL; expected the id"),
            ("KIL 5", "did you mean KILL?"),
            ("DRAIN", "expected the name of a target"),
            ("RELOAD now", "no 'now' behind RELOAD"),
            ("SWITCHOVER TO db2 FORC", "did you mean FORCE?"),
            ("SWITCHOVER TO db2 WITHIN FORCE", "no 'FORCE' behind WITHIN; expected a number"),
            ("SWITCHOVER TO", "expected the name of a target"),
            (&*long, "no 'xxx"),
            ("DELETE FROM mysql.user", "'DELETE' is no statement of the console"),
        ] {
            let said = parsed(text);
            assert!(said.contains(told), "{text}: {said}");
            assert!(text.len() < 12 || said.ends_with("Try HELP."), "{text}: {said}");
        }
    }
}
