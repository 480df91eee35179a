//! Both sides against each other.

use std::fs;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer};
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::super::{Listener, Stream, connect, packets};
use super::*;
use crate::config::{Address, KeyPair, TargetTlsMode, TlsClient, TlsTarget};

async fn handshake(
    clients: &ClientSideTls,
    targets: &TargetTls,
    name: &str,
) -> io::Result<(Stream, Stream)> {
    let (near, far) = UnixStream::pair()?;
    let (near, far) =
        tokio::join!(clients.accept(Stream::from(near)), targets.connect(Stream::from(far), name));
    Ok((near?, far?))
}

async fn echo(from: &mut Stream, to: &mut Stream) {
    packets::write_all(from, b"hello").await.unwrap();
    let mut read = [0; 5];
    to.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hello");
}

fn targets(mode: TargetTlsMode, ca: Option<&Path>) -> Result<TargetTls, TlsError> {
    let ca = ca.map(Path::to_owned);
    TargetTls::new(&TlsTarget { mode, ca, ..TlsTarget::default() })
}

/// The certificate and the key of these names in a folder.
fn shown(folder: &TempDir, certificate: &str, key: &str) -> TlsClient {
    let (certificate, key) = (folder.path().join(certificate), folder.path().join(key));
    TlsClient { pair: Some(KeyPair { certificate, key }), ..TlsClient::default() }
}

fn only(version: &'static SupportedProtocolVersion) -> TargetTls {
    let settings = TlsTarget { mode: TargetTlsMode::Required, ..TlsTarget::default() };
    TargetTls::build(&settings, &[version]).unwrap()
}

fn with_version(version: &'static SupportedProtocolVersion) -> (ClientSideTls, TargetTls) {
    let identity = Arc::new(clients::make().unwrap());
    let ticketer = Ticketer::new().unwrap();
    let clients = ClientSideTls::build(identity, None, ticketer, &[&TLS12, &TLS13]).unwrap();
    (clients, only(version))
}

#[tokio::test]
async fn both_versions_and_resumption() {
    for (version, name) in [(&TLS12, "TLSv1.2"), (&TLS13, "TLSv1.3")] {
        let (clients, targets) = with_version(version);
        for resumed in [false, true, true] {
            let (mut near, mut far) = handshake(&clients, &targets, "db").await.unwrap();
            echo(&mut near, &mut far).await;
            echo(&mut far, &mut near).await;
            for stream in [&near, &far] {
                let (version, cipher) = stream.tls().unwrap();
                assert_eq!(version, name);
                assert!(cipher.contains("AES") || cipher.contains("CHACHA"), "{cipher}");
                assert_eq!(stream.is_resumed(), resumed);
                assert!(stream.is_secure());
            }
        }
    }
}

#[tokio::test]
async fn over_tcp_after_a_packet() {
    let clients = ClientSideTls::new(&TlsClient::default()).unwrap();
    let targets = targets(TargetTlsMode::Preferred, None).unwrap();
    let listener = Listener::bind(&"127.0.0.1:0".parse::<Address>().unwrap()).await.unwrap();
    let address = listener.address().unwrap();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (sequence, payload) = packets::read_packet(&mut stream, 64).await.unwrap();
        assert_eq!((sequence, &payload[..]), (1, b"ssl".as_slice()));
        clients.accept(stream).await.unwrap()
    };
    let client = async {
        let mut stream = connect(&address, Duration::from_secs(5)).await.unwrap();
        assert!(!stream.is_secure());
        packets::write_all(&mut stream, b"\x03\0\0\x01ssl").await.unwrap();
        targets.connect(stream, "127.0.0.1").await.unwrap()
    };
    let (mut near, mut far) = tokio::join!(server, client);
    echo(&mut far, &mut near).await;
    echo(&mut near, &mut far).await;
}

#[tokio::test]
async fn readable_sees_plaintext_that_is_buffered_already() {
    let (clients, targets) = with_version(&TLS13);
    let (mut near, mut far) = handshake(&clients, &targets, "db").await.unwrap();
    let soon = Duration::from_millis(50);
    // The session tickets arrive, and are no data.
    assert!(timeout(soon, far.readable()).await.is_err());
    assert!(far.looks_idle());

    packets::write_all(&mut near, b"ab").await.unwrap();
    far.readable().await.unwrap();
    let mut byte = [0];
    far.read_exact(&mut byte).await.unwrap();
    // The socket is empty now, the rest lies decrypted in memory.
    timeout(soon, far.readable()).await.unwrap().unwrap();
    assert!(!far.looks_idle());
    far.read_exact(&mut byte).await.unwrap();
    assert_eq!(byte, *b"b");
    assert!(far.looks_idle());

    near.shutdown().await.unwrap();
    far.readable().await.unwrap();
    assert!(!far.looks_idle());
    assert_eq!(far.read(&mut byte).await.unwrap(), 0);
}

