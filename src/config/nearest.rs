//! The valid word somebody most likely meant.

/// The nearest of the candidates, when one is near enough to be worth saying.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = fold(word);
    let near = |candidate: &&'c str| {
        let candidate = fold(candidate);
        let begun = word.len() >= 3 && candidate.starts_with(&word);
        let steps = distance(&word, &candidate);
        let allowed = (word.len().min(candidate.len()) / 3).max(1);
        (steps <= allowed || begun).then_some(steps)
    };
    candidates
        .into_iter()
        .filter_map(|candidate| Some((near(&candidate)?, candidate)))
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// Edits between two words: a letter more, less, other, or two neighbours swapped.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let other = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j - 1] + other).min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_enough_or_nothing() {
        let keys = ["max_connections", "max_idle", "min_idle", "idle_timeout"];
        let of = |word| nearest(word, keys);
        assert_eq!(of("max_conections"), Some("max_connections"));
        assert_eq!(of("maxIdle"), Some("max_idle"));
        assert_eq!(of("idel_timeout"), Some("idle_timeout"));
        assert_eq!(of("max_conn"), Some("max_connections"));
        assert_eq!(of("colour"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn the_nearer_of_two() {
        assert_eq!(nearest("readonly", ["read-write", "read-only"]), Some("read-only"));
        assert_eq!(nearest("verify_ca", ["verify-ca", "verify-identity"]), Some("verify-ca"));
    }
}
