//! One thing a client does, and its notation: what is printed can be played again.
//!
//! `SELECT 1` is a COM_QUERY; `! execute s 5 'x' NULL` is a command by name. Never sends anything.

use std::fmt;

use crate::support::{
    client::{Login, capability},
    servers::{PASSWORD, SCHEMA, USER},
};

#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// On a connection of its own; one that was open is left with COM_QUIT.
    Login(Who),
    Query(String),
    InitDb(String),
    Ping,
    Prepare {
        name: String,
        sql: String,
    },
    Execute {
        name: String,
        types: bool,
        cursor: bool,
        values: Vec<Param>,
    },
    Fetch {
        name: String,
        rows: u32,
    },
    LongData {
        name: String,
        param: u16,
        data: String,
    },
    ResetStatement(String),
    CloseStatement(String),
    Reset,
    ChangeUser(Who),
    SetOption(u16),
    FieldList(String),
    Statistics,
    /// A payload as it is, answered by one packet.
    Bytes(Vec<u8>),
    Quit,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Param {
    Null,
    /// Sent ahead, by `long_data`.
    Long,
    Int(i64),
    Text(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Who {
    pub user: String,
    pub schema: Option<String>,
    pub collation: u8,
    pub capabilities: u32,
}

/// Capabilities by the names they have in a script.
pub const CAPABILITIES: [(&str, u32); 4] = [
    ("eof", capability::DEPRECATE_EOF),
    ("track", capability::SESSION_TRACK),
    ("multi", capability::MULTI_STATEMENTS),
    ("found", capability::FOUND_ROWS),
];

const DEFAULT_COLLATION: u8 = 45; // utf8mb4_general_ci, which both flavors have

impl Default for Who {
    fn default() -> Self {
        Self {
            user: USER.to_owned(),
            schema: Some(SCHEMA.to_owned()),
            collation: DEFAULT_COLLATION,
            capabilities: 0,
        }
    }
}

impl Who {
    pub fn login(&self) -> Login {
        let password =
            if self.user == USER { PASSWORD.to_owned() } else { format!("{}-password", self.user) };
        let mut login = Login::new(&self.user, &password).collation(self.collation);
        login.schema.clone_from(&self.schema);
        login.with(self.capabilities)
    }

    /// `app_b schema=- collation=8 eof track`; what is not said is as usual.
    fn parse(words: &[&str]) -> Self {
        let mut who = Self::default();
        for word in words {
            if let Some((_, bit)) = CAPABILITIES.iter().find(|(name, _)| name == word) {
                who.capabilities |= bit;
            } else if let Some(schema) = word.strip_prefix("schema=") {
                who.schema = (schema != "-").then(|| schema.to_owned());
            } else if let Some(collation) = word.strip_prefix("collation=") {
                who.collation = collation.parse().expect("a collation's number");
            } else {
                who.user = String::from(*word);
            }
        }
        who
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.user)?;
        match &self.schema {
            None => write!(f, " schema=-")?,
            Some(schema) if schema != SCHEMA => write!(f, " schema={schema}")?,
            Some(_) => {}
        }
        if self.collation != DEFAULT_COLLATION {
            write!(f, " collation={}", self.collation)?;
        }
        for (name, bit) in CAPABILITIES {
            if self.capabilities & bit != 0 {
                write!(f, " {name}")?;
            }
        }
        Ok(())
    }
}

impl Step {
    /// What follows `!`.
    pub fn command(text: &str) -> Self {
        let (verb, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        let word = |at: usize| (*words.get(at).unwrap_or(&"")).to_owned();
        let number = |at: usize| -> u32 { word(at).parse().expect("a number") };
        match verb {
            "login" => Self::Login(Who::parse(&words)),
            "init_db" => Self::InitDb(word(0)),
            "ping" => Self::Ping,
            "prepare" => {
                let (name, sql) = rest.split_once(' ').expect("prepare NAME SQL");
                Self::Prepare { name: name.to_owned(), sql: sql.to_owned() }
            }
            "execute" | "again" | "cursor" => {
                let (name, values) = rest.split_once(' ').unwrap_or((rest, ""));
                Self::Execute {
                    name: name.to_owned(),
                    types: verb != "again",
                    cursor: verb == "cursor",
                    values: params(values),
                }
            }
            "fetch" => Self::Fetch { name: word(0), rows: number(1) },
            "long_data" => {
                let param = number(1).try_into().expect("a parameter's number");
                Self::LongData { name: word(0), param, data: word(2) }
            }
            "reset_statement" => Self::ResetStatement(word(0)),
            "close_statement" => Self::CloseStatement(word(0)),
            "reset" => Self::Reset,
            "change_user" => Self::ChangeUser(Who::parse(&words)),
            "set_option" => Self::SetOption(number(0).try_into().expect("an option")),
            "field_list" => Self::FieldList(word(0)),
            "statistics" => Self::Statistics,
            "bytes" => Self::Bytes(unhex(&word(0))),
            "quit" => Self::Quit,
            _ => panic!("no such command: {text}"),
        }
    }

    /// As in a script, without the client's number: `: SELECT 1` or `! ping`.
    pub fn parse(text: &str) -> Self {
        if let Some(sql) = text.strip_prefix(':') {
            return Self::Query(sql.trim().to_owned());
        }
        Self::command(text.strip_prefix('!').unwrap_or_else(|| panic!("no step: {text}")))
    }

    /// The text a server reads, if it reads one.
    pub fn sql(&self) -> Option<&str> {
        match self {
            Self::Query(sql) | Self::Prepare { sql, .. } => Some(sql),
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login(who) => write!(f, "! login {who}"),
            Self::Query(sql) => write!(f, ": {sql}"),
            Self::InitDb(schema) => write!(f, "! init_db {schema}"),
            Self::Ping => write!(f, "! ping"),
            Self::Prepare { name, sql } => write!(f, "! prepare {name} {sql}"),
            Self::Execute { name, types, cursor, values } => {
                let verb = match (types, cursor) {
                    (_, true) => "cursor",
                    (true, false) => "execute",
                    (false, false) => "again",
                };
                write!(f, "! {verb} {name}")?;
                values.iter().try_for_each(|value| write!(f, " {value}"))
            }
            Self::Fetch { name, rows } => write!(f, "! fetch {name} {rows}"),
            Self::LongData { name, param, data } => write!(f, "! long_data {name} {param} {data}"),
            Self::ResetStatement(name) => write!(f, "! reset_statement {name}"),
            Self::CloseStatement(name) => write!(f, "! close_statement {name}"),
            Self::Reset => write!(f, "! reset"),
            Self::ChangeUser(who) => write!(f, "! change_user {who}"),
            Self::SetOption(option) => write!(f, "! set_option {option}"),
            Self::FieldList(table) => write!(f, "! field_list {table}"),
            Self::Statistics => write!(f, "! statistics"),
            Self::Bytes(bytes) => {
                write!(f, "! bytes ")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Quit => write!(f, "! quit"),
        }
    }
}

impl fmt::Display for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => write!(f, "NULL"),
            Self::Long => write!(f, "LONG"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "'{text}'"),
        }
    }
}

/// `1 NULL 'a text'`; a text has no quote in it.
fn params(mut text: &str) -> Vec<Param> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start();
        if let Some(rest) = text.strip_prefix('\'') {
            let (value, rest) = rest.split_once('\'').expect("a closing quote");
            found.push(Param::Text(value.to_owned()));
            text = rest;
            continue;
        }
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        found.push(match word {
            "" => return found,
            "NULL" => Param::Null,
            "LONG" => Param::Long,
            number => Param::Int(number.parse().unwrap_or_else(|_| panic!("no value: {number}"))),
        });
        text = rest;
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
    digits.map(|pair| byte(pair).expect("hex digits")).collect()
}
