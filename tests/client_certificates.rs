//! The promise: a user for whom a certificate is asked gets in with that certificate and their
//! password, and with neither alone. And a server that asks Tidegate for one is shown it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole")]

mod support;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use support::{
    cache,
    certificates::Authority,
    client::{Login, RawClient},
    servers::{Flavor, Options, PASSWORD, SCHEMA, Server, USER},
    tidegate::{Config, Tidegate},
};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(10);

/// An authority, and clients of it: `app`, and `web`; and one of an authority nobody knows.
fn folder() -> (TempDir, Authority) {
    let folder = tempfile::tempdir().unwrap();
    Authority::new().write_client(folder.path(), "stranger");
    let authority = Authority::new();
    authority.write_client(folder.path(), "web");
    authority.write_client(folder.path(), "app");
    (folder, authority)
}

fn toward_clients(folder: &Path, more: &str) -> String {
    format!("ca = \"{}\"\n{more}", folder.join("ca.pem").display())
}

/// The `mariadb` client, which everybody has.
fn mariadb(
    tidegate: &Tidegate,
    user: &str,
    password: &str,
    shown: Option<(&Path, &str)>,
) -> Output {
    let mut command = Command::new("mariadb");
    command
        .args(["--no-defaults", "--batch", "--skip-column-names", "--protocol=TCP"])
        .args(["--host=127.0.0.1", "--ssl", "--skip-ssl-verify-server-cert"])
        .args(["--user", user, "--port", &tidegate.port().to_string()])
        .args(["--execute", "SELECT 'OK'", SCHEMA])
        .env("MYSQL_PWD", password);
    if let Some((folder, name)) = shown {
        let file = |kind: &str| folder.join(format!("{name}-{kind}.pem")).display().to_string();
        command.arg(format!("--ssl-cert={}", file("cert")));
        command.arg(format!("--ssl-key={}", file("key")));
    }
    command.output().unwrap()
}

#[track_caller]
fn is_in(output: &Output) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "OK\n", "{told}");
}

#[track_caller]
fn is_told(output: &Output, code: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains(code), "wanted {code}: {told}");
}

#[track_caller]
fn logged(tidegate: &Tidegate, why: &str) {
    let log = tidegate.log();
    let line = log.lines().rfind(|line| line.contains("refused a login")).unwrap_or_default();
    assert!(line.contains(why), "wanted {why:?}: {line}");
}

#[test]
fn a_user_may_need_a_certificate() {
    let (files, _authority) = folder();
    let files = files.path();
    let server = Server::start(Flavor::installed()[0], Options::default());
    let of = |name: &str, more: &str| {
        format!(
            "username = {name:?}\npassword = {PASSWORD:?}\ntarget_username = {USER:?}\n\
             target_password = {PASSWORD:?}\n{more}"
        )
    };
    let config = Config::new()
        .target("primary", &server.address())
        .secret(&of("any", "require_certificate = true"))
        .secret(&of("subject", "certificate_subject = \"/O=Shop/CN=app\""))
        .secret(&of("name", "certificate_name = \"app.shop.internal\""))
        .secret(&of("none", ""))
        .section("client", "failed_login_delay = \"0s\"")
        .section("tls.client", &toward_clients(files, ""));
    let tidegate = Tidegate::start(config);
    let log_in = |user: &str, shown: Option<&str>| {
        mariadb(&tidegate, user, PASSWORD, shown.map(|name| (files, name)))
    };
    is_in(&log_in("none", None));
    is_in(&log_in("none", Some("app")));
    for user in ["any", "subject", "name"] {
        is_in(&log_in(user, Some("app")));
        is_told(&log_in(user, None), "ERROR 1045");
        logged(&tidegate, "it showed no certificate");
        is_told(&mariadb(&tidegate, user, "wrong", Some((files, "app"))), "ERROR 1045");
        // An authority that is not believed ends the handshake.
        is_told(&log_in(user, Some("stranger")), "ERROR 20");
    }
    is_in(&log_in("any", Some("web")));
    is_told(&log_in("subject", Some("web")), "ERROR 1045");
    logged(&tidegate, "another subject");
    is_told(&log_in("name", Some("web")), "ERROR 1045");
    logged(&tidegate, "not for the name");
    // Without TLS nothing can be shown.
    let plain = RawClient::login(tidegate.address(), &Login::new("any", PASSWORD));
    assert_eq!(plain.err().unwrap().code(), 1045);

    let mysql = cache().join("mysql-9.7/bin/mysql");
    if mysql.exists() {
        let output = Command::new(mysql)
            .args(["--no-defaults", "--batch", "--skip-column-names", "--protocol=TCP"])
            .args(["--host=127.0.0.1", "--ssl-mode=REQUIRED", "--user=subject"])
            .args(["--port", &tidegate.port().to_string(), "--execute", "SELECT 'OK'", SCHEMA])
            .arg(format!("--ssl-cert={}", files.join("app-cert.pem").display()))
            .arg(format!("--ssl-key={}", files.join("app-key.pem").display()))
            .env("MYSQL_PWD", PASSWORD)
            .output()
            .unwrap();
        is_in(&output);
    }
}

