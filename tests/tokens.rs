//! The promise: who shows a good token gets in as the user it is of, over TLS and with the drivers
//! people have; with any other token nobody does, and none is found in the log.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]
#![allow(clippy::float_cmp, reason = "metrics that count are whole")]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use mysql_async::{ChangeUserOpts, Conn, Error, OptsBuilder, SslOpts, prelude::Queryable};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use support::{
    cache, certificates,
    client::{Login, RawClient},
    servers::{Flavor, Options, PASSWORD, SCHEMA, Server, USER},
    tidegate::{Config, Tidegate, program},
    wait_for,
};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(10);
const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "shop-db";

/// A proxy, what signs for it, and the file it takes the keys from.
struct Stage {
    server: Server,
    tidegate: Tidegate,
    pair: KeyPair,
    folder: TempDir,
}

impl Stage {
    fn start(flavor: Flavor, kind: &'static rcgen::SignatureAlgorithm) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = KeyPair::generate_for(kind).unwrap();
        fs::write(folder.path().join("keys.pem"), pair.public_key_pem()).unwrap();
        fs::write(folder.path().join("key.pem"), pair.serialize_pem()).unwrap();
        certificates::write(folder.path());
        let shown = format!(
            "certificate = \"{}\"\nkey = \"{}\"",
            folder.path().join("server-cert.pem").display(),
            folder.path().join("server-key.pem").display()
        );
        let server = Server::start(flavor, Options::default());
        let keys = folder.path().join("keys.pem");
        let rules = format!(
            "keys = \"{}\"\nissuer = {ISSUER:?}\naudience = {AUDIENCE:?}\nleeway = \"0s\"",
            keys.display()
        );
        let config = Config::new()
            .target("primary", &server.address())
            .secret(&format!("username = {USER:?}\npassword = {PASSWORD:?}\ntoken = true"))
            .secret(&format!(
                "username = \"role\"\ntoken = true\ntoken_subject = \"arn:role/shop\"\n\
                 target_username = {USER:?}\ntarget_password = {PASSWORD:?}"
            ))
            .user("app_b", "app_b-password")
            .section("client", "failed_login_delay = \"0s\"")
            .section("client.tokens", &rules)
            .section("tls.client", &shown);
        Self { server, tidegate: Tidegate::start(config), pair, folder }
    }

    /// The authority behind the proxy's certificate.
    fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// As an operator would.
    fn minted(&self, user: &str, more: &[&str]) -> String {
        let output = Command::new(program())
            .args(["token", "--user", user, "--key"])
            .arg(self.folder.path().join("key.pem"))
            .arg("--config")
            .arg(self.tidegate.config_path())
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// With whatever claims.
    fn signed(&self, claims: &Value) -> String {
        sign(&self.pair, claims)
    }

    fn options(&self, user: &str, token: &str) -> OptsBuilder {
        OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.tidegate.port())
            .user(Some(user))
            .pass(Some(token))
            .db_name(Some(SCHEMA))
            .prefer_socket(false)
            .enable_cleartext_plugin(true)
            .ssl_opts(Some(SslOpts::default().with_danger_accept_invalid_certs(true)))
    }

    async fn log_in(&self, user: &str, token: &str) -> Result<Conn, Error> {
        Conn::new(self.options(user, token)).await
    }

    /// The reason of the last refusal.
    fn why(&self) -> String {
        let log = self.tidegate.log();
        let line = log.lines().rfind(|line| line.contains("refused a login")).unwrap_or_default();
        line.to_owned()
    }
}

fn sign(pair: &KeyPair, claims: &Value) -> String {
    let key = EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).unwrap();
    jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), claims, &key).unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn claims() -> Value {
    json!({"sub": USER, "iss": ISSUER, "aud": AUDIENCE, "exp": now() + 60})
}

fn with(claim: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[claim] = value;
    claims
}

fn code(told: Result<Conn, Error>) -> u16 {
    match told {
        Err(Error::Server(error)) => error.code,
        Err(error) => panic!("{error}"),
        Ok(_) => 0,
    }
}

