//! Where to listen or to connect: `host:port`, `[::1]:port` or `unix:/path`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IPv6 address is kept without its brackets.
    Tcp(String, u16),
    Unix(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither host:port nor unix:/path")]
pub struct AddressError(String);

impl Address {
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(wrong()) } else { Ok(Self::Unix(path.into())) };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or_else(wrong)?,
            // Without brackets the last group of an IPv6 address would be taken for a port.
            None if host.contains(':') => return Err(wrong()),
            None => host,
        };
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(Self::Tcp(host.to_owned(), port.parse().map_err(|_| wrong())?))
    }

    /// The name a certificate has to carry; a unix socket has none.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Tcp(host, _) => Some(host),
            Self::Unix(_) => None,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in ["127.0.0.1:6033", "db.internal:3306", "[::1]:3306", "unix:/run/tidegate/s"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Address::parse("[::1]:1").unwrap(), Address::Tcp("::1".into(), 1));
    }

    #[test]
    fn wrong_ones() {
        for text in ["", "db", ":3306", "db:", "db:x", "db:65536", "::1:3306", "[::1:1", "unix:"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
