//! Two servers alike, one of them behind Tidegate.
//!
//! Owns the servers, a Tidegate for each bound, the schema both servers have, and the run of a
//! script on both sides step by step. Never chooses what is run.

use super::{
    compare::{self, Difference},
    fixture,
    hold::Holding,
    player::Player,
    reply::Reply,
    rules::Ids,
    script::{ClientNumber, Script},
    step::Step,
};
use crate::support::{
    servers::{Flavor, Options, Server},
    tidegate::{Config, Tidegate},
};
use std::collections::BTreeMap;

/// The pools: one connection for all, two, three, and more than any script has clients.
pub const BOUNDS: [u32; 4] = [1, 2, 3, 8];

const OUT_OF_CONNECTIONS: u16 = 9501;

pub struct Stage {
    pub flavor: Flavor,
    straight: Server,
    through: Server,
    tidegates: Vec<(u32, Tidegate)>,
}

#[derive(Debug)]
pub enum Outcome {
    Same,
    /// No connection was free, while others may have held them: it says nothing.
    Starved,
    Differs(Box<Difference>),
}

impl Stage {
    pub fn start(flavor: Flavor) -> Self {
        let start = || {
            let mut options = Options::default().argument("--event-scheduler=OFF");
            for argument in ["innodb-lock-wait-timeout=1", "lock-wait-timeout=2"] {
                options = options.argument(format!("--{argument}"));
            }
            let server = Server::start(flavor, options);
            fixture::once(&server);
            fixture::again(&server);
            server
        };
        let (straight, through) = (start(), start());
        let tidegate = |bound: u32| {
            let pool = format!("max_connections = {bound}\nborrow_timeout = \"1s\"");
            let config = Config::to(&through).user("app_b", "app_b-password");
            (bound, Tidegate::start(config.section("pool", &pool)))
        };
        let tidegates = BOUNDS.map(tidegate).into();
        Self { flavor, straight, through, tidegates }
    }

    /// The schema as it was at first, on both sides.
    pub fn renew(&self) {
        std::thread::scope(|scope| {
            scope.spawn(|| fixture::again(&self.straight));
            fixture::again(&self.through);
        });
    }

    pub fn open(&self, bound: u32) -> Run {
        let (_, tidegate) =
            self.tidegates.iter().find(|(known, _)| *known == bound).expect("one of BOUNDS");
        Run {
            straight: Player::at(self.straight.address()),
            through: Player::at(tidegate.address()),
            holding: BTreeMap::new(),
        }
    }

    /// All of it, or up to the first difference.
    pub fn run(&self, bound: u32, script: &Script) -> (usize, Outcome) {
        let mut run = self.open(bound);
        for (at, (client, step)) in script.steps.iter().enumerate() {
            let (_, outcome) = run.step(*client, step);
            if !matches!(outcome, Outcome::Same) {
                run.leave();
                return (at, outcome);
            }
        }
        run.leave();
        (script.steps.len().saturating_sub(1), self.compare_tables())
    }

    /// Equal answers may hide that something else was written.
    pub fn compare_tables(&self) -> Outcome {
        let [straight, through] = [&self.straight, &self.through].map(fixture::contents);
        let (left, right) = (straight.iter(), through.iter());
        let unlike: Vec<_> = left.zip(right).filter(|(one, other)| one != other).collect();
        if unlike.is_empty() {
            return Outcome::Same;
        }
        Outcome::Differs(Box::new(Difference {
            place: 0,
            straight: None,
            through: None,
            broken: Some(format!("checksums of tables, straight and through: {unlike:?}")),
            signature: "the tables differ afterwards".to_owned(),
        }))
    }

    /// What a greeting says on either side.
    pub fn greetings(&self) -> String {
        use crate::support::client::RawClient;
        let through = self.tidegates[0].1.address();
        let [straight, through] = [self.straight.address(), through].map(|address| {
            let greeting = RawClient::greet(address).unwrap().greeting;
            (greeting.version, greeting.capabilities, greeting.plugin)
        });
        format!("greeting: {straight:08x?} straight, {through:08x?} through Tidegate")
    }
}

pub struct Run {
    straight: Player,
    through: Player,
    holding: BTreeMap<ClientNumber, Holding>,
}

impl Run {
    /// The same on both sides. What the server said straight, and whether it was said through
    /// Tidegate too.
    pub fn step(&mut self, client: ClientNumber, step: &Step) -> (Reply, Outcome) {
        let straight = self.straight.play(client, step);
        let through = self.through.play(client, step);
        let others_hold = self.holding.iter().any(|(other, held)| *other != client && held.any());
        self.holding.entry(client).or_default().learn(step, &straight);
        if through.error == Some(OUT_OF_CONNECTIONS) && others_hold {
            return (straight, Outcome::Starved);
        }
        let (left, right) = (self.straight.seat(client), self.through.seat(client));
        let ids =
            [left, right].map(|seat| Ids { connection: seat.connection_id, statements: &seat.ids });
        let difference = compare::difference(step, (&straight, &ids[0]), (&through, &ids[1]));
        let outcome = difference.map_or(Outcome::Same, |found| Outcome::Differs(Box::new(found)));
        (straight, outcome)
    }

    pub fn leave(self) {
        self.straight.leave();
        self.through.leave();
    }
}
