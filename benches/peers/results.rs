//! Every figure of a run, and what is made of them: medians, and ratios of figures of one round.

use std::collections::BTreeMap;

use crate::{calls::Calls, herd::Herd, peers::Kind};

/// Of one work through one peer in one round.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Whole units a second.
    pub rate: f64,
    /// Of whole units, in milliseconds.
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    /// Of the proxy, in microseconds a query.
    pub cpu: Option<f64>,
    /// Of mysqld, in microseconds a query.
    pub server_cpu: f64,
    /// Context switches of the proxy, a query.
    pub switches: Option<f64>,
    pub errors: u64,
    pub first_error: Option<String>,
    /// The most server connections that were seen.
    pub peak: usize,
    /// TLS handshakes that took up an earlier session, in percent.
    pub resumed: Option<f64>,
}

/// One work through one peer; a round that failed has no figures.
#[derive(Default)]
pub struct Cell {
    pub rounds: Vec<Option<Figures>>,
    pub calls: Option<Calls>,
    pub notes: Vec<String>,
}

impl Cell {
    pub fn median(&self, of: impl Fn(&Figures) -> f64) -> Option<f64> {
        median(self.rounds.iter().flatten().map(of).collect())
    }

    /// Of what not all peers have.
    pub fn median_some(&self, of: impl Fn(&Figures) -> Option<f64>) -> Option<f64> {
        median(self.rounds.iter().flatten().filter_map(of).collect())
    }

    pub fn errors(&self) -> u64 {
        self.rounds.iter().flatten().map(|figures| figures.errors).sum()
    }

    pub fn peak(&self) -> usize {
        self.rounds.iter().flatten().map(|figures| figures.peak).max().unwrap_or(0)
    }

    pub fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

#[derive(Default)]
pub struct Results {
    cells: BTreeMap<(&'static str, Kind), Cell>,
    pub herds: Vec<Herd>,
}

impl Results {
    pub fn cell(&self, work: &'static str, kind: Kind) -> Option<&Cell> {
        self.cells.get(&(work, kind))
    }

    pub fn cell_mut(&mut self, work: &'static str, kind: Kind) -> &mut Cell {
        self.cells.entry((work, kind)).or_default()
    }

    /// One against the other, round by round, and of that the median: what disturbs the machine for
    /// a while disturbs both.
    pub fn ratio(
        &self,
        (work, kind): (&'static str, Kind),
        (other_work, other): (&'static str, Kind),
        of: impl Fn(&Figures) -> Option<f64>,
    ) -> Option<f64> {
        let (these, those) = (self.cell(work, kind)?, self.cell(other_work, other)?);
        let pairs = these.rounds.iter().zip(&those.rounds).filter_map(|(this, that)| {
            let (this, that) = (of(this.as_ref()?)?, of(that.as_ref()?)?);
            (that > 0.0).then_some(this / that)
        });
        median(pairs.collect())
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 { Some(upper) } else { Some(f64::midpoint(values[middle - 1], upper)) }
}
