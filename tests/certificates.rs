//! The promise: a certificate is renewed by whoever renews certificates, and no client waits for a
//! restart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole")]
#![allow(clippy::disallowed_methods, reason = "std::thread::sleep: no client is served here")]

mod support;

use std::{
    fs, io, io::Read, io::Write, net::TcpStream, path::Path, sync::Arc, thread, time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use support::{
    certificates,
    fake::Fake,
    tidegate::{Config, Tidegate},
    wait_for,
};

const SOON: Duration = Duration::from_secs(10);

/// The fixed part of a login that asks for TLS.
const SSL_REQUEST: [u8; 36] = {
    let mut packet = [0; 36];
    packet[0] = 32;
    packet[3] = 1;
    // PROTOCOL_41, SSL, SECURE_CONNECTION, PLUGIN_AUTH.
    packet[4] = 0x00;
    packet[5] = 0x8A;
    packet[6] = 0x08;
    packet[8] = 0xFF;
    packet[9] = 0xFF;
    packet[12] = 45;
    packet
};

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A handshake that trusts the authority of this folder and no other.
fn handshake(tidegate: &Tidegate, folder: &Path) -> io::Result<Secure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(tidegate.address())?;
    stream.set_read_timeout(Some(SOON))?;
    let mut header = [0; 4];
    stream.read_exact(&mut header)?;
    let mut greeting = vec![0; usize::from(header[0])];
    stream.read_exact(&mut greeting)?;
    stream.write_all(&SSL_REQUEST)?;
    let mut secure = StreamOwned::new(connection, stream);
    while secure.conn.is_handshaking() {
        secure.conn.complete_io(&mut secure.sock)?;
    }
    Ok(secure)
}

fn copy(from: &Path, to: &Path, names: &[&str]) {
    for name in names {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[test]
fn another_certificate_is_shown_as_soon_as_it_is_there() {
    let fake = Fake::start();
    let (used, old, new) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (used, old, new) = (used.path(), old.path(), new.path());
    for folder in [old, new] {
        certificates::write(folder);
    }
    let (certificate, key) = ("server-cert.pem", "server-key.pem");
    copy(old, used, &[certificate, key]);
    let lines = format!(
        "certificate = \"{}\"\nkey = \"{}\"",
        used.join(certificate).display(),
        used.join(key).display()
    );
    let config = Config::new().target("primary", &fake.address()).user("app", "app-password");
    let tidegate = Tidegate::start_unready(config.section("tls.client", &lines));
    wait_for("Tidegate to listen", SOON, || TcpStream::connect(tidegate.address()).ok());
    handshake(&tidegate, old).unwrap();
    assert!(handshake(&tidegate, new).is_err(), "each has an authority of its own");

    // The one without the other is not taken, nor is it worth a word before it has stayed so.
    let failures = || tidegate.metric("tidegate_certificate_reload_failures_total");
    copy(new, used, &[certificate]);
    wait_for("the refusal", SOON, || (failures() == 1.0).then_some(()));
    handshake(&tidegate, old).unwrap();
    copy(new, used, &[key]);
    wait_for("the new certificate", SOON, || handshake(&tidegate, new).ok());
    assert!(handshake(&tidegate, old).is_err());

    // What is no certificate at all is refused, and told once.
    fs::write(used.join(certificate), "no certificate").unwrap();
    wait_for("the second refusal", SOON, || (failures() == 2.0).then_some(()));
    thread::sleep(Duration::from_millis(2500));
    assert_eq!(failures(), 2.0);
    handshake(&tidegate, new).unwrap();
    // A signal has it looked at again, and it is still none.
    tidegate.signal("HUP");
    wait_for("the third refusal", SOON, || (failures() == 3.0).then_some(()));
    copy(new, used, &[certificate]);
    tidegate.until_metric("tidegate_certificate_generation", SOON, |renewed| renewed >= 2.0);
    handshake(&tidegate, new).unwrap();
}

/// A core would hold every password.
#[test]
fn nothing_is_written_when_it_dies() {
    let fake = Fake::start();
    let config = Config::new().target("primary", &fake.address()).user("app", "app-password");
    let tidegate = Tidegate::start_unready(config);
    wait_for("the limit", SOON, || {
        let limits = fs::read_to_string(format!("/proc/{}/limits", tidegate.pid())).ok()?;
        let core = limits.lines().find(|line| line.starts_with("Max core file size"))?.to_owned();
        (core.split_whitespace().nth(4) == Some("1")).then_some(())
    });
}
