//! A value that is one of a few words.

pub trait Choice: Copy + PartialEq + 'static {
    /// Every word, in the order people are shown them.
    const ALL: &'static [(&'static str, Self)];

    /// The word for this value.
    fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, choice)| *choice == self).map_or("", |(word, _)| word)
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == word).map(|(_, choice)| *choice)
    }
}
