//! The promise: whoever opens the page sees what is going on, a second later at most.
//!
//! In a real browser, where one is installed. With `TIDEGATE_SCREENSHOTS` set to a folder, what was
//! seen is put there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]

mod support;

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{
    browser::{Browser, Scheme},
    client::{Login, RawClient},
    pair::Pair,
    servers::{Flavor, Options, PASSWORD, Server, USER},
    tidegate::{Config, Tidegate},
    wait_for,
};

const SOON: Duration = Duration::from_secs(20);

fn app(tidegate: &Tidegate) -> RawClient {
    RawClient::login(tidegate.address(), &Login::app()).unwrap()
}

fn status(tidegate: &Tidegate, query: &str) -> Value {
    let (code, body) = tidegate.http(&format!("/status{query}")).unwrap();
    assert_eq!(code, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn until(tidegate: &Tidegate, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, SOON, || Some(status(tidegate, "?history=true")).filter(&is))
}

fn number(page: &Browser, selector: &str) -> f64 {
    page.text(selector).replace(',', "").parse().unwrap_or(-1.0)
}

#[test]
fn status_tells_clients_connections_pins_and_rates() {
    let flavor = Flavor::installed()[0];
    let server = Server::start(flavor, Options::default());
    let tidegate = Tidegate::start(
        Config::to(&server)
            .section("pool", "max_connections = 8")
            .section("client", "max_connections = 77"),
    );
    let mut pinned = app(&tidegate);
    pinned.query("CREATE TEMPORARY TABLE app.t (a INT)").unwrap();
    let mut busy = app(&tidegate);
    for _ in 0..160 {
        busy.query("SELECT 1").unwrap();
    }
    busy.query("BEGIN").unwrap();
    let now = until(&tidegate, "the look-out", |now| {
        let history = now["history"].as_array().unwrap();
        !now["events"].as_array().unwrap().is_empty()
            && history.iter().any(|it| it["p99_ms"].is_number())
    });
    assert_eq!((&now["clients"]["connected"], &now["clients"]["max"]), (&2.into(), &77.into()));
    assert_eq!((&now["phase"], &now["ready"]), (&"running".into(), &true.into()));
    assert_eq!(now["connections"]["max"], 8);
    assert_eq!(now["connections"]["borrowed"], 2);
    let pin = serde_json::json!({"reason": "temporary_table", "now": 1, "total": 1});
    assert_eq!(now["pins"], Value::Array(vec![pin]));
    let target = &now["targets"][0];
    assert_eq!((&target["name"], &target["standing"]), (&"primary".into(), &"primary".into()));
    assert_eq!((&target["up"], &target["pool"]["borrowed"]), (&true.into(), &2.into()));
    assert!(now["totals"]["statements"].as_u64().unwrap() >= 162, "{now}");
    // One in eight.
    let timed = tidegate.metric("tidegate_query_seconds_count");
    assert!((19.0..=21.0).contains(&timed), "{timed}");

    let list = &status(&tidegate, "?clients=1")["client_list"];
    assert_eq!((&list["total"], list["clients"].as_array().unwrap().len()), (&2.into(), 1));
    assert_eq!(list["clients"][0]["activity"], "in transaction", "it comes before the pinned one");
    let list = &status(&tidegate, "?clients=9")["client_list"];
    assert_eq!(list["clients"][1]["pins"], serde_json::json!(["temporary_table"]));
    assert_eq!(list["clients"][1]["user"], "app");
}

#[test]
fn the_page_follows_what_happens() {
    let Some(page) = Browser::start() else { return };
    let flavor = Flavor::installed()[0];
    let server = Server::start(flavor, Options::default());
    let tidegate = Tidegate::start(Config::to(&server).section("pool", "max_connections = 8"));
    page.look(1280, 900, Scheme::Light);
    page.go(&format!("http://127.0.0.1:{}/", tidegate.admin_port()));
    page.until("ready", |page| page.text("#state") == "ready");
    assert_eq!(page.text("#clients"), "0");
    assert!(page.text("#targets").contains("primary"), "{}", page.text("#targets"));

    // A stranger's words are text.
    let evil = "<img src=x onerror=alert(1)>";
    let mut client = RawClient::login(tidegate.address(), &Login::app().program(evil)).unwrap();
    client.query("SELECT GET_LOCK('a', 1)").unwrap();
    page.until("a client", |page| page.text("#clients") == "1");
    page.until("its connection", |page| page.text("#in-use") == "1");
    page.until("its pin", |page| page.text("#pins").contains("user lock"));
    page.run("document.querySelector('#sessions').open = true");
    page.until("the list", |page| page.text("#client-rows").contains("app"));
    assert!(page.text("#client-rows").contains(evil), "{}", page.text("#client-rows"));
    assert_eq!(page.run("return document.querySelectorAll('img').length"), 0);
    page.run("document.querySelector('#kinds').open = true");

    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = End(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                client.query("SELECT 1").unwrap();
            }
        });
        page.until("statements", |page| number(page, "#statements") > 10.0);
        page.until("latency", |page| page.text("#p50").contains("ms"));
        page.until("a line", |page| {
            let drawn = "return document.querySelectorAll('#chart-statements .series').length";
            page.run(drawn) == 2
        });
    });
    page.until("the kinds", |page| page.text("#kind-rows").contains("SELECT ?"));
    drop(client);
    page.until("it to be gone", |page| page.text("#clients") == "0");
    assert_eq!(page.complaints(), [""; 0]);

    // Nothing sticks out to the side on a phone.
    page.look(360, 740, Scheme::Dark);
    let wide = "return document.documentElement.scrollWidth";
    page.until("the narrow page", |page| page.run(wide) == 360);
    drop(tidegate);
    page.until("it to be missed", |page| page.text("#state") == "no connection");
}

