//! Whatever a stranger sends in place of a login, it ends: with a word or without one, within
//! `login_timeout`, at no cost to the server, in no memory but what was really sent, and with no
//! hint at what was wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]

mod support;

use std::{
    io::{Read, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use support::{
    certificates,
    client::{Login, capability},
    fake::{
        Line, Stage, Witness, bare_login, framed, login_payload, login_with, nonce, resident,
        sha2_answer,
    },
};

const SSL: u32 = 1 << 11;
const LOGIN_TIMEOUT: Duration = Duration::from_secs(1);
/// No honest client waits so long, however busy the machine.
const SLOW: Duration = Duration::from_secs(5);

fn stage() -> Stage {
    Stage::set(|config| {
        config
            .section("pool", Stage::POOL)
            .section("client", "login_timeout = \"1s\"\nfailed_login_delay = \"0s\"")
            .section("log", "level = \"trace\"")
    })
}

/// The one ERR of an answer, and nothing behind it.
fn error(answer: &[u8]) -> (u16, String) {
    let length = usize::from(answer[0]) | usize::from(answer[1]) << 8;
    assert_eq!(answer.len(), 4 + length, "one packet: {answer:?}");
    assert_eq!(answer[4], 0xFF, "an error: {answer:?}");
    let code = u16::from_le_bytes([answer[5], answer[6]]);
    assert_eq!(answer[7], b'#', "with an SQLSTATE: {answer:?}");
    (code, String::from_utf8_lossy(&answer[8..]).into_owned())
}

/// What the proxy says to these bytes in place of a login, until it hangs up.
fn answer_to(stage: &Stage, bytes: &[u8]) -> Vec<u8> {
    let mut line = Line::connect(&stage.address());
    line.hear().expect("a greeting");
    let _ = line.raw(bytes);
    line.half_close();
    line.rest()
}

/// The same for a whole packet; asked to switch to another plugin, it answers nonsense.
fn answer_to_login(stage: &Stage, make: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut line = Line::connect(&stage.address());
    let greeting = line.hear().expect("a greeting");
    let _ = line.say(&make(&greeting));
    let answer = line.hear().unwrap_or_default();
    if answer.first() != Some(&0xFE) {
        return [framed(line.seq.wrapping_sub(1), &answer), line.rest()].concat();
    }
    line.say(&[7; 32]).unwrap();
    line.rest()
}

/// The server heard of nobody but of honest clients.
fn nobody_came_through(stage: &mut Stage) {
    let told = stage.fake.told();
    assert!(told.iter().all(|told| !told.text.contains("injected")), "{told:?}");
    stage.is_as_before();
}

#[test]
fn bytes_that_are_no_mysql() {
    let mut stage = stage();
    let witness = Witness::send(stage.address());
    let mut random = fastrand::Rng::with_seed(7);
    let mut texts: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        b"\x16\x03\x01\x02\0\x01\0\x01\xFC\x03\x03".to_vec(),
        vec![0; 4],
        vec![0; 400],
        vec![0xFF; 400],
        vec![0xFF; 4],
        b"\x01".to_vec(),
        Vec::new(),
    ];
    texts.extend((0..100).map(|_| {
        let mut payload: Vec<u8> = (0..random.usize(0..200)).map(|_| random.u8(..)).collect();
        if random.bool() {
            payload = framed(1, &payload);
        }
        payload
    }));
    for text in texts {
        let started = Instant::now();
        let answer = answer_to(&stage, &text);
        assert!(started.elapsed() < LOGIN_TIMEOUT + SLOW, "{text:?}");
        if !answer.is_empty() {
            let (code, _) = error(&answer);
            assert!([1043, 1045, 1153].contains(&code), "{code} to {text:?}");
        }
    }
    witness.noticed_nothing(SLOW);
    nobody_came_through(&mut stage);
}

/// Cut off in the middle of the packet: there is nobody to talk to any more.
#[test]
fn a_login_cut_off_at_every_byte() {
    let mut stage = stage();
    let mut whole = None;
    for cut in 0.. {
        let mut line = Line::connect(&stage.address());
        let greeting = line.hear().unwrap();
        let login = login_payload(&bare_login().schema("app"), &greeting);
        if cut >= 4 + login.len() {
            whole = Some(cut);
            break;
        }
        line.raw(&framed(1, &login)[..cut]).unwrap();
        line.half_close();
        assert_eq!(line.rest(), b"", "cut at {cut}");
    }
    assert!(whole > Some(90));
    nobody_came_through(&mut stage);
}

/// A packet that is whole but ends too early. Behind the answer to the challenge there is nothing
/// that must be there.
#[test]
fn a_login_that_ends_at_every_byte() {
    let mut stage = stage();
    let login = bare_login().schema("app");
    let after_answer = 32 + 4 + 1 + 32;
    for end in 0..after_answer + 30 {
        let mut line = Line::connect(&stage.address());
        let greeting = line.hear().unwrap();
        let mut payload = login_payload(&login, &greeting);
        payload.truncate(end);
        line.say(&payload).unwrap();
        line.half_close();
        let answer = line.rest();
        if end < after_answer {
            assert_eq!(error(&answer).0, 1043, "ends at {end}");
        } else {
            assert!(!answer.is_empty(), "ends at {end}");
        }
    }
    stage.is_as_before();
}

#[test]
fn a_login_one_byte_at_a_time_is_served() {
    let mut stage = Stage::plain();
    let mut line = Line::connect(&stage.address());
    let greeting = line.hear().unwrap();
    let login = framed(1, &login_payload(&bare_login(), &greeting));
    line.dribble(&login, Duration::from_millis(2)).unwrap();
    assert_eq!(line.hear().unwrap(), [1, 3]);
    assert_eq!(line.hear().unwrap()[0], 0);
    drop(line);
    stage.is_as_before();
}

/// As the server's connect_timeout: no word.
#[test]
fn who_is_silent_or_slow_is_hung_up_on() {
    let mut stage = stage();
    let hello = framed(1, &ssl_request());
    let half_hello = [&hello[..], &b"\x16\x03\x01\x02\0\x01\0\x01\xFC\x03\x03"[..]].concat();
    let promises = [0xFE, 0xFF, 1, 1];
    for bytes in [&b""[..], b"\x20", &hello, &half_hello, &promises] {
        let mut line = Line::connect(&stage.address());
        line.hear().unwrap();
        line.raw(bytes).unwrap();
        let started = Instant::now();
        assert_eq!(line.rest(), b"", "after {bytes:?}");
        let elapsed = started.elapsed();
        assert!(elapsed > LOGIN_TIMEOUT / 2 && elapsed < LOGIN_TIMEOUT + SLOW, "{elapsed:?}");
    }
    // Every byte is in time; all together are not.
    let mut line = Line::connect(&stage.address());
    let greeting = line.hear().unwrap();
    let login = framed(1, &login_payload(&bare_login(), &greeting));
    let _ = line.dribble(&login, Duration::from_millis(40));
    assert_eq!(line.rest(), b"");
    nobody_came_through(&mut stage);
}

/// Neither does the time between the packets of a login begin anew, nor is a promise memory.
#[test]
fn promises_take_no_memory() {
    let mut stage = stage();
    let witness = Witness::send(stage.address());
    let _ = answer_to(&stage, b"\xFF\xFF\xFF\x01");
    let before = resident(stage.tidegate.pid());
    let promise = |header: [u8; 4]| -> Vec<Line> {
        let lines = (0..300).map(|_| {
            let mut line = Line::connect(&stage.address());
            line.hear().unwrap();
            line.raw(&header).unwrap();
            line
        });
        lines.collect()
    };
    // As much as a login may have, and one byte of it.
    let mut within = promise([0xFF, 0xFF, 1, 1]);
    let too_much = promise([0xFE, 0xFF, 0xFF, 1]).into_iter().chain(promise([0xFF, 0xFF, 0xFF, 1]));
    let grown = resident(stage.tidegate.pid()).saturating_sub(before);
    for mut line in too_much {
        assert_eq!(error(&line.rest()).0, 1153);
    }
    assert!(grown < 24 << 20, "{grown} bytes for 900 headers");
    for line in &mut within {
        assert_eq!(line.rest(), b"");
    }
    witness.noticed_nothing(SLOW);
    nobody_came_through(&mut stage);
}

fn ssl_request() -> Vec<u8> {
    let mut payload = login_with(&bare_login().with(SSL), b"", "");
    payload.truncate(32);
    payload
}

/// What is glued behind the request for TLS was said by somebody in between: never executed, not
/// even after a handshake.
#[test]
fn nothing_said_before_tls_counts() {
    let mut stage = stage();
    let query = framed(0, b"\x03SELECT injected");
    let mut bent = bare_login();
    bent.user = "injected".into();
    for glued in [
        ssl_request(),
        login_with(&bent, &[1; 32], "caching_sha2_password"),
        b"plain words".to_vec(),
        Vec::new(),
    ] {
        let mut line = Line::connect(&stage.address());
        let greeting = line.hear().unwrap();
        let login = login_payload(&bare_login(), &greeting);
        let glued =
            [framed(1, &ssl_request()), framed(2, &glued), framed(2, &login), query.clone()];
        line.raw(&glued.concat()).unwrap();
        let rest = line.rest();
        assert!(rest.is_empty() || rest[0] == 0x15, "nothing but a TLS alert: {rest:?}");
    }
    nobody_came_through(&mut stage);
}

/// Inside TLS a second request for it is no login, and the first words inside are the login.
#[test]
fn tls_is_asked_for_once() {
    let folder = tempfile::tempdir().unwrap();
    certificates::write(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key) = (path("server-cert.pem"), path("server-key.pem"));
    let lines = format!("mode = \"required\"\ncertificate = {certificate:?}\nkey = {key:?}");
    let mut stage =
        Stage::set(|config| config.section("pool", Stage::POOL).section("tls.client", &lines));
    let ca = CertificateDer::from_pem_file(folder.path().join("ca.pem")).unwrap();
    let (greeting, mut tls) = handshake(&stage, ca.clone());
    let login = login_payload(&bare_login().with(SSL), &greeting);
    tls.write_all(&framed(2, &login)).unwrap();
    let mut answer = [0; 7];
    tls.read_exact(&mut answer).unwrap();
    assert_eq!(&answer[4..6], [1, 3], "it can be done right");

    let (_, mut tls) = handshake(&stage, ca);
    tls.write_all(&framed(2, &ssl_request())).unwrap();
    let mut answer = Vec::new();
    let _ = tls.read_to_end(&mut answer);
    assert_eq!(error(&answer).0, 1043);

    let refused = answer_to_login(&stage, |greeting| login_payload(&bare_login(), greeting));
    let (code, text) = error(&refused);
    assert_eq!(code, 3159);
    assert!(text.starts_with("08004Connections using insecure transport"), "{text}");
    assert!(stage.fake.who_was_told("login app").len() <= 1);
    drop(tls);
    stage.stands();
}

fn handshake(
    stage: &Stage,
    ca: CertificateDer<'static>,
) -> (Vec<u8>, StreamOwned<ClientConnection, std::net::TcpStream>) {
    let mut roots = RootCertStore::empty();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut line = Line::connect(&stage.address());
    let greeting = line.hear().unwrap();
    line.say(&ssl_request()).unwrap();
    (greeting, StreamOwned::new(connection, line.stream))
}

/// Nobody learns which users there are: not from the words, and not from what is asked first.
#[test]
fn a_wrong_user_and_a_wrong_password_are_told_the_same() {
    let mut stage = stage();
    let told = |user: &str, password: &str| {
        let answer = answer_to_login(&stage, |greeting| {
            login_payload(&Login::new(user, password), greeting)
        });
        let (code, text) = error(&answer);
        assert_eq!(code, 1045);
        text
    };
    let expected = "28000Access denied for user 'app'@'127.0.0.1' (using password: YES)";
    assert_eq!(told("app", "wrong"), expected);
    assert_eq!(told("nobody", "app-password").replace("nobody", "app"), expected);
    assert_eq!(told("", "app-password").replace("''", "'app'"), expected);
    assert_eq!(told("App", "app-password").replace("App", "app"), expected);
    assert_eq!(told("app ", "app-password").replace("app ", "app"), expected);
    let long = "u".repeat(33);
    assert_eq!(told(&long, "x").replace(&long[..32], "app"), expected);
    // The prefix of a name is not the name, even if a NUL stands where it ends.
    assert!(told("app\0", "app-password").starts_with("28000Access denied"));

    let without = |user: &str| {
        let login = Login::new(user, "");
        let answer = answer_to_login(&stage, |_| login_with(&login, b"", "mysql_native_password"));
        error(&answer).1
    };
    assert_eq!(without("app"), expected.replace("YES", "NO"));
    assert_eq!(without("nobody").replace("nobody", "app"), expected.replace("YES", "NO"));
    nobody_came_through(&mut stage);
}

#[test]
fn names_and_answers_of_any_length() {
    let mut stage = stage();
    for (length, code) in [(32, 1045), (33, 1045), (10_000, 1045), (1 << 20, 1153)] {
        let login = Login::new(&"u".repeat(length), "x");
        let answer = answer_to_login(&stage, |greeting| login_payload(&login, greeting));
        assert_eq!(u16::from_le_bytes([answer[5], answer[6]]), code, "{length} bytes of a name");
    }
    // An answer with a length of its own, as CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA allows.
    for (length, code) in [(300_usize, 1045), (100_000, 1045), (1 << 20, 1153)] {
        let answer = answer_to_login(&stage, |_| long_answer(length, length));
        assert_eq!(error(&answer).0, code, "{length} bytes of an answer");
    }
    // It promises more than there is.
    for promised in [10_000_usize, 0xFF_FFFF] {
        assert_eq!(error(&answer_to_login(&stage, |_| long_answer(300, promised))).0, 1043);
    }
    nobody_came_through(&mut stage);
}

fn long_answer(length: usize, promised: usize) -> Vec<u8> {
    const LENENC: u32 = 1 << 21;
    let mut payload = login_with(&bare_login().with(LENENC), b"", "");
    payload.truncate(32 + 4);
    payload.push(0xFD);
    payload.extend_from_slice(&u32::try_from(promised).unwrap().to_le_bytes()[..3]);
    payload.resize(payload.len() + length, b'p');
    payload.extend_from_slice(b"caching_sha2_password\0");
    payload
}

#[test]
fn an_old_protocol_is_refused() {
    let mut stage = stage();
    let mut old = bare_login();
    old.capabilities &= !capability::PROTOCOL_41;
    let answer = answer_to_login(&stage, |greeting| login_payload(&old, greeting));
    assert_eq!(error(&answer).0, 1043);
    assert_eq!(error(&answer_to_login(&stage, |_| b"\x85\x24\0\0\0old\0pass".to_vec())).0, 1043);
    nobody_came_through(&mut stage);
}

/// Asked to switch, a client may do as it is told, or anything else.
#[test]
fn a_switch_of_plugins_is_answered_right_wrong_or_not() {
    let mut stage = stage();
    let switched = || {
        let mut line = Line::connect(&stage.address());
        line.hear().unwrap();
        line.say(&login_with(&bare_login(), b"whatever", "dialog")).unwrap();
        let request = line.hear().unwrap();
        let plugin = &b"\xFEcaching_sha2_password\0"[..];
        let nonce = request.strip_prefix(plugin).expect("a switch").get(..20).unwrap().to_vec();
        (line, nonce)
    };
    let (mut line, nonce) = switched();
    line.say(&sha2_answer("app-password", &nonce)).unwrap();
    assert_eq!(line.hear().unwrap(), [1, 3]);
    assert_eq!(line.hear().unwrap()[0], 0, "done as told");
    drop(line);

    let (mut refused, _) = switched();
    refused.half_close();
    assert_eq!(refused.rest(), b"");
    for nonsense in [&b""[..], b"\0", b"\xFF", &[0; 19], &[0; 20], &[0; 32], &[7; 33], &[1; 10_000]]
    {
        let (mut line, _) = switched();
        line.say(nonsense).unwrap();
        assert_eq!(error(&line.rest()).0, 1045, "{nonsense:?}");
    }
    let (mut line, _) = switched();
    let _ = line.say(&vec![0; 200_000]);
    assert_eq!(error(&line.rest()).0, 1153);
    nobody_came_through(&mut stage);
}

/// The challenge of one login does not open another one.
#[test]
fn an_answer_cannot_be_replayed() {
    let mut stage = stage();
    let mut first = Line::connect(&stage.address());
    let greeting = first.hear().unwrap();
    let overheard = login_payload(&bare_login(), &greeting);
    let mut second = Line::connect(&stage.address());
    let other = second.hear().unwrap();
    assert_ne!(nonce(&greeting), nonce(&other));
    second.say(&overheard).unwrap();
    assert_eq!(error(&second.rest()).0, 1045);
    first.say(&overheard).unwrap();
    assert_eq!(first.hear().unwrap(), [1, 3]);
    drop((first, second));
    nobody_came_through(&mut stage);
}

/// Misconfigured clients send it; it opens nothing and is written nowhere.
#[test]
fn a_clear_password_is_refused_and_never_logged() {
    let mut stage = stage();
    let clear = b"app-password\0";
    let mut line = Line::connect(&stage.address());
    line.hear().unwrap();
    line.say(&login_with(&bare_login(), clear, "mysql_clear_password")).unwrap();
    assert_eq!(line.hear().unwrap().first(), Some(&0xFE), "another plugin is asked for");
    line.say(clear).unwrap();
    assert_eq!(error(&line.rest()).0, 1045);
    for plugin in ["mysql_native_password", "caching_sha2_password"] {
        let mut line = Line::connect(&stage.address());
        line.hear().unwrap();
        line.say(&login_with(&bare_login(), clear, plugin)).unwrap();
        let mut answer = line.hear().unwrap();
        if answer.first() == Some(&0xFE) {
            line.say(clear).unwrap();
            answer = line.hear().unwrap();
        }
        assert_eq!(answer.get(..3), Some(&[0xFF, 0x15, 0x04][..]), "{plugin}: {answer:?}");
    }
    // Something that is told on the lowest levels only: the log says all it can.
    answer_to(&stage, &[framed(1, &ssl_request()), b"no TLS at all".to_vec()].concat());
    nobody_came_through(&mut stage);
    let log = stage.tidegate.log();
    assert!(log.contains("TLS handshake failed"), "{log}");
    assert!(!log.contains("app-password"), "{log}");
}

/// What comes behind a refused login is nobody's.
#[test]
fn a_query_behind_a_refused_login_is_not_run() {
    let mut stage = stage();
    let mut line = Line::connect(&stage.address());
    let greeting = line.hear().unwrap();
    let login = login_payload(&Login::new("app", "wrong"), &greeting);
    let query = framed(0, b"\x03SELECT injected");
    line.raw(&[framed(1, &login), query].concat()).unwrap();
    let rest = line.rest();
    assert!(rest.is_empty() || error(&rest).0 == 1045, "{rest:?}");
    nobody_came_through(&mut stage);
}