fn ends_well(name: &str, output: &Output) {
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.trim_end().ends_with("OK"),
        "{name}: {}\n{told}{}\n(not installed? tests/servers/install.sh drivers)",
        output.status,
        String::from_utf8_lossy(&output.stderr),
    );
}

fn run(program: &Path, script: &str, stage: &Stage, token: &str) {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/drivers").join(script);
    let output = Command::new("timeout")
        .arg("60")
        .arg(program)
        .arg(&script)
        .args(["127.0.0.1", &stage.tidegate.port().to_string(), USER, token])
        .env("NODE_PATH", cache().join("node/node_modules"))
        .output()
        .unwrap();
    ends_well(&script.display().to_string(), &output);
}

/// A command-line client, with TLS or without.
fn cli(program: &Path, options: &[&str], stage: &Stage, token: &str) -> Output {
    Command::new("timeout")
        .arg("60")
        .arg(program)
        .args(["--no-defaults", "--batch", "--skip-column-names", "--protocol=TCP"])
        .args(["--host=127.0.0.1", "--user", USER, "--port"])
        .arg(stage.tidegate.port().to_string())
        .args(options)
        .args(["--execute", "SELECT 'OK'", SCHEMA])
        .env("MYSQL_PWD", token)
        .output()
        .unwrap()
}

