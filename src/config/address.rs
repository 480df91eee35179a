//! Where something listens, or is reached: `host:port` or `unix:/path`.
//!
//! Only the form is judged here; names are resolved by whoever connects.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// `host` is a name or an IP address; an IPv6 address is kept without its brackets.
    Tcp {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
}

impl Address {
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::Tcp { host: host.into(), port }
    }

    /// The name a certificate has to carry; a unix socket has none.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Tcp { host, .. } => Some(host),
            Self::Unix(_) => None,
        }
    }

    /// Whether only this machine can reach what listens here. A name that is not `localhost` may
    /// stand for anything.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp { host, .. } => {
                let loopback = host.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback());
                loopback || host.eq_ignore_ascii_case("localhost")
            }
            Self::Unix(_) => true,
        }
    }

    /// Whether two listeners cannot have these at once. Port 0 is any free port: never taken.
    pub fn collides_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp { host: a, port: p }, Self::Tcp { host: b, port: q }) => {
                p == q && *p != 0 && (a == b || covers(a, b) || covers(b, a))
            }
            (Self::Unix(a), Self::Unix(b)) => a == b,
            _ => false,
        }
    }
}

/// Whether listening on every address of a family includes this host.
fn covers(wildcard: &str, host: &str) -> bool {
    match wildcard {
        "0.0.0.0" => !host.contains(':'),
        "::" => host.contains(':'),
        _ => false,
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    #[error("expected host:port or unix:/path, found nothing")]
    Empty,
    #[error("{0:?} has no port: write host:port, such as {0}:3306")]
    NoPort(String),
    #[error("{0:?} is not a port: expected a number from 0 to 65535")]
    BadPort(String),
    /// Holds the port.
    #[error("there is no host before the port: write host:port, such as 127.0.0.1:{0}")]
    NoHost(String),
    #[error("{0:?} is not a host: expected a name or an IP address")]
    BadHost(String),
    #[error("an IPv6 address needs brackets before its port, such as [::1]:3306")]
    NoBrackets,
    #[error("a socket needs an absolute path, such as unix:/run/tidegate/mysql.sock")]
    RelativePath,
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        if text.is_empty() {
            return Err(BadAddress::Empty);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            let path = Path::new(path);
            if !path.is_absolute() {
                return Err(BadAddress::RelativePath);
            }
            return Ok(Self::Unix(path.to_owned()));
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => bracketed(text, rest)?,
            None => plain(text)?,
        };
        let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        match port.parse() {
            Ok(port) if digits => Ok(Self::tcp(host, port)),
            _ => Err(BadAddress::BadPort(port.to_owned())),
        }
    }
}

fn bracketed<'t>(text: &str, rest: &'t str) -> Result<(&'t str, &'t str), BadAddress> {
    let bad = || BadAddress::BadHost(text.to_owned());
    let (host, after) = rest.split_once(']').ok_or_else(bad)?;
    host.parse::<std::net::Ipv6Addr>().map_err(|_| bad())?;
    match after.strip_prefix(':') {
        Some(port) => Ok((host, port)),
        None => Err(BadAddress::NoPort(text.to_owned())),
    }
}

fn plain(text: &str) -> Result<(&str, &str), BadAddress> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(match text {
            _ if text.bytes().all(|b| b.is_ascii_digit()) => BadAddress::NoHost(text.to_owned()),
            _ if is_host(text) => BadAddress::NoPort(text.to_owned()),
            _ => BadAddress::BadHost(text.to_owned()),
        });
    };
    match host {
        "" => Err(BadAddress::NoHost(port.to_owned())),
        _ if host.contains(':') && text.parse::<std::net::Ipv6Addr>().is_ok() => {
            Err(BadAddress::NoBrackets)
        }
        _ if is_host(host) => Ok((host, port)),
        _ => Err(BadAddress::BadHost(host.to_owned())),
    }
}

fn is_host(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !text.is_empty() && text.len() <= 253 && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_this_machine_reaches() {
        for text in [
            "127.0.0.1:1",
            "127.8.9.9:1",
            "[::1]:1",
            "localhost:1",
            "unix:/run/s",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(text.parse::<Address>().unwrap().is_local(), "{text}");
        }
        for text in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost.example.org:1", "db:1"] {
            assert!(!text.parse::<Address>().unwrap().is_local(), "{text}");
        }
    }

    #[test]
    fn what_is_read_is_said_again() {
        for text in
            ["127.0.0.1:6033", "db.internal:3306", "[::1]:3306", "unix:/run/mysql.sock", "a_b:0"]
        {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("[::1]:3306".parse(), Ok(Address::tcp("::1", 3306)));
        assert_eq!("unix:/s".parse(), Ok(Address::Unix("/s".into())));
    }

    #[test]
    fn each_fault_has_its_own_words() {
        let fault = |text: &str| text.parse::<Address>().unwrap_err();
        assert_eq!(fault(""), BadAddress::Empty);
        assert_eq!(fault("10.0.0.5"), BadAddress::NoPort("10.0.0.5".into()));
        assert_eq!(fault("db:"), BadAddress::BadPort(String::new()));
        assert_eq!(fault("db:70000"), BadAddress::BadPort("70000".into()));
        assert_eq!(fault("db:+5"), BadAddress::BadPort("+5".into()));
        assert_eq!(fault(":3306"), BadAddress::NoHost("3306".into()));
        assert_eq!(fault("3306"), BadAddress::NoHost("3306".into()));
        assert_eq!(fault("a b:1"), BadAddress::BadHost("a b".into()));
        assert_eq!(fault("mysql://db:3306"), BadAddress::BadHost("mysql://db".into()));
        assert_eq!(fault("[nope]:1"), BadAddress::BadHost("[nope]:1".into()));
        assert_eq!(fault("[::1]"), BadAddress::NoPort("[::1]".into()));
        assert_eq!(fault("::1"), BadAddress::NoBrackets);
        assert_eq!(fault("unix:run/s"), BadAddress::RelativePath);
        assert_eq!(fault("unix:"), BadAddress::RelativePath);
    }

    #[test]
    fn collisions() {
        let at = |text: &str| text.parse::<Address>().unwrap();
        assert!(at("127.0.0.1:1").collides_with(&at("127.0.0.1:1")));
        assert!(at("0.0.0.0:1").collides_with(&at("127.0.0.1:1")));
        assert!(at("[::1]:1").collides_with(&at("[::]:1")));
        assert!(at("unix:/a").collides_with(&at("unix:/a")));
        assert!(!at("0.0.0.0:1").collides_with(&at("[::1]:1")));
        assert!(!at("127.0.0.1:0").collides_with(&at("127.0.0.1:0")));
        assert!(!at("127.0.0.1:1").collides_with(&at("127.0.0.1:2")));
    }
}
