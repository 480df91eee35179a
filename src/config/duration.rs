//! Durations as people write them: `800ms`, `10s`, `5m`, `24h`, `7d`, `1h30m`.

use std::fmt::Write as _;
use std::time::Duration;

/// Longer than anybody means, and short enough to be added to any clock.
pub(super) const LONGEST: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

/// `None` for what is not a duration; [`LONGEST`] and one more for what is far too long.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut millis: u64 = 0;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count = match &rest[..digits] {
            "" => return None,
            number => number.parse().unwrap_or(u64::MAX),
        };
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        millis = millis.saturating_add(count.saturating_mul(unit(&rest[..letters])?));
        rest = &rest[letters..];
        if rest.is_empty() {
            return Some(Duration::from_millis(millis));
        }
    }
}

/// As people write it, without a remainder below a millisecond.
pub(super) fn text(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for name in ["h", "m", "s", "ms"] {
        let unit = unit(name).unwrap_or(1);
        if millis >= unit {
            let _ = write!(text, "{}{name}", millis / unit);
            millis %= unit;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

fn unit(name: &str) -> Option<u64> {
    Some(match name {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_write_them() {
        let seconds = |text| parse(text).map(|d| d.as_secs());
        assert_eq!(parse("800ms"), Some(Duration::from_millis(800)));
        assert_eq!(seconds("0s"), Some(0));
        assert_eq!(seconds("5m"), Some(300));
        assert_eq!(seconds("24h"), Some(86_400));
        assert_eq!(seconds("1h30m"), Some(5_400));
        assert_eq!(seconds("7d"), Some(604_800));
    }

    #[test]
    fn written_as_it_is_read() {
        for written in ["800ms", "0s", "5m", "24h", "1h30m", "1s500ms"] {
            assert_eq!(text(parse(written).unwrap()), written);
        }
    }

    #[test]
    fn what_is_not_one() {
        for text in ["", "5", "m", "5 m", "5min", "-5s", "1.5s", "5m3", "5mé", "è"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn too_long_is_seen_not_wrapped() {
        assert!(parse("99999999999999999999999d").is_some_and(|d| d > LONGEST));
        assert!(parse("3651d").is_some_and(|d| d > LONGEST));
    }
}
