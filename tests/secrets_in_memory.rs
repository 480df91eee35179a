//! The promise: what is retired is nowhere, neither in the memory of the process nor in its log; and
//! what is in force is where it has to be, and not in the log.
//!
//! The whole memory of the running proxy is searched, as somebody would who has a core of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole")]

mod support;

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    time::Duration,
};

use memchr::memmem;
use support::{
    client::{Login, RawClient},
    fake::{Fake, Line, login_with},
    tidegate::{Config, Tidegate},
    wait_for,
};

const SOON: Duration = Duration::from_secs(20);

/// Long and of chance, so that nothing else is it.
fn password(name: &str) -> String {
    let random: String = (0..24).map(|_| fastrand::alphanumeric()).collect();
    format!("{name}-{random}")
}

fn secrets(app: &str, ops: &str) -> String {
    format!(
        "[[user]]\nusername = \"app\"\npassword = \"{app}\"\n\n\
         [[admin]]\nusername = \"ops\"\npassword = \"{ops}\"\n"
    )
}

fn work(tidegate: &Tidegate, password: &str) {
    let mut client = RawClient::login(tidegate.address(), &Login::new("app", password)).unwrap();
    client.query("SELECT 1").unwrap();
}

#[test]
fn what_is_retired_is_nowhere() {
    let fake = Fake::start();
    let words: Vec<String> = ["first", "second", "third", "fourth"].map(password).to_vec();
    let (ops, next_ops) = (password("ops"), password("next-ops"));
    let guess = password("guess");
    let config = Config::new()
        .target("primary", &fake.address())
        .secret(&format!("username = \"app\"\npassword = \"{}\"", words[0]))
        .admin(&format!("username = \"ops\"\npassword = \"{ops}\""));
    let tidegate = Tidegate::start_unready(config);
    wait_for("Tidegate to listen", SOON, || RawClient::greet(tidegate.address()).ok());

    guess_in_clear(&tidegate, &guess);
    RawClient::login(tidegate.sql_address(), &Login::new("ops", &ops)).unwrap();
    for (generation, word) in (1u32..).zip(&words) {
        let admin = if generation == 1 { &ops } else { &next_ops };
        tidegate.write_secrets(&secrets(word, admin));
        tidegate
            .until_metric("tidegate_secrets_generation", SOON, |now| now == f64::from(generation));
        work(&tidegate, word);
    }
    RawClient::login(tidegate.sql_address(), &Login::new("ops", &next_ops)).unwrap();
    // Who still runs with an old one is gone.
    tidegate.until_metric("tidegate_client_connections", SOON, |now| now == 0.0);

    // The one before the current is remembered for servers that lag behind.
    let [first, second, _, fourth] = words.as_slice() else { panic!("four") };
    let found = search(tidegate.pid(), &[fourth, &next_ops, first, second, &ops]);
    let (there, gone) = found.split_at(2);
    assert!(there.iter().all(|count| *count > 0), "the search finds what is there: {found:?}");
    assert_eq!(gone, [0; 3], "first, second, ops");
    let log = tidegate.log();
    for word in words.iter().chain([&ops, &next_ops, &guess]) {
        assert!(!log.contains(word.as_str()), "{log}");
    }
}

/// A client that sends its password as it is.
fn guess_in_clear(tidegate: &Tidegate, guess: &str) {
    let mut line = Line::connect(&tidegate.address());
    line.hear().unwrap();
    let clear = [guess.as_bytes(), b"\0"].concat();
    let login = login_with(&Login::new("app", ""), &clear, "mysql_clear_password");
    line.say(&login).unwrap();
    // Asked for another answer, it says the same.
    line.hear().unwrap();
    line.say(&clear).unwrap();
    let _ = line.hear();
}

const PIECE: usize = 64 << 10;
const EDGE: usize = 64;

/// How often each is in the memory of a process.
fn search(pid: u32, words: &[&String]) -> Vec<usize> {
    let mut memory = File::open(format!("/proc/{pid}/mem")).expect("the memory of a child");
    let mut found = vec![0; words.len()];
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut searched = 0;
    for line in maps.lines().filter(|line| !line.contains("[v")) {
        let mut words_of_line = line.split_whitespace();
        let (range, mode) = (words_of_line.next().unwrap(), words_of_line.next().unwrap());
        if !mode.starts_with('r') {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let address = |hex| u64::from_str_radix(hex, 16).unwrap();
        let (from, to) = (address(from), address(to));
        let mut at = from;
        while at < to {
            // What stands across the edge of a piece is in the next one too.
            let len = usize::try_from(to - at).unwrap().min(PIECE + EDGE);
            let mut bytes = vec![0; len];
            memory.seek(SeekFrom::Start(at)).unwrap();
            // Some are gone by now, or behind the end of their file.
            if memory.read_exact(&mut bytes).is_ok() {
                searched += len;
                for (count, word) in found.iter_mut().zip(words) {
                    *count += memmem::find_iter(&bytes, word.as_bytes()).count();
                }
            }
            at += PIECE as u64;
        }
    }
    assert!(searched > 1 << 20, "{searched} bytes");
    found
}
