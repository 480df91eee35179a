//! A password in memory: wiped when dropped, never printed, compared in constant time.
//!
//! There is no `Display` and no `Serialize`, so that it cannot slip into a log line or a page.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

#[derive(Clone, Default)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Takes the buffer over as it is: a copy would stay behind in freed memory.
    pub fn new(clear: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(clear.into()))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for Password {}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_says_nothing() {
        assert_eq!(format!("{:?}", Password::new("hunter2")), "***");
        assert_eq!(format!("{:?}", Password::default()), "***");
    }

    #[test]
    fn equal_by_content() {
        assert_eq!(Password::new("a"), Password::new("a"));
        assert_ne!(Password::new("a"), Password::new("ab"));
    }
}
