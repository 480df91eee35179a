//! What is done to the log beside writing it: lines that repeat are folded.
//!
//! Owns which lines are alike: those of one place in the code that differ in numbers only. It never
//! folds what was asked for to look closely, `debug` and `trace`.

mod fold;

use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use self::fold::{Fold, More, WINDOW};
use crate::lifecycle::Lifecycle;

/// A layer for whatever writes the log.
#[derive(Clone, Default)]
pub struct Folding(Arc<Mutex<Fold<Line>>>);

/// The first line of a kind, as far as it is told again.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    level: Level,
    message: String,
}

const LOOK: Duration = Duration::from_secs(1);

impl Folding {
    /// Says how many more lines there were, until the process stops.
    pub async fn tell(self, lifecycle: Lifecycle) {
        let stopping = lifecycle.stopping();
        let mut ticks = tokio::time::interval(LOOK);
        while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
            let over = self.lock().over(Instant::now());
            over.iter().for_each(say);
        }
        let left = self.lock().end();
        left.iter().for_each(say);
    }

    fn lock(&self) -> MutexGuard<'_, Fold<Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for Folding {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let about = event.metadata();
        if *about.level() > Level::INFO || about.target() == module_path!() {
            return true;
        }
        let mut words = Words::default();
        about.callsite().hash(&mut words.hasher);
        event.record(&mut words);
        let Words { hasher, message } = words;
        let line = || Line { level: *about.level(), message };
        self.lock().says(hasher.finish(), Instant::now(), line)
    }
}

fn say(more: &More<Line>) {
    let (lines, seconds) = (more.lines, WINDOW.as_secs());
    let message = &more.what.message;
    match more.what.level {
        Level::ERROR => tracing::error!("… {lines} more like it in {seconds} s: {message}"),
        Level::WARN => tracing::warn!("… {lines} more like it in {seconds} s: {message}"),
        _ => tracing::info!("… {lines} more like it in {seconds} s: {message}"),
    }
}

/// What a line says, but for its numbers, and who it is about by number.
#[derive(Default)]
struct Words {
    hasher: DefaultHasher,
    message: String,
}

impl Visit for Words {
    fn record_u64(&mut self, _: &Field, _: u64) {}

    fn record_i64(&mut self, _: &Field, _: i64) {}

    fn record_f64(&mut self, _: &Field, _: f64) {}

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(Numberless(&mut self.hasher), "{value:?}");
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        }
    }
}

struct Numberless<'h>(&'h mut DefaultHasher);

impl fmt::Write for Numberless<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.split(|letter: char| letter.is_ascii_digit())
            .filter(|part| !part.is_empty())
            .for_each(|part| self.0.write(part.as_bytes()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is in the log after `work`, and after its end.
    fn written(work: impl FnOnce()) -> String {
        let (folding, paper) = (Folding::default(), Paper::default());
        let pen = paper.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .with_ansi(false)
            .with_writer(move || pen.clone())
            .finish()
            .with(folding.clone());
        tracing::subscriber::with_default(subscriber, || {
            work();
            let left = folding.lock().end();
            left.iter().for_each(say);
        });
        let bytes = paper.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn lines_that_differ_in_numbers_are_alike() {
        let log = written(|| {
            for number in 0..46 {
                tracing::warn!(session = number, peer = %format!("10.0.0.1:{number}"), "refused");
            }
            tracing::warn!(session = 1, peer = "another", "refused");
        });
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines.len(), 5 + 1 + 1, "{log}");
        assert!(
            lines[6].contains("WARN") && lines[6].ends_with("… 41 more like it in 10 s: refused")
        );
    }

    #[test]
    fn what_differs_in_words_and_what_is_looked_at_closely_is_all_said() {
        let log = written(|| {
            for word in ["a", "b", "c", "d", "e", "f", "g", "h"] {
                tracing::info!(target = word, "a target");
                tracing::debug!("closely");
            }
        });
        assert_eq!(log.lines().count(), 16, "{log}");
    }
}
