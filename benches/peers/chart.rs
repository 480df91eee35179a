//! Bars, grouped by work, a colour for each peer; written as SVG by hand.

use std::fmt::Write as _;

use crate::peers::Kind;

pub struct Chart {
    title: &'static str,
    /// Behind each value.
    unit: &'static str,
    decimals: usize,
    groups: Vec<Group>,
}

pub struct Group {
    pub label: String,
    pub bars: Vec<(Kind, f64)>,
}

const WIDTH: f64 = 860.0;
const LABELS: f64 = 250.0;
const VALUES: f64 = 110.0;
const BAR: f64 = 15.0;
const GAP: f64 = 12.0;
const HEAD: f64 = 66.0;

fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Direct => "#9aa0a6",
        Kind::HaProxy => "#4c78a8",
        Kind::Router => "#e49444",
        Kind::ProxySql => "#8c6bb1",
        Kind::Tidegate => "#2a9d64",
    }
}

impl Chart {
    pub fn new(
        title: &'static str,
        unit: &'static str,
        decimals: usize,
        groups: Vec<Group>,
    ) -> Self {
        Self { title, unit, decimals, groups }
    }

    pub fn title(&self) -> &str {
        self.title
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub fn svg(&self) -> String {
        let height = self.groups.iter().map(height_of).sum::<f64>() + HEAD;
        let mut svg = String::new();
        let _ = writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"16\" y=\"24\" font-size=\"16\" font-weight=\"bold\">{}</text>",
            escaped(self.title)
        );
        self.legend(&mut svg);
        let bars = self.groups.iter().flat_map(|group| &group.bars);
        let largest = bars.map(|(_, value)| *value).fold(0.0, f64::max);
        let mut top = HEAD;
        for group in &self.groups {
            self.group(&mut svg, group, top, largest);
            top += height_of(group);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn legend(&self, svg: &mut String) {
        let shown = |kind: &Kind| {
            self.groups.iter().flat_map(|group| &group.bars).any(|(its, _)| its == kind)
        };
        let mut x = 16.0;
        for kind in Kind::ALL.into_iter().filter(shown) {
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"38\" width=\"12\" height=\"12\" fill=\"{}\"/>\
                 <text x=\"{}\" y=\"48\">{}</text>",
                colour(kind),
                x + 17.0,
                kind.name()
            );
            x += 95.0;
        }
    }

    fn group(&self, svg: &mut String, group: &Group, top: f64, largest: f64) {
        let middle = top + BAR * group.bars.len() as f64 / 2.0 + 4.0;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>",
            LABELS - 10.0,
            escaped(&group.label)
        );
        let mut y = top;
        for (kind, value) in &group.bars {
            let length = (WIDTH - LABELS - VALUES) * value / largest.max(f64::MIN_POSITIVE);
            let _ = writeln!(
                svg,
                "<rect x=\"{LABELS}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\" fill=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{}\" font-size=\"11\">{value:.*} {}</text>",
                BAR - 2.0,
                colour(*kind),
                LABELS + length + 5.0,
                y + BAR - 4.5,
                self.decimals,
                escaped(self.unit),
            );
            y += BAR;
        }
    }
}

fn height_of(group: &Group) -> f64 {
    BAR * group.bars.len() as f64 + GAP
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
