//! Whether a client may have a server connection for itself between two steps.
//!
//! Owns the estimate that keeps a script from starving its clients: too many holders by it cost
//! only sharing, too few a script. It is no judgement on whether Tidegate is right to hold.

use super::{reply::Reply, step::Step};

/// What pins until a reset, as words of a statement in lower case. One that holds no longer than
/// it has to is taken out when Tidegate learns to let go.
const LASTING: &[&str] = &[
    "temporary",
    "prepare",
    "execute",
    "get_lock",
    "lock tables",
    "lock table ",
    "handler",
    "call ",
    "xa ",
    "set role",
    "last_insert_id(",
    "last_insert_id =",
    "insert_id =",
    "identity =",
    "timestamp",
    "rand_seed",
    "set transaction",
    "transaction_isolation",
    "tx_isolation",
    "session_track",
    "nextval",
    "next value",
    "set statement",
    "profiling",
    "get diagnostics",
    "into @",
    "sets_in_function",
    "trig",
    "/*!",
    "/*m!",
    "delimiter",
    "$$",
];

/// What leaves the diagnostics of the statement before it.
const ASKING: [&str; 7] = [
    "show warnings",
    "show errors",
    "show count",
    "warning_count",
    "error_count",
    "get diagnostics",
    "select connection_id()",
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    pub transaction: bool,
    /// Until the next statement, or the end of a cursor.
    pub passing: bool,
    /// Until a reset.
    pub lasting: bool,
}

impl Holding {
    pub fn any(self) -> bool {
        self.transaction || self.passing || self.lasting
    }

    pub fn learn(&mut self, step: &Step, reply: &Reply) {
        match step {
            Step::Login(_) | Step::Reset | Step::ChangeUser(_) | Step::Quit => {
                *self = Self::default();
            }
            Step::Execute { cursor: true, .. } | Step::LongData { .. } => self.lasting = true,
            // Where it was prepared is not where it runs: another schema or mode pins.
            Step::Execute { .. } => self.lasting |= reply.error.is_some(),
            Step::Bytes(_) => self.passing = true,
            _ => {}
        }
        if let Some(open) = reply.in_transaction() {
            self.transaction = open;
        }
        let sql = step.sql().unwrap_or_default().to_lowercase();
        let asks = ASKING.iter().any(|word| sql.contains(word));
        let silent = !matches!(step, Step::Query(_));
        self.passing =
            reply.warnings > 0 || reply.error.is_some() || (asks || silent) && self.passing;
        if !sql.is_empty() {
            self.passing |= sql.contains("sql_calc_found_rows");
            self.lasting |= LASTING.iter().any(|word| sql.contains(word))
                || touches_user_variable(&sql)
                || matches!(step, Step::Prepare { .. }) && sql.starts_with("set ")
                || sql.contains(';')
                    && (reply.error.is_some() || sql.contains("set ") || sql.contains("use "));
        }
    }
}

fn touches_user_variable(sql: &str) -> bool {
    let bytes = sql.as_bytes();
    (0..bytes.len()).any(|at| {
        bytes[at] == b'@' && bytes.get(at + 1) != Some(&b'@') && (at == 0 || bytes[at - 1] != b'@')
    })
}
