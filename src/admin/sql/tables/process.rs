//! What the process keeps, counts and was told.

use std::sync::Arc;

use super::super::Console;
use super::super::answer::{Cell, Row};
use super::super::digest::digest;
use super::{Form, number, text};

pub static STATEMENTS: Form = Form {
    name: "STATEMENTS",
    about: "the different prepared statements that clients hold",
    columns: &[
        text("statement", "its text with a ? for each literal, cut when it is long"),
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
                let text = String::from_utf8_lossy(&statement.text);
                let row = vec![
                    Cell::text(&digest(&text)),
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
