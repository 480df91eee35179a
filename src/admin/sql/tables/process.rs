//! What the process keeps, counts and was told.

use std::sync::Arc;

use super::super::Console;
use super::super::answer::{Cell, Row};
use super::{Form, number, text};
use crate::session::hints::Hints;
use crate::session::{Digest, KindView, Statement};

pub static STATEMENTS: Form = Form {
    name: "STATEMENTS",
    about: "the different prepared statements that clients hold",
    columns: &[
        text("statement", "as in SHOW DIGESTS: no value of it is shown"),
        text("schema", "the one it was prepared under"),
        number("held", "how often: a client may have it more than once"),
        number("bytes", "how long its text is"),
    ],
    rows: |console| {
        let statements = console.rooms.library.statements();
        let mut rows: Vec<(usize, Row)> = statements
            .iter()
            .map(|statement| {
                // One of them is ours.
                let held = Arc::strong_count(statement).saturating_sub(1);
                let row = vec![
                    Cell::text(&shown(statement)),
                    statement.state.schema().into(),
                    Cell::number(held),
                    Cell::number(statement.text.len()),
                ];
                (held, row)
            })
            .collect();
        rows.sort_by_key(|(held, _)| std::cmp::Reverse(*held));
        rows.into_iter().map(|(_, row)| row).collect()
    },
};

/// Its text without values, where it can be read in one way only: whether a backslash escapes is not
/// known here.
fn shown(statement: &Statement) -> String {
    let read = |escapes| Digest::of(&statement.text, escapes).text().into_owned();
    let one = read(true);
    if statement.reading.hints.contains(Hints::UNREADABLE) || one != read(false) {
        return "(unreadable)".to_owned();
    }
    one
}

pub static DIGESTS: Form = Form {
    name: "DIGESTS",
    about: "what statements are like and how long they take, of one in sixteen; the costliest first",
    columns: &[
        text("digest", "a short name of the statement below, the same on every Tidegate"),
        text(
            "statement",
            "its text with a ? for each literal and ... for a list, cut when it is long",
        ),
        number("timed", "how many were looked at since the start: one in sixteen of each client"),
        number("errors", "of those, how many ended in an error of the target's"),
        number("total_us", "how long those took together, as the client sees it, in microseconds"),
        number("mean_us", "how long one of them took"),
        number("p95_us", "how long all but a twentieth took at most, to a factor of two"),
        number("worst_us", "how long the longest took"),
    ],
    rows: |console| {
        let kinds = console.rooms.digests.as_ref().map(|digests| digests.view());
        kinds.unwrap_or_default().iter().map(digest).collect()
    },
};

fn digest(kind: &KindView) -> Row {
    vec![
        Cell::text(&kind.id),
        Cell::text(&kind.text),
        Cell::number(kind.count),
        Cell::number(kind.failed),
        Cell::number(kind.micros),
        Cell::number(kind.mean),
        Cell::number(kind.p95),
        Cell::number(kind.worst),
    ]
}

pub static STATS: Form = Form {
    name: "STATS",
    about: "every metric, as /metrics has it but for the buckets of histograms",
    columns: &[
        text("metric", "its name and labels"),
        text("value", "since the start, or now, as docs/metrics.md says"),
    ],
    rows: |console| {
        let text = console.rooms.metrics.render();
        let said = text.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket{"));
        let row = |(metric, value)| vec![Cell::text(metric), Cell::text(value)];
        said.filter_map(|line| line.rsplit_once(' ')).map(row).collect()
    },
};

pub static CONFIG: Form = Form {
    name: "CONFIG",
    about: "the configuration in force; nothing that may be a secret",
    columns: &[text("key", "as the file has it"), text("value", "in the file's own notation")],
    rows: |console| {
        let listing = console.rooms.settings.load().listing().into_iter();
        listing.map(|(key, value)| vec![Cell::Text(key), Cell::Text(value)]).collect()
    },
};

pub static VERSION: Form = Form {
    name: "VERSION",
    about: "which Tidegate this is, and how it is",
    columns: &[text("name", "of what is told"), text("value", "what it is")],
    rows: version,
};

fn version(console: &Console) -> Vec<Row> {
    let rooms = &console.rooms;
    let topology = rooms.cluster.view().topology;
    let primary = topology.primary.and_then(|at| rooms.cluster.name_of(at));
    let row = |name: &str, value: Cell| vec![Cell::text(name), value];
    vec![
        row("version", Cell::text(env!("CARGO_PKG_VERSION"))),
        row("process", Cell::text(&std::process::id())),
        row("phase", Cell::text(&rooms.lifecycle.phase())),
        row("uptime_seconds", Cell::text(&console.started.elapsed().as_secs())),
        row("clients", Cell::text(&rooms.registry.len())),
        row("secrets_generation", Cell::text(&rooms.vault.current().number)),
        row("primary", primary.into()),
        row("epoch", Cell::text(&topology.epoch)),
    ]
}
