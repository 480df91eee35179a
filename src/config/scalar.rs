//! One written value, and what each kind of key makes of it.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::choice::Choice;
use super::nearest::nearest;
use super::{Address, Share, duration};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    /// From the environment, where nothing tells a number from a text: it is what the key needs.
    Word(String),
    Text(String),
    /// Too large to be of use is `None`.
    Integer(Option<i64>),
    Bool(bool),
    /// A TOML type no key has.
    Other(&'static str),
}

impl Scalar {
    /// How a mistake names this value.
    fn shown(&self) -> String {
        match self {
            Self::Word(text) | Self::Text(text) => format!("{text:?}"),
            Self::Integer(Some(number)) => number.to_string(),
            Self::Integer(None) => "a number too large".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Other(kind) => format!("a {kind}"),
        }
    }

    fn str(&self) -> Option<&str> {
        match self {
            Self::Word(text) | Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn number(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(number.unwrap_or(i64::MAX)),
            Self::Word(text) if text.bytes().all(|b| b.is_ascii_digit()) => {
                (!text.is_empty()).then(|| text.parse().unwrap_or(i64::MAX))
            }
            _ => None,
        }
    }

    /// The hint for a number or truth value that was put in quotes.
    fn unquoted(&self) -> String {
        let shown = self.shown();
        match self {
            Self::Text(text) if text.parse::<i64>().is_ok() || text.parse::<bool>().is_ok() => {
                format!("{shown}: write {text}, without quotes")
            }
            _ => shown,
        }
    }
}

pub(super) fn text(scalar: &Scalar) -> Result<String, String> {
    let expected = || format!("expected a text in quotes, found {}", scalar.shown());
    scalar.str().map(str::to_owned).ok_or_else(expected)
}

pub(super) fn name(scalar: &Scalar) -> Result<String, String> {
    match text(scalar)? {
        name if name.trim().is_empty() => Err("a name must not be empty".to_owned()),
        name => Ok(name),
    }
}

/// Names of variables, comma-separated, in lower case; those of user variables begin with `@`.
pub(super) fn variables(scalar: &Scalar) -> Result<Vec<String>, String> {
    let text = text(scalar)?.to_ascii_lowercase();
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(variable).collect()
}

fn variable(name: &str) -> Result<String, String> {
    let bare = name.strip_prefix('@').unwrap_or(name);
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$');
    if bare.is_empty() || !bare.bytes().all(letter) {
        return Err(format!(
            "{name:?} is not the name of a variable: write max_execution_time, or @rank"
        ));
    }
    let reads = ["sql_mode", "autocommit", "collation_connection"].contains(&name)
        || name.starts_with("character_set_")
        || name.starts_with("session_track_");
    if reads {
        return Err(format!("{name} decides how statements are read, and cannot be ignored"));
    }
    Ok(name.to_owned())
}

/// A path that must be there.
pub(super) fn path(scalar: &Scalar) -> Result<PathBuf, String> {
    maybe_path(scalar)?.ok_or_else(|| "a path must not be empty".to_owned())
}

/// A path, or empty for none.
pub(super) fn maybe_path(scalar: &Scalar) -> Result<Option<PathBuf>, String> {
    match text(scalar)? {
        path if path.is_empty() => Ok(None),
        path if path.contains('\0') => Err("a path cannot hold a NUL byte".to_owned()),
        path => Ok(Some(path.into())),
    }
}

pub(super) fn flag(scalar: &Scalar) -> Result<bool, String> {
    match scalar {
        Scalar::Bool(value) => Ok(*value),
        Scalar::Word(text) if text == "true" => Ok(true),
        Scalar::Word(text) if text == "false" => Ok(false),
        _ => Err(format!("expected true or false, found {}", scalar.unquoted())),
    }
}

pub(super) fn choice<C: Choice>(scalar: &Scalar) -> Result<C, String> {
    let words = || C::ALL.iter().map(|(word, _)| *word);
    let all = words().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    let Some(word) = scalar.str() else {
        return Err(format!("expected one of {all}; found {}", scalar.shown()));
    };
    C::from_word(word).ok_or_else(|| match nearest(word, words()) {
        Some(near) => format!("{word:?} is not one of {all}; did you mean {near:?}?"),
        None => format!("{word:?} is not one of {all}"),
    })
}

/// A whole number within bounds.
pub(super) fn count<N>(range: RangeInclusive<N>) -> impl FnOnce(&Scalar) -> Result<N, String>
where
    N: TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    move |scalar| {
        let bounds = || format!("from {} to {}", range.start(), range.end());
        let Some(number) = scalar.number() else {
            return Err(format!("expected a number {}, found {}", bounds(), scalar.unquoted()));
        };
        match N::try_from(number) {
            Ok(count) if range.contains(&count) => Ok(count),
            _ => Err(format!("{} is out of bounds: expected {}", scalar.shown(), bounds())),
        }
    }
}

