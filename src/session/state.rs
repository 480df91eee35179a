//! What a server connection must hold for a session's statements to mean what they should.
//!
//! Owns the schema, the session and user variables that were told apart from the server's defaults,
//! the multi-statements option, the role, and what was said of the next transaction, as one
//! immutable value that sessions and connections share. It never knows how a connection is brought
//! there: `restore` does.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Shared by `Arc`; a change makes a new value.
#[derive(Clone, Debug)]
pub struct SessionState {
    schema: Option<Box<str>>,
    variables: BTreeMap<Box<str>, Box<str>>,
    multi_statements: bool,
    /// Most sessions have none; a session that has many does not copy them at each change.
    user_variables: Option<Arc<UserVariables>>,
    /// As `SET ROLE` takes it; `None` is what the login gave.
    role: Option<Box<str>>,
    /// `SET TRANSACTION …` for the next transaction only, as the server's tracker says it.
    next_transaction: Option<Box<str>>,
    /// Of everything above.
    fingerprint: u64,
    /// Of what decides how a statement's text is read, see [`NOT_READING`].
    reading: u64,
    asked: Asked,
}

/// What each query asks of the variables, looked up once for all of them.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    releases: bool,
    reports_gtids: bool,
    swe7: bool,
}

/// By name, in lower case and without the `@`.
pub type UserVariables = BTreeMap<Box<str>, UserValue>;

/// What a user variable holds, as expressions that give it again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UserValue {
    Value(Box<str>),
    /// NULL, of the type that this expression has.
    Null(Box<str>),
}

/// Variables that do not change what a prepared text means or gives. Any other may be taken in
/// when a statement is prepared, as `group_concat_max_len` and `div_precision_increment` are.
const NOT_READING: [&str; 16] = [
    "autocommit",
    "completion_type",
    "foreign_key_checks",
    "innodb_lock_wait_timeout",
    "interactive_timeout",
    "lock_wait_timeout",
    "max_execution_time",
    "max_statement_time",
    "net_read_timeout",
    "net_write_timeout",
    "transaction_isolation",
    "transaction_read_only",
    "tx_isolation",
    "tx_read_only",
    "unique_checks",
    "wait_timeout",
];

fn is_reading(name: &str) -> bool {
    !NOT_READING.contains(&name)
}

impl PartialEq for SessionState {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
            && self.schema == other.schema
            && self.multi_statements == other.multi_statements
            && self.variables == other.variables
            && self.user_variables == other.user_variables
            && self.role == other.role
            && self.next_transaction == other.next_transaction
    }
}

impl Eq for SessionState {}

impl SessionState {
    pub fn new(schema: Option<&str>, charset: &Charset, multi_statements: bool) -> Self {
        let variables = charset
            .variables()
            .into_iter()
            .map(|(name, value)| (Box::from(name), Box::from(value)))
            .collect();
        let schema = schema.filter(|name| !name.is_empty()).map(Box::from);
        Self {
            schema,
            variables,
            multi_statements,
            user_variables: None,
            role: None,
            next_transaction: None,
            fingerprint: 0,
            reading: 0,
            asked: Asked::default(),
        }
        .sealed()
    }