#[test]
fn drivers_log_in_with_a_token() {
    for flavor in Flavor::installed() {
        let stage = Stage::start(flavor, &PKCS_RSA_SHA256);
        let token = stage.minted(USER, &[]);
        run(&cache().join("python/bin/python"), "token_python.py", &stage, &token);
        run(Path::new("node"), "token_node.js", &stage, &token);
        let mariadb = ["--ssl", "--skip-ssl-verify-server-cert"];
        ends_well("mariadb", &cli(Path::new("mariadb"), &mariadb, &stage, &token));
        let mysql = cache().join("mysql-9.7/bin/mysql");
        if !mysql.exists() {
            continue; // it comes with the server, whose absence has been told
        }
        let tls = ["--enable-cleartext-plugin", "--ssl-mode=REQUIRED"];
        ends_well("mysql", &cli(&mysql, &tls, &stage, &token));
        // Before it is asked for the token, it is told that it had better not show it.
        let plain = ["--enable-cleartext-plugin", "--ssl-mode=DISABLED"];
        let told = cli(&mysql, &plain, &stage, &token);
        let told = String::from_utf8_lossy(&told.stderr).into_owned();
        let words = format!(
            "ERROR 3159 (08004): Connections using insecure transport are prohibited for user \
             '{USER}', who logs in with a token."
        );
        assert!(told.contains(&words), "{told}");
        assert!(!stage.tidegate.log().contains(&token), "a token is in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_key_and_every_way_to_be_named() {
    for kind in [&PKCS_ED25519, &PKCS_ECDSA_P256_SHA256, &PKCS_RSA_SHA256] {
        let stage = Stage::start(Flavor::installed()[0], kind);
        let token = stage.minted("arn:role/shop", &["--ttl", "1m"]);
        let mut conn = stage.log_in("role", &token).await.unwrap();
        let user: String = conn.query_first("SELECT CURRENT_USER()").await.unwrap().unwrap();
        assert_eq!(user, "app@%");
        assert_eq!(code(stage.log_in(USER, &token).await), 1045);
        assert!(stage.why().contains("of another user"), "{}", stage.why());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_token_lets_nobody_in() {
    let stage = Stage::start(Flavor::installed()[0], &PKCS_ED25519);
    stage.log_in(USER, &stage.signed(&claims())).await.unwrap();

    let public = stage.pair.public_key_pem();
    let hmac = EncodingKey::from_secret(public.as_bytes());
    let hmac = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(), &hmac).unwrap();
    let good = stage.signed(&claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let none = format!(
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.{signature}",
        message.split_once('.').unwrap().1
    );
    let stranger = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    for (token, why) in [
        (stage.signed(&with("exp", json!(now() - 1))), "has expired"),
        (stage.signed(&with("nbf", json!(now() + 60))), "not good yet"),
        (stage.signed(&with("aud", json!("other-db"))), "for somebody else"),
        (stage.signed(&with("iss", json!("https://evil.example"))), "of another issuer"),
        (stage.signed(&with("sub", json!("app_b"))), "of another user"),
        (stage.signed(&json!({"sub": USER, "exp": now() + 60})), "lacks iss"),
        (sign(&stranger, &claims()), "not signed by whom we believe"),
        (none, "it is no token"),
        (hmac, "an algorithm that none of the keys is for"),
        (PASSWORD.to_owned(), "it is no token"),
        ("x".repeat(64 * 1024), "it is no token"),
    ] {
        let told = stage.log_in(USER, &token).await;
        let Err(Error::Server(error)) = told else { panic!("{why}: {:?}", told.err()) };
        assert_eq!(error.code, 1045, "{why}");
        let words = format!("Access denied for user '{USER}'@'127.0.0.1' (using password: YES)");
        assert_eq!(error.message, words);
        assert!(stage.why().contains(why), "wanted {why:?}: {}", stage.why());
        assert!(!stage.tidegate.log().contains(&token), "{why}: the token is in the log");
    }
    // A user with a password takes no token.
    assert_eq!(
        code(stage.log_in("app_b", &stage.signed(&with("sub", json!("app_b")))).await),
        1045
    );
    // A client without TLS is not asked for its token, whatever it says first.
    let told = RawClient::login(stage.tidegate.address(), &Login::new(USER, &good)).err().unwrap();
    assert_eq!(told.code(), 3159);
    assert_eq!(stage.tidegate.metrics()["tidegate_logins_total{outcome=\"tls_required\"}"], 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_its_token() {
    let stage = Stage::start(Flavor::installed()[0], &PKCS_ED25519);
    let token = stage.minted(USER, &["--ttl", "3s"]);
    let mut conn = stage.log_in(USER, &token).await.unwrap();
    let limit = SystemTime::now() + SOON;
    while code(stage.log_in(USER, &token).await) != 1045 {
        assert!(SystemTime::now() < limit, "the token never expires");
    }
    assert!(stage.why().contains("has expired"), "{}", stage.why());
    assert_eq!(conn.query_first("SELECT 1").await.unwrap(), Some(1));
    // To become the same user anew is a login.
    let again = ChangeUserOpts::new().with_user(Some(USER.to_owned())).with_pass(Some(token));
    let told = conn.change_user(again).await;
    let Err(Error::Server(error)) = told else { panic!("{told:?}") };
    assert_eq!(error.code, 1045);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_with_a_token_on_the_same_wire() {
    let stage = Stage::start(Flavor::installed()[0], &PKCS_ED25519);
    let mut conn = stage.log_in("app_b", "app_b-password").await.unwrap();
    let token = stage.signed(&claims());
    let become_app = ChangeUserOpts::new()
        .with_user(Some(USER.to_owned()))
        .with_pass(Some(token))
        .with_db_name(Some(SCHEMA.to_owned()));
    conn.change_user(become_app).await.unwrap();
    let user: String = conn.query_first("SELECT CURRENT_USER()").await.unwrap().unwrap();
    assert_eq!(user, "app@%");
    assert!(stage.server.connections_of(USER) >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_is_taken_as_soon_as_it_is_there() {
    let stage = Stage::start(Flavor::installed()[0], &PKCS_ED25519);
    let keys = stage.folder.path().join("keys.pem");
    let old = stage.signed(&claims());
    let next = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let new = sign(&next, &claims());
    assert_eq!(code(stage.log_in(USER, &new).await), 1045);

    // What is no key is refused, and the old ones stay.
    fs::write(&keys, "no key").unwrap();
    let failures = "tidegate_token_keys_reload_failures_total";
    stage.tidegate.until_metric(failures, SOON, |failed| failed == 1.0);
    stage.log_in(USER, &old).await.unwrap();

    // For as long as a rotation takes both are there.
    fs::write(&keys, stage.pair.public_key_pem() + &next.public_key_pem()).unwrap();
    let generation = "tidegate_token_keys_generation";
    stage.tidegate.until_metric(generation, SOON, |generation| generation == 1.0);
    stage.log_in(USER, &old).await.unwrap();
    stage.log_in(USER, &new).await.unwrap();

    fs::write(&keys, next.public_key_pem()).unwrap();
    stage.tidegate.until_metric(generation, SOON, |generation| generation == 2.0);
    assert_eq!(code(stage.log_in(USER, &old).await), 1045);
    stage.log_in(USER, &new).await.unwrap();
}

/// Read by nothing of ours: OpenSSL makes the keys, as the manual says.
#[tokio::test(flavor = "multi_thread")]
async fn keys_as_openssl_makes_them() {
    let stage = Stage::start(Flavor::installed()[0], &PKCS_ED25519);
    let key = stage.folder.path().join("key.pem");
    let keys = stage.folder.path().join("keys.pem");
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(arguments);
        assert!(command.output().unwrap().status.success(), "{arguments:?}");
    };
    let key_path = key.to_str().unwrap();
    for (generation, algorithm) in
        [&["ed25519"][..], &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"], &["RSA"]]
            .into_iter()
            .enumerate()
    {
        let make = [&["genpkey", "-out", key_path, "-algorithm"], algorithm].concat();
        openssl(&make);
        openssl(&["pkey", "-in", key_path, "-pubout", "-out", keys.to_str().unwrap()]);
        stage.tidegate.until_metric("tidegate_token_keys_generation", SOON, |seen| {
            seen > f64::from(u32::try_from(generation).unwrap())
        });
        let token = stage.minted(USER, &[]);
        stage.log_in(USER, &token).await.unwrap();
    }
}

#[test]
fn what_a_configuration_lacks_is_said_before_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let check = || {
        let output = Command::new(program())
            .args(["check", "--config", "t.toml"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let minimal = "[[endpoint]]\n[[target]]\n";
    write("secrets.toml", "[[user]]\nusername = \"app\"\npassword = \"x\"\ntoken = true\n");
    write("t.toml", minimal);
    let keys = "client.tokens.keys";
    let lacks = format!("t.toml: {keys}: user \"app\" logs in with a token: name the keys\n");
    assert_eq!(check(), (Some(78), lacks));

    let rules = "[client.tokens]\nkeys = \"k.pem\"\nissuer = \"i\"\naudience = \"a\"\n";
    write("t.toml", &format!("{minimal}{rules}"));
    let missing = check();
    assert_eq!(missing.0, Some(78));
    assert!(missing.1.starts_with(&format!("k.pem: {keys}: cannot be read: ")), "{missing:?}");
    let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    write("k.pem", &pair.serialize_pem());
    let private =
        format!("k.pem: {keys}: holds a private key: only the public one belongs there\n");
    assert_eq!(check(), (Some(78), private));
    write("k.pem", &pair.public_key_pem());
    assert_eq!(check(), (Some(0), String::new()));
}

/// As RDS does with those of IAM: the one behind asks the one in front for a token.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_tokens_is_shown_one_where_it_is_verified() {
    let stage = Stage::start(Flavor::installed()[0], &PKCS_ED25519);
    let token = stage.minted(USER, &[]);
    let before = |mode: &str| {
        let config = Config::new()
            .target("primary", &stage.tidegate.address())
            .secret(&format!(
                "username = {USER:?}\npassword = {PASSWORD:?}\ntarget_password = {token:?}"
            ))
            .section("tls.target", mode);
        Tidegate::start_unready(config)
    };
    let verifying = format!("mode = \"verify-ca\"\nca = \"{}\"", stage.authority().display());
    let tidegate = before(&verifying);
    let answer = || {
        let login = Login::app();
        let mut client = RawClient::login(tidegate.address(), &login).ok()?;
        client.query("SELECT CURRENT_USER()").ok()?[0][0].clone()
    };
    assert_eq!(wait_for("an answer", SOON, answer), "app@%");

    let trusting = before("mode = \"required\"");
    wait_for("the refusal", SOON, || {
        let (_, told) = trusting.http("/readyz")?;
        told.contains("mysql_clear_password").then_some(())
    });
}
