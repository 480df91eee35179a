//! A group that chooses its primary by itself (MySQL's Group Replication): Tidegate follows it, on
//! purpose or after a death, and reads from nobody whom the group has not taken in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole")]
#![allow(clippy::print_stdout, reason = "how long a failover took is there to be read")]

mod support;

use std::{
    collections::HashSet,
    thread,
    time::{Duration, Instant},
};

use support::{
    client::{Login, RawClient},
    group::Group,
    load::{Load, only_lost},
    servers::Flavor,
    tidegate::Tidegate,
    wait_for,
};

const WRITERS: usize = 16;
const REST: Duration = Duration::from_millis(20);
const SOON: Duration = Duration::from_secs(20);
/// A group takes some five seconds to suspect the dead.
const LATER: Duration = Duration::from_secs(60);

fn is_primary(tidegate: &Tidegate, at: usize) -> bool {
    let series = format!("tidegate_target_primary{{target=\"m{at}\"}}");
    tidegate.metrics().get(&series) == Some(&1.0)
}

/// Ports of the servers that reads go to. Clients that hold a connection each: whoever has fewest in
/// use is next.
fn readers(tidegate: &Tidegate) -> HashSet<u16> {
    let address = format!("127.0.0.1:{}", tidegate.port_of("reads"));
    let mut clients: Vec<_> =
        (0..6).map(|_| RawClient::login(&*address, &Login::app()).unwrap()).collect();
    let mut port_of = |client: &mut RawClient| {
        client.query("START TRANSACTION READ ONLY").unwrap();
        let rows = client.query("SELECT @@port").unwrap();
        rows[0][0].as_ref().unwrap().parse().unwrap()
    };
    clients.iter_mut().map(&mut port_of).collect()
}

#[test]
fn the_group_s_choice_is_followed() {
    if !Flavor::installed().contains(&Flavor::MySql) {
        return;
    }
    let mut group = Group::start(3);
    let tidegate = Tidegate::start(group.watched().section("log", "level = \"debug\""));
    wait_for("the primary", SOON, || is_primary(&tidegate, 0).then_some(()));
    let address = tidegate.address();
    let mut idle = RawClient::login(&*address, &Login::app()).unwrap();
    idle.query("SET @x = 7, time_zone = '+05:00'").unwrap();
    let load = Load::paced(REST);
    thread::scope(|scope| {
        let _leash = load.leash();
        load.start(scope, &address, WRITERS);
        load.until_more(200);

        // On purpose: what the old one refuses as read-only has not run, and runs on the new one.
        let began = Instant::now();
        group.move_primary(1);
        let moved = Instant::now();
        load.until_each_has_written(WRITERS, moved);
        println!("moved by the group: no write for {:?}", load.longest_gap(began));
        wait_for("the new primary to be seen", SOON, || is_primary(&tidegate, 1).then_some(()));
        assert_eq!(load.take_errors(), [""; 0]);

        let killed = Instant::now();
        group.members[1].kill9();
        let next = wait_for("the group to choose another", LATER, || {
            group.primary_as_seen_by(0).filter(|at| *at != 1)
        });
        let chosen = Instant::now();
        load.until_each_has_written(WRITERS, chosen);
        println!(
            "killed: the group chose after {:?}, the first write came {:?} later",
            chosen - killed,
            load.first_after(chosen)
        );
        assert!(is_primary(&tidegate, next));
        only_lost(&load.take_errors(), WRITERS);
        load.end();
        // What was acknowledged had been sent to the majority.
        load.due().check(&group.members[next], None);
    });
    let held = idle.query("SELECT CONCAT(@x, ' ', @@time_zone)").unwrap();
    assert_eq!(held[0][0].as_deref(), Some("7 +05:00"));
}

#[test]
fn who_is_not_in_the_group_is_not_read_from() {
    if !Flavor::installed().contains(&Flavor::MySql) {
        return;
    }
    let group = Group::start(3);
    let tidegate = Tidegate::start(group.watched().endpoint("reads", "read-only"));
    let ports: Vec<u16> = group.members.iter().map(support::servers::Server::port).collect();
    let both = HashSet::from([ports[1], ports[2]]);
    wait_for("reads to go to both others", SOON, || (readers(&tidegate) == both).then_some(()));

    // It stays up and read-only, with what it had when it left.
    group.members[2].root("STOP GROUP_REPLICATION");
    let one = HashSet::from([ports[1]]);
    wait_for("reads to leave it", SOON, || (readers(&tidegate) == one).then_some(()));
    assert!(is_primary(&tidegate, 0));

    group.join(2);
    wait_for("reads to come back", SOON, || (readers(&tidegate) == both).then_some(()));
    assert_eq!(tidegate.metric("tidegate_failovers_total"), 0.0);
}
