//! Scripts of chance, one step at a time: what comes next depends on who may hold a connection.
//!
//! Owns the choice of steps and their order. Never plays one; it is told what the straight server
//! answered.

use std::collections::VecDeque;

use fastrand::Rng;

use super::{
    features::{FEATURES, Feature, VOCABULARY},
    fixture::CLIENTS,
    hold::Holding,
    reply::Reply,
    script::ClientNumber,
    step::{CAPABILITIES, Step, Who},
};
use crate::support::{client::capability, servers::Flavor};

/// The default ones, as Tidegate today takes the default for every other (utf8mb4_bin, 46: a bug).
const COLLATIONS: [u8; 4] = [45, 45, 8, 33];

/// Until a reset gives the server's collation and not that of the login.
const AFTER_RESET: &str = "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci";

pub struct Chance {
    random: Rng,
    flavor: Flavor,
    bound: usize,
    left: usize,
    clients: Vec<Client>,
}

struct Client {
    number: ClientNumber,
    queue: VecDeque<Step>,
    holding: Holding,
    /// Asked for several statements in one text.
    multi: bool,
}

impl Chance {
    pub fn new(mut random: Rng, flavor: Flavor, bound: u32) -> Self {
        let clients = (1..=random.u8(2..=CLIENTS)).map(|number| Client {
            number,
            queue: VecDeque::from(first_steps(&mut random, flavor)),
            holding: Holding::default(),
            multi: false,
        });
        let clients: Vec<Client> = clients.collect();
        let left = random.usize(20..90);
        Self { random, flavor, bound: bound as usize, left, clients }
    }

    /// Nothing at the end.
    pub fn next_step(&mut self) -> Option<(ClientNumber, Step)> {
        self.left = self.left.checked_sub(1)?;
        let holders = self.clients.iter().filter(|client| client.holding.any()).count();
        let full = holders >= self.bound;
        let may_go: Vec<usize> =
            (0..self.clients.len()).filter(|at| !full || self.clients[*at].holding.any()).collect();
        let at = may_go[self.random.usize(..may_go.len())];
        let number = self.clients[at].number;
        // Else whoever holds the last connection would play alone to the end. What belongs together
        // is not torn apart: it may ask for what a release would end.
        if full && self.clients[at].queue.is_empty() && self.random.u8(..10) < 6 {
            return Some((number, self.release(at)));
        }
        while self.clients[at].queue.is_empty() {
            let steps = self.chosen(number, self.clients[at].multi);
            self.clients[at].queue.extend(steps);
        }
        let step = self.clients[at].queue.pop_front()?;
        Some((number, step))
    }

    pub fn learn(&mut self, number: ClientNumber, step: &Step, reply: &Reply) {
        let client = self.clients.iter_mut().find(|client| client.number == number);
        let client = client.expect("a client of this script");
        client.holding.learn(step, reply);
        if let Step::Login(who) = step {
            client.multi = who.capabilities & capability::MULTI_STATEMENTS != 0;
        }
        if reply.broken.is_some() {
            for step in first_steps(&mut self.random, self.flavor).into_iter().rev() {
                client.queue.push_front(step);
            }
        }
    }

    fn release(&mut self, at: usize) -> Step {
        let Holding { transaction, lasting, .. } = self.clients[at].holding;
        let step = match (lasting, transaction) {
            (true, _) => "! reset",
            (false, true) if self.random.bool() => ": COMMIT",
            (false, true) => ": ROLLBACK",
            // With a table, which ends the list of warnings on MariaDB too.
            (false, false) => ": SELECT id FROM shared LIMIT 1",
        };
        if lasting {
            self.clients[at].queue.push_front(Step::Query(AFTER_RESET.to_owned()));
        }
        Step::parse(step)
    }

    /// A line of one of the features, as steps.
    fn chosen(&mut self, number: ClientNumber, multi: bool) -> Vec<Step> {
        let weight = |feature: &&Feature| feature.known_limit.is_none().then_some(feature.weight);
        let total: u32 = FEATURES.iter().filter_map(|feature| weight(&feature)).sum();
        let mut ticket = self.random.u32(..total);
        let feature = FEATURES.iter().find(|feature| {
            let weight = weight(feature).unwrap_or(0);
            let won = ticket < weight;
            ticket = ticket.saturating_sub(weight);
            won
        });
        let lines = feature.expect("the ticket is below the total").lines;
        let line = lines[self.random.usize(..lines.len())];
        let line = match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
            Some((whom, line)) if whom == self.flavor.name() || multi && whom == "multi" => line,
            Some(_) => return Vec::new(),
            None => line,
        };
        let mut steps = Vec::new();
        // What runs in there may use a table, which ends MariaDB's list of warnings, or none.
        if self.flavor == Flavor::MariaDb && (line.contains("CALL ") || line.contains("FROM @")) {
            steps.push(Step::Query("SELECT id FROM shared LIMIT 1".to_owned()));
        }
        steps.extend(line.split(";;").map(|step| self.step(step.trim(), number)));
        steps
    }

    fn step(&mut self, text: &str, number: ClientNumber) -> Step {
        let text = self.filled(text, number);
        match text.strip_prefix('!') {
            Some(command) => Step::command(command),
            None => Step::Query(text),
        }
    }

    /// With a word of the vocabulary for each `{name}`.
    fn filled(&mut self, text: &str, number: ClientNumber) -> String {
        let mut text = text.to_owned();
        while let Some(start) = text.find('{') {
            let end = start + text[start..].find('}').expect("a closing brace");
            let name = &text[start + 1..end];
            let word = if name == "c" {
                number.to_string()
            } else {
                let found = VOCABULARY.iter().find(|(known, _)| *known == name);
                let (_, words) = found.unwrap_or_else(|| panic!("no such word: {name}"));
                words[self.random.usize(..words.len())].to_owned()
            };
            text.replace_range(start..=end, &word);
        }
        text
    }
}

/// On MariaDB the first FOUND_ROWS() is that of whoever had the thread before.
fn first_steps(random: &mut Rng, flavor: Flavor) -> Vec<Step> {
    let login = Step::Login(login(random));
    match flavor {
        Flavor::MySql => vec![login],
        Flavor::MariaDb => vec![login, Step::parse(": SELECT 1")],
    }
}

fn login(random: &mut Rng) -> Who {
    let mut who = Who { collation: COLLATIONS[random.usize(..COLLATIONS.len())], ..Who::default() };
    if random.u8(..6) == 0 {
        "app_b".clone_into(&mut who.user);
    }
    match random.u8(..10) {
        0 => who.schema = None,
        1 => who.schema = Some("other".to_owned()),
        _ => {}
    }
    for (_, bit) in CAPABILITIES {
        if random.u8(..3) == 0 {
            who.capabilities |= bit;
        }
    }
    who
}