#[tokio::test]
async fn a_cut_connection_does_not_look_idle_even_to_a_spent_budget() {
    for version in [&TLS12, &TLS13] {
        let (clients, targets) = with_version(version);
        let (mut near, mut far) = handshake(&clients, &targets, "db").await.unwrap();
        echo(&mut near, &mut far).await;
        assert!(far.looks_idle());
        drop(near);
        // Lets the runtime see the event, without a read that would use it up.
        tokio::time::sleep(Duration::from_millis(20)).await;
        while tokio::task::coop::has_budget_remaining() {
            let consume = pin!(tokio::task::coop::consume_budget());
            let _ = consume.poll(&mut Context::from_waker(Waker::noop()));
        }
        assert!(!far.looks_idle());
    }
}

/// A CA, and a certificate of it for `name`, as files.
fn certificate_for(name: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    fs::write(dir.path().join("ca.pem"), ca_pem).unwrap();
    fs::write(dir.path().join("cert.pem"), certificate.pem()).unwrap();
    fs::write(dir.path().join("key.pem"), key.serialize_pem()).unwrap();
    dir
}

#[tokio::test]
async fn each_mode_verifies_what_it_says() {
    use TargetTlsMode::{Preferred, Required, VerifyCa, VerifyIdentity};
    let ours = certificate_for("db.internal");
    let other = certificate_for("db.internal");
    let file = |name: &str| ours.path().join(name);
    let clients = ClientSideTls::new(&shown(&ours, "cert.pem", "key.pem")).unwrap();
    let other_ca = other.path().join("ca.pem");
    for (mode, ca, name, good) in [
        (Preferred, None, "anything", true),
        (Required, None, "not a name at all", true),
        (VerifyCa, Some(file("ca.pem")), "other.internal", true),
        (VerifyCa, Some(file("ca.pem")), "/run/mysqld.sock", true),
        (VerifyCa, Some(other_ca.clone()), "db.internal", false),
        (VerifyIdentity, Some(file("ca.pem")), "db.internal", true),
        (VerifyIdentity, Some(file("ca.pem")), "other.internal", false),
        (VerifyIdentity, Some(file("ca.pem")), "/run/mysqld.sock", false),
        (VerifyIdentity, Some(other_ca), "db.internal", false),
    ] {
        let targets = targets(mode, ca.as_deref()).unwrap();
        let made = handshake(&clients, &targets, name).await;
        assert_eq!(made.is_ok(), good, "{mode:?} {name} {:?}", made.err());
        assert_eq!(targets.is_required(), mode != Preferred);
    }
}

#[tokio::test]
async fn a_renewed_certificate_keeps_the_sessions() {
    let first = certificate_for("db.internal");
    let second = certificate_for("db.internal");
    let old = ClientSideTls::new(&shown(&first, "cert.pem", "key.pem")).unwrap();
    let new = old.renewed(&shown(&second, "cert.pem", "key.pem")).unwrap();
    let targets = targets(TargetTlsMode::Required, None).unwrap();
    let (mut near, mut far) = handshake(&old, &targets, "db.internal").await.unwrap();
    echo(&mut near, &mut far).await;
    let (_, far) = handshake(&new, &targets, "db.internal").await.unwrap();
    assert!(far.is_resumed());
}

/// Shows what is in the folder to who asks.
fn showing(folder: &TempDir, version: &'static SupportedProtocolVersion) -> TargetTls {
    let pair = shown(folder, "cert.pem", "key.pem").pair;
    let settings = TlsTarget { mode: TargetTlsMode::Required, pair, ..TlsTarget::default() };
    TargetTls::build(&settings, &[version]).unwrap()
}

