//! The house stands: each room sees only the floors below its own, and its rules hold.
//!
//! The floors are read from `src/lib.rs`, where they are declared. The sources are read as words,
//! not as text: a comment or a string breaks no rule.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_house_stands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let floors = floors(&fs::read_to_string(root.join("lib.rs")).unwrap());
    assert!(floors.len() >= 15, "the floors in src/lib.rs were not understood: {floors:?}");
    let mut broken = Vec::new();
    for path in sources(&root) {
        let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
        broken.extend(judge(&floors, &name, &fs::read_to_string(&path).unwrap()));
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// A patch that no longer fits would leave `make mutations` with one fault less to find.
#[test]
fn mutations_fit_the_code_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let patches = fs::read_dir(root.join("tests/mutations")).unwrap();
    let patches = patches.map(|entry| entry.unwrap().path());
    let patches: Vec<_> =
        patches.filter(|path| path.extension().is_some_and(|end| end == "patch")).collect();
    assert!(patches.len() >= 5, "{patches:?}");
    for patch in patches {
        let mut git = Command::new("git");
        git.current_dir(root).args(["apply", "--check"]).arg(&patch);
        // Whoever has the sources without git does not run mutations either.
        let Ok(checked) = git.output() else { return };
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{}: {said}", patch.display());
    }
}

type Floors = BTreeMap<String, u32>;

/// Names that only [`PASS`] may be lower than floor 2.
const SOCKET_FLOOR: u32 = 2;
/// Every task is spawned and counted through it.
const PASS: (&str, &str) = ("lifecycle.rs", "tokio_util");
/// What makes a static more than a constant.
const MUTABLE: [&str; 12] = [
    "OnceLock",
    "LazyLock",
    "OnceCell",
    "LazyCell",
    "Mutex",
    "RwLock",
    "ArcSwap",
    "ArcSwapOption",
    "Cell",
    "RefCell",
    "UnsafeCell",
    "DashMap",
];

/// The rooms of each `// Floor N` of the library's root.
fn floors(lib: &str) -> Floors {
    let mut floors = Floors::new();
    let mut floor = None;
    for line in lib.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("// Floor ") {
            floor = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().ok();
        } else if let Some(room) = line.strip_prefix("pub mod ") {
            let floor = floor.unwrap_or_else(|| panic!("{line} stands on no floor"));
            floors.insert(room.trim_end_matches(';').to_owned(), floor);
        }
    }
    floors
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every rule a file breaks; its name is its path under `src/`.
fn judge(floors: &Floors, name: &str, source: &str) -> Vec<String> {
    let module = module(name);
    let words = words(source);
    let room = module.first().map_or("", String::as_str);
    let floor = match (floors.get(room), name) {
        (Some(floor), _) => *floor,
        (None, "lib.rs" | "main.rs") => u32::MAX,
        (None, _) => return vec![format!("{name}: {room} stands on no floor of src/lib.rs")],
    };
    let mut broken = Vec::new();
    let mut told = |line: usize, why: String| broken.push(format!("src/{name}:{line}: {why}"));
    for (line, seen) in rooms_seen(&words, &module, floors) {
        if seen != room && floors[&seen] >= floor {
            told(line, format!("{room} on floor {floor} sees {seen} on floor {}", floors[&seen]));
        }
    }
    for (index, word) in words.iter().enumerate() {
        let text = word.text.as_str();
        let runtime = text == "tokio" || text.starts_with("tokio_");
        if runtime && floor < SOCKET_FLOOR && (name, text) != PASS {
            told(word.line, format!("{text} below floor {SOCKET_FLOOR}"));
        }
        if text == "deadpool" && room != "pool" {
            told(word.line, "deadpool outside pool/".to_owned());
        }
        if text == "unsafe" {
            told(word.line, "unsafe".to_owned());
        }
        if let Some(why) = shared_state(&words[index..]) {
            told(word.line, why);
        }
    }
    broken
}

