//! report.md and its charts, from what is known so far: written anew after each round, so that a run
//! that is broken off has its figures.

use std::{fmt::Write as _, fs, path::Path};

use crate::{
    chart::{Chart, Group},
    machine,
    peers::{Kind, Peer},
    results::{Cell, Figures, Results},
    settings::Settings,
    targets,
    works::{self, Work},
};

pub struct Report<'a> {
    pub settings: &'a Settings,
    pub peers: &'a [Peer],
    /// Peers that could not be had, and why.
    pub missing: &'a [String],
    pub results: &'a Results,
}

impl Report<'_> {
    pub fn write(&self, folder: &Path) -> Result<(), String> {
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|why| format!("{}: {why}", path.display()))
        };
        fs::create_dir_all(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
        let mut charts = self.charts();
        charts.retain(|(_, chart)| !chart.is_empty());
        let mut text = self.head();
        for (name, chart) in &charts {
            let _ = writeln!(text, "![{}]({name})\n", chart.title());
        }
        self.targets(&mut text);
        for work in &works::ALL {
            self.work(&mut text, work);
        }
        self.herds(&mut text);
        write("report.md", text)?;
        for (name, chart) in charts {
            write(name, chart.svg())?;
        }
        Ok(())
    }

    fn head(&self) -> String {
        let (date, commit) = machine::when();
        let mut text = format!(
            "# Tidegate and its peers\n\n{date}, Tidegate at {commit}, {} of {} s for each work \
             through each peer, in turn; medians of them. Server, proxies and clients share one \
             machine and loopback:\n\n",
            match self.settings.rounds {
                1 => "1 round".to_owned(),
                rounds => format!("{rounds} rounds"),
            },
            self.settings.length.as_secs()
        );
        for line in machine::describe() {
            let _ = writeln!(text, "- {line}");
        }
        let _ = writeln!(text, "- load average when this was written: {}\n", machine::load());
        text.push_str("| peer | version | how it is set up |\n|---|---|---|\n");
        for peer in self.peers {
            let _ = writeln!(text, "| {} | {} | {} |", peer.kind.name(), peer.version, peer.setup);
        }
        for missing in self.missing {
            let _ = write!(text, "\nWithout {missing}\n");
        }
        text.push('\n');
        text
    }

    fn targets(&self, text: &mut String) {
        text.push_str("## Targets\n\n| work | target | Tidegate | met |\n|---|---|---|---|\n");
        for target in targets::all(self.results) {
            let met = match target.met {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "not measured",
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {met} |",
                target.work, target.wanted, target.figure
            );
        }
        text.push('\n');
    }

    fn work(&self, text: &mut String, work: &Work) {
        let cells = || {
            let cell = |peer: &Peer| Some((peer.kind, self.results.cell(work.name, peer.kind)?));
            self.peers.iter().filter_map(cell)
        };
        if cells().next().is_none() {
            return;
        }
        let _ = writeln!(
            text,
            "## {}: {}\n\n| | {} a second | to direct | p50 ms | p95 ms | p99 ms | CPU µs a query | \
             server's CPU µs | switches a query | calls a query | errors | connections |\n\
             |---|---|---|---|---|---|---|---|---|---|---|---|",
            work.name, work.title, work.unit
        );
        for (kind, cell) in cells() {
            let _ = writeln!(text, "{}", self.line(work, kind, cell));
        }
        text.push('\n');
        for (kind, cell) in cells() {
            for note in &cell.notes {
                let _ = writeln!(text, "- {}: {note}", kind.name());
            }
            if let Some(resumed) = cell.median_some(|figures| figures.resumed) {
                let _ = writeln!(text, "- {}: {resumed:.0} % of handshakes resumed", kind.name());
            }
        }
        text.push('\n');
    }

    fn line(&self, work: &Work, kind: Kind, cell: &Cell) -> String {
        let of = |decimals: usize, of: fn(&Figures) -> f64| shown(cell.median(of), decimals);
        let ratio = self
            .results
            .ratio((work.name, kind), (work.name, Kind::Direct), |figures| Some(figures.rate));
        let calls = cell.calls.map_or("–".to_owned(), |calls| {
            format!("{:.1} + {:.1}", calls.others, calls.waiting)
        });
        let columns = [
            kind.name().to_owned(),
            of(0, |figures| figures.rate),
            shown(ratio, 2),
            millis(cell.median(|figures| figures.p50)),
            millis(cell.median(|figures| figures.p95)),
            millis(cell.median(|figures| figures.p99)),
            shown(cell.median_some(|figures| figures.cpu), 1),
            of(1, |figures| figures.server_cpu),
            shown(cell.median_some(|figures| figures.switches), 2),
            calls,
            cell.errors().to_string(),
            cell.peak().to_string(),
        ];
        format!("| {} |", columns.join(" | "))
    }

    fn herds(&self, text: &mut String) {
        if self.results.herds.is_empty() {
            return;
        }
        text.push_str(
            "## herd: idle clients\n\n| | clients | | resident bytes a client | CPU at rest, % of a \
             core |\n|---|---|---|---|---|\n",
        );
        for herd in &self.results.herds {
            let (bytes, rest) = match &herd.figures {
                Ok(figures) => {
                    (format!("{:.0}", figures.bytes_each), format!("{:.2}", figures.rest_percent))
                }
                Err(why) => (why.clone(), "–".to_owned()),
            };
            let tls = if herd.tls { "TLS" } else { "plain" };
            let _ = writeln!(
                text,
                "| {} | {} | {tls} | {bytes} | {rest} |",
                herd.kind.name(),
                herd.clients
            );
        }
        text.push('\n');
    }

    fn charts(&self) -> Vec<(&'static str, Chart)> {
        let groups = |of: &dyn Fn(&Work, Kind, &Cell) -> Option<f64>| {
            let group = |work: &Work| {
                let bar = |peer: &Peer| {
                    let cell = self.results.cell(work.name, peer.kind)?;
                    Some((peer.kind, of(work, peer.kind, cell)?))
                };
                let bars: Vec<_> = self.peers.iter().filter_map(bar).collect();
                (!bars.is_empty()).then(|| Group { label: work.name.to_owned(), bars })
            };
            works::ALL.iter().filter_map(group).collect()
        };
        let throughput = groups(&|work, kind, _| {
            let (this, direct) = ((work.name, kind), (work.name, Kind::Direct));
            self.results.ratio(this, direct, |figures| Some(figures.rate))
        });
        // Where a reply is much longer than a query, the others' bars would be dots beside it.
        let cpu = groups(&|work, _, cell| {
            work.replies_are_small().then(|| cell.median_some(|figures| figures.cpu))?
        });
        let latency = groups(&|work, _, cell| {
            (work.name != "over_1000").then(|| cell.median(|figures| figures.p99))?
        });
        vec![
            ("throughput.svg", Chart::new("Throughput, as a share of direct", "×", 2, throughput)),
            ("cpu.svg", Chart::new("CPU time of the proxy a query", "µs", 0, cpu)),
            ("latency.svg", Chart::new("99 of 100 are served within", "ms", 2, latency)),
            ("memory.svg", Chart::new("Resident memory an idle client", "KB", 1, self.memory())),
        ]
    }

    fn memory(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for herd in &self.results.herds {
            let Ok(figures) = &herd.figures else { continue };
            let tls = if herd.tls { ", TLS" } else { "" };
            let label = format!("{} clients{tls}", herd.clients);
            let bar = (herd.kind, figures.bytes_each / 1024.0);
            match groups.iter_mut().find(|group| group.label == label) {
                Some(group) => group.bars.push(bar),
                None => groups.push(Group { label, bars: vec![bar] }),
            }
        }
        groups
    }
}

/// Three digits of it.
fn millis(value: Option<f64>) -> String {
    let decimals = match value {
        Some(value) if value < 1.0 => 3,
        Some(value) if value < 10.0 => 2,
        _ => 1,
    };
    shown(value, decimals)
}

fn shown(value: Option<f64>, decimals: usize) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.decimals$}"))
}
