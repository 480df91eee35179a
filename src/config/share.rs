//! A number of connections, or a share of a number known only later.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    Count(u32),
    /// 1 to 100.
    Percent(u8),
}

impl Share {
    /// How many this is of a whole; at least 1, for a share of nothing serves nobody. A count
    /// stands as it was written, whatever the whole.
    pub fn of(self, whole: u32) -> u32 {
        match self {
            Self::Count(count) => count.max(1),
            Self::Percent(percent) => {
                let share = u64::from(whole) * u64::from(percent) / 100;
                u32::try_from(share).unwrap_or(u32::MAX).max(1)
            }
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        assert_eq!(Share::Percent(90).of(151), 135);
        assert_eq!(Share::Percent(1).of(10), 1);
        assert_eq!(Share::Percent(50).of(0), 1);
        assert_eq!(Share::Percent(100).of(u32::MAX), u32::MAX);
        assert_eq!(Share::Count(20).of(151), 20);
        assert_eq!(Share::Count(0).of(151), 1);
        assert_eq!(Share::Percent(90).to_string(), "90%");
        assert_eq!(Share::Count(20).to_string(), "20");
    }
}