#[tokio::test]
async fn a_certificate_of_a_client_is_verified_where_there_is_one() {
    let (ours, other) = (certificate_for("app"), certificate_for("app"));
    let settings = |folder: &TempDir| TlsClient {
        ca: Some(folder.path().join("ca.pem")),
        ..TlsClient::default()
    };
    for version in [&TLS12, &TLS13] {
        let clients = ClientSideTls::new(&settings(&ours)).unwrap();
        let (near, _far) = handshake(&clients, &only(version), "db").await.unwrap();
        assert_eq!(near.certificate(), None, "who shows none is let in as far as this");
        let good = showing(&ours, version);
        let der = CertificateDer::from_pem_file(ours.path().join("cert.pem")).unwrap();
        for resumed in [false, true] {
            let (mut near, mut far) = handshake(&clients, &good, "db").await.unwrap();
            echo(&mut near, &mut far).await;
            assert_eq!(near.certificate(), Some(der.as_ref()));
            assert_eq!(near.is_resumed(), resumed);
        }
        let (near, far) = UnixStream::pair().unwrap();
        let bad = showing(&other, version);
        let (near, far) =
            tokio::join!(clients.accept(Stream::from(near)), bad.connect(Stream::from(far), "db"));
        assert!(near.is_err(), "{:?}", far.map(drop));

        // Another authority: what was verified by the one before is no longer good.
        let next = clients.renewed(&settings(&other)).unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        let (near, _far) =
            tokio::join!(next.accept(Stream::from(near)), good.connect(Stream::from(far), "db"));
        assert!(near.is_err());
        let (near, _far) = handshake(&next, &bad, "db").await.unwrap();
        assert!(near.certificate().is_some() && !near.is_resumed());
    }
}

#[test]
fn bad_files_are_named() {
    let dir = certificate_for("db");
    let file = |name: &str| dir.path().join(name);
    let said = |error: Option<TlsError>| error.unwrap().to_string();
    let clients = |cert: &str, key: &str| said(ClientSideTls::new(&shown(&dir, cert, key)).err());
    assert!(clients("missing.pem", "key.pem").contains("missing.pem: No such file"));
    assert!(clients("key.pem", "key.pem").contains("key.pem: holds no certificate"));
    assert!(clients("cert.pem", "cert.pem").contains("cert.pem: holds nothing of the kind"));
    // A key that is not the certificate's.
    assert!(clients("ca.pem", "key.pem").starts_with("TLS: "));
    let no_ca = said(targets(TargetTlsMode::VerifyCa, None).err());
    assert!(no_ca.contains("a ca file is needed"));
    let not_ca = targets(TargetTlsMode::VerifyIdentity, Some(&file("key.pem"))).err();
    assert!(said(not_ca).contains("holds no certificate"));
}

#[tokio::test]
async fn tls_goes_over_a_bare_stream_only() {
    let (clients, targets) = with_version(&TLS13);
    let (near, far) = handshake(&clients, &targets, "db").await.unwrap();
    assert!(clients.accept(near).await.is_err());
    assert!(targets.connect(far, "db").await.is_err());
}

/// Made with `openssl x509 -req -signkey` and no extensions, hence X.509 version 1, valid until
/// 2126. rcgen makes version 3 only.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBFTCBvQIUW18unlO65f8cvr4ok2vD9KOn27QwCgYIKoZIzj0EAwIwDTELMAkG
A1UEAwwCdjEwIBcNMjYxMTIzMTQzNDQ3WhgPMjEyNjEwMzAxNDM0NDdaMA0xCzAJ
BgNVBAMMAnYxMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEvshNrWhJnLkYjGPp
zJuMj3pdybMqMESUItqZer/ifon2IPaqMPmxr5qSX7yga7+yPP1b/jM1ZbgxhklA
AaUUiTAKBggqhkjOPQQDAgNHADBEAiAQuEerTbmDMb7RND9lSqbZofx6VplQVBgy
OniCscWJqQIgPXqwhchIgcYbQFjUytrW9bHfF+Ii7XEF5K1iJI87qfE=
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgUUTxx9gcX6rMbUha
dXcC3RgL348+5mlv3rzRD78HAJahRANCAAS+yE2taEmcuRiMY+nMm4yPel3Jsyow
RJQi2pl6v+J+ifYg9qow+bGvmpJfvKBrv7I8/Vv+MzVluDGGSUABpRSJ
-----END PRIVATE KEY-----
";

#[tokio::test]
async fn a_version_1_certificate_serves_where_any_does() {
    let chain = vec![CertificateDer::from_pem_slice(VERSION_1.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(VERSION_1.as_bytes()).unwrap();
    let key = provider().key_provider.load_private_key(key).unwrap();
    // Our own acceptor refuses it, so this server is built by hand.
    let identity = SingleCertAndKey::from(CertifiedKey::new(chain, key));
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(identity));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    for version in [&TLS12, &TLS13] {
        let targets = only(version);
        let (near, far) = UnixStream::pair().unwrap();
        let (near, far) =
            tokio::join!(acceptor.accept(near), targets.connect(Stream::from(far), "db"));
        near.unwrap();
        far.unwrap();
    }
}
