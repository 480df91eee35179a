//! The promise: whoever knocks at the door, or guesses, keeps nobody out who has a key.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]

mod support;

use std::{
    thread,
    time::{Duration, Instant},
};

use support::{
    client::{Error, Login, RawClient},
    fake::Fake,
    tidegate::{Config, Tidegate},
    wait_for,
};

const SOON: Duration = Duration::from_secs(5);

/// A login touches no server.
fn start(client: &str) -> (Fake, Tidegate) {
    let fake = Fake::start();
    let config = Config::new()
        .target("primary", &fake.address())
        .user("app", "right")
        .user("other", "right")
        .section("client", client);
    let tidegate = Tidegate::start_unready(config);
    wait_for("Tidegate to listen", SOON, || RawClient::greet(tidegate.address()).ok());
    tidegate.until_metric("tidegate_client_logging_in", SOON, |now| now == 0.0);
    (fake, tidegate)
}

fn log_in(tidegate: &Tidegate, user: &str, password: &str) -> Result<RawClient, Error> {
    RawClient::login(tidegate.address(), &Login::new(user, password))
}

fn logins(tidegate: &Tidegate, outcome: &str) -> f64 {
    tidegate.metrics()[&format!("tidegate_logins_total{{outcome=\"{outcome}\"}}")]
}

#[test]
fn those_who_only_knock_take_no_place_from_those_who_are_in() {
    let (_fake, tidegate) = start("max_connections = 2");
    let knocking: Vec<RawClient> =
        (0..20).map(|_| RawClient::greet(tidegate.address()).unwrap()).collect();
    tidegate.until_metric("tidegate_client_logging_in", SOON, |now| now == 20.0);
    let inside =
        [log_in(&tidegate, "app", "right").unwrap(), log_in(&tidegate, "app", "right").unwrap()];
    assert_eq!(log_in(&tidegate, "app", "right").err().unwrap().code(), 1040);
    // One that was greeted when there was room, and logs in when there is none.
    let mut late = knocking.into_iter().next().unwrap();
    assert_eq!(late.answer(&Login::new("app", "right")).err().unwrap().code(), 1040);
    drop(inside);
    wait_for("a place", SOON, || log_in(&tidegate, "app", "right").ok());
}

#[test]
fn whoever_takes_longest_to_log_in_makes_room() {
    let (_fake, tidegate) = start("max_logging_in = 5\nlogin_timeout = \"60s\"");
    let mut knocking: Vec<RawClient> =
        (0..5).map(|_| RawClient::greet(tidegate.address()).unwrap()).collect();
    // They have only just come: the next is refused, as they may be honest.
    assert_eq!(log_in(&tidegate, "app", "right").err().unwrap().code(), 1040);
    thread::sleep(Duration::from_millis(1100));
    for _ in 0..3 {
        log_in(&tidegate, "app", "right").unwrap();
    }
    assert!(matches!(knocking[0].read_packet(), Err(Error::Io(_))), "cut without a word");
    assert_eq!(logins(&tidegate, "crowded"), 1.0, "one made room for three, one after the other");
    knocking[1].answer(&Login::new("app", "right")).unwrap();
}

#[test]
fn a_guesser_waits_and_nobody_else_behind_the_same_address() {
    let (_fake, tidegate) = start("failed_login_delay = \"2s\"");
    let timed = |password: &str| {
        let started = Instant::now();
        let told = log_in(&tidegate, "app", password);
        (told.map(drop).map_err(|error| error.code()), started.elapsed())
    };
    for _ in 0..3 {
        let (told, took) = timed("wrong");
        assert_eq!(told, Err(1045));
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    thread::scope(|scope| {
        let guessing: Vec<_> = (0..10).map(|_| scope.spawn(|| timed("wrong"))).collect();
        tidegate.until_metric("tidegate_logins_delayed_total", SOON, |delayed| delayed == 10.0);
        let (told, took) = timed("right");
        assert_eq!(told, Ok(()));
        assert!(took < Duration::from_secs(1), "{took:?}");
        for guess in guessing {
            let (told, took) = guess.join().unwrap();
            assert_eq!(told, Err(1045));
            assert!(took >= Duration::from_secs(2), "{took:?}");
        }
    });
    // Nor is a user that there is told from one that there is not.
    let started = Instant::now();
    assert_eq!(log_in(&tidegate, "nobody", "wrong").err().unwrap().code(), 1045);
    assert!(started.elapsed() >= Duration::from_secs(2));
}

#[test]
fn a_user_may_be_blocked_from_an_address_where_that_is_asked_for() {
    let (_fake, tidegate) = start("max_failed_logins = 3\nfailed_login_delay = \"0s\"");
    for _ in 0..3 {
        assert_eq!(log_in(&tidegate, "app", "wrong").err().unwrap().code(), 1045);
    }
    let told = log_in(&tidegate, "app", "right").err().unwrap();
    assert_eq!(
        told.to_string(),
        "ERROR 1129 (HY000): Host '127.0.0.1' is blocked for user 'app' because of many failed \
         logins (client.max_failed_logins)"
    );
    assert_eq!(logins(&tidegate, "blocked"), 1.0);
    log_in(&tidegate, "other", "right").unwrap();
    assert_eq!(tidegate.metric("tidegate_logins_delayed_total"), 0.0);
}

#[test]
fn one_user_takes_no_more_places_than_are_theirs() {
    let fake = Fake::start();
    let config = Config::new()
        .target("primary", &fake.address())
        .user("app", "right")
        .secret("username = \"many\"\npassword = \"right\"\nmax_connections = 3")
        .secret("username = \"free\"\npassword = \"right\"\nmax_connections = 0")
        .section("client", "max_connections_per_user = 2");
    let tidegate = Tidegate::start_unready(config);
    wait_for("Tidegate to listen", SOON, || RawClient::greet(tidegate.address()).ok());
    let come = |user: &str| log_in(&tidegate, user, "right");
    let mut app = vec![come("app").unwrap(), come("app").unwrap()];
    assert_eq!(
        come("app").err().unwrap().to_string(),
        "ERROR 1226 (42000): User 'app' has exceeded the 'max_user_connections' resource \
         (current value: 2)"
    );
    let many: Vec<RawClient> = (0..3).map(|_| come("many").unwrap()).collect();
    assert_eq!(come("many").err().unwrap().code(), 1226);
    let mut free: Vec<RawClient> = (0..5).map(|_| come("free").unwrap()).collect();
    // Who becomes another is one of those.
    let refused = free[0].change_user(&Login::new("app", "right")).unwrap_err();
    assert_eq!(refused.code(), 1226);
    app[0].change_user(&Login::new("free", "right")).unwrap();
    let again = come("app").unwrap();
    assert_eq!(come("app").err().unwrap().code(), 1226);
    assert_eq!(logins(&tidegate, "user_limit"), 4.0);
    drop((app, many, free, again));
    wait_for("their places", SOON, || come("app").ok());
}
