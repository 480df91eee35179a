//! The promise: who comes from a network that may not is kept out, and who comes through a load
//! balancer is who the balancer says, be it HAProxy or bytes by hand.
//!
//! HAProxy runs where it is installed (`tests/servers/install.sh` does that).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole")]
#![allow(clippy::print_stderr, reason = "what was skipped is said")]

mod support;

use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};
use support::{
    client::{Error, Login, RawClient, refusal},
    fake::Fake,
    free_port,
    process::Leashed,
    tidegate::{Config, Tidegate},
    wait_for,
};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(10);
const BALANCER: &str = "127.0.0.9";

/// A login touches no server.
fn start(gate: &str) -> (Fake, Tidegate) {
    let fake = Fake::start();
    let config = Config::new().target("primary", &fake.address()).gate(gate).user("app", "right");
    let tidegate = Tidegate::start_unready(config);
    wait_for("Tidegate to listen", SOON, || tidegate.http("/healthz"));
    (fake, tidegate)
}

/// Every address of 127.0.0.0/8 is this machine's.
fn connect(tidegate: &Tidegate, from: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let from: SocketAddr = format!("{from}:0").parse().unwrap();
    socket.bind(&from.into()).unwrap();
    let to: SocketAddr = tidegate.address().parse().unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

fn log_in(mut stream: TcpStream, said: &[u8], password: &str) -> Result<RawClient, Error> {
    stream.write_all(said)?;
    let mut client = RawClient::over(Box::new(stream), false)?;
    client.answer(&Login::new("app", password))?;
    Ok(client)
}

fn told(login: Result<RawClient, Error>) -> String {
    login.err().expect("a refusal").to_string()
}

fn denied(address: &str) -> String {
    format!("ERROR 1045 (28000): Access denied for user 'app'@'{address}' (using password: YES)")
}

/// The version 2 header of a connection from 192.0.2.7:4711.
fn version_2() -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x67, 0x0C, 0xEA];
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C".as_slice(), &addresses].concat()
}

const VERSION_1: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 3306\r\n";

/// One backend for each way in which it can say for whom it connects.
fn haproxy(tidegate: &Tidegate, folder: &TempDir) -> Option<(Leashed, [u16; 3])> {
    let there = Command::new("haproxy").arg("-v").output().is_ok();
    if !there {
        eprintln!("SKIPPED: HAProxy is not installed");
        return None;
    }
    let ports = [free_port(), free_port(), free_port()];
    let ways = ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id,crc32c"];
    let backends = ports.iter().zip(ways).map(|(port, way)| {
        format!(
            "listen l{port}\nbind 127.0.0.1:{port}\nunique-id-format %[uuid]\nsource {BALANCER}\n\
             server tidegate {} {way}\n",
            tidegate.address()
        )
    });
    let backends: String = backends.collect();
    let text = format!(
        "defaults\nmode tcp\ntimeout connect 5s\ntimeout client 30s\ntimeout server 30s\n{backends}"
    );
    let config = folder.path().join("haproxy.cfg");
    fs::write(&config, text).unwrap();
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(config);
    let process = Leashed::start(&command, folder.path(), &folder.path().join("haproxy.log"));
    Some((process, ports))
}

#[test]
fn through_haproxy_a_client_is_known_by_its_own_address() {
    let (_fake, tidegate) = start(&format!("proxy_protocol_from = [\"{BALANCER}\"]"));
    let folder = tempfile::tempdir().unwrap();
    let Some((_haproxy, ports)) = haproxy(&tidegate, &folder) else { return };
    for port in ports {
        let through = format!("127.0.0.1:{port}");
        let client = wait_for("HAProxy", SOON, || {
            RawClient::login(through.as_str(), &Login::new("app", "right")).ok()
        });
        let (_, status) = tidegate.http("/status?clients=9").unwrap();
        assert!(status.contains("\"peer\":\"127.0.0.1:"), "{status}");
        assert!(!status.contains(BALANCER), "{status}");
        drop(client);
        let wrong = RawClient::login(through.as_str(), &Login::new("app", "wrong"));
        assert_eq!(told(wrong), denied("127.0.0.1"));
    }
    assert!(tidegate.log().contains("peer=\"127.0.0.1:"), "{}", tidegate.log());
    assert!(!tidegate.log().contains(BALANCER), "{}", tidegate.log());
}

