//! What the allocator wrote down, put in order.
//!
//! Owns the reading of dhat's file. Counts what has a frame of the proxy's in its stack, or is
//! nobody's; what the test's own client takes is left out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use tempfile::TempDir;

/// Open, it writes down every allocation of the process.
pub struct Books {
    profiler: dhat::Profiler,
    file: PathBuf,
    _folder: TempDir,
}

/// Which allocations count.
#[derive(Clone, Copy)]
pub enum Of {
    All,
    /// Those that were not freed when the books were closed.
    Live,
}

/// By the frames of the proxy that led to it, innermost first.
pub struct Sites(BTreeMap<String, Site>);

#[derive(Default)]
struct Site {
    all: Sum,
    live: Sum,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    blocks: u64,
    bytes: u64,
}

/// <https://valgrind.org/docs/manual/dh-manual.html>, as dhat 0.3 writes it.
#[derive(Deserialize)]
struct Written {
    pps: Vec<Point>,
    /// `address: function (file:line:column)`
    ftbl: Vec<String>,
}

#[derive(Deserialize)]
struct Point {
    tb: u64,
    tbk: u64,
    eb: u64,
    ebk: u64,
    fs: Vec<usize>,
}

impl Books {
    pub fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("heap.json");
        // Whole stacks: what a runtime's task allocates has the proxy's frames far out.
        let profiler = dhat::Profiler::builder().file_name(&file).trim_backtraces(None).build();
        Self { profiler, file, _folder: folder }
    }

    pub fn close(self) -> Sites {
        drop(self.profiler);
        let written = fs::read(&self.file).expect("dhat wrote its file");
        let written: Written = serde_json::from_slice(&written).expect("as dhat 0.3 writes it");
        let mut sites = BTreeMap::<String, Site>::new();
        for point in &written.pps {
            let frames = point.fs.iter().filter_map(|frame| written.ftbl.get(*frame));
            let Some(place) = place(frames.map(String::as_str)) else { continue };
            let site = sites.entry(place).or_default();
            site.all.add(point.tbk, point.tb);
            site.live.add(point.ebk, point.eb);
        }
        Sites(sites)
    }
}

impl Sum {
    fn add(&mut self, blocks: u64, bytes: u64) {
        self.blocks += blocks;
        self.bytes += bytes;
    }
}

impl Sites {
    pub fn blocks(&self, of: Of) -> u64 {
        self.0.values().map(|site| site.sum(of).blocks).sum()
    }

    pub fn bytes(&self, of: Of) -> u64 {
        self.0.values().map(|site| site.sum(of).bytes).sum()
    }

    /// Divided by `each`, most bytes first; what is less than a hundredth of a block is left out.
    pub fn table(&self, each: u32, of: Of) -> String {
        let per = |sum: u64| sum as f64 / f64::from(each);
        let mut sites: Vec<_> = self.0.iter().map(|(place, site)| (place, site.sum(of))).collect();
        sites.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.bytes));
        let mut table = String::new();
        for (place, sum) in sites.into_iter().filter(|(_, sum)| per(sum.blocks) >= 0.01) {
            let _ = writeln!(table, "{:8.2} {:9.1}  {place}", per(sum.blocks), per(sum.bytes));
        }
        let _ = writeln!(table, "{:8.2} {:9.1}  in all", per(self.blocks(of)), per(self.bytes(of)));
        table
    }
}

impl Site {
    fn sum(&self, of: Of) -> Sum {
        match of {
            Of::All => self.all,
            Of::Live => self.live,
        }
    }
}

/// `None`: the client's own.
fn place<'a>(frames: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut below = None;
    let mut proxy = Vec::new();
    for frame in frames {
        let frame = frame.split_once(": ").map_or(frame, |(_, rest)| rest);
        if frame.starts_with("allocations::") || frame.starts_with("<allocations::") {
            return None;
        }
        if frame.starts_with("tidegate::") || frame.starts_with("<tidegate::") {
            proxy.push(short(frame));
        } else if proxy.is_empty() && !is_plumbing(frame) {
            below.get_or_insert_with(|| short(frame));
        }
    }
    proxy.dedup();
    proxy.truncate(3);
    let place = below.into_iter().chain(proxy).collect::<Vec<_>>();
    Some(if place.is_empty() {
        "nobody's".to_owned()
    } else {
        place.join("\n                    < ")
    })
}

/// The standard library's, on the way from whoever allocates to the allocator.
fn is_plumbing(frame: &str) -> bool {
    let frame = frame.trim_start_matches('<');
    ["alloc::", "core::", "std::", "dhat::", "__rust", "__rustc", "hashbrown::", "backtrace::"]
        .iter()
        .any(|library| frame.starts_with(library))
}

/// Without the column.
fn short(frame: &str) -> String {
    let frame = frame.trim_end_matches(')');
    frame.rsplit_once(':').map_or(frame, |(rest, _)| rest).to_owned() + ")"
}
