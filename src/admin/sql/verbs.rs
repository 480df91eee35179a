//! What an operator can have done. `app` knows how: it gives the list, and the grammar, HELP and the
//! log follow from it.

use std::pin::Pin;

use super::words::Refusal;

/// One of them.
pub struct Verb {
    /// In capitals, such as `KILL QUERY`.
    pub words: &'static str,
    pub takes: Takes,
    /// For HELP.
    pub does: &'static str,
    pub run: Run,
}

/// What stands behind the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    /// A client's id.
    Client,
    /// A target's name.
    Target,
    /// A target's name, how long it may take, and whether by force.
    Move,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    None,
    Client(u64),
    Target(String),
    Move {
        to: String,
        /// In seconds.
        within: Option<u64>,
        force: bool,
    },
}

/// Runs to its end even if the operator has left.
pub type Run = Box<dyn Fn(Argument) -> Running + Send + Sync>;

pub type Running = Pin<Box<dyn Future<Output = Result<Done, Refusal>> + Send>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    Silently,
    /// And what there is to tell, a line each.
    Saying(Vec<String>),
}

impl Takes {
    /// As HELP writes it.
    pub fn shown(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Client => " id",
            Self::Target => " target",
            Self::Move => " target [WITHIN seconds] [FORCE]",
        }
    }
}
