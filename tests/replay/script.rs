//! Who does what, in which order: lines of `2: SELECT 1` and `2! ping`.
//!
//! Owns the order of the steps of all clients. Never sends anything.

use std::{collections::BTreeSet, fmt};

use super::step::{Step, Who};

pub type ClientNumber = u8;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    pub steps: Vec<(ClientNumber, Step)>,
}

impl Script {
    /// Empty lines and those that begin with `#` are for readers.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let steps = lines.map(|line| {
            let (number, step) = line.split_at(1);
            (number.parse().unwrap_or_else(|_| panic!("no client: {line}")), Step::parse(step))
        });
        Self { steps: steps.collect() }.with_logins()
    }

    /// Whoever acts before it has logged in does so in the usual way.
    pub fn with_logins(self) -> Self {
        let mut seen = BTreeSet::new();
        let mut steps = Vec::new();
        for (client, step) in self.steps {
            if seen.insert(client) && !matches!(step, Step::Login(_)) {
                steps.push((client, Step::Login(Who::default())));
            }
            steps.push((client, step));
        }
        Self { steps }
    }

    pub fn clients(&self) -> BTreeSet<ClientNumber> {
        self.steps.iter().map(|(client, _)| *client).collect()
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|(client, step)| writeln!(f, "{client}{step}"))
    }
}

#[test]
fn what_is_printed_can_be_read() {
    let text = "1! login app_b schema=- collation=8 eof multi\n\
                1: SELECT 'a;b' -- c\n\
                2! login app\n\
                2! prepare s SELECT ?, ?\n\
                2! cursor s 'a b' NULL\n\
                2! again s -1 LONG\n\
                1! bytes 1d00ff\n";
    assert_eq!(Script::parse(text).to_string(), text);
    assert_eq!(Script::parse("3! ping").to_string(), "3! login app\n3! ping\n");
}
