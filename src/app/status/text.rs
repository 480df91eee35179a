//! A status as text for a terminal. Pure.

use std::fmt::Write;

use super::table::Table;
use crate::admin::status::{PinUse, Status, Target};

/// Of the events.
const SHOWN: usize = 10;

pub(super) fn text(status: &Status) -> String {
    let mut text = head(status);
    text.push('\n');
    text.push_str(&targets(&status.targets));
    for target in &status.targets {
        if let Some(trouble) = &target.trouble {
            let _ = writeln!(text, "{}: {}", plain(&target.name), plain(trouble));
        }
    }
    if status.pins.iter().any(|pin| pin.now > 0) {
        text.push('\n');
        text.push_str(&pins(&status.pins));
    }
    if !status.events.is_empty() {
        text.push('\n');
        text.push_str(&events(status));
    }
    text
}

fn head(status: &Status) -> String {
    let state = match &status.trouble {
        Some(trouble) => format!("not ready: {}", plain(trouble)),
        None if status.ready => "ready".to_owned(),
        None => status.phase.clone(),
    };
    let up = lasted(status.uptime_seconds * 1000);
    let (clients, use_, now) = (&status.clients, &status.connections, &status.rates);
    let [p50, p95, p99] = [now.p50_ms, now.p95_ms, now.p99_ms].map(ms);
    let mut text = format!("Tidegate {}, {}, up {up}\n\n", plain(&status.version), plain(&state));
    let _ = writeln!(
        text,
        "clients             {} of {} at most",
        count(clients.connected),
        count(clients.max)
    );
    let _ = writeln!(
        text,
        "server connections  {} borrowed, {} idle, {} dialing, of {} at most",
        count(use_.borrowed),
        count(use_.idle),
        count(use_.dialing),
        count(use_.max)
    );
    let _ = writeln!(text, "waiting             {}", statements(use_.waiting));
    let _ = writeln!(
        text,
        "the last second     {:.0} statements, {:.0} errors; p50 {p50}, p95 {p95}, p99 {p99}",
        now.statements, now.errors
    );
    text
}

fn targets(targets: &[Target]) -> String {
    let mut table = Table::new(&[
        "TARGET", "STANDING", "ADDRESS", "VERSION", ">IN USE", ">IDLE", ">BOUND", ">WAIT", ">LAG",
    ]);
    for target in targets {
        let of = |of: fn(&crate::admin::status::Pool) -> u64| {
            target.pool.as_ref().map_or_else(String::new, |pool| count(of(pool)))
        };
        let lag = match target.lag_seconds {
            _ if target.replication_stopped => "stopped".to_owned(),
            Some(seconds) => format!("{seconds} s"),
            None => String::new(),
        };
        table.row([
            plain(&target.name),
            target.standing.clone(),
            plain(&target.address),
            plain(target.version.as_deref().unwrap_or_default()),
            of(|pool| pool.borrowed),
            of(|pool| pool.idle),
            of(|pool| pool.max),
            of(|pool| pool.waiting),
            lag,
        ]);
    }
    table.text()
}

fn pins(pins: &[PinUse]) -> String {
    let mut table = Table::new(&["PINNED BY", ">NOW", ">EVER"]);
    for pin in pins.iter().filter(|pin| pin.now > 0) {
        table.row([plain(&pin.reason), count(pin.now), count(pin.total)]);
    }
    table.text()
}

fn events(status: &Status) -> String {
    let mut table = Table::new(&[">AGO", "TARGET", "EVENT"]);
    for event in status.events.iter().rev().take(SHOWN) {
        let ago = lasted(status.time.saturating_sub(event.time));
        table.row([ago, plain(event.target.as_deref().unwrap_or_default()), plain(&event.text)]);
    }
    table.text()
}

/// What a server said must not steer the terminal.
fn plain(said: &str) -> String {
    said.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

fn statements(waiting: u64) -> String {
    let plural = if waiting == 1 { "" } else { "s" };
    format!("{} statement{plural} for a connection", count(waiting))
}

/// With a comma at each thousand.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut said = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            said.push(',');
        }
        said.push(digit);
    }
    said
}