    pub fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    pub fn multi_statements(&self) -> bool {
        self.multi_statements
    }

    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(AsRef::as_ref)
    }

    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Every COMMIT and ROLLBACK ends the connection.
    pub fn releases(&self) -> bool {
        self.asked.releases
    }

    /// The server reports the GTIDs of what was committed.
    pub fn reports_gtids(&self) -> bool {
        self.asked.reports_gtids
    }

    /// The client's character set is the one that has letters where ASCII has signs.
    pub fn is_swe7(&self) -> bool {
        self.asked.swe7
    }

    pub fn user_variable(&self, name: &str) -> Option<&UserValue> {
        self.user_variables.as_ref()?.get(name)
    }

    pub fn user_variables(&self) -> impl Iterator<Item = (&str, &UserValue)> {
        let all = self.user_variables.iter().flat_map(|variables| variables.iter());
        all.map(|(name, value)| (name.as_ref(), value))
    }

    pub fn role(&self) -> Option<&str> {
        self.role.as_deref()
    }

    pub fn next_transaction(&self) -> Option<&str> {
        self.next_transaction.as_deref()
    }

    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Would a text prepared under `other` mean the same here?
    pub fn reads_like(&self, other: &Self) -> bool {
        self.reading == other.reading
            && self.schema == other.schema
            && self.reading_variables().eq(other.reading_variables())
    }

    /// Where a text that was prepared under `self` may be prepared again by a session that holds
    /// `now`: what decides its meaning is as it was, and nothing is touched that could end a
    /// transaction. Without a schema it named none, so any schema serves.
    #[must_use]
    pub fn to_read_within(&self, now: &Self) -> Self {
        let kept = now.variables.iter().filter(|(name, _)| !is_reading(name));
        let variables = kept.chain(self.reading_variables());
        Self {
            schema: self.schema.clone().or_else(|| now.schema.clone()),
            variables: variables.map(|(name, value)| (name.clone(), value.clone())).collect(),
            multi_statements: now.multi_statements,
            user_variables: now.user_variables.clone(),
            role: now.role.clone(),
            next_transaction: now.next_transaction.clone(),
            fingerprint: 0,
            reading: 0,
            asked: Asked::default(),
        }
        .sealed()
    }

    /// What decides the meaning of a text, and nothing else of a session's own.
    #[must_use]
    pub fn to_read(self: &Arc<Self>) -> Arc<Self> {
        let own = self.user_variables.is_some() || self.role.is_some();
        if !own && self.next_transaction.is_none() {
            return Arc::clone(self);
        }
        let (user_variables, role, next_transaction) = (None, None, None);
        Arc::new(Self { user_variables, role, next_transaction, ..(**self).clone() }.sealed())
    }

    fn reading_variables(&self) -> impl Iterator<Item = (&Box<str>, &Box<str>)> {
        self.variables.iter().filter(|(name, _)| is_reading(name))
    }

    pub fn reading_fingerprint(&self) -> u64 {
        self.reading
    }

    #[must_use]
    pub fn with_schema(&self, schema: Option<&str>) -> Self {
        let schema = schema.filter(|name| !name.is_empty()).map(Box::from);
        Self { schema, ..self.clone() }.sealed()
    }

    /// The session variables are as there.
    #[must_use]
    pub fn with_variables_of(&self, there: &Self) -> Self {
        Self { variables: there.variables.clone(), ..self.clone() }.sealed()
    }

    #[must_use]
    pub fn with_multi_statements(&self, on: bool) -> Self {
        Self { multi_statements: on, ..self.clone() }.sealed()
    }

    #[must_use]
    pub fn with_variables<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut next = self.clone();
        for (name, value) in changes {
            next.variables.insert(Box::from(name), Box::from(value));
        }
        next.sealed()
    }

    /// The server's global value again.
    #[must_use]
    pub fn without_variable(&self, name: &str) -> Self {
        let mut next = self.clone();
        next.variables.remove(name);
        next.sealed()
    }

    /// `None` for a variable that was never set.
    #[must_use]
    pub fn with_user_variables(
        &self,
        changes: impl IntoIterator<Item = (Box<str>, Option<UserValue>)>,
    ) -> Self {
        let mut variables = self.user_variables.as_deref().cloned().unwrap_or_default();
        for (name, value) in changes {
            match value {
                Some(value) => variables.insert(name, value),
                None => variables.remove(&name),
            };
        }
        let user_variables = (!variables.is_empty()).then(|| Arc::new(variables));
        Self { user_variables, ..self.clone() }.sealed()
    }

    #[must_use]
    pub fn with_role(&self, role: Option<&str>) -> Self {
        Self { role: role.map(Box::from), ..self.clone() }.sealed()
    }

    #[must_use]
    pub fn with_next_transaction(&self, text: Option<&str>) -> Self {
        Self { next_transaction: text.map(Box::from), ..self.clone() }.sealed()
    }

    fn sealed(mut self) -> Self {
        let mut reading = DefaultHasher::new();
        self.schema.hash(&mut reading);
        for variable in self.reading_variables() {
            variable.hash(&mut reading);
        }
        self.reading = reading.finish();
        let mut all = DefaultHasher::new();
        self.schema.hash(&mut all);
        self.variables.hash(&mut all);
        self.multi_statements.hash(&mut all);
        self.user_variables.hash(&mut all);
        self.role.hash(&mut all);
        self.next_transaction.hash(&mut all);
        self.fingerprint = all.finish();
        self.asked = Asked::of(&self.variables);
        self
    }
}

