//! Where a configuration comes from, and reading it from there.

use std::fs;
use std::path::{Path, PathBuf};

use super::mistake::{Mistake, Mistakes, Place};
use super::scalar::Scalar;
use super::section::Section;
use super::tree::{Entry, Node, Origin, Table};
use super::{Address, Settings, overlay, read, tree};

/// The environment is read beside each of these, and wins over a file; the command line wins over
/// the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    File(PathBuf),
    Environment,
    CommandLine { target: Address, secrets: PathBuf, listen: Option<Address> },
}

impl Source {
    pub fn load(&self, env: impl Iterator<Item = (String, String)>) -> Result<Settings, Mistakes> {
        match self.clone() {
            Self::File(path) => load(&path, env),
            Self::Environment => from_environment(env),
            Self::CommandLine { target, secrets, listen } => quick(target, secrets, listen, env),
        }
    }
}

impl Source {
    /// Where a key of a section was written, and its name there: for those who find fault with it
    /// once the whole is known.
    pub fn place_of(
        &self,
        section: &'static str,
        key: &str,
        env: impl Iterator<Item = (String, String)>,
    ) -> (Place, String) {
        let (mut table, place) = match self {
            Self::File(path) => {
                let text = fs::read_to_string(path).unwrap_or_default();
                let place = Place::File { path: path.clone(), line: None };
                (tree::parse(path, &text).table, place)
            }
            Self::Environment => (Table::new(), Place::Environment),
            Self::CommandLine { .. } => (Table::new(), Place::CommandLine),
        };
        overlay::environment(&mut table, env);
        Section::root(&table, place).child(section).name_of(key)
    }
}

