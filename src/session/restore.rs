//! What a connection must be told so that it holds a session's state.
//!
//! Owns the difference between two states and the text of the `SET` that closes it. It never
//! sends anything.

use std::collections::HashSet;

use super::{SessionState, UserValue};

/// One command, in the order it must be sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// COM_INIT_DB
    Use(String),
    /// COM_SET_OPTION
    MultiStatements(bool),
    /// COM_QUERY of a `SET` that the target may refuse.
    Set(String),
    /// COM_QUERY of a `SET ROLE`, which may be refused too, and for one account only.
    Role(String),
    /// COM_QUERY of what no server refuses: user variables, the next transaction.
    Always(String),
}

/// The steps from one state to another; empty when there is nothing to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Restore {
    pub steps: Vec<Step>,
}

/// Every account may use it, nothing in it can be written, and no name in it is a client's.
pub const NEUTRAL_SCHEMA: &str = "information_schema";

impl Restore {
    /// Has a connection that holds `have` what no command by name takes away without a trace? A user
    /// variable that is NULL is not one that was never set.
    pub fn is_stained(have: &SessionState, want: &SessionState) -> bool {
        have.user_variables().any(|(name, _)| want.user_variable(name).is_none())
    }

    /// `None` when no sequence of commands leads there: a connection that has a schema cannot be
    /// told to have none, nor one whose role was set to take what the login gave.
    ///
    /// `session_only`: the variables that have no global value to return to.
    pub fn between(
        have: &SessionState,
        want: &SessionState,
        session_only: &HashSet<String>,
    ) -> Option<Self> {
        let mut steps = Vec::new();
        if have.schema() != want.schema() {
            let want = want.schema()?;
            // The request travels in the same write. Should this schema be gone, its names must
            // not be looked up in the schema that the connection's last user left behind.
            if have.schema().is_some_and(|schema| schema != NEUTRAL_SCHEMA) {
                steps.push(Step::Use(NEUTRAL_SCHEMA.into()));
            }
            steps.push(Step::Use(want.into()));
        }
        if have.multi_statements() != want.multi_statements() {
            steps.push(Step::MultiStatements(want.multi_statements()));
        }
        if let Some(set) = set_statement(have, want, session_only) {
            steps.push(Step::Set(set));
        }
        if have.role() != want.role() {
            steps.push(Step::Role(format!("SET ROLE {}", want.role()?)));
        }
        if let Some(set) = set_user_variables(have, want) {
            steps.push(Step::Always(set));
        }
        if have.next_transaction() != want.next_transaction() {
            // Outside a transaction it ends nothing but what was said of the next one.
            if have.next_transaction().is_some() {
                steps.push(Step::Always("ROLLBACK AND NO CHAIN NO RELEASE".into()));
            }
            let said = want.next_transaction().into_iter().flat_map(|text| text.split(';'));
            let said = said.map(str::trim).filter(|text| !text.is_empty());
            steps.extend(said.map(|text| Step::Always(text.into())));
        }
        Some(Self { steps })
    }

    /// The text of the `SET`, when there is one.
    pub fn set(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match step {
            Step::Set(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The text of the `SET ROLE`, when there is one.
    pub fn role(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match step {
            Step::Role(text) => Some(text.as_str()),
            _ => None,
        })
    }

    pub fn changes_schema(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Use(_)))
    }
}

fn set_statement(
    have: &SessionState,
    want: &SessionState,
    session_only: &HashSet<String>,
) -> Option<String> {
    let mut text = String::new();
    let mut assign = |name: &str, value: &str| {
        text.push_str(if text.is_empty() { "SET SESSION " } else { "," });
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    };
    for (name, value) in want.variables() {
        // Follows from collation_connection, and would undo it if it came later.
        if name == "character_set_connection" && want.variable("collation_connection").is_some() {
            continue;
        }
        if have.variable(name) != Some(value) {
            assign(name, &literal(name, value));
        }
    }
    for (name, _) in have.variables() {
        if want.variable(name).is_none() {
            // Not DEFAULT where there is a choice: for foreign_key_checks and unique_checks MySQL
            // takes it as OFF.
            if session_only.contains(name) {
                assign(name, "DEFAULT");
            } else {
                assign(name, &format!("@@GLOBAL.{name}"));
            }
        }
    }
    (!text.is_empty()).then_some(text)
}

/// A name is written between backticks: it holds none.
fn set_user_variables(have: &SessionState, want: &SessionState) -> Option<String> {
    let mut text = String::new();
    let mut assign = |name: &str, value: &str| {
        text.push_str(if text.is_empty() { "SET @`" } else { ",@`" });
        text.push_str(name);
        text.push_str("`=");
        text.push_str(value);
    };
    for (name, value) in want.user_variables() {
        if have.user_variable(name) == Some(value) {
            continue;
        }
        match value {
            UserValue::Value(value) => assign(name, value),
            UserValue::Null(of_this_type) => {
                assign(name, of_this_type);
                assign(name, "NULL");
            }
        }
    }
    (!text.is_empty()).then_some(text)
}

