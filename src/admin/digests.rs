//! What statements are like, the costliest first: made when somebody asks, and bounded.

use serde::{Deserialize, Serialize};

use crate::session::{Digests, KindView};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DigestList {
    /// How many there are, listed or not.
    pub total: u64,
    pub digests: Vec<DigestUse>,
}

/// Of the statements that were looked at, one in sixteen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DigestUse {
    pub digest: String,
    /// Without a value.
    pub statement: String,
    pub timed: u64,
    /// Ended in an error of the target's.
    pub errors: u64,
    pub total_ms: f64,
    pub mean_ms: f64,
    pub p95_ms: f64,
    pub worst_ms: f64,
}

impl DigestList {
    pub const MOST: usize = 500;

    pub fn of(digests: &Digests, most: usize) -> Self {
        let kinds = digests.view();
        let shown = kinds.iter().take(most.min(Self::MOST));
        Self { total: kinds.len() as u64, digests: shown.map(DigestUse::of).collect() }
    }
}

impl DigestUse {
    fn of(kind: &KindView) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "times for people to read")]
        let ms = |micros: u64| micros as f64 / 1000.0;
        Self {
            digest: kind.id.clone(),
            statement: kind.text.clone(),
            timed: kind.count,
            errors: kind.failed,
            total_ms: ms(kind.micros),
            mean_ms: ms(kind.mean),
            p95_ms: ms(kind.p95),
            worst_ms: ms(kind.worst),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Digest;

    #[test]
    fn the_costliest_come_first() {
        let digests = Digests::default();
        for (text, micros) in [("SELECT a", 100), ("SELECT b", 3000), ("SELECT c", 200)] {
            digests.kind(&Digest::of(text.as_bytes(), true)).note(micros, text.ends_with('b'));
        }
        let list = DigestList::of(&digests, 2);
        let shown: Vec<&str> = list.digests.iter().map(|it| it.statement.as_str()).collect();
        assert_eq!((list.total, shown), (3, vec!["SELECT b", "SELECT c"]));
        let first = &list.digests[0];
        assert_eq!(
            (first.timed, first.errors, first.worst_ms.to_bits()),
            (1, 1, 3.0_f64.to_bits())
        );
    }
}
