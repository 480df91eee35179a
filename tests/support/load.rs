//! Writers that note each write that was acknowledged, and what must be true of them afterwards.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::Scope,
    time::{Duration, Instant},
};

use super::{
    client::{Error, Login, RawClient},
    servers::Server,
    wait_for,
};

const SOON: Duration = Duration::from_secs(20);

/// Each row of `app.w` is one write: its own number, and who wrote it.
pub struct Load {
    rest: Duration,
    over: AtomicBool,
    next: AtomicUsize,
    acknowledged: Mutex<HashMap<usize, Write>>,
    errors: Mutex<Vec<String>>,
}

#[derive(Clone, Copy)]
struct Write {
    who: usize,
    at: Instant,
}

impl Load {
    pub fn new() -> Self {
        Self::paced(Duration::ZERO)
    }

    /// Each rests after a write: for a replica that has to keep up with them.
    pub fn paced(rest: Duration) -> Self {
        Self {
            rest,
            over: AtomicBool::new(false),
            next: AtomicUsize::new(1),
            acknowledged: Mutex::default(),
            errors: Mutex::default(),
        }
    }

    /// So many clients of one proxy, until [`Load::end`].
    pub fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        address: &'scope str,
        writers: usize,
    ) {
        for who in 0..writers {
            scope.spawn(move || self.write(address, who));
        }
    }

    fn write(&self, address: &str, who: usize) {
        let mut client = RawClient::login(address, &Login::app()).unwrap();
        while !self.over.load(Ordering::Relaxed) {
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            match client.query(&format!("INSERT INTO w VALUES ({id}, {who})")) {
                Ok(_) => {
                    let write = Write { who, at: Instant::now() };
                    self.acknowledged.lock().unwrap().insert(id, write);
                }
                Err(error) => {
                    self.errors.lock().unwrap().push(error.to_string());
                    if matches!(error, Error::Io(_)) {
                        client = RawClient::login(address, &Login::app()).unwrap();
                    }
                }
            }
            std::thread::sleep(self.rest);
        }
    }

    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    fn done(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    pub fn until_more(&self, count: usize) {
        let before = self.done();
        wait_for("more writes", SOON, || (self.done() >= before + count).then_some(()));
    }

    /// Nobody is stuck.
    pub fn until_each_has_written(&self, writers: usize, since: Instant) {
        wait_for("a write of each", SOON, || {
            let acknowledged = self.acknowledged.lock().unwrap();
            let mut wrote = vec![false; writers];
            for write in acknowledged.values().filter(|write| write.at > since) {
                wrote[write.who] = true;
            }
            wrote.into_iter().all(|wrote| wrote).then_some(())
        });
    }

    /// How long after this the first write was acknowledged.
    pub fn first_after(&self, since: Instant) -> Duration {
        let acknowledged = self.acknowledged.lock().unwrap();
        let first = acknowledged.values().map(|write| write.at).filter(|at| *at > since).min();
        first.unwrap().duration_since(since)
    }

    /// The longest time after this in which nothing was acknowledged.
    pub fn longest_gap(&self, since: Instant) -> Duration {
        let acknowledged = self.acknowledged.lock().unwrap();
        let later = acknowledged.values().map(|write| write.at).filter(|at| *at > since);
        let mut moments: Vec<Instant> = later.collect();
        moments.sort_unstable();
        let gap = |pair: &[Instant]| pair[1].duration_since(pair[0]);
        moments.windows(2).map(gap).max().unwrap()
    }

    /// What clients were told since this was last asked.
    pub fn take_errors(&self) -> Vec<String> {
        std::mem::take(&mut self.errors.lock().unwrap())
    }

    pub fn has_errors(&self) -> bool {
        !self.errors.lock().unwrap().is_empty()
    }

    /// What must be there from now on.
    pub fn due(&self) -> Due {
        Due(self.acknowledged.lock().unwrap().clone())
    }

    /// Ends the writers, however the test ends: a panic would wait for them.
    pub fn leash(&self) -> impl Drop + '_ {
        struct Leash<'a>(&'a Load);
        impl Drop for Leash<'_> {
            fn drop(&mut self) {
                self.0.end();
            }
        }
        Leash(self)
    }
}

pub struct Due(HashMap<usize, Write>);

impl Due {
    /// Nothing ran twice, and what was acknowledged outside of `lost` is there.
    pub fn check(&self, server: &Server, lost: Option<(Instant, Instant)>) {
        let rows = rows(server);
        let twice: Vec<_> = rows.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "ran twice: {twice:?}");
        for (id, write) in &self.0 {
            let excused = lost.is_some_and(|(from, to)| write.at >= from && write.at <= to);
            assert!(excused || rows.contains_key(id), "write {id} was acknowledged and is gone");
        }
    }
}

/// How often each write is there.
pub fn rows(server: &Server) -> HashMap<usize, usize> {
    let rows = server.root("SELECT id, COUNT(*) FROM app.w GROUP BY id");
    let number = |cell: &Option<String>| cell.as_ref().unwrap().parse().unwrap();
    rows.iter().map(|row| (number(&row[0]), number(&row[1]))).collect()
}

/// One for each writer at most, and none but what 1053 says of a write that was under way.
pub fn only_lost(errors: &[String], writers: usize) {
    for error in errors {
        assert!(error.contains("1053 (08S01): The connection to the server was lost"), "{error}");
    }
    assert!(errors.len() <= writers, "one each at most: {errors:?}");
}