pub(super) fn share(scalar: &Scalar) -> Result<Share, String> {
    if scalar.number().is_some() {
        return count(1..=MOST_CONNECTIONS)(scalar).map(Share::Count);
    }
    let expected = || {
        let shown = scalar.unquoted();
        format!("expected a number, or a share from \"1%\" to \"100%\", found {shown}")
    };
    let digits = scalar.str().and_then(|text| text.strip_suffix('%')).unwrap_or_default();
    match digits.parse() {
        Ok(percent @ 1..=100) if !digits.starts_with('+') => Ok(Share::Percent(percent)),
        _ => Err(expected()),
    }
}

/// The largest max_connections a server takes.
const MOST_CONNECTIONS: u32 = 100_000;

/// A duration longer than nothing.
pub(super) fn duration(scalar: &Scalar) -> Result<Duration, String> {
    match any_duration(scalar)? {
        Duration::ZERO => Err(format!("{} is too short: expected more than 0s", scalar.shown())),
        duration => Ok(duration),
    }
}

/// A duration where 0 means that there is no limit.
pub(super) fn limit(scalar: &Scalar) -> Result<Option<Duration>, String> {
    Ok(Some(any_duration(scalar)?).filter(|duration| !duration.is_zero()))
}

/// A duration where 0 is a duration like any other.
pub(super) fn any_duration(scalar: &Scalar) -> Result<Duration, String> {
    let not_one = || {
        let Some(number) = scalar.number() else {
            let shown = scalar.shown();
            return format!(
                "expected a duration such as \"800ms\", \"5m\" or \"24h\", found {shown}"
            );
        };
        format!("{number} has no unit: write \"{number}s\" for seconds")
    };
    match scalar.str().and_then(duration::parse) {
        Some(long) if long > duration::LONGEST => {
            Err(format!("{} is too long: expected at most 3650d", scalar.shown()))
        }
        Some(duration) => Ok(duration),
        None => Err(not_one()),
    }
}

pub(super) fn address(scalar: &Scalar) -> Result<Address, String> {
    let expected = || format!("expected \"host:port\" or \"unix:/path\", found {}", scalar.shown());
    let text = scalar.str().ok_or_else(expected)?;
    text.parse().map_err(|bad: super::BadAddress| bad.to_string())
}

/// An address one can connect to.
pub(super) fn remote_address(scalar: &Scalar) -> Result<Address, String> {
    match address(scalar)? {
        Address::Tcp { port: 0, .. } => Err("nothing can be reached at port 0".to_owned()),
        address => Ok(address),
    }
}

/// An address to listen on, or empty for none.
pub(super) fn door(scalar: &Scalar) -> Result<Option<Address>, String> {
    if scalar.str() == Some("") {
        return Ok(None);
    }
    address(scalar).map(Some)
}

#[cfg(test)]
mod tests {
    use super::super::settings::TargetTlsMode;
    use super::*;

    fn quoted(text: &str) -> Scalar {
        Scalar::Text(text.to_owned())
    }