#[test]
fn all_may_need_one_and_the_authority_may_change() {
    let (files, _authority) = folder();
    let files = files.path();
    let server = Server::start(Flavor::installed()[0], Options::default());
    let config = Config::to(&server)
        .section("client", "failed_login_delay = \"0s\"")
        .section("tls.client", &toward_clients(files, "require_certificate = true"));
    let tidegate = Tidegate::start(config);
    let log_in =
        |shown: Option<&str>| mariadb(&tidegate, USER, PASSWORD, shown.map(|name| (files, name)));
    is_in(&log_in(Some("app")));
    is_told(&log_in(None), "ERROR 1045");

    let next = Authority::new();
    let elsewhere = tempfile::tempdir().unwrap();
    next.write_client(elsewhere.path(), "app");
    fs::write(files.join("ca.pem"), next.pem()).unwrap();
    let generation = "tidegate_certificate_generation";
    tidegate.until_metric(generation, SOON, |generation| generation == 1.0);
    is_told(&log_in(Some("app")), "ERROR 20");
    is_in(&mariadb(&tidegate, USER, PASSWORD, Some((elsewhere.path(), "app"))));
}

#[test]
fn a_server_that_asks_is_shown_one() {
    for flavor in Flavor::installed() {
        let (files, authority) = folder();
        let files = files.path();
        let ca = files.join("server-believes.pem");
        fs::write(&ca, authority.pem()).unwrap();
        let options = Options::default().argument(format!("--ssl-ca={}", ca.display()));
        let server = Server::start(flavor, options);
        server.root(&format!("ALTER USER {USER}@'%' REQUIRE SUBJECT '/O=Shop/CN=app'"));
        let lines = format!(
            "mode = \"verify-ca\"\nca = \"{}\"\ncertificate = \"{}\"\nkey = \"{}\"",
            files.join("target-ca.pem").display(),
            files.join("app-cert.pem").display(),
            files.join("app-key.pem").display()
        );
        // Whom the server is believed to be is read again, too.
        fs::write(files.join("target-ca.pem"), Authority::new().pem()).unwrap();
        let config = Config::to(&server).section("tls.target", &lines);
        let tidegate = Tidegate::start_unready(config);
        support::wait_for("the refusal", SOON, || {
            let (status, told) = tidegate.http("/readyz")?;
            (status == 503 && told.contains("certificate")).then_some(())
        });
        fs::copy(server.ca(), files.join("target-ca.pem")).unwrap();
        support::wait_for("the target", SOON, || {
            tidegate.http("/readyz").filter(|(status, _)| *status == 200)
        });
        let mut client = RawClient::login(tidegate.address(), &Login::app()).unwrap();
        let cipher = client.query("SHOW STATUS LIKE 'Ssl_cipher'").unwrap();
        assert!(cipher[0][1].as_ref().is_some_and(|cipher| !cipher.is_empty()), "{flavor:?}");
    }
}
