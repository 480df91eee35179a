//! The promise: MariaDB's ed25519 works on both sides, held against MariaDB's own server and client.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod support;

use std::process::{Command, Output};

use support::{
    client::{Login, RawClient},
    servers::{Flavor, MariaDb, Options, PASSWORD, SCHEMA, Server, USER},
    tidegate::{Config, Tidegate},
};

/// With the user `signer` / `secret`; `None`: there is no MariaDB here.
fn server() -> Option<Server> {
    if !Flavor::installed().contains(&Flavor::MariaDb) {
        return None;
    }
    let server = MariaDb::start(Options::default());
    server.root("INSTALL SONAME 'auth_ed25519'");
    server.root("CREATE USER signer@'%' IDENTIFIED VIA ed25519 USING PASSWORD('secret')");
    server.root(&format!("GRANT ALL ON {SCHEMA}.* TO signer@'%'"));
    Some(server)
}

fn client(tidegate: &Tidegate, user: &str, password: &str) -> Output {
    Command::new("mariadb")
        .args(["--no-defaults", "--batch", "--skip-column-names", "--protocol=TCP", "--skip-ssl"])
        .args(["--host=127.0.0.1", "--user", user, "--port", &tidegate.port().to_string()])
        .args(["--default-auth=client_ed25519", "--execute", "SELECT CURRENT_USER()", SCHEMA])
        .env("MYSQL_PWD", password)
        .output()
        .unwrap()
}

#[track_caller]
fn is_in(output: &Output, user: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{user}@%\n"), "{told}");
}

#[test]
fn toward_the_server() {
    let Some(server) = server() else { return };
    let tidegate = Tidegate::start(
        Config::new()
            .target("primary", &server.address())
            .user("signer", "secret")
            .user(USER, PASSWORD)
            .section("pool", "max_connections = 1"),
    );
    let one = |user: &str, password: &str| {
        let login = Login::new(user, password).schema(SCHEMA);
        let mut client = RawClient::login(tidegate.address(), &login).unwrap();
        client.query("SELECT CURRENT_USER()").unwrap()[0][0].clone().unwrap()
    };
    // With one connection each is the other's by COM_CHANGE_USER.
    for _ in 0..3 {
        assert_eq!(one("signer", "secret"), "signer@%");
        assert_eq!(one(USER, PASSWORD), format!("{USER}@%"));
    }
    // While the password is changed there before it is here.
    tidegate.write_secrets(
        &Config::new()
            .secret("username = \"signer\"\npassword = \"next\"\nprevious_password = \"secret\"")
            .user(USER, PASSWORD)
            .secrets(),
    );
    tidegate.until_metric("tidegate_secrets_generation", SOON, |generation| generation >= 2.0);
    assert_eq!(one("signer", "next"), "signer@%");
    server.root("ALTER USER signer@'%' IDENTIFIED VIA ed25519 USING PASSWORD('next')");
    assert_eq!(one(USER, PASSWORD), format!("{USER}@%"));
    assert_eq!(one("signer", "next"), "signer@%");
}

const SOON: std::time::Duration = std::time::Duration::from_secs(10);

#[test]
fn toward_clients() {
    let Some(server) = server() else { return };
    let hash = server.root(
        "SELECT JSON_VALUE(Priv, '$.authentication_string') FROM mysql.global_priv \
         WHERE User = 'signer'",
    );
    let hash = hash[0][0].clone().unwrap();
    let known = format!(
        "username = \"known\"\npassword_hash = \"ed25519:{hash}\"\n\
         target_username = \"signer\"\ntarget_password = \"secret\""
    );
    let tidegate = Tidegate::start(
        Config::new()
            .target("primary", &server.address())
            .user("signer", "secret")
            .user(USER, PASSWORD)
            .secret(&known)
            .section("client", "failed_login_delay = \"0s\""),
    );
    is_in(&client(&tidegate, "signer", "secret"), "signer");
    is_in(&client(&tidegate, USER, PASSWORD), USER);
    is_in(&client(&tidegate, "known", "secret"), "signer");
    for (user, password) in
        [("signer", "other"), ("signer", ""), ("known", "other"), ("known", &hash), ("nobody", "x")]
    {
        let output = client(&tidegate, user, password);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains("ERROR 1045"), "{user}: {told}");
    }
    // A client that names another plugin is asked for a signature where nothing else will do.
    let output = Command::new("mariadb")
        .args(["--no-defaults", "--batch", "--skip-column-names", "--protocol=TCP", "--skip-ssl"])
        .args(["--host=127.0.0.1", "--user=known", "--port", &tidegate.port().to_string()])
        .args(["--execute", "SELECT CURRENT_USER()", SCHEMA])
        .env("MYSQL_PWD", "secret")
        .output()
        .unwrap();
    is_in(&output, "signer");
}
