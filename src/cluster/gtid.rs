//! What a replica has: transactions it has applied, and those it has received and will apply.
//!
//! Pure. Of MySQL's sets the server says which is a part of which; MariaDB has no word for it, so its
//! positions are compared here: <https://mariadb.com/kb/en/gtid/>, `domain-server-sequence`.

use std::collections::BTreeMap;

use super::side::clean;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Have {
    applied: String,
    received: String,
    /// It replicates by GTID, from one source.
    by_gtid: bool,
}

impl Have {
    pub fn new(applied: &str, received: &str, by_gtid: bool) -> Self {
        Self { applied: clean(applied), received: clean(received), by_gtid }
    }

    /// What is to be applied, if that can be told.
    pub fn received(&self) -> Option<&str> {
        self.by_gtid.then_some(&self.received)
    }

    /// Both in one text, which is a set of MySQL's, but no position of MariaDB's.
    pub fn all(&self) -> String {
        let parts = [self.applied.as_str(), self.received.as_str()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(",")
    }

    /// On MariaDB: is there nothing that the other has and this one has not? What cannot be read is not
    /// covered.
    pub fn covers_position(&self, other: &Self) -> bool {
        let (Some(have), Some(other)) = (domains(&self.all()), domains(&other.all())) else {
            return false;
        };
        other.iter().all(|(domain, last)| have.get(domain).is_some_and(|it| it.covers(*last)))
    }
}

/// The last transaction of a domain.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Last {
    sequence: u64,
    server: u64,
}

impl Last {
    /// The same number given by two servers is two transactions.
    fn covers(self, other: Self) -> bool {
        self == other || self.sequence > other.sequence
    }
}

/// By domain. `None`: it cannot be read, or two servers have given the same last number.
fn domains(position: &str) -> Option<BTreeMap<u64, Last>> {
    let mut last = BTreeMap::new();
    for gtid in position.split(',').filter(|gtid| !gtid.is_empty()) {
        let mut numbers = gtid.split('-').map(str::parse::<u64>);
        let (domain, server) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        let it = Last { sequence: numbers.next()?.ok()?, server };
        let known = last.entry(domain).or_insert(it);
        if it.covers(*known) {
            *known = it;
        } else if !known.covers(it) {
            return None;
        }
    }
    Some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_ahead_on_mariadb() {
        let covers = |have: [&str; 2], other: [&str; 2]| {
            let new = |texts: [&str; 2]| Have::new(texts[0], texts[1], true);
            new(have).covers_position(&new(other))
        };
        assert!(covers(["0-1-7", ""], ["0-1-7", ""]));
        assert!(covers(["0-1-5", "0-1-9"], ["0-1-9", "0-1-8"]));
        assert!(covers(["0-1-9", "0-1-5"], ["0-1-9", ""]));
        assert!(!covers(["0-1-5", "0-1-8"], ["0-1-4", "0-1-9"]));
        assert!(covers(["0-1-5,1-2-3", ""], ["1-2-3", ""]));
        assert!(!covers(["0-1-5", ""], ["0-1-5,1-2-3", ""]), "a domain it has nothing of");
        assert!(covers(["0-1-5", ""], ["", ""]));
        assert!(!covers(["0-1-5", ""], ["0-1-x", ""]));
        assert!(!covers(["0-1-5", ""], ["0-1", ""]));
        assert!(!covers(["0-1-5", ""], ["0-2-5", ""]), "another transaction of that number");
        assert!(covers(["0-1-6", ""], ["0-2-5", ""]), "who is primary has changed since");
        assert!(covers(["0-2-5", "0-1-7"], ["0-2-5", "0-1-7"]));
        assert!(!covers(["0-1-5", "0-2-5"], ["0-1-5", ""]), "which is its own cannot be told");
    }

    #[test]
    fn a_set_of_mysql_is_one_text() {
        let have = Have::new("3E11FA47-71CA:1-5,\nAAAA-1:7", "3E11FA47-71CA:6", true);
        assert_eq!(have.all(), "3E11FA47-71CA:1-5,AAAA-1:7,3E11FA47-71CA:6");
        assert_eq!(have.received(), Some("3E11FA47-71CA:6"));
        assert_eq!(Have::new("", "\n", false).all(), "");
        assert_eq!(Have::new("", "", false).received(), None);
    }
}
