//! Two phases side by side.

use std::time::Duration;

use crate::{
    MAX_CONNECTIONS,
    clients::{CLIENTS, Outcome},
};

const TOO_MANY_CONNECTIONS: u16 = 1040;

pub struct Phase {
    pub outcome: Outcome,
    pub took: Duration,
    pub peak: usize,
    pub committed: usize,
}

impl Phase {
    fn served(&self) -> usize {
        self.outcome.lives.len()
    }

    fn refused(&self) -> usize {
        self.outcome.errors.get(&TOO_MANY_CONNECTIONS).map_or(0, |(count, _)| *count)
    }

    fn other_errors(&self) -> usize {
        CLIENTS - self.served() - self.refused()
    }

    fn a_second(&self, count: usize) -> String {
        grouped(round(decimal(count) / self.took.as_secs_f64()))
    }

    /// Of the lives of those served, in milliseconds.
    fn percentile(&self, percent: usize) -> String {
        let mut lives = self.outcome.lives.clone();
        lives.sort_unstable();
        match lives.get((lives.len() * percent / 100).min(lives.len().saturating_sub(1))) {
            Some(life) => format!("{:.1} ms", life.as_secs_f64() * 1000.0),
            None => "–".to_owned(),
        }
    }
}

pub fn print(label: &str, straight: &Phase, through: &Phase) {
    let line = |what: &str, value: &dyn Fn(&Phase) -> String| {
        println!("  {what:<36}{:>22}{:>22}", value(straight), value(through));
    };
    println!("  {:<36}{label:>22}{:>22}", "", "through Tidegate");
    line("clients that got all they asked", &|phase| {
        let served = phase.served();
        format!("{} ({} %)", grouped(served), served * 100 / CLIENTS)
    });
    line("refused, 1040 too many connections", &|phase| grouped(phase.refused()));
    line("other errors", &|phase| grouped(phase.other_errors()));
    line("peak server connections", &|phase| format!("{} of {MAX_CONNECTIONS}", phase.peak));
    line("logins a second", &|phase| phase.a_second(phase.outcome.logins));
    line("clients served a second", &|phase| phase.a_second(phase.served()));
    for percent in [50, 95, 99] {
        line(&format!("due to last answer, p{percent}"), &|phase| phase.percentile(percent));
    }
    line("the whole crowd took", &|phase| format!("{:.1} s", phase.took.as_secs_f64()));
    line("transfers told done / found", &|phase| {
        format!("{} / {}", grouped(phase.served()), grouped(phase.committed))
    });
    println!(
        "\n  Times are of those served, from the moment they were due, less their own thought.\n"
    );
    for (label, phase) in [(label, straight), ("through Tidegate", through)] {
        for (code, (count, message)) in &phase.outcome.errors {
            if *code != TOO_MANY_CONNECTIONS {
                println!("  {label}: {} × {message}", grouped(*count));
            }
        }
    }
}

/// `12345` as `12,345`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn decimal(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

#[allow(clippy::cast_sign_loss, reason = "counts and times are not negative")]
fn round(number: f64) -> usize {
    number.round() as usize
}
