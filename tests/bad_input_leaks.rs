//! Thousands that come and go at every stage of a conversation leave nothing behind: no task, no
//! client in the count, no connection held, no memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod support;

use std::{thread, time::Duration};

use support::{
    fake::{Line, Stage, Witness, bare_login, framed, login_payload, login_with, resident},
    wait_for,
};

const ROUND: usize = 200;

/// As far as each client goes before it is gone.
const STAGES: [fn(&mut Line); 12] = [
    |_| {},
    |line| drop(line.hear()),
    |line| {
        line.hear().unwrap();
        line.raw(&[0x20, 0]).unwrap();
    },
    |line| {
        let greeting = line.hear().unwrap();
        let login = framed(1, &login_payload(&bare_login(), &greeting));
        line.raw(&login[..40]).unwrap();
    },
    |line| {
        line.hear().unwrap();
        line.say(&login_with(&bare_login(), b"x", "dialog")).unwrap();
        line.hear().unwrap();
    },
    |line| {
        line.hear().unwrap();
        let mut request = login_with(&bare_login().with(1 << 11), b"", "");
        request.truncate(32);
        line.say(&request).unwrap();
        line.raw(b"\x16\x03\x01\x02\0\x01\0\x01\xFC\x03\x03").unwrap();
    },
    |line| line.log_in(&bare_login()),
    |line| {
        line.log_in(&bare_login());
        line.raw(&[9, 0, 0, 0, 3, b'S']).unwrap();
    },
    // Gone before the reply.
    |line| {
        line.log_in(&bare_login());
        line.query("SELECT 1").unwrap();
    },
    |line| {
        line.log_in(&bare_login());
        line.query("BEGIN").unwrap();
        line.hear().unwrap();
    },
    |line| {
        line.log_in(&bare_login());
        line.command(b"\x16SELECT ?").unwrap();
        line.hear().unwrap();
    },
    // In the middle of a change of user, with a transaction open.
    |line| {
        line.log_in(&bare_login());
        line.query("BEGIN").unwrap();
        line.hear().unwrap();
        line.command(b"\x11app\0\0\0").unwrap();
        line.hear().unwrap();
    },
];

fn come_and_go(stage: &Stage) {
    thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || {
                for number in 0..ROUND / 2 {
                    for act in STAGES {
                        let mut line = Line::connect(&stage.address());
                        act(&mut line);
                        // Every other one without a farewell.
                        if (number + half) % 2 == 0 {
                            line.reset();
                        }
                    }
                }
            });
        }
    });
}

#[test]
fn who_is_gone_leaves_nothing_behind() {
    let mut stage = Stage::plain();
    come_and_go(&stage);
    stage.is_as_before();
    let before = resident(stage.tidegate.pid());
    let witness = Witness::send(stage.address());
    for _ in 0..2 {
        come_and_go(&stage);
    }
    witness.noticed_nothing(Duration::from_secs(10));
    stage.is_as_before();
    wait_for("statements to be forgotten", Duration::from_secs(5), || {
        (stage.tidegate.metric("tidegate_statements") == 0.0).then_some(())
    });
    let pinned = stage.tidegate.metric("tidegate_pinned");
    assert!(pinned.abs() < 0.5, "{pinned} are pinned by nobody");
    let grown = resident(stage.tidegate.pid()).saturating_sub(before);
    let clients = 2 * ROUND * STAGES.len();
    assert!(grown < 6 << 20, "{grown} bytes are left of {clients} clients");
    // Listeners, a few server connections and the runtime's own: none of those that went.
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", stage.tidegate.pid())).unwrap();
    let descriptors = descriptors.count();
    assert!(descriptors < 40, "{descriptors} descriptors are open");
}
