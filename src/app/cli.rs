//! The command line: words in, a command or an explanation out, and the exit code of how it ended.
//!
//! It never reads a configuration itself; it says which one is meant.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use super::status::Whose;
use super::token::Wanted;
use crate::config::{Address, BadAddress, Mistakes, Source, parse_duration};

/// The variable that names the configuration file where no option does.
pub const CONFIG_VARIABLE: &str = "TIDEGATE_CONFIG";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    Run { source: Source, takeover: bool },
    Check { source: Source, connect: bool },
    Status { whose: Whose, watch: bool },
    Token(Wanted),
}

/// The error is clap's, and is also how help and version are asked for: see [`explain`].
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    config: Option<OsString>,
) -> Result<Command, clap::Error> {
    let config = config.filter(|path| !path.is_empty()).map(PathBuf::from);
    Ok(match Arguments::try_parse_from(args)?.command {
        Word::Run(Run { quick: Some(Quick { target, secrets, listen }), takeover, .. }) => {
            Command::Run { source: Source::CommandLine { target, secrets, listen }, takeover }
        }
        Word::Run(Run { config: named, quick: None, takeover }) => {
            Command::Run { source: source(named.or(config)), takeover }
        }
        Word::Check { config: named, connect } => {
            Command::Check { source: source(named.or(config)), connect }
        }
        Word::Status { config: named, admin, watch } => {
            let file = || named.or(config).map_or(Whose::Usual, Whose::File);
            Command::Status { whose: admin.map_or_else(file, Whose::At), watch }
        }
        Word::Token(Mint { user, ttl, key, key_id, issuer, audience, config: named }) => {
            let config = named.or(config);
            Command::Token(Wanted { user, ttl, key, key_id, issuer, audience, config })
        }
    })
}

fn source(config: Option<PathBuf>) -> Source {
    config.map_or(Source::Environment, Source::File)
}

/// Prints what clap has to say: help and version are a success, the rest is not.
pub fn explain(said: &clap::Error) -> ExitCode {
    let printed = said.print();
    if said.use_stderr() || printed.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The environment as a configuration reads it.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
    };
    std::env::vars_os().filter_map(text)
}

/// Why a command did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Configuration(#[from] Mistakes),
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
}

impl Failure {
    pub fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// For standard error.
    pub fn said(&self) -> String {
        match self {
            Self::Configuration(mistakes) => mistakes.to_string(),
            Self::Other(error) => format!("tidegate: {}", chain(error.as_ref())),
        }
    }

    /// 78 is `EX_CONFIG` of sysexits.h: what supervises us need not start us again.
    pub fn code(&self) -> u8 {
        match self {
            Self::Configuration(_) => 78,
            Self::Other(_) => 1,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::other(error)
    }
}

/// Says on standard error why a command failed, if it did.
pub fn end(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else { return ExitCode::SUCCESS };
    // Nobody is left to be told when this fails too.
    let _ = writeln!(io::stderr(), "{}", failure.said());
    ExitCode::from(failure.code())
}

/// An error and what caused it, each cause once.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !said.ends_with(&more) {
            said = format!("{said}: {more}");
        }
        cause = error.source();
    }
    said
}

/// A MySQL connection-pooling proxy
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, after_help = AFTER)]
struct Arguments {
    #[command(subcommand)]
    command: Word,
}

const AFTER: &str = "\
Every key of the configuration can be set by a variable too, and without a file all of them:
pool.max_idle is TIDEGATE__POOL__MAX_IDLE, and the address of the first target is
TIDEGATE__TARGET__0__ADDRESS.

Exit codes: 0 a clean stop, 78 a bad configuration, 1 anything else.";

#[derive(Debug, Subcommand)]
enum Word {
    /// Run the proxy
    Run(Run),
    /// Say everything that is wrong with a configuration
    Check {
        /// The configuration file [env: TIDEGATE_CONFIG]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Also log in to each target, and say what it is
        #[arg(long)]
        connect: bool,
    },
    /// Say what a running proxy is doing
    Status {
        /// The configuration file it runs with [env: TIDEGATE_CONFIG]
        #[arg(long, value_name = "FILE", conflicts_with = "admin")]
        config: Option<PathBuf>,
        /// Its admin.http, where that is not http://127.0.0.1:6034
        #[arg(long, value_name = "URL", value_parser = door)]
        admin: Option<Address>,
        /// Say it again every second
        #[arg(long)]
        watch: bool,
    },
    /// Sign a token that a user logs in with
    Token(Mint),
}

/// `http://host:port`, or what the configuration has.
fn door(url: &str) -> Result<Address, BadAddress> {
    url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/').parse()
}

#[derive(Args, Debug)]
struct Run {
    /// The configuration file [env: TIDEGATE_CONFIG]
    #[arg(long, value_name = "FILE", conflicts_with = "Quick")]
    config: Option<PathBuf>,
    /// Take the sockets over from the process that runs now, which then drains; without one, start
    #[arg(long)]
    takeover: bool,
    #[command(flatten)]
    quick: Option<Quick>,
}

/// A proxy without a configuration file.
#[derive(Args, Debug)]
struct Quick {
    /// A server to run for, without a configuration file
    #[arg(long, value_name = "HOST:PORT", required = false, requires = "secrets")]
    target: Address,
    /// The users: a file, or a folder of them
    #[arg(long, value_name = "PATH", required = false, requires = "target")]
    secrets: PathBuf,
    /// Where clients connect, instead of 127.0.0.1:6033
    #[arg(long, value_name = "HOST:PORT", requires_all = ["target", "secrets"])]
    listen: Option<Address>,
}