#[test]
fn a_balancer_is_taken_at_its_word_and_must_give_it() {
    let (_fake, tidegate) =
        start(&format!("proxy_protocol_from = \"{BALANCER}\"\ndeny = [\"192.0.2.8\"]"));
    for header in [VERSION_1, &version_2()] {
        let client = log_in(connect(&tidegate, BALANCER), header, "right").unwrap();
        let (_, status) = tidegate.http("/status?clients=9").unwrap();
        assert!(status.contains("\"peer\":\"192.0.2.7:4711\""), "{status}");
        drop(client);
        let wrong = log_in(connect(&tidegate, BALANCER), header, "wrong");
        assert_eq!(told(wrong), denied("192.0.2.7"));
    }
    let itself = log_in(connect(&tidegate, BALANCER), b"PROXY UNKNOWN\r\n", "wrong");
    assert_eq!(told(itself), denied(BALANCER));
    // The networks are those of whom it speaks for.
    let kept_out = log_in(
        connect(&tidegate, BALANCER),
        b"PROXY TCP4 192.0.2.8 10.0.0.1 4711 3306\r\n",
        "right",
    );
    assert_eq!(
        told(kept_out),
        "ERROR 1130 (HY000): Host '192.0.2.8' is not allowed to connect to this MySQL server"
    );
    let none = log_in(connect(&tidegate, BALANCER), b"PROXY TCP4 192.0.2.7\r\n", "right");
    assert_eq!(
        told(none),
        "ERROR 1043 (08S01): Bad handshake: no PROXY header (endpoint.proxy_protocol_from)"
    );
    let began = Instant::now();
    let silent = log_in(connect(&tidegate, BALANCER), b"", "right");
    assert!(matches!(silent, Err(Error::Io(_))), "cut without a word");
    assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn nobody_else_may_say_that_they_are_somebody_else() {
    let (_fake, tidegate) = start(&format!("proxy_protocol_from = [\"{BALANCER}\"]"));
    for header in [VERSION_1, &version_2()] {
        let mut stream = connect(&tidegate, "127.0.0.10");
        stream.write_all(header).unwrap();
        // It is greeted before anybody can know.
        let mut stranger = RawClient::over(Box::new(stream), false).unwrap();
        let told = refusal(&stranger.read_packet().unwrap()).to_string();
        let word = "ERROR 1043 (08S01): Bad handshake: a PROXY header from an address that is not in \
                    endpoint.proxy_protocol_from";
        assert_eq!(told, word);
    }
    assert!(tidegate.log().contains("refused a PROXY header"), "{}", tidegate.log());
    log_in(connect(&tidegate, "127.0.0.10"), b"", "right").unwrap();
}

#[test]
fn a_network_that_may_not_is_told_so_before_the_greeting() {
    let (_fake, tidegate) = start("allow = [\"127.0.0.0/28\"]\ndeny = [\"127.0.0.5\"]");
    for (from, may) in [("127.0.0.1", true), ("127.0.0.5", false), ("127.0.0.16", false)] {
        let login = log_in(connect(&tidegate, from), b"", "right");
        assert_eq!(login.is_ok(), may, "{from}");
        if let Err(error) = login {
            assert_eq!(error.code(), 1130);
        }
    }
    let refused = tidegate.metrics()["tidegate_logins_total{outcome=\"not_allowed\"}"];
    assert_eq!(refused, 2.0);
}

#[test]
fn other_networks_hold_as_soon_as_the_configuration_is_read_again() {
    let (_fake, mut tidegate) = start("");
    log_in(connect(&tidegate, "127.0.0.5"), b"", "right").unwrap();
    tidegate.rewrite(|config| config.gate("deny = [\"127.0.0.5\"]"));
    tidegate.signal("HUP");
    let refused = wait_for("the configuration to be read again", SOON, || {
        log_in(connect(&tidegate, "127.0.0.5"), b"", "right").err()
    });
    assert_eq!(refused.code(), 1130);
    log_in(connect(&tidegate, "127.0.0.1"), b"", "right").unwrap();
}

#[test]
fn a_user_may_be_kept_to_networks_and_the_secrets_say_which() {
    let (_fake, tidegate) = start("");
    let secrets = |networks: &str| {
        format!(
            "[[user]]\nusername = \"app\"\npassword = \"right\"\nnetworks = [\"{networks}\"]\n\
             [[user]]\nusername = \"other\"\npassword = \"right\"\n"
        )
    };
    tidegate.write_secrets(&secrets("127.0.0.16/28"));
    let from = |from: &str, password: &str| log_in(connect(&tidegate, from), b"", password);
    wait_for("the secrets to be read again", SOON, || from("127.0.0.1", "right").err());
    from("127.0.0.17", "right").unwrap();
    // With the right password as with a wrong one.
    assert_eq!(told(from("127.0.0.1", "right")), denied("127.0.0.1"));
    assert_eq!(told(from("127.0.0.1", "wrong")), denied("127.0.0.1"));
    // Nor by way of somebody else.
    let mut stream = RawClient::login(tidegate.address(), &Login::new("other", "right")).unwrap();
    assert_eq!(stream.change_user(&Login::new("app", "right")).unwrap_err().code(), 1045);

    let here = from("127.0.0.17", "right").unwrap();
    tidegate.write_secrets(&secrets("127.0.0.0/28"));
    wait_for("the secrets to be read again", SOON, || from("127.0.0.1", "right").ok());
    assert_eq!(told(from("127.0.0.17", "right")), denied("127.0.0.17"));
    let (_, status) = tidegate.http("/status?clients=9").unwrap();
    assert!(status.contains("127.0.0.17"), "who is in stays: {status}");
    drop(here);
}
