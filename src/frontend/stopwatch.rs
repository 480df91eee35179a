//! How long statements take, and where: of one in eight, for four looks at the clock and three
//! histograms cost some hundred instructions. The kind of one in sixteen. The time of all of them
//! where slow ones are to be told of.
//!
//! A watch is small, as it lies in every session.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::inbound::Incoming;
use super::notes::Kept;
use super::serve::Session;
use crate::session::{Forward, Kind};

/// How many statements there are to one whose time is taken.
const ONE_IN: u8 = 8;

/// And to one whose kind is looked for: its text is read for that.
const KIND_OF_ONE_IN: u8 = 16;

/// Microseconds, those of the registry's age modulo 2^32 (more than an hour).
#[derive(Default)]
pub(super) struct Stopwatch {
    /// Its age at the start; `None`: it stands still.
    began: Option<NonZeroU32>,
    /// And when the request had been sent.
    sent: u32,
    /// How long the reply took from then on.
    target: u32,
    /// How long there was no connection.
    waited: u32,
    /// The metrics are told.
    counts: bool,
    /// It ended in an error of the target's.
    pub(super) failed: bool,
    pub(super) kind: Option<Arc<Kind>>,
    /// Should it be slow, or keep its connection.
    pub(super) kept: Option<Box<Kept>>,
}

impl Session {
    /// Runs, if it is this statement's turn.
    pub(super) fn start_watch(&mut self, forward: &Forward, incoming: Incoming) {
        self.turn = self.turn.wrapping_add(1);
        let counts = self.turn.is_multiple_of(ONE_IN);
        let all = self.shared.notes.slow().is_some();
        self.watch.began = None;
        if self.watch.kept.is_some() {
            self.watch.kept = None;
        }
        if counts || all {
            let began = NonZeroU32::new(self.age()).unwrap_or(NonZeroU32::MIN);
            self.watch = Stopwatch { began: Some(began), counts, ..Stopwatch::default() };
            if self.turn.is_multiple_of(KIND_OF_ONE_IN) {
                self.note_kind(forward, incoming);
            }
        }
        if all || (self.ledger.may_pin() && self.is_free()) {
            self.keep_text(forward, incoming);
        }
    }

    /// For [`Session::note_waited`]; `None`: it does not matter.
    pub(super) fn begin_wait(&self) -> Option<u32> {
        self.watch.began.map(|_| self.age())
    }

    pub(super) fn note_waited(&mut self, began: Option<u32>) {
        if let Some(began) = began {
            self.watch.waited = self.age().wrapping_sub(began);
        }
    }

    pub(super) fn note_sent(&mut self) {
        if self.watch.began.is_some() {
            self.watch.sent = self.age();
        }
    }

    /// The end of the reply is here.
    pub(super) fn note_answered(&mut self) {
        if self.watch.began.is_some() {
            self.watch.target = self.age().wrapping_sub(self.watch.sent);
        }
    }

    pub(super) fn stop_watch(&mut self) {
        if let Some(began) = self.watch.began.take() {
            let took = self.age().wrapping_sub(began.get());
            self.tell_time(took);
        }
    }

    fn tell_time(&mut self, took: u32) {
        let Stopwatch { target, waited, counts, failed, .. } = self.watch;
        let kind = self.watch.kind.take();
        if counts {
            let metrics = &self.shared.metrics.client;
            metrics.query_seconds.observe(time(took).as_secs_f64());
            metrics.target_seconds.observe(time(target).as_secs_f64());
            let added = took.saturating_sub(target).saturating_sub(waited);
            metrics.added_seconds.observe(time(added).as_secs_f64());
        }
        if let Some(kind) = kind {
            kind.note(took, failed);
        }
        if self.shared.notes.slow().is_some_and(|slow| time(took) >= slow) {
            self.tell_slow(time(took), time(target), time(waited));
        }
    }

    fn age(&self) -> u32 {
        self.shared.registry.age().as_micros() as u32
    }
}

fn time(micros: u32) -> Duration {
    Duration::from_micros(micros.into())
}
