//! The promises the other tests stand on: a server comes back with its data, is counted right, and
//! is gone when its owner is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]

mod support;

use std::{path::Path, process::Command, time::Duration};

use support::{
    client::{Login, RawClient, capability},
    process::Leashed,
    servers::{Flavor, Options, Server},
    tail, wait_for,
};

#[test]
fn a_server_comes_back_on_its_port_with_its_data() {
    for flavor in Flavor::installed() {
        let mut server = Server::start(flavor, Options::default().max_connections(20));
        let address = server.address();
        let mut client = RawClient::login(address.as_str(), &Login::app()).unwrap();
        client.query("CREATE TABLE kept (id INT PRIMARY KEY)").unwrap();
        client.query("INSERT INTO kept VALUES (7)").unwrap();
        assert_eq!(server.root("SELECT @@max_connections")[0][0].as_deref(), Some("20"));

        server.kill9();
        assert!(client.ping().is_err());
        assert!(RawClient::greet(address.as_str()).is_err());
        server.restart();
        let mut client = RawClient::login(address.as_str(), &Login::app()).unwrap();
        assert_eq!(client.query("SELECT id FROM kept").unwrap()[0][0].as_deref(), Some("7"));
    }
}

#[test]
fn connections_are_counted() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        assert_eq!(server.threads_connected(), 0);
        let login = Login::app().with(capability::DEPRECATE_EOF | capability::MULTI_STATEMENTS);
        let mut clients: Vec<RawClient> =
            (0..5).map(|_| RawClient::login(server.address(), &login).unwrap()).collect();
        let results = clients[0].query_all("SELECT 1, NULL; DO 0; SELECT 'a'").unwrap();
        assert_eq!(results[0], [[Some("1".to_owned()), None]]);
        assert_eq!(results[2], [[Some("a".to_owned())]]);
        assert_eq!(server.threads_connected(), 5);
        assert_eq!(server.connections_of("app"), 5);
        clients.pop().unwrap().quit();
        clients.clear();
        wait_for("the count to fall", Duration::from_secs(5), || {
            (server.threads_connected() == 0).then_some(())
        });
    }
}

#[test]
fn a_refusal_has_its_code() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default().max_connections(10));
        let wrong = RawClient::login(server.address(), &Login::new("app", "wrong"));
        assert_eq!(wrong.err().unwrap().code(), 1045);
        wait_for("the refused to be gone", Duration::from_secs(5), || {
            (server.threads_connected() == 0).then_some(())
        });
        // One of the ten is root's own.
        let clients: Vec<_> =
            (0..12).map(|_| RawClient::login(server.address(), &Login::app())).collect();
        let refused = clients.into_iter().filter_map(Result::err).map(|error| error.code());
        assert_eq!(refused.collect::<Vec<_>>(), [1040, 1040, 1040], "{flavor:?}");
    }
}

#[test]
fn a_frozen_server_thaws() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default());
        let mut client = RawClient::login(server.address(), &Login::app()).unwrap();
        server.pause();
        let thaw = std::thread::scope(|scope| {
            let asking = scope.spawn(|| client.ping());
            std::thread::sleep(Duration::from_millis(200));
            assert!(!asking.is_finished());
            server.resume();
            asking.join().unwrap()
        });
        thaw.unwrap();
    }
}

#[test]
fn a_child_ends_with_the_hand_that_holds_its_leash() {
    let folder = tempfile::tempdir().unwrap().keep();
    let log = folder.join("log");
    let mut command = Command::new("sh");
    command.args(["-c", "echo started; exec sleep 600"]);
    let child = Leashed::start(&command, &folder, &log);
    wait_for("a sign of life", Duration::from_secs(5), || {
        tail(&log, 1).contains("started").then_some(())
    });
    let alive = format!("/proc/{}", child.pid());
    assert!(Path::new(&alive).exists());
    drop(child);
    assert!(!Path::new(&alive).exists());
    assert!(!folder.exists());
}