    fn word(text: &str) -> Scalar {
        Scalar::Word(text.to_owned())
    }

    #[test]
    fn a_word_is_what_the_key_needs() {
        assert_eq!(count(1..=9u32)(&word("3")), Ok(3));
        assert_eq!(flag(&word("true")), Ok(true));
        assert_eq!(share(&word("20")), Ok(Share::Count(20)));
        assert_eq!(share(&word("20%")), Ok(Share::Percent(20)));
        assert_eq!(text(&word("20")), Ok("20".to_owned()));
        assert_eq!(limit(&word("0s")), Ok(None));
        assert_eq!(door(&word("")), Ok(None));
        assert!(count(0..=9u32)(&word("")).is_err());
    }

    #[test]
    fn variables_that_may_be_ignored() {
        assert_eq!(variables(&quoted("")), Ok(vec![]));
        let both = vec!["max_execution_time".to_owned(), "@rank".to_owned()];
        assert_eq!(variables(&quoted(" MAX_execution_time, @rank,")), Ok(both));
        for wrong in ["a b", "@", "sql_mode", "x, character_set_client", "a;b"] {
            assert!(variables(&quoted(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_out_of_bounds_or_of_kind() {
        let read = |scalar| count(1..=1000u32)(&scalar).unwrap_err();
        assert_eq!(read(Scalar::Integer(Some(0))), "0 is out of bounds: expected from 1 to 1000");
        assert_eq!(read(Scalar::Integer(Some(-1))), "-1 is out of bounds: expected from 1 to 1000");
        assert_eq!(
            read(Scalar::Integer(None)),
            "a number too large is out of bounds: expected from 1 to 1000"
        );
        assert_eq!(
            read(quoted("3")),
            "expected a number from 1 to 1000, found \"3\": write 3, without quotes"
        );
        assert_eq!(read(Scalar::Bool(true)), "expected a number from 1 to 1000, found true");
        assert_eq!(
            read(word("99999999999999999999")),
            "\"99999999999999999999\" is out of bounds: expected from 1 to 1000"
        );
    }

    #[test]
    fn shares_of_one_to_a_hundred() {
        for bad in ["0%", "101%", "%", "90 %", "-1%", "+5%", "1.5%", "half", ""] {
            assert!(share(&quoted(bad)).is_err(), "{bad:?}");
        }
        assert_eq!(share(&quoted("100%")), Ok(Share::Percent(100)));
        assert_eq!(
            share(&quoted("20")).unwrap_err(),
            "expected a number, or a share from \"1%\" to \"100%\", found \"20\": \
             write 20, without quotes"
        );
        assert!(share(&Scalar::Integer(Some(0))).is_err());
    }

    #[test]
    fn durations_need_a_unit_and_a_bound() {
        assert_eq!(
            duration(&Scalar::Integer(Some(300))).unwrap_err(),
            "300 has no unit: write \"300s\" for seconds"
        );
        assert_eq!(
            duration(&quoted("0s")).unwrap_err(),
            "\"0s\" is too short: expected more than 0s"
        );
        assert_eq!(
            duration(&quoted("99999d")).unwrap_err(),
            "\"99999d\" is too long: expected at most 3650d"
        );
        assert_eq!(any_duration(&quoted("0s")), Ok(Duration::ZERO));
        assert_eq!(limit(&quoted("5m")), Ok(Some(Duration::from_secs(300))));
    }

    #[test]
    fn a_choice_says_its_words_and_the_nearest() {
        assert_eq!(choice(&quoted("verify-ca")), Ok(TargetTlsMode::VerifyCa));
        assert_eq!(
            choice::<TargetTlsMode>(&quoted("verify_ca")).unwrap_err(),
            "\"verify_ca\" is not one of \"off\", \"preferred\", \"required\", \"verify-ca\", \
             \"verify-identity\"; did you mean \"verify-ca\"?"
        );
    }
}