/// A tracker gives every value as text. Numbers must go back bare (error 1232 otherwise); what is
/// not plain ASCII, or has a quote or a backslash, goes as a hexadecimal literal, which reads the
/// same under every `sql_mode` and character set.
fn literal(name: &str, value: &str) -> String {
    if value.is_empty() && name == "character_set_results" {
        return "NULL".into();
    }
    if is_number(value) {
        return value.into();
    }
    if value.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'\'' && b != b'\\') {
        return format!("'{value}'");
    }
    let mut hex = String::from("_utf8mb4 0x");
    for byte in value.bytes() {
        for digit in [byte >> 4, byte & 0xF] {
            hex.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    hex
}

fn is_number(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    all_digits(whole) && all_digits(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Charset;

    fn state(schema: Option<&str>) -> SessionState {
        SessionState::new(schema, &Charset::canonical(), false)
    }

    fn steps(have: &SessionState, want: &SessionState) -> Vec<Step> {
        let session_only = HashSet::from(["sql_log_bin".to_owned()]);
        Restore::between(have, want, &session_only).unwrap().steps
    }

    #[test]
    fn nothing_to_do_between_equals() {
        assert_eq!(steps(&state(Some("a")), &state(Some("a"))), []);
    }

    #[test]
    fn a_schema_is_reached_over_neutral_ground() {
        assert_eq!(steps(&state(None), &state(Some("a"))), [Step::Use("a".into())]);
        assert_eq!(
            steps(&state(Some("b")), &state(Some("a"))),
            [Step::Use("information_schema".into()), Step::Use("a".into())]
        );
        assert_eq!(Restore::between(&state(Some("b")), &state(None), &HashSet::new()), None);
    }

    #[test]
    fn variables_are_set_and_undone_in_one_statement() {
        let have = state(None).with_variables([("time_zone", "+02:00"), ("autocommit", "OFF")]);
        let want = state(None).with_variables([("sql_mode", "ANSI"), ("autocommit", "ON")]);
        assert_eq!(
            steps(&have, &want),
            [Step::Set(
                "SET SESSION autocommit='ON',sql_mode='ANSI',time_zone=@@GLOBAL.time_zone".into()
            )]
        );
        let bare = have.with_variables([("sql_log_bin", "OFF")]);
        assert_eq!(steps(&bare, &have), [Step::Set("SET SESSION sql_log_bin=DEFAULT".into())]);
    }

    #[test]
    fn user_variables_are_set_and_never_undone() {
        let value = |text: &str| Some(UserValue::Value(text.into()));
        let null = Some(UserValue::Null("0".into()));
        let have = state(None).with_user_variables([("a".into(), value("1"))]);
        let want = have.with_user_variables([("c".into(), value("x''")), ("d".into(), null)]);
        assert_eq!(steps(&have, &want), [Step::Always("SET @`c`=x'',@`d`=0,@`d`=NULL".into())]);
        assert!(!Restore::is_stained(&have, &want));
        assert!(Restore::is_stained(&want, &have));
    }

    #[test]
    fn a_role_is_entered_and_never_left() {
        let role = state(None).with_role(Some("`r`@`%`"));
        assert_eq!(steps(&state(None), &role), [Step::Role("SET ROLE `r`@`%`".into())]);
        assert_eq!(Restore::between(&role, &state(None), &HashSet::new()), None);
    }

    #[test]
    fn what_was_said_of_the_next_transaction() {
        let text = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET TRANSACTION READ ONLY;";
        let said = state(None).with_next_transaction(Some(text));
        let always = |text: &str| Step::Always(text.into());
        assert_eq!(
            steps(&state(None), &said),
            [
                always("SET TRANSACTION ISOLATION LEVEL READ COMMITTED"),
                always("SET TRANSACTION READ ONLY")
            ]
        );
        assert_eq!(steps(&said, &state(None)), [always("ROLLBACK AND NO CHAIN NO RELEASE")]);
    }

    #[test]
    fn values_go_back_in_a_form_the_server_takes() {
        assert_eq!(literal("x", "10"), "10");
        assert_eq!(literal("x", "-1.50"), "-1.50");
        assert_eq!(literal("x", "1.2.3"), "'1.2.3'");
        assert_eq!(literal("x", ""), "''");
        assert_eq!(literal("character_set_results", ""), "NULL");
        assert_eq!(literal("x", "it's"), "_utf8mb4 0x69742773");
        assert_eq!(literal("x", "a\\"), "_utf8mb4 0x615c");
    }

    #[test]
    fn the_collation_brings_its_character_set() {
        let latin = Charset { name: "latin1".into(), collation: "latin1_swedish_ci".into() };
        let want = SessionState::new(None, &latin, false);
        assert_eq!(
            steps(&state(None), &want),
            [Step::Set(
                "SET SESSION character_set_client='latin1',character_set_results='latin1',\
                 collation_connection='latin1_swedish_ci'"
                    .into()
            )]
        );
    }
}
