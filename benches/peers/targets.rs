//! What Tidegate is held to, each target with its figure.

use crate::{
    peers::Kind,
    results::{Figures, Results},
};

pub struct Target {
    pub work: &'static str,
    pub wanted: String,
    pub figure: String,
    /// `None`: not measured here.
    pub met: Option<bool>,
}

impl Target {
    fn new(work: &'static str, wanted: String, figure: Option<(String, bool)>) -> Self {
        let (figure, met) = match figure {
            Some((figure, met)) => (figure, Some(met)),
            None => ("–".to_owned(), None),
        };
        Self { work, wanted, figure, met }
    }
}

/// The idle herd the memory targets speak of; others are measured, but not held to them.
const HERD: usize = 18_000;
const PLAIN_BYTES: f64 = 2048.0;
const TLS_BYTES: f64 = 12.0 * 1024.0;
const REST_PERCENT: f64 = 0.1;

pub fn all(results: &Results) -> Vec<Target> {
    let mut targets = Vec::new();
    let cpu = |figures: &Figures| figures.cpu;
    let rate = |figures: &Figures| Some(figures.rate);
    for (kind, most) in [(Kind::HaProxy, 1.0), (Kind::ProxySql, 0.8), (Kind::Router, 0.4)] {
        targets.push(at_most(results, "point_text_16", "CPU a query", kind, most, cpu));
    }
    targets.push(at_most(results, "point_prepared_16", "CPU a query", Kind::HaProxy, 1.1, cpu));
    for work in ["point_text_16", "point_prepared_16"] {
        for (kind, least) in [(Kind::HaProxy, 1.0), (Kind::ProxySql, 1.1), (Kind::Router, 2.0)] {
            targets.push(at_least(results, work, "throughput", kind, least, rate));
        }
    }
    for (work, kind, least) in [
        ("read_write", Kind::ProxySql, 1.0),
        ("read_write", Kind::HaProxy, 0.95),
        ("storm_plain", Kind::Direct, 2.0),
        ("storm_plain", Kind::ProxySql, 1.3),
        ("big_rows", Kind::HaProxy, 0.95),
    ] {
        targets.push(at_least(results, work, "throughput", kind, least, rate));
    }
    targets.extend(["point_text_1", "point_prepared_1"].map(|work| added_latency(results, work)));
    targets.extend(oversubscribed(results));
    targets.extend(herds(results));
    targets.extend(["point_text_16", "point_prepared_16"].map(|work| system_calls(results, work)));
    targets
}

fn at_most(
    results: &Results,
    work: &'static str,
    what: &str,
    kind: Kind,
    most: f64,
    of: impl Fn(&Figures) -> Option<f64>,
) -> Target {
    let ratio = results.ratio((work, Kind::Tidegate), (work, kind), of);
    let figure = ratio.map(|ratio| (format!("{ratio:.2}"), ratio <= most));
    Target::new(work, format!("{what} ≤ {most} × {}", kind.name()), figure)
}

fn at_least(
    results: &Results,
    work: &'static str,
    what: &str,
    kind: Kind,
    least: f64,
    of: impl Fn(&Figures) -> Option<f64>,
) -> Target {
    let ratio = results.ratio((work, Kind::Tidegate), (work, kind), of);
    let figure = ratio.map(|ratio| (format!("{ratio:.2}"), ratio >= least));
    Target::new(work, format!("{what} ≥ {least} × {}", kind.name()), figure)
}

fn added_latency(results: &Results, work: &'static str) -> Target {
    let p50 = |kind| results.cell(work, kind)?.median(|figures| figures.p50);
    let figure = p50(Kind::Direct).zip(p50(Kind::HaProxy)).zip(p50(Kind::Tidegate));
    let figure = figure.map(|((direct, haproxy), tidegate)| {
        let (own, its) = (tidegate - direct, haproxy - direct);
        (format!("{:.0} µs, haproxy {:.0} µs", own * 1000.0, its * 1000.0), own <= its)
    });
    Target::new(work, "p50 added to direct ≤ haproxy's".to_owned(), figure)
}

fn oversubscribed(results: &Results) -> [Target; 2] {
    let (many, few) = (("over_1000", Kind::Tidegate), ("over_16", Kind::Tidegate));
    let ratio = results.ratio(many, few, |figures| Some(figures.rate));
    let throughput = ratio.map(|ratio| (format!("{ratio:.2}"), ratio >= 0.95));
    let cell = results.cell("over_1000", Kind::Tidegate);
    let errors = cell.and_then(|cell| {
        let p99 = cell.median(|figures| figures.p99)?;
        Some((format!("{} errors, p99 {p99:.1} ms", cell.errors()), cell.errors() == 0))
    });
    [
        Target::new("over_1000", "throughput ≥ 0.95 × that of over_16".to_owned(), throughput),
        Target::new("over_1000", "no error".to_owned(), errors),
    ]
}

fn herds(results: &Results) -> [Target; 3] {
    let of = |tls: bool| {
        let herd = results
            .herds
            .iter()
            .filter(|herd| herd.kind == Kind::Tidegate && herd.tls == tls)
            .max_by_key(|herd| herd.clients)?;
        Some((herd.clients, herd.figures.as_ref().ok()?))
    };
    let at = |clients: usize| {
        if clients >= HERD * 95 / 100 { String::new() } else { format!(" (at {clients})") }
    };
    let bytes = |tls: bool, most: f64| {
        let (clients, figures) = of(tls)?;
        let figure = format!("{:.0} bytes{}", figures.bytes_each, at(clients));
        Some((figure, figures.bytes_each <= most))
    };
    let rest = of(false).map(|(clients, figures)| {
        let figure = format!("{:.2} %{}", figures.rest_percent, at(clients));
        (figure, figures.rest_percent <= REST_PERCENT)
    });
    let wanted =
        |bytes: f64, what: &str| format!("≤ {bytes} bytes resident a {what} client of {HERD}");
    [
        Target::new("herd", wanted(PLAIN_BYTES, "plain"), bytes(false, PLAIN_BYTES)),
        Target::new("herd", wanted(TLS_BYTES, "TLS"), bytes(true, TLS_BYTES)),
        Target::new("herd", format!("CPU at rest ≤ {REST_PERCENT} % of a core"), rest),
    ]
}

fn system_calls(results: &Results, work: &'static str) -> Target {
    let calls = |kind| {
        let calls = results.cell(work, kind)?.calls?;
        Some(calls.others + calls.waiting)
    };
    let figure = calls(Kind::Tidegate)
        .zip(calls(Kind::HaProxy))
        .map(|(own, its)| (format!("{own:.1}, haproxy {its:.1}"), own <= its));
    Target::new(work, "system calls a query ≤ haproxy's".to_owned(), figure)
}