#[derive(Args, Debug)]
struct Mint {
    /// The user, or what their token_subject is
    #[arg(long, value_name = "NAME")]
    user: String,
    /// For how long it is good
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = ttl)]
    ttl: Duration,
    /// The private key to sign with, PEM: RSA, P-256 or Ed25519
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The key's name (kid), where the proxy knows several
    #[arg(long, value_name = "NAME")]
    key_id: Option<String>,
    /// Instead of the configuration's client.tokens.issuer
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// Instead of the configuration's client.tokens.audience
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    /// The configuration file [env: TIDEGATE_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn ttl(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "expected a duration such as \"15m\"".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str, config: Option<&str>) -> Result<Command, clap::Error> {
        parse(line.split(' ').map(OsString::from), config.map(OsString::from))
    }

    fn file(path: &str) -> Source {
        Source::File(path.into())
    }

    #[test]
    fn which_configuration_is_meant() {
        let run = |line, config| match parsed(line, config) {
            Ok(Command::Run { source, takeover: false }) => source,
            other => panic!("{other:?}"),
        };
        assert_eq!(run("tidegate run --config a.toml", None), file("a.toml"));
        assert_eq!(run("tidegate run --config a.toml", Some("b.toml")), file("a.toml"));
        assert_eq!(run("tidegate run", Some("b.toml")), file("b.toml"));
        assert_eq!(run("tidegate run", None), Source::Environment);
        assert_eq!(run("tidegate run", Some("")), Source::Environment);
        let quick = |listen| Source::CommandLine {
            target: Address::tcp("db", 3306),
            secrets: "s.toml".into(),
            listen,
        };
        let line = "tidegate run --target db:3306 --secrets s.toml";
        assert_eq!(run(line, None), quick(None));
        assert_eq!(run(line, Some("b.toml")), quick(None));
        assert_eq!(
            run(&format!("{line} --listen [::]:1"), None),
            quick(Some(Address::tcp("::", 1)))
        );
    }

    #[test]
    fn a_takeover_is_asked_for() {
        let run = parsed("tidegate run --config a.toml --takeover", None).unwrap();
        assert_eq!(run, Command::Run { source: file("a.toml"), takeover: true });
    }

    #[test]
    fn check() {
        assert_eq!(
            parsed("tidegate check --config a.toml --connect", None).unwrap(),
            Command::Check { source: file("a.toml"), connect: true }
        );
        assert_eq!(
            parsed("tidegate check", Some("b.toml")).unwrap(),
            Command::Check { source: file("b.toml"), connect: false }
        );
    }

    #[test]
    fn which_proxy_is_asked() {
        let status = |line, config| match parsed(line, config) {
            Ok(Command::Status { whose, watch }) => (whose, watch),
            other => panic!("{other:?}"),
        };
        assert_eq!(status("tidegate status", None), (Whose::Usual, false));
        assert_eq!(
            status("tidegate status --watch", Some("b.toml")),
            (Whose::File("b.toml".into()), true)
        );
        let at = (Whose::At(Address::tcp("::1", 6034)), false);
        assert_eq!(status("tidegate status --admin http://[::1]:6034/", Some("b.toml")), at);
        assert_eq!(status("tidegate status --admin [::1]:6034", None), at);
    }

    #[test]
    fn what_a_token_is_to_say() {
        let wanted = |line, config| match parsed(line, config) {
            Ok(Command::Token(wanted)) => wanted,
            other => panic!("{other:?}"),
        };
        let expected = Wanted {
            user: "app".to_owned(),
            ttl: Duration::from_secs(900),
            key: "k".into(),
            key_id: None,
            issuer: None,
            audience: None,
            config: Some("b.toml".into()),
        };
        assert_eq!(wanted("tidegate token --user app --key k", Some("b.toml")), expected);
        let line = "tidegate token --user app --key k --ttl 1h --issuer i --audience a --config c";
        let said = wanted(line, Some("b.toml"));
        assert_eq!((said.ttl, said.issuer.as_deref()), (Duration::from_secs(3600), Some("i")));
        assert_eq!((said.audience.as_deref(), said.config), (Some("a"), Some("c".into())));
    }

    #[test]
    fn what_does_not_go_together() {
        for line in [
            "tidegate",
            "tidegate walk",
            "tidegate run --target db:3306",
            "tidegate run --secrets s",
            "tidegate run --listen 127.0.0.1:1",
            "tidegate run --listen 127.0.0.1:1 --secrets s",
            "tidegate run --target db --secrets s",
            "tidegate run --target db:3306 --secrets s --config a.toml",
            "tidegate check --target db:3306",
            "tidegate status --config a.toml --admin http://127.0.0.1:1",
            "tidegate status --admin https://127.0.0.1",
            "tidegate token --user app",
            "tidegate token --user app --key k --ttl 15",
        ] {
            let said = parsed(line, None).unwrap_err();
            assert!(said.use_stderr(), "{line}: {said}");
        }
        assert!(!parsed("tidegate --version", None).unwrap_err().use_stderr());
        assert!(!parsed("tidegate run --help", None).unwrap_err().use_stderr());
    }

    #[test]
    fn a_failure_says_its_causes_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot listen")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("in use"));
        assert_eq!(chain(&error), "cannot listen: in use");
        assert_eq!(Failure::other(error).code(), 1);
        assert_eq!(Failure::from(Mistakes::default()).code(), 78);
    }
}