impl Asked {
    fn of(variables: &BTreeMap<Box<str>, Box<str>>) -> Self {
        let value = |name| variables.get(name).map(AsRef::as_ref);
        Self {
            releases: matches!(value("completion_type"), Some("RELEASE" | "2")),
            reports_gtids: value("session_track_gtids")
                .is_some_and(|gtids| !gtids.eq_ignore_ascii_case("OFF")),
            swe7: value("character_set_client") == Some("swe7"),
        }
    }
}

/// A character set and collation as a login names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charset {
    pub name: String,
    pub collation: String,
}

impl Charset {
    /// What every server connection is logged in with.
    pub fn canonical() -> Self {
        Self { name: "utf8mb4".into(), collation: "utf8mb4_general_ci".into() }
    }

    fn variables(&self) -> [(&str, &str); 4] {
        [
            ("character_set_client", &self.name),
            ("character_set_connection", &self.name),
            ("character_set_results", &self.name),
            ("collation_connection", &self.collation),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> SessionState {
        SessionState::new(Some("shop"), &Charset::canonical(), false)
    }

    #[test]
    fn equal_by_value_whatever_the_way() {
        let one = plain().with_variables([("sql_mode", "ANSI"), ("time_zone", "UTC")]);
        let two =
            plain().with_variables([("time_zone", "UTC")]).with_variables([("sql_mode", "ANSI")]);
        assert_eq!(one, two);
        assert_ne!(one, plain());
        assert_ne!(plain(), plain().with_schema(None));
        assert_ne!(plain(), plain().with_multi_statements(true));
    }

    #[test]
    fn user_variables_role_and_next_transaction_are_state() {
        let value = || Some(UserValue::Value("1".into()));
        let one = plain().with_user_variables([("a".into(), value())]);
        assert_ne!(one, plain());
        assert!(one.reads_like(&plain()));
        assert_eq!(one.with_user_variables([("a".into(), None)]), plain());
        assert_ne!(plain().with_role(Some("r")), plain());
        assert_ne!(plain().with_next_transaction(Some("SET TRANSACTION READ ONLY;")), plain());
    }

    #[test]
    fn only_what_decides_reading_decides_reading() {
        assert!(plain().reads_like(&plain().with_variables([("autocommit", "OFF")])));
        assert!(!plain().reads_like(&plain().with_variables([("group_concat_max_len", "4")])));
        assert!(!plain().reads_like(&plain().with_variables([("sql_mode", "ANSI_QUOTES")])));
        assert!(!plain().reads_like(&plain().with_schema(Some("other"))));
    }

    #[test]
    fn reading_again_leaves_the_transaction_alone() {
        let prepared = plain().with_variables([("sql_mode", "ANSI")]);
        let now = plain().with_schema(Some("b")).with_variables([("autocommit", "OFF")]);
        let there = prepared.to_read_within(&now);
        assert_eq!(there, prepared.with_variables([("autocommit", "OFF")]));
        let anywhere = plain().with_schema(None).to_read_within(&now);
        assert_eq!(anywhere.schema(), Some("b"));
    }

    #[test]
    fn an_empty_schema_is_none() {
        assert_eq!(plain().with_schema(Some("")).schema(), None);
    }
}
