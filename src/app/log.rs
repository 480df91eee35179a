//! The log: to standard error, at a level and in a format that a reload may change.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::cli::Failure;
use super::folding::Folding;
use crate::config::{self, Choice, LogFormat};
use crate::lifecycle::Lifecycle;

/// Wins over the configured level, where it is set.
const FILTER_VARIABLE: &str = "RUST_LOG";

/// A hold on the log of this process.
#[derive(Clone)]
pub struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    is_json: Arc<AtomicBool>,
    folding: Folding,
}

impl Log {
    /// Once a process.
    pub fn start(log: &config::Log) -> Result<Self, Failure> {
        let filter = match filter_variable() {
            Some(filter) => EnvFilter::try_new(filter).map_err(Failure::other)?,
            None => EnvFilter::try_new(log.level.as_str()).map_err(Failure::other)?,
        };
        let (layer, filter) = reload::Layer::new(filter);
        let is_json = Arc::new(AtomicBool::new(log.format == LogFormat::Json));
        let form = Form {
            is_json: Arc::clone(&is_json),
            text: Format::default(),
            json: Format::default().json().flatten_event(true),
        };
        let lines = tracing_subscriber::fmt::layer()
            .event_format(form)
            .with_ansi(io::stderr().is_terminal())
            .with_writer(io::stderr);
        let folding = Folding::default();
        tracing_subscriber::registry()
            .with(layer)
            .with(lines)
            .with(folding.clone())
            .try_init()
            .map_err(Failure::other)?;
        Ok(Self { filter, is_json, folding })
    }

    /// Says what was folded, until the process stops.
    pub(super) async fn tell(self, lifecycle: Lifecycle) {
        self.folding.tell(lifecycle).await;
    }

    /// For the lines to come. Returns what keeps the level from being what is configured, if so.
    pub fn set(&self, log: &config::Log) -> Option<String> {
        self.is_json.store(log.format == LogFormat::Json, Ordering::Relaxed);
        if filter_variable().is_some() {
            return Some(format!("{FILTER_VARIABLE} is set, and wins over log.level"));
        }
        let level = EnvFilter::try_new(log.level.as_str()).ok()?;
        self.filter.reload(level).err().map(|error| error.to_string())
    }
}

fn filter_variable() -> Option<String> {
    std::env::var(FILTER_VARIABLE).ok().filter(|filter| !filter.is_empty())
}

/// A line, in whichever format is asked for at the moment.
struct Form {
    is_json: Arc<AtomicBool>,
    text: Format<Full>,
    json: Format<Json>,
}

impl<S, N> FormatEvent<S, N> for Form
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.is_json.load(Ordering::Relaxed) {
            self.json.format_event(context, writer, event)
        } else {
            self.text.format_event(context, writer, event)
        }
    }
}