/// From a file.
pub fn load(
    path: &Path,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Settings, Mistakes> {
    match fs::read_to_string(path) {
        Ok(text) => parse(path, &text, env),
        Err(error) => {
            Err(Mistake::in_file(path, None, "", format!("cannot be read: {error}")).into())
        }
    }
}

/// From the text of a file; its path is only named, and its folder is where relative paths begin.
pub fn parse(
    path: &Path,
    text: &str,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Settings, Mistakes> {
    let tree::Parsed { mut table, mistakes: mut found, lost_header } = tree::parse(path, text);
    let broken: Vec<Place> = found.iter().map(|mistake| mistake.place.clone()).collect();
    found.extend(overlay::environment(&mut table, env));
    let place = Place::File { path: path.to_owned(), line: None };
    let base = path.parent().unwrap_or(Path::new(""));
    let read = read::settings(&table, place.clone(), base, Source::File(path.to_owned()));
    if found.is_empty() {
        return read;
    }
    // What a line means that is not TOML is a guess; so is what seems to be missing.
    let guess = |at: &Place| !broken.is_empty() && (*at == place || broken.contains(at));
    if let (Err(more), false) = (read, lost_header) {
        found.extend(more.into_iter().filter(|mistake| !guess(&mistake.place)));
    }
    Err(Mistakes::new(found))
}

/// From environment variables alone.
pub fn from_environment(env: impl Iterator<Item = (String, String)>) -> Result<Settings, Mistakes> {
    let mut table = Table::new();
    let found = overlay::environment(&mut table, env);
    finish(&table, found, Place::Environment, Source::Environment)
}

/// From the command line: one target, one endpoint, everything else as the environment says or by
/// default.
pub fn quick(
    target: Address,
    secrets: PathBuf,
    listen: Option<Address>,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Settings, Mistakes> {
    let mut table = Table::new();
    let mut found = overlay::environment(&mut table, env);
    let options = [
        ("TARGET__0__ADDRESS", "--target", Some(target.to_string())),
        ("SECRETS__PATH", "--secrets", Some(secrets.to_string_lossy().into_owned())),
        ("ENDPOINT__0__LISTEN", "--listen", listen.as_ref().map(Address::to_string)),
    ];
    for (path, option, value) in options {
        let Some(value) = value else { continue };
        let origin = Origin::option(option);
        let laid = overlay::lay(&mut table, &overlay::steps(path), Scalar::Text(value), &origin);
        found.extend(laid.err().map(|why| Mistake::new(Place::CommandLine, option, why)));
    }
    let origin = Origin::option("--listen");
    table.entry("endpoint".to_owned()).or_insert_with(|| Entry {
        origin: origin.clone(),
        node: Node::List(vec![Entry { origin, node: Node::Table(Table::new()) }]),
    });
    let source = Source::CommandLine { target, secrets, listen };
    finish(&table, found, Place::CommandLine, source)
}

fn finish(
    table: &Table,
    mut found: Vec<Mistake>,
    place: Place,
    source: Source,
) -> Result<Settings, Mistakes> {
    match read::settings(table, place, Path::new(""), source) {
        Ok(settings) if found.is_empty() => Ok(settings),
        Ok(_) => Err(Mistakes::new(found)),
        Err(more) => {
            found.extend(more);
            Err(Mistakes::new(found))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{
        Access, ClientTlsMode, LogFormat, Pool, Role, SecretsCommand, Share, TargetTlsMode,
        TokenRules,
    };

    const MINIMAL: &str = "[[endpoint]]\n[[target]]\n";

    fn env<'e>(vars: &'e [(&str, &str)]) -> impl Iterator<Item = (String, String)> + use<'e> {
        vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
    }

    fn read(text: &str, vars: &[(&str, &str)]) -> Settings {
        match parse(Path::new("t.toml"), text, env(vars)) {
            Ok(settings) => settings,
            Err(mistakes) => panic!("{mistakes}"),
        }
    }

    fn mistakes(text: &str, vars: &[(&str, &str)]) -> Vec<String> {
        let mistakes = parse(Path::new("t.toml"), text, env(vars)).unwrap_err();
        mistakes.iter().map(ToString::to_string).collect()
    }

    /// What is wrong with these lines in an otherwise complete file.
    fn wrong(lines: &str) -> Vec<String> {
        mistakes(&format!("{lines}\n{MINIMAL}"), &[])
    }

    #[test]
    fn the_example_is_the_defaults() {
        let example = include_str!("../../config/tidegate.example.toml");
        assert_eq!(read(example, &[]), read(MINIMAL, &[]));
    }

    /// What a section says it has, when asked for what it has not, is all in the example.
    #[test]
    fn the_example_has_every_key() {
        let example = include_str!("../../config/tidegate.example.toml");
        let tables =
            ["secrets", "pool", "client", "client.tokens", "failover", "tls.client", "tls.target"];
        for section in ["endpoint", "target", "admin", "upgrade", "log"].into_iter().chain(tables) {
            let header = match section {
                "endpoint" | "target" => format!("[[{section}]]"),
                _ => format!("[{section}]"),
            };
            let text = format!("{header}\nzzzzzz = 1");
            let told = wrong(&text).join("\n");
            let keys = told.split_once("] has ").unwrap().1.lines().next().unwrap();
            for key in keys.split(", ") {
                if tables.contains(&&*format!("{section}.{key}")) {
                    continue;
                }
                assert!(example.contains(&format!("\n{key} = ")), "{section}.{key}");
            }
        }
    }

    #[test]
    fn tokens_have_an_issuer_and_an_audience() {
        let rules = "[client.tokens]\nkeys = \"k.pem\"\nissuer = \"i\"\naudience = \"a\"";
        let text = format!("{MINIMAL}{rules}");
        let settings = parse(Path::new("/etc/tidegate/t.toml"), &text, env(&[])).unwrap();
        let expected = TokenRules {
            keys: "/etc/tidegate/k.pem".into(),
            issuer: "i".to_owned(),
            audience: "a".to_owned(),
            user_claim: "sub".to_owned(),
            leeway: Duration::from_secs(30),
        };
        assert_eq!(settings.client.tokens, Some(expected));
        assert_eq!(
            wrong("[client.tokens]\nkeys = \"k\"\naudience = \"a\""),
            ["t.toml:2: client.tokens.keys: a token says who signed it and for whom: set issuer \
              too"]
        );
        assert_eq!(
            wrong("[client.tokens]\nissuer = \"i\""),
            [
                "t.toml:2: client.tokens.issuer: there is no key to verify a token with: set keys too"
            ]
        );
    }

    #[test]
    fn a_key_is_found_where_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        fs::write(&path, "[pool]\nmax_idle = 1\n[admin]\n\nsql = \"0.0.0.0:1\"\n").unwrap();
        let source = Source::File(path.clone());
        let at = |line| Place::File { path: path.clone(), line };
        let found = source.place_of("admin", "sql", env(&[]));
        assert_eq!(found, (at(Some(5)), "admin.sql".to_owned()));
        assert_eq!(source.place_of("admin", "http", env(&[])).0, at(Some(3)));
        let variable = "TIDEGATE__ADMIN__SQL";
        let found = source.place_of("admin", "sql", env(&[(variable, "0.0.0.0:1")]));
        assert_eq!(found, (Place::Environment, variable.to_owned()));
        let found = Source::Environment.place_of("admin", "sql", env(&[]));
        assert_eq!(found, (Place::Environment, variable.to_owned()));
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let settings = read(
            r#"
            [[endpoint]]
            name = "writes"
            listen = "[::]:3306"
            [[endpoint]]
            name = "reads"
            listen = "unix:/run/t.sock"
            access = "read-only"
            [[target]]
            address = "db.internal:3306"
            role = "primary"
            [secrets]
            path = "/etc/secrets"
            command_timeout = "1s"
            [pool]
            max_connections = 20
            max_idle = "25%"
            min_idle = 5
            idle_timeout = "90s"
            [client]
            idle_timeout = "0s"
            max_query = "1m30s"
            [failover]
            read_only_fallback = false
            [tls]
            client = { mode = "required", certificate = "c.pem", key = "/k.pem" }
            target.mode = "verify-ca"
            target.ca = "ca.pem"
            [admin]
            http = ""
            [log]
            format = "json"
            "#,
            &[],
        );
        assert_eq!(settings.endpoints[0].listen, Address::tcp("::", 3306));
        assert_eq!(settings.endpoints[1].access, Access::ReadOnly);
        assert_eq!(settings.targets[0].role, Role::Primary);
        assert_eq!(settings.secrets, Path::new("/etc/secrets"));
        assert_eq!(
            settings.pool,
            Pool {
                max_connections: Share::Count(20),
                max_idle: Share::Percent(25),
                min_idle: 5,
                idle_timeout: Duration::from_secs(90),
                ..Pool::default()
            }
        );
        assert_eq!(settings.client.idle_timeout, None);
        assert_eq!(settings.client.max_query, Some(Duration::from_secs(90)));
        assert!(!settings.failover.read_only_fallback);
        assert_eq!(settings.tls_client.mode, ClientTlsMode::Required);
        assert_eq!(settings.tls_client.pair.unwrap().certificate, Path::new("c.pem"));
        assert_eq!(settings.tls_target.mode, TargetTlsMode::VerifyCa);
        assert_eq!(settings.admin.http, None);
        assert_eq!(settings.log.format, LogFormat::Json);
    }

    #[test]
    fn a_command_and_its_arguments() {
        let text =
            format!("{MINIMAL}[secrets]\ncommand = [\"./get\", \"a b\"]\ncommand_timeout = \"3s\"");
        let command = SecretsCommand {
            program: "/etc/tidegate/./get".into(),
            arguments: vec!["a b".to_owned()],
            timeout: Duration::from_secs(3),
        };
        let settings = parse(Path::new("/etc/tidegate/t.toml"), &text, env(&[])).unwrap();
        assert_eq!(settings.secrets_command.as_ref(), Some(&command));
        let vars =
            [("TIDEGATE__SECRETS__COMMAND__0", "/bin/get"), ("TIDEGATE__SECRETS__COMMAND__1", "x")];
        let command = read(MINIMAL, &vars).secrets_command.unwrap();
        assert_eq!(command.arguments, ["x"]);
        assert_eq!(command.timeout, Duration::from_secs(10));
        assert_eq!(read(&format!("{MINIMAL}[secrets]\ncommand = []"), &[]).secrets_command, None);
    }

    #[test]
    fn relative_paths_begin_at_the_file() {
        let text = format!("{MINIMAL}[secrets]\npath = \"s.toml\"\n");
        let settings = parse(Path::new("/etc/tidegate/t.toml"), &text, env(&[])).unwrap();
        assert_eq!(settings.secrets, Path::new("/etc/tidegate/s.toml"));
        assert_eq!(read(&text, &[]).secrets, Path::new("s.toml"));
    }

    #[test]
    fn all_mistakes_at_once_in_the_order_of_the_file() {
        let text = r#"colour = "blue"
[[endpoint]]
listen = "6033"
acess = "read-write"
[[endpoint]]
access = "readonly"
[pool]
max_connections = "110%"
borrow_timeout = 10
[tls.client]
mode = "prefered"
certificate = "c.pem"
[polo]
x = 1
"#;
        assert_eq!(
            mistakes(text, &[("TIDEGATE__POOL__MAX_IDEL", "1"), ("TIDEGATE_PORT", "ignored")]),
            [
                "t.toml: target: at least one is needed: write [[target]], or set \
                 TIDEGATE__TARGET__0__ADDRESS",
                "t.toml:1: colour: unknown key; the sections are endpoint, target, secrets, pool, \
                 client, failover, tls, admin, upgrade, log",
                "t.toml:3: endpoint[0].listen: there is no host before the port: write host:port, such as \
                 127.0.0.1:6033",
                "t.toml:4: endpoint[0].acess: unknown key; did you mean access?",
                "t.toml:5: endpoint[1].name: another endpoint is named \"default\"",
                "t.toml:6: endpoint[1].access: \"readonly\" is not one of \"read-write\", \
                 \"read-only\"; did you mean \"read-only\"?",
                "t.toml:8: pool.max_connections: expected a number, or a share from \"1%\" to \
                 \"100%\", found \"110%\"",
                "t.toml:9: pool.borrow_timeout: 10 has no unit: write \"10s\" for seconds",
                "t.toml:11: tls.client.mode: \"prefered\" is not one of \"off\", \"preferred\", \
                 \"required\"; did you mean \"preferred\"?",
                "t.toml:12: tls.client.certificate: a certificate needs its key: set key too",
                "t.toml:13: polo: unknown key; did you mean pool?",
                "environment: TIDEGATE__POOL__MAX_IDEL: unknown key; did you mean \
                 TIDEGATE__POOL__MAX_IDLE?",
            ]
        );
    }

    #[test]
    fn a_line_that_is_not_toml_hides_no_other() {
        assert_eq!(
            wrong("[pool]\nmax_idle = 50%\nmin_idle = \"x\"\nmax_idle = 3"),
            [
                "t.toml:2: string values must be quoted, expected literal string",
                "t.toml:3: pool.min_idle: expected a number from 0 to 100000, found \"x\"",
                "t.toml:4: duplicate key",
            ]
        );
        // Below a lost header nothing is known to be where it was meant.
        assert_eq!(wrong("[pool\nmax_idle = 3\nx = 1"), ["t.toml:1: unclosed table, expected `]`"]);
    }

    #[test]
    fn rules_between_keys() {
        let told = |lines, expected: &str| assert_eq!(wrong(lines), [expected], "{lines}");
        told(
            "[pool]\nmin_idle = 6\nmax_idle = 5",
            "t.toml:2: pool.min_idle: 6 is more than max_idle, 5",
        );
        told(
            "[pool]\nmin_idle = 6\nmax_connections = 10",
            "t.toml:2: pool.min_idle: 6 is more than max_idle, 5 (50% of 10)",
        );
        told(
            "[pool]\nmax_idle = 11\nmax_connections = 10",
            "t.toml:2: pool.max_idle: 11 is more than max_connections, 10",
        );
        told(
            "[tls.client]\nkey = \"k\"",
            "t.toml:2: tls.client.key: a key needs its certificate: set certificate too",
        );
        told(
            "[tls.target]\nmode = \"verify-identity\"",
            "t.toml:2: tls.target.mode: there is nothing to verify against: set ca too",
        );
        told(
            "[secrets]\ncommand = [\"aws\", \"get\"]",
            "t.toml:2: secrets.command: \"aws\" is not a path: write it whole, such as \"/opt/secrets\"",
        );
        told(
            "[secrets]\npath = \"s\"\ncommand = [\"/bin/aws\"]",
            "t.toml:3: secrets.command: the secrets come from a command or from a path: keep one",
        );
        told(
            "[secrets]\ncommand = [\"/bin/aws\", 5]",
            "t.toml:2: secrets.command: expected a text in quotes, found 5",
        );
        told("[secrets]\npath = \"\"", "t.toml:2: secrets.path: a path must not be empty");
        told(
            "[failover]\npromote = \"when_safe\"",
            "t.toml:2: failover.promote: a primary that is silent may still be writing, so none is \
             promoted unless a program makes sure that it is not: set fence_command too",
        );
        told(
            "[failover]\nfence_command = \"fence\"",
            "t.toml:2: failover.fence_command: \"fence\" is not a path: write it whole, such as \
             \"/opt/fence\"",
        );
    }

    #[test]
    fn nobody_listens_where_another_does() {
        assert_eq!(
            wrong("[admin]\nhttp = \"127.0.0.1:6033\""),
            ["t.toml:2: admin.http: 127.0.0.1:6033 is already taken by endpoint[0].listen"]
        );
        assert_eq!(
            wrong("[[endpoint]]\nname = \"a\"\nlisten = \"0.0.0.0:6034\""),
            ["t.toml:3: endpoint[0].listen: 0.0.0.0:6034 is already taken by admin.http"]
        );
        let free = "[[endpoint]]\nname='a'\nlisten = \"127.0.0.1:0\"\n[[endpoint]]\n\
                    listen = \"127.0.0.1:0\"\n[[target]]";
        assert_eq!(read(free, &[]).endpoints.len(), 2);
    }

    #[test]
    fn targets_differ() {
        assert_eq!(
            wrong("[[target]]\nname = \"a\"\n[[target]]\nname = \"a\"\naddress = \"b:1\""),
            [
                "t.toml:4: target[1].name: another target is named \"a\"",
                "t.toml:7: target[2].address: 127.0.0.1:3306 is already target \"a\"",
            ]
        );
    }

    #[test]
    fn the_wrong_brackets() {
        assert_eq!(
            mistakes(
                "[endpoint]\nname = \"a\"\n[[target]]\n[[pool]]\n[tls]\nclient = \"off\"",
                &[]
            ),
            [
                "t.toml:1: endpoint: there can be several: write [[endpoint]] and its keys below",
                "t.toml:4: pool: there is only one: write [pool]",
                "t.toml:6: tls.client: expected a section: write [tls.client] and its keys below",
            ]
        );
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let text = format!("{MINIMAL}[pool]\nmax_idle = 3\nmin_idle = 2\n");
        let settings = read(
            &text,
            &[
                ("TIDEGATE__POOL__MAX_IDLE", "4"),
                ("TIDEGATE__TLS__CLIENT__MODE", "off"),
                ("TIDEGATE__TARGET__0__ADDRESS", "db:3306"),
                ("TIDEGATE__TARGET__1__ADDRESS", "db2:3306"),
                ("TIDEGATE__TARGET__1__NAME", "second"),
                ("TIDEGATE__ADMIN__SQL", ""),
                ("TIDEGATE__FAILOVER__READ_ONLY_FALLBACK", "false"),
            ],
        );
        assert_eq!(settings.pool.max_idle, Share::Count(4));
        assert_eq!(settings.pool.min_idle, 2);
        assert_eq!(settings.tls_client.mode, ClientTlsMode::Off);
        assert_eq!(settings.targets[0].address, Address::tcp("db", 3306));
        assert_eq!(settings.targets[1].name, "second");
        assert_eq!(settings.admin.sql, None);
        assert!(!settings.failover.read_only_fallback);
    }

    #[test]
    fn mistakes_of_the_environment_name_the_variable() {
        assert_eq!(
            mistakes(
                &format!("{MINIMAL}[pool]\nmax_idle = 3\n"),
                &[
                    ("TIDEGATE__POOL__MIN_IDLE", "7"),
                    ("TIDEGATE__CLIENT__MAX_QUERY", "5"),
                    ("TIDEGATE__POLL__MAX_IDLE", "5"),
                    ("TIDEGATE__TARGET__2__NAME", "x"),
                    ("TIDEGATE__TARGET__ADDRESS", "x:1"),
                    ("TIDEGATE__POOL", "x"),
                    ("TIDEGATE__", "x"),
                ]
            ),
            [
                "environment: TIDEGATE__: this is not the name of a key",
                "environment: TIDEGATE__CLIENT__MAX_QUERY: 5 has no unit: write \"5s\" for seconds",
                "environment: TIDEGATE__POLL__MAX_IDLE: unknown key; did you mean TIDEGATE__POOL?",
                "environment: TIDEGATE__POOL: expected a section: write [pool] and its keys below",
                "environment: TIDEGATE__TARGET__2__NAME: there is no target 2: the next is 1",
                "environment: TIDEGATE__TARGET__ADDRESS: there can be several: write \
                 TIDEGATE__TARGET__0__…",
            ]
        );
        assert_eq!(
            mistakes(
                &format!("{MINIMAL}[pool]\nmax_idle = 3\n"),
                &[("TIDEGATE__POOL__MIN_IDLE", "7")]
            ),
            ["environment: TIDEGATE__POOL__MIN_IDLE: 7 is more than max_idle, 3"]
        );
    }

    #[test]
    fn a_container_needs_no_file() {
        let vars = [
            ("TIDEGATE__ENDPOINT__0__LISTEN", "0.0.0.0:3306"),
            ("TIDEGATE__TARGET__0__ADDRESS", "db:3306"),
        ];
        let settings = from_environment(env(&vars)).unwrap();
        assert_eq!(settings.endpoints[0].listen, Address::tcp("0.0.0.0", 3306));
        assert_eq!(settings.secrets, Path::new("secrets.toml"));
        assert_eq!(settings.source(), &Source::Environment);
        assert_eq!(
            from_environment(env(&[])).unwrap_err().to_string(),
            "environment: TIDEGATE__ENDPOINT: at least one is needed: set \
             TIDEGATE__ENDPOINT__0__LISTEN, or name a file with --config\n\
             environment: TIDEGATE__TARGET: at least one is needed: set \
             TIDEGATE__TARGET__0__ADDRESS, or name a file with --config"
        );
    }

    #[test]
    fn the_command_line_wins_over_the_environment() {
        let vars = [("TIDEGATE__TARGET__0__ADDRESS", "b:2"), ("TIDEGATE__POOL__MIN_IDLE", "2")];
        let settings = quick(Address::tcp("a", 1), "s.toml".into(), None, env(&vars)).unwrap();
        assert_eq!(settings.targets[0].address, Address::tcp("a", 1));
        assert_eq!(settings.endpoints[0].listen, Address::tcp("127.0.0.1", 6033));
        assert_eq!(settings.secrets, Path::new("s.toml"));
        assert_eq!(settings.pool.min_idle, 2);
        assert_eq!(settings.reread(env(&vars)).unwrap(), settings);
        let listen = Some(Address::tcp("127.0.0.1", 6034));
        let told = quick(Address::tcp("a", 0), PathBuf::new(), listen, env(&[])).unwrap_err();
        assert_eq!(
            told.to_string(),
            "command line: --listen: 127.0.0.1:6034 is already taken by admin.http\n\
             command line: --secrets: a path must not be empty\n\
             command line: --target: nothing can be reached at port 0"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read() {
        let told = load(Path::new("/no/such.toml"), env(&[])).unwrap_err().to_string();
        assert!(told.starts_with("/no/such.toml: cannot be read: No such file"), "{told}");
    }

    proptest::proptest! {
        /// Any text is read or refused with lines that are there; a broken example is never read
        /// half.
        #[test]
        fn no_text_is_too_bad(at in 0usize..6000, cut in 0usize..40, put in "[\\PC\n]{0,8}") {
            let mut text = include_str!("../../config/tidegate.example.toml").to_owned();
            let near = |at: usize| (at..=text.len()).find(|at| text.is_char_boundary(*at));
            let start = near(at.min(text.len())).unwrap();
            let end = near((start + cut).min(text.len())).unwrap();
            text.replace_range(start..end, &put);
            if let Err(mistakes) = parse(Path::new("t.toml"), &text, env(&[])) {
                assert!(!mistakes.is_empty());
                for mistake in mistakes {
                    let Place::File { line, .. } = mistake.place else { panic!("{mistake}") };
                    assert!(line.is_none_or(|line| line <= text.lines().count() + 1));
                }
            }
        }
    }
}
