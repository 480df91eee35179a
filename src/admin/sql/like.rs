//! `LIKE` as MySQL has it, without regard to case: `%` for any letters, `_` for one, `\` before
//! either for itself.

pub fn is_like(text: &str, pattern: &str) -> bool {
    let fold = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<char>>();
    let (text, pattern) = (fold(text), fold(pattern));
    // Where to go on when what follows the last `%` does not fit: one letter later.
    let mut retry: Option<(usize, usize)> = None;
    let (mut at, mut next) = (0, 0);
    while at < text.len() {
        match step(&pattern, next) {
            Some((Part::Any, after)) => {
                retry = Some((at, after));
                next = after;
            }
            Some((part, after)) if part.is(text.get(at).copied()) => (at, next) = (at + 1, after),
            _ => match &mut retry {
                Some((from, after)) => {
                    *from += 1;
                    (at, next) = (*from, *after);
                }
                None => return false,
            },
        }
    }
    while let Some((Part::Any, after)) = step(&pattern, next) {
        next = after;
    }
    next == pattern.len()
}

enum Part {
    Any,
    One,
    Letter(char),
}

impl Part {
    fn is(&self, letter: Option<char>) -> bool {
        match self {
            Self::Any => false,
            Self::One => letter.is_some(),
            Self::Letter(own) => letter == Some(*own),
        }
    }
}

/// What stands in the pattern at this place, and where it goes on.
fn step(pattern: &[char], at: usize) -> Option<(Part, usize)> {
    Some(match (pattern.get(at)?, pattern.get(at + 1)) {
        ('%', _) => (Part::Any, at + 1),
        ('_', _) => (Part::One, at + 1),
        ('\\', Some(escaped)) => (Part::Letter(*escaped), at + 2),
        (letter, _) => (Part::Letter(*letter), at + 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_server_does_it() {
        for (text, pattern) in [
            ("", ""),
            ("", "%"),
            ("abc", "ABC"),
            ("abc", "a%"),
            ("abc", "%c"),
            ("abc", "%b%"),
            ("abc", "a_c"),
            ("aXbXc", "a%b%c"),
            ("abab", "%ab"),
            ("50%", "50\\%"),
            ("a_b", "a\\_b"),
            ("\\", "\\"),
            ("Äpfel", "ä%"),
        ] {
            assert!(is_like(text, pattern), "{text} {pattern}");
        }
        for (text, pattern) in
            [("", "_"), ("abc", "b"), ("abc", "a%d"), ("abc", "abc_"), ("50x", "50\\%"), ("a", "")]
        {
            assert!(!is_like(text, pattern), "{text} {pattern}");
        }
    }
}