/// `pool/rack/seat.rs` is `pool::rack::seat`; `pool/mod.rs` is `pool`.
fn module(name: &str) -> Vec<String> {
    let mut parts: Vec<String> =
        name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// Whether what begins here is state of the whole process, or of a thread.
fn shared_state(words: &[Word]) -> Option<String> {
    let text = |index: usize| words.get(index).map_or("", |word| word.text.as_str());
    match (text(0), text(1)) {
        ("lazy_static" | "thread_local", "!") => Some(format!("{}!", text(0))),
        ("static", "mut") => Some("static mut".to_owned()),
        ("static", name) if text(2) == ":" => {
            let ends = |word: &&Word| word.text != "=" && word.text != ";";
            let mut kind = words[3..].iter().take_while(ends);
            let mutable = |word: &&Word| {
                MUTABLE.contains(&word.text.as_str()) || word.text.starts_with("Atomic")
            };
            kind.find(mutable).map(|word| format!("static {name} is a {}", word.text))
        }
        _ => None,
    }
}

/// Every room a file names, by `crate::room`, `crate::{…}`, or enough `super::`.
fn rooms_seen(words: &[Word], module: &[String], floors: &Floors) -> Vec<(usize, String)> {
    let mut seen = Vec::new();
    let mut depth = Inline::default();
    let mut index = 0;
    while index < words.len() {
        depth.pass(words, index);
        let begins = !continues(words, index);
        let at_root = match words[index].text.as_str() {
            "crate" if followed(words, index) => Some(index + 2),
            "super" if begins => climb(words, index, module.len() + depth.modules()),
            _ => None,
        };
        if let Some(start) = at_root {
            let named = named(words, start);
            seen.extend(named.filter(|word| floors.contains_key(&word.text)).map(Word::seen));
        }
        index += 1;
    }
    seen
}

/// Whether a word goes on a path that something other than `self` began.
fn continues(words: &[Word], index: usize) -> bool {
    let before = |steps: usize| index.checked_sub(steps).map(|at| words[at].text.as_str());
    before(1) == Some("::") && before(2) != Some("self")
}

fn followed(words: &[Word], index: usize) -> bool {
    words.get(index + 1).is_some_and(|word| word.text == "::")
}

/// Where the path goes on after `super::super::…`, when that reaches the root of the crate.
fn climb(words: &[Word], mut index: usize, depth: usize) -> Option<usize> {
    let mut steps = 0;
    while words.get(index).is_some_and(|word| word.text == "super") && followed(words, index) {
        steps += 1;
        index += 2;
    }
    (steps >= depth && steps > 0).then_some(index)
}

/// The first name of each path that begins here: one, or those in the braces.
fn named(words: &[Word], start: usize) -> impl Iterator<Item = &Word> {
    let mut found = Vec::new();
    match words.get(start) {
        Some(word) if word.text == "{" => {
            let mut depth = 0;
            for (index, word) in words.iter().enumerate().skip(start) {
                match word.text.as_str() {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    _ if depth == 1 && matches!(&*words[index - 1].text, "{" | ",") => {
                        found.push(word);
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        }
        Some(word) => found.push(word),
        None => {}
    }
    found.into_iter()
}

/// How many `mod x { … }` of its own file a word stands in.
#[derive(Default)]
struct Inline {
    braces: usize,
    opened: Vec<usize>,
}

impl Inline {
    fn pass(&mut self, words: &[Word], index: usize) {
        match words[index].text.as_str() {
            "{" => {
                self.braces += 1;
                if index >= 2 && words[index - 2].text == "mod" {
                    self.opened.push(self.braces);
                }
            }
            "}" => {
                self.opened.retain(|opened| *opened != self.braces);
                self.braces = self.braces.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn modules(&self) -> usize {
        self.opened.len()
    }
}

#[derive(Debug)]
struct Word {
    line: usize,
    text: String,
}

impl Word {
    fn seen(&self) -> (usize, String) {
        (self.line, self.text.clone())
    }
}

/// Identifiers, `::`, and single signs; no comments, no strings, no characters, no lifetimes.
fn words(source: &str) -> Vec<Word> {
    let text: Vec<char> = source.chars().collect();
    let mut words = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < text.len() {
        let skipped = skip(&text[at..]);
        let length = if skipped > 0 { skipped } else { length(&text[at..]) };
        let word = &text[at..at + length];
        if skipped == 0 && !word[0].is_whitespace() {
            let text: String = word.iter().collect();
            words.push(Word { line, text: text.trim_start_matches("r#").to_owned() });
        }
        line += word.iter().filter(|c| **c == '\n').count();
        at += length;
    }
    words
}

fn length(text: &[char]) -> usize {
    match text {
        ['r', '#', rest @ ..] => 2 + name_length(rest),
        [':', ':', ..] => 2,
        _ => name_length(text).max(1),
    }
}

fn name_length(text: &[char]) -> usize {
    text.iter().take_while(|c| c.is_alphanumeric() || **c == '_').count()
}

/// How long the comment, string, character or lifetime is that begins here; 0 for none of them.
fn skip(text: &[char]) -> usize {
    match text {
        ['/', '/', ..] => text.iter().take_while(|c| **c != '\n').count(),
        ['/', '*', ..] => block(text),
        ['"', rest @ ..] | ['b' | 'c', '"', rest @ ..] => {
            text.len() - rest.len() + quoted(rest, '"')
        }
        ['r', rest @ ..] | ['b' | 'c', 'r', rest @ ..] => {
            raw(rest).map_or(0, |length| text.len() - rest.len() + length)
        }
        ['\'', '\\', rest @ ..] | ['b', '\'', '\\', rest @ ..] => {
            text.len() - rest.len() + 1 + quoted(&rest[1..], '\'')
        }
        ['\'', _, '\'', ..] => 3,
        ['b', '\'', _, '\'', ..] => 4,
        ['\'', rest @ ..] => 1 + name_length(rest),
        _ => 0,
    }
}

fn block(text: &[char]) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < text.len() {
        match text[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// To the closing sign and over it.
fn quoted(text: &[char], closing: char) -> usize {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            '\\' => at += 2,
            c if c == closing => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// `#"…"#` with as many signs as there are; not `r#name`.
fn raw(text: &[char]) -> Option<usize> {
    let signs = text.iter().take_while(|c| **c == '#').count();
    if text.get(signs) != Some(&'"') {
        return None;
    }
    let closes = |at: usize| {
        text[at] == '"' && text[at + 1..].iter().take_while(|c| **c == '#').count() >= signs
    };
    let end = (signs + 1..text.len()).find(|at| closes(*at)).unwrap_or(text.len() - 1 - signs);
    Some(end + 1 + signs)
}

/// Each rule catches what breaks it, and nothing else.
mod self_test {
    use super::*;

    fn judged(name: &str, source: &str) -> Vec<String> {
        let floors = floors(
            "// Floor 0: bytes.\npub mod wire;\npub mod config;\npub mod lifecycle;\n\
             // Floor 1: decisions.\npub mod session;\n// Floor 4: seats.\npub mod pool;\n\
             // Floor 5: who.\npub mod cluster;\npub mod registry;\n// Floor 7: wiring.\npub mod app;\n",
        );
        judge(&floors, name, source)
    }

    fn caught(name: &str, source: &str, why: &str) {
        let judged = judged(name, source);
        assert!(judged.iter().any(|said| said.ends_with(why)), "{source}\n{judged:?}");
    }

    fn fine(name: &str, source: &str) {
        assert_eq!(judged(name, source), Vec::<String>::new(), "{source}");
    }

    #[test]
    fn an_import_that_climbs() {
        let why = "src/pool/rack.rs:2: pool on floor 4 sees cluster on floor 5";
        caught("pool/rack.rs", "\nuse crate::cluster::Topology;", why);
        caught("pool/rack.rs", "\nfn f() -> crate::cluster::Topology {}", why);
        caught("pool/rack.rs", "\nuse super::super::cluster::Topology;", why);
        caught("pool/rack.rs", "\nuse self::super::super::cluster::Topology;", why);
        caught("pool/rack.rs", "\nuse crate::{cluster::Topology, wire::Packet};", why);
        caught("pool/rack.rs", "\nuse crate::{wire::{self, Packet}, cluster};", why);
        caught("pool/rack.rs", "\nmod tests { use super::super::super::cluster::X; }", why);
        caught("pool/rack.rs", "\nuse r#crate::cluster;", why);
        caught("pool/mod.rs", "use super::cluster;", "pool on floor 4 sees cluster on floor 5");
        caught("pool/rack.rs", "#[cfg(test)] mod tests { use crate::app::run; }", "app on floor 7");
    }

    #[test]
    fn an_import_along_the_floor() {
        caught(
            "wire/ok.rs",
            "use crate::config::Address;",
            "wire on floor 0 sees config on floor 0",
        );
        caught("registry.rs", "use crate::cluster;", "registry on floor 5 sees cluster on floor 5");
    }

    #[test]
    fn an_import_that_is_fine() {
        fine("pool/rack.rs", "use crate::pool::Seat; use crate::wire::Ok; use super::Seat;");
        fine("pool/rack.rs", "use crate::{session, wire::{cluster, Ok}};");
        fine("pool/rack.rs", "use super::cluster; // pool::cluster");
        fine("registry.rs", "mod tests { use super::cluster; } // its own");
        fine("pool/rack.rs", "// use crate::cluster\n/* crate::cluster /* */ crate::cluster */");
        fine(
            "pool/rack.rs",
            r##"const A: &str = "crate::cluster"; const B: &str = r#""crate::app"#;"##,
        );
        fine("main.rs", "use tidegate::app; use deadpoolish::x; static X: u8 = 1;");
    }

    #[test]
    fn the_runtime_below_the_sockets() {
        caught("session/mod.rs", "use tokio::time::Instant;", "tokio below floor 2");
        caught("wire/ok.rs", "use tokio_util::codec::Decoder;", "tokio_util below floor 2");
        caught("lifecycle.rs", "use tokio::spawn;", "tokio below floor 2");
        caught("lifecycle.rs", "use tokio_rustls::X;", "tokio_rustls below floor 2");
        caught("config/mod.rs", "#[tokio::test] async fn f() {}", "tokio below floor 2");
        fine("lifecycle.rs", "use tokio_util::task::TaskTracker;");
        fine("pool/mod.rs", "use tokio::sync::Semaphore;");
    }

    #[test]
    fn deadpool_outside_the_pool() {
        caught("cluster/mod.rs", "use deadpool::managed::Pool;", "deadpool outside pool/");
        fine("pool/rack.rs", "use deadpool::managed::Pool;");
    }

    #[test]
    fn state_of_the_whole_process() {
        caught("app/mod.rs", "static mut X: u8 = 0;", "static mut");
        caught("app/mod.rs", "static X: OnceLock<u8> = OnceLock::new();", "static X is a OnceLock");
        caught("app/mod.rs", "pub static X: std::sync::Mutex<u8> = y;", "static X is a Mutex");
        caught("app/mod.rs", "static X: AtomicU64 = y;", "static X is a AtomicU64");
        caught("app/mod.rs", "static X: [ArcSwap<u8>; 2] = y;", "static X is a ArcSwap");
        caught("app/mod.rs", "fn f() { static X: LazyLock<u8> = y; }", "static X is a LazyLock");
        caught("app/mod.rs", "lazy_static! { }", "lazy_static!");
        caught("app/mod.rs", "std::thread_local! { }", "thread_local!");
        fine("app/mod.rs", "static X: &str = \"Mutex\"; static Y: [u8; 2] = [0; 2];");
        fine("app/mod.rs", "fn f(x: &'static Mutex<u8>) -> Box<dyn X + 'static> { 'static' }");
        fine("app/mod.rs", "const X: Mutex<u8> = y; struct S { x: Mutex<u8> }");
    }

    #[test]
    fn unsafe_code() {
        caught("app/mod.rs", "fn f() { unsafe { g() } }", "unsafe");
        caught("wire/ok.rs", "let q = '\"'; unsafe {}", "unsafe");
        caught("wire/ok.rs", "let q = '\\''; let r = b'\\\\'; unsafe {}", "unsafe");
        fine("app/mod.rs", "#![forbid(unsafe_code)] // unsafe");
        fine(
            "app/mod.rs",
            "let a = b\"unsafe\"; let b = br##\"unsafe\"# \"##; let c = \"\\\"unsafe\";",
        );
    }

    #[test]
    fn a_room_on_no_floor() {
        caught("attic/mod.rs", "", "attic/mod.rs: attic stands on no floor of src/lib.rs");
    }
}