fn ms(took: Option<f64>) -> String {
    took.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.2} ms"))
}

fn lasted(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = r#"{
        "version": "0.1.0", "time": 100000, "uptime_seconds": 3700, "phase": "running",
        "ready": true, "trouble": null,
        "clients": {"connected": 1204, "max": 10000},
        "connections": {"max": 270, "idle": 5, "borrowed": 3, "dialing": 0, "waiting": 1},
        "pins": [{"reason": "user_lock", "now": 2, "total": 9},
                 {"reason": "cursor", "now": 0, "total": 4}],
        "targets": [
            {"name": "first", "address": "10.0.0.5:3306", "role": "auto", "standing": "primary",
             "up": true, "read_only": false, "lag_seconds": null, "replication_stopped": false,
             "version": "9.7.0", "server_max_connections": 151, "trouble": null,
             "pool": {"max": 135, "idle": 5, "borrowed": 3, "dialing": 0, "closing": 0, "waiting": 1}},
            {"name": "second", "address": "10.0.0.6:3306", "role": "auto", "standing": "down",
             "up": false, "read_only": true, "lag_seconds": 3, "replication_stopped": false,
             "version": null, "server_max_connections": null, "trouble": "refused\u001b[2J",
             "pool": null}],
        "topology": {"primary": "first", "epoch": 1, "rivals": [], "failovers": 0},
        "rates": {"time": 100000, "statements": 812.0, "p50_ms": 0.42, "p95_ms": 1.9,
                  "p99_ms": null, "wait_p95_ms": null, "errors": 0.0, "bytes_in": 1.0,
                  "bytes_out": 1.0, "logins": 0.0, "clients": 1204, "idle": 5, "borrowed": 3,
                  "dialing": 0, "waiting": 1, "pinned": 2},
        "totals": {"clients": 5000, "logins_denied": 0, "statements": 100, "bytes_in": 1,
                   "bytes_out": 1, "borrow_failures": 0, "server_errors": 0, "proxy_errors": 0},
        "events": [{"time": 40000, "kind": "primary", "target": "first", "text": "the primary"}],
        "something_new": 1
    }"#;

    #[test]
    fn a_status_is_a_few_tables() {
        let status: Status = serde_json::from_str(SAID).unwrap();
        assert_eq!(
            text(&status),
            "Tidegate 0.1.0, ready, up 61 min\n\
             \n\
             clients             1,204 of 10,000 at most\n\
             server connections  3 borrowed, 5 idle, 0 dialing, of 270 at most\n\
             waiting             1 statement for a connection\n\
             the last second     812 statements, 0 errors; p50 0.42 ms, p95 1.90 ms, p99 –\n\
             \n\
             TARGET  STANDING  ADDRESS        VERSION  IN USE  IDLE  BOUND  WAIT  LAG\n\
             first   primary   10.0.0.5:3306  9.7.0         3     5    135     1\n\
             second  down      10.0.0.6:3306                                      3 s\n\
             second: refused\u{FFFD}[2J\n\
             \n\
             PINNED BY  NOW  EVER\n\
             user_lock    2     9\n\
             \n \
             AGO  TARGET  EVENT\n\
             60 s  first   the primary\n"
        );
    }

    #[test]
    fn what_is_wrong_stands_in_the_first_line() {
        let mut status: Status = serde_json::from_str(SAID).unwrap();
        (status.ready, status.trouble) = (false, Some("no answer yet".to_owned()));
        assert!(text(&status).starts_with("Tidegate 0.1.0, not ready: no answer yet, up"));
        (status.trouble, status.phase) = (None, "draining".to_owned());
        assert!(text(&status).starts_with("Tidegate 0.1.0, draining, up"));
    }

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([119_999, 120_000, 86_400_000].map(lasted), ["119 s", "2 min", "24 h"]);
    }
}