#[test]
fn a_failover_is_seen() {
    let Some(page) = Browser::start() else { return };
    let mut pair = Pair::start(Flavor::installed()[0]);
    let config = Config::new()
        .target("first", &pair.first.address())
        .target("second", &pair.second.address())
        .user(USER, PASSWORD)
        .endpoint("reads", "read-only")
        .section("pool", "max_connections = 25\nborrow_timeout = \"20s\"");
    let tidegate = Tidegate::start(config);
    page.look(1280, 1000, Scheme::Light);
    page.go(&format!("http://localhost:{}/", tidegate.admin_port()));
    page.until("the primary", |page| page.text("#targets .primary").starts_with("first"));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _end = End(&over);
        for who in 0..scale(6, 40) {
            let (tidegate, over) = (&tidegate, &over);
            scope.spawn(move || load(tidegate, who, over));
        }
        page.until("statements", |page| number(page, "#statements") > 10.0);
        linger(210);
        shoot(&page, "load");
        pair.first.kill9();
        page.until("nobody", |page| page.text("#events").contains("and nobody is"));
        pair.promote(&pair.second);
        page.until("the next one", |page| page.text("#targets .primary").starts_with("second"));
        page.until("the story", |page| {
            page.text("#events").contains("second is the primary in place of first")
        });
        page.until("the first to be down", |page| page.text("#targets .down").starts_with("first"));
        let marks = "return document.querySelectorAll('#chart-statements .mark').length";
        page.until("the mark", |page| page.run(marks).as_u64() >= Some(1));
        linger(60);
        shoot(&page, "failover");
    });
    let now = status(&tidegate, "");
    assert_eq!(now["topology"]["failovers"], 1);
    assert_eq!(now["topology"]["primary"], "second");
    assert_eq!(page.complaints(), [""; 0]);
}

/// However a test ends, those who work for it do.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a web application does: a few statements, some in a transaction, and a pause.
fn load(tidegate: &Tidegate, who: usize, over: &AtomicBool) {
    let names = ["shop-api", "billing", "search", "reports", "lambda"];
    let login = Login::app().program(names[who % names.len()]);
    let enter = || {
        while !over.load(Ordering::Relaxed) {
            if let Ok(client) = RawClient::login(tidegate.address(), &login) {
                return Some(client);
            }
            thread::sleep(Duration::from_millis(100));
        }
        None
    };
    let Some(mut client) = enter() else { return };
    let began = Instant::now();
    let mut turn = who;
    while !over.load(Ordering::Relaxed) {
        turn += 1;
        let sql = match turn % 40 {
            0 => "SELECT GET_LOCK('nightly', 0)",
            1 => "SELECT SLEEP(0.05)",
            2 => "SELECT RELEASE_ALL_LOCKS()",
            3 => "BEGIN",
            4..6 => "INSERT INTO app.w VALUES (1, 1)",
            6 => "COMMIT",
            _ => "SELECT id FROM app.w LIMIT 5",
        };
        if client.query(sql).is_err() {
            match enter() {
                Some(next) => client = next,
                None => return,
            }
        }
        // More at some times than at others.
        let swell = (began.elapsed().as_secs_f64() / 9.0).sin().mul_add(0.6, 1.0);
        thread::sleep(Duration::from_secs_f64(swell * 0.02));
    }
}

fn folder() -> Option<PathBuf> {
    std::env::var_os("TIDEGATE_SCREENSHOTS").map(PathBuf::from)
}

/// More of it where pictures are taken.
fn scale(few: usize, many: usize) -> usize {
    if folder().is_some() { many } else { few }
}

fn linger(seconds: u64) {
    if folder().is_some() {
        thread::sleep(Duration::from_secs(seconds));
    }
}

fn shoot(page: &Browser, name: &str) {
    let Some(folder) = folder() else { return };
    for (look, width, scheme) in [
        ("light", 1280, Scheme::Light),
        ("dark", 1280, Scheme::Dark),
        ("phone-light", 390, Scheme::Light),
        ("phone-dark", 390, Scheme::Dark),
    ] {
        page.look(width, 900, scheme);
        let tall = page.run("return document.documentElement.scrollHeight");
        page.look(width, tall.as_u64().unwrap() as u32, scheme);
        thread::sleep(Duration::from_millis(1500));
        fs::write(folder.join(format!("{name}-{look}.png")), page.screenshot()).unwrap();
    }
}
