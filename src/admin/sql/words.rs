//! Every word an operator is refused with. Codes and states are MySQL's own.

use std::time::Duration;

use bytes::BytesMut;

use crate::config::nearest;
use crate::wire::put_err;

/// An ERR packet to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub code: u16,
    state: [u8; 5],
    pub message: String,
}

/// Why a verb was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    UnknownClient(u64),
    /// With the names there are.
    UnknownTarget(String, Vec<String>),
    Failed(String),
}

impl Word {
    fn new(code: u16, state: [u8; 5], message: impl Into<String>) -> Self {
        Self { code, state, message: message.into() }
    }

    /// Writes the packet; returns the next sequence id.
    pub fn put(&self, out: &mut BytesMut, seq: u8) -> u8 {
        put_err(out, seq, self.code, &self.state, &self.message)
    }

    pub fn too_many(seats: usize) -> Self {
        let message = format!("Too many connections to the console: there are {seats}");
        Self::new(1040, *b"08004", message)
    }

    /// The same whatever was wrong, as the server does it.
    pub fn bad_login(user: &str, with_password: bool) -> Self {
        let user: String = user.chars().take(32).collect();
        let using = if with_password { "YES" } else { "NO" };
        let message =
            format!("Access denied for user '{user}' to the console (using password: {using})");
        Self::new(1045, *b"28000", message)
    }

    pub fn bad_handshake() -> Self {
        Self::new(1043, *b"08S01", "Bad handshake")
    }

    pub fn tls_required() -> Self {
        let message = "Connections to the console using insecure transport are prohibited while \
                       tls.client.mode=required.";
        Self::new(3159, *b"08004", message)
    }

    pub fn too_large() -> Self {
        Self::new(1153, *b"08S01", "Got a packet bigger than a statement of the console can be")
    }

    pub fn out_of_order() -> Self {
        Self::new(1156, *b"08S01", "Got packets out of order")
    }

    pub fn idle(limit: Duration) -> Self {
        let minutes = limit.as_secs() / 60;
        let message = format!("The console ends what was idle for {minutes} minutes");
        Self::new(4031, *b"HY000", message)
    }

    pub fn stopping() -> Self {
        Self::new(1053, *b"08S01", "Tidegate stops")
    }

    pub fn unknown_command(name: &str) -> Self {
        Self::new(1047, *b"08S01", format!("Unknown command: the console has no {name}"))
    }

    pub fn no_prepared_statements() -> Self {
        let message = "This command is not supported in the prepared statement protocol yet: \
                       the console takes texts; let the driver fill in the parameters itself";
        Self::new(1295, *b"HY000", message)
    }

    pub fn unknown_variable(name: &str) -> Self {
        Self::new(1193, *b"HY000", format!("Unknown system variable '{name}'"))
    }

    pub fn not_text() -> Self {
        Self::new(1300, *b"HY000", "Invalid utf8mb4 character string")
    }

    pub fn empty() -> Self {
        Self::new(1065, *b"42000", "Query was empty")
    }

    /// `behind` is what the word stands behind, such as `SHOW`; nothing for the first.
    pub fn unexpected(word: &str, behind: &str, known: &[&str]) -> Self {
        let said: String = word.chars().take(64).collect();
        let begin = match (said.is_empty(), behind.is_empty()) {
            (true, _) => format!("there is something missing behind {behind}"),
            (false, true) => format!("'{said}' is no statement of the console"),
            (false, false) => format!("there is no '{said}' behind {behind}"),
        };
        let meant = match nearest(word, known.iter().copied()) {
            Some(near) => format!("; did you mean {near}?"),
            None if known.len() == 1 => format!("; expected {}", known.concat()),
            None => String::new(),
        };
        Self::syntax(&format!("{begin}{meant}"))
    }

    pub fn syntax(what: &str) -> Self {
        let stop = if what.ends_with('?') { "" } else { "." };
        let message = format!("You have an error in your SQL syntax: {what}{stop} Try HELP.");
        Self::new(1064, *b"42000", message)
    }

    pub fn read_only(verb: &str) -> Self {
        let message = format!("Access denied; {verb} needs an [[admin]] with rights = \"write\"");
        Self::new(1227, *b"42000", message)
    }

    pub fn unknown_client(id: u64) -> Self {
        Self::new(1094, *b"HY000", format!("Unknown thread id: {id}"))
    }
}

impl From<Refusal> for Word {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownClient(id) => Self::unknown_client(id),
            Refusal::UnknownTarget(name, known) => {
                let near = nearest(&name, known.iter().map(String::as_str));
                let meant = near.map(|near| format!("; did you mean {near}?"));
                let known = || format!("; there is {}", known.join(", "));
                let message = format!("Unknown target '{name}'{}", meant.unwrap_or_else(known));
                Self::new(1105, *b"HY000", message)
            }
            Refusal::Failed(why) => Self::new(1105, *b"HY000", why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_told() {
        let shows = ["CLIENTS", "SERVERS"];
        let message = |word| Word::unexpected(word, "SHOW", &shows).message;
        let begin = "You have an error in your SQL syntax: ";
        assert_eq!(
            message("CLENTS"),
            format!("{begin}there is no 'CLENTS' behind SHOW; did you mean CLIENTS? Try HELP.")
        );
        assert_eq!(message("X"), format!("{begin}there is no 'X' behind SHOW. Try HELP."));
        assert_eq!(
            message(""),
            format!("{begin}there is something missing behind SHOW. Try HELP.")
        );
        let word = Word::unexpected("SHWO", "", &["SHOW", "KILL"]);
        assert_eq!(
            word.message,
            format!("{begin}'SHWO' is no statement of the console; did you mean SHOW? Try HELP.")
        );
    }

    #[test]
    fn targets_are_named_where_none_is_near() {
        let word = |name: &str| {
            Word::from(Refusal::UnknownTarget(name.into(), vec!["db1".into(), "db2".into()]))
        };
        assert_eq!(word("zzz").message, "Unknown target 'zzz'; there is db1, db2");
        assert_eq!(word("db3").message, "Unknown target 'db3'; did you mean db1?");
    }
}
