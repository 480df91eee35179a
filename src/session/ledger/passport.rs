//! A session at rest as a value: all that another process needs to go on with it.
//!
//! Given only where nothing of it is anywhere else: not on a connection, and in no doubt.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::completion::deed_always;
use super::{Ledger, Login, Open, dialect};
use crate::session::hints;
use crate::session::{
    Charset, Defaults, Diagnostics, Library, Prepared, SessionState, Tracking, UserValue,
};
use crate::wire::{Capabilities, Status};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passport {
    login: LoggedIn,
    state: State,
    status: u16,
    tracking: [String; 4],
    diagnostics: Diagnostics,
    last_id: u32,
    last: Option<u32>,
    statements: Vec<OneStatement>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct LoggedIn {
    schema: Option<String>,
    charset: (String, String),
    capabilities: u32,
    status: u16,
    read_only: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct State {
    schema: Option<String>,
    variables: BTreeMap<String, String>,
    multi_statements: bool,
    /// An expression each, and whether its value is NULL.
    user_variables: BTreeMap<String, (String, bool)>,
    role: Option<String>,
    next_transaction: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OneStatement {
    id: u32,
    text: Octets,
    /// Under which it was prepared.
    state: State,
    params: u16,
    columns: u16,
    types: Option<Octets>,
}

/// A text of four letters for three bytes.
#[derive(Clone, Debug, PartialEq)]
struct Octets(Vec<u8>);

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(D::Error::custom)
    }
}

/// Of prepared statements: nobody else's session waits for longer ones.
const MOST_BYTES: usize = 8 << 20;

impl Ledger {
    /// `None`: a part of the session is on a connection, or is not known yet, or it is too large.
    pub fn passport(&self) -> Option<Passport> {
        let settled = !self.holds()
            && self.holdings.is_empty()
            && self.open == Open::empty()
            && self.dirty.is_empty()
            && self.unreported.is_empty()
            && self.characteristics.is_none()
            && self.doubtful_id.is_none()
            && !self.tables_locked
            && !self.error_untold
            && !self.released
            && !self.diagnostics.untold
            && self.statements.bytes() <= MOST_BYTES;
        if !settled {
            return None;
        }
        let login = &self.login;
        let tracking = &self.tracking;
        let statements = self.statements.iter().map(|(id, prepared)| OneStatement {
            id,
            text: Octets(prepared.statement.text.to_vec()),
            state: State::of(&prepared.statement.state),
            params: prepared.params,
            columns: prepared.columns,
            types: prepared.types.as_ref().map(|types| Octets(types.to_vec())),
        });
        Some(Passport {
            login: LoggedIn {
                schema: login.schema.clone(),
                charset: (login.charset.name.clone(), login.charset.collation.clone()),
                capabilities: login.capabilities.bits(),
                status: login.status.bits(),
                read_only: login.read_only,
            },
            state: State::of(&self.own_state()),
            status: self.status.bits(),
            tracking: [
                tracking.schema.clone(),
                tracking.state_change.clone(),
                tracking.transaction_info.clone(),
                tracking.system_variables.clone(),
            ],
            diagnostics: self.diagnostics.clone(),
            last_id: self.statements.last_id(),
            last: self.statements.last(),
            statements: statements.collect(),
        })
    }

    /// The session goes on. `None`: there is no room for its statements.
    pub fn resume(
        passport: Passport,
        defaults: Arc<Defaults>,
        library: &Arc<Library>,
    ) -> Option<Self> {
        let Passport { login, state, status, tracking, diagnostics, last_id, last, statements } =
            passport;
        let login = Login {
            schema: login.schema,
            charset: Charset { name: login.charset.0, collation: login.charset.1 },
            capabilities: Capabilities::from_bits_retain(login.capabilities),
            status: Status::from_bits_retain(login.status),
            read_only: login.read_only,
            defaults,
        };
        let mut ledger = Self::new(login, Arc::clone(library));
        ledger.status = Status::from_bits_retain(status);
        ledger.state = Arc::new(state.into_state());
        ledger.timeout_named = true;
        ledger.dialect = dialect(&ledger.state, &ledger.login, ledger.status);
        let mut own = Tracking::clone(&ledger.tracking);
        for (name, value) in Tracking::NAMES.into_iter().zip(&tracking) {
            own.set(name, value);
        }
        if own != *ledger.tracking {
            ledger.tracking = Arc::new(own);
        }
        ledger.diagnostics = diagnostics;
        for one in statements {
            let (id, prepared) = ledger.prepared(one)?;
            ledger.statements.put(id, prepared);
        }
        ledger.statements.go_on_from(last_id, last);
        Some(ledger)
    }

    fn prepared(&self, one: OneStatement) -> Option<(u32, Prepared)> {
        let state = Arc::new(one.state.into_state());
        let mode = state.variable("sql_mode").unwrap_or(&self.login.defaults.sql_mode);
        let plain = mode.split(',').any(|part| part.eq_ignore_ascii_case("NO_BACKSLASH_ESCAPES"));
        let mut status = self.status;
        status.set(Status::SERVER_STATUS_NO_BACKSLASH_ESCAPES, plain);
        let dialect = dialect(&state, &self.login, status);
        let reading = hints::read(&one.text.0, dialect);
        let deed = || deed_always(&one.text.0, reading, dialect);
        let statement = self.library.intern(&one.text.0, &state, reading, deed)?;
        let types = one.types.map(|types| statement.share_types(&types.0));
        let (params, columns) = (one.params, one.columns);
        let escapes = !dialect.no_backslash_escapes;
        let (long_data, cursor) = (false, false);
        let prepared = Prepared { statement, escapes, params, columns, types, long_data, cursor };
        Some((one.id, prepared))
    }
}

impl State {
    fn of(state: &SessionState) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let user_variable = |(name, value): (&str, &UserValue)| {
            let (text, is_null) = match value {
                UserValue::Value(text) => (text, false),
                UserValue::Null(text) => (text, true),
            };
            (name.to_owned(), (text.to_string(), is_null))
        };
        Self {
            schema: state.schema().map(str::to_owned),
            variables: state.variables().map(owned).collect(),
            multi_statements: state.multi_statements(),
            user_variables: state.user_variables().map(user_variable).collect(),
            role: state.role().map(str::to_owned),
            next_transaction: state.next_transaction().map(str::to_owned),
        }
    }

    fn into_state(self) -> SessionState {
        let variables = self.variables.iter().map(|(name, value)| (&**name, &**value));
        let user_variables = self.user_variables.into_iter().map(|(name, (text, is_null))| {
            let text = text.into();
            let value = if is_null { UserValue::Null(text) } else { UserValue::Value(text) };
            (name.into(), Some(value))
        });
        SessionState::new(self.schema.as_deref(), &Charset::canonical(), self.multi_statements)
            .with_variables(variables)
            .with_user_variables(user_variables)
            .with_role(self.role.as_deref())
            .with_next_transaction(self.next_transaction.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Labels, Metrics};
    use crate::session::Request;
    use crate::wire::Command;

    fn library() -> Arc<Library> {
        Library::new(Metrics::new(&Labels::default()).unwrap(), Library::MOST_BYTES)
    }

    fn login() -> Login {
        Login {
            schema: Some("shop".into()),
            charset: Charset { name: "latin1".into(), collation: "latin1_swedish_ci".into() },
            capabilities: Capabilities::CLIENT_MULTI_STATEMENTS,
            status: Status::SERVER_STATUS_AUTOCOMMIT,
            read_only: false,
            defaults: Arc::default(),
        }
    }

    #[test]
    fn what_was_a_session_is_the_same_session() {
        let library = library();
        let mut ledger = Ledger::new(login(), Arc::clone(&library));
        let value = |text: &str| Some(UserValue::Value(text.into()));
        let state = ledger.state.with_variables([("sql_mode", "ANSI_QUOTES")]).with_schema(None);
        let null = Some(UserValue::Null("CAST(NULL AS SIGNED)".into()));
        ledger
            .set_state(state.with_user_variables([("a".into(), value("'1'")), ("b".into(), null)]));
        ledger.diagnostics.last_insert_id = 7;
        let text = b"SELECT \"a\" FROM t WHERE id = ?";
        let dialect = ledger.dialect;
        let reading = hints::read(text, dialect);
        let statement = library.intern(text, &ledger.state, reading, || None).unwrap();
        let types = Some(statement.share_types(&[3, 0]));
        let (escapes, long_data, cursor) = (true, false, false);
        let prepared =
            Prepared { statement, escapes, params: 1, columns: 1, types, long_data, cursor };
        let id = ledger.statements.insert(prepared);

        let words = serde_json::to_vec(&ledger.passport().unwrap()).unwrap();
        let passport: Passport = serde_json::from_slice(&words).unwrap();
        let other = self::library();
        let resumed = Ledger::resume(passport.clone(), Arc::default(), &other).unwrap();
        assert_eq!(resumed.passport().unwrap(), passport);
        assert_eq!(resumed.state, ledger.state);
        assert_eq!(resumed.dialect, ledger.dialect);
        assert_eq!(resumed.status(), ledger.status());
        let there = resumed.statements.get(id).unwrap();
        assert_eq!(&*there.statement.text, text);
        assert_eq!(there.statement.reading, reading);
        assert_eq!(there.types.as_deref(), Some(&[3, 0][..]));
        assert_eq!(resumed.statements.next_id(), ledger.statements.next_id());
    }

    #[test]
    fn what_is_on_a_connection_stays() {
        let mut ledger = Ledger::new(login(), library());
        assert!(ledger.passport().is_some());
        ledger.in_transaction = true;
        assert!(ledger.passport().is_none());
        ledger.in_transaction = false;
        ledger.diagnostics.note_warnings(1);
        assert!(ledger.passport().is_none(), "its texts are on the connection");
        ledger.diagnostics.clear_conditions();
        assert!(ledger.passport().is_some());
        let request = Request { command: Command::Ping, body: b"", whole: true };
        ledger.on_request(&request, false);
        ledger.error_untold = true;
        assert!(ledger.passport().is_none());
    }

    #[test]
    fn what_is_too_large_stays() {
        let library = library();
        let mut ledger = Ledger::new(login(), Arc::clone(&library));
        let text = vec![b' '; MOST_BYTES / 2];
        for still_goes in [true, true, false] {
            let reading = hints::read(&text, ledger.dialect);
            let statement = library.intern(&text, &ledger.state, reading, || None).unwrap();
            let prepared = Prepared {
                statement,
                escapes: true,
                params: 0,
                columns: 0,
                types: None,
                long_data: false,
                cursor: false,
            };
            ledger.statements.insert(prepared);
            assert_eq!(ledger.passport().is_some(), still_goes);
        }
    }

    #[test]
    fn bytes_are_no_list_of_numbers() {
        let octets = Octets(vec![0xff; 3000]);
        let words = serde_json::to_vec(&octets).unwrap();
        assert!(words.len() < 4100, "{}", words.len());
        assert_eq!(serde_json::from_slice::<Octets>(&words).unwrap(), octets);
    }
}
