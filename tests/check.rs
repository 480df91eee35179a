//! The program says everything wrong with a configuration, exactly, and ends with the code of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot write or run has failed")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Runs the program in a folder, with no environment but what is given.
fn tidegate(folder: &Path, arguments: &str, env: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(arguments.split(' ').filter(|argument| !argument.is_empty()))
        .current_dir(folder)
        .env_clear()
        .envs(env.iter().copied())
        .output()
        .unwrap()
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[track_caller]
fn ends(output: &Output, code: i32, stdout: &str, stderr: &str) {
    assert_eq!(String::from_utf8_lossy(&output.stderr), stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), stdout);
    assert_eq!(output.status.code(), Some(code));
}

const VALID: &str = "[[endpoint]]\n[[target]]\n";
const SECRETS: &str = "[[user]]\nusername = \"app\"\npassword = \"x\"\n";

#[test]
fn a_valid_configuration() {
    let folder = folder(&[("t.toml", VALID), ("secrets.toml", SECRETS)]);
    let valid = "t.toml: valid: 1 endpoint, 1 target\n";
    ends(&tidegate(folder.path(), "check --config t.toml", &[]), 0, valid, "");
    let env = [("TIDEGATE_CONFIG", "t.toml"), ("TIDEGATE__POOL__MAX_IDLE", "7")];
    ends(&tidegate(folder.path(), "check", &env), 0, valid, "");
}

#[test]
fn the_environment_alone_is_enough() {
    let folder = folder(&[("s.toml", SECRETS)]);
    let env = [
        ("TIDEGATE__ENDPOINT__0__LISTEN", "0.0.0.0:3306"),
        ("TIDEGATE__TARGET__0__ADDRESS", "db:3306"),
        ("TIDEGATE__SECRETS__PATH", "s.toml"),
    ];
    let valid = "environment: valid: 1 endpoint, 1 target\n";
    ends(&tidegate(folder.path(), "check", &env), 0, valid, "");
}

#[test]
fn what_this_version_cannot_do_is_refused() {
    let folder = folder(&[("s.toml", SECRETS)]);
    let mut env = vec![
        ("TIDEGATE__ENDPOINT__0__LISTEN", "0.0.0.0:3306"),
        ("TIDEGATE__ENDPOINT__1__LISTEN", "0.0.0.0:3307"),
        ("TIDEGATE__ENDPOINT__1__NAME", "reads"),
        ("TIDEGATE__ENDPOINT__1__ACCESS", "read-only"),
        ("TIDEGATE__TARGET__0__ADDRESS", "db:3306"),
        ("TIDEGATE__TARGET__1__ADDRESS", "replica:3306"),
        ("TIDEGATE__TARGET__1__NAME", "replica"),
        ("TIDEGATE__SECRETS__PATH", "s.toml"),
    ];
    let valid = "environment: valid: 2 endpoints, 2 targets\n";
    ends(&tidegate(folder.path(), "check", &env), 0, valid, "");
    env.push(("TIDEGATE__TARGET__0__ROLE", "primary"));
    env.push(("TIDEGATE__TARGET__1__ROLE", "primary"));
    env.push(("TIDEGATE__FAILOVER__USERNAME", "watcher"));
    env.push(("TOKIO_WORKER_THREADS", "many"));
    let refused = "environment: TOKIO_WORKER_THREADS: \"many\" is not a number of threads from 1 to \
                   1024\n";
    ends(&tidegate(folder.path(), "check", &env), 78, "", refused);
    env.pop();
    let refused = "environment: failover.username: no user \"watcher\" in the secrets
\
                   environment: target.role: there can be only one \"primary\"
";
    ends(&tidegate(folder.path(), "check", &env), 78, "", refused);
}

const BAD: &str = r#"title = "mine"

[[endpoint]]
name = "writes"
listen = "127.0.0.1"

[[endpoint]]
name = "writes"
listen = "127.0.0.1:6034"
acces = "read-only"

[[target]]
address = "db:99999"
role = "master"

[pool]
max_connections = "150%"
min_idle = -1
idle_timeout = 300
borrow_timeout = "10 seconds"
max_waiting = "many"

[client]
max_qeury = "5s"

[tls.client]
mode = "require"
key = "server.key"

[tls.target]
mode = "verify-identity"

[secrets]
path = ""

[log]
level = warn
"#;

const SAID: &str = r#"t.toml:1: title: unknown key; the sections are endpoint, target, secrets, pool, client, failover, tls, admin, upgrade, log
t.toml:5: endpoint[0].listen: "127.0.0.1" has no port: write host:port, such as 127.0.0.1:3306
t.toml:8: endpoint[1].name: another endpoint is named "writes"
t.toml:9: endpoint[1].listen: 127.0.0.1:6034 is already taken by admin.http
t.toml:10: endpoint[1].acces: unknown key; did you mean access?
t.toml:13: target[0].address: "99999" is not a port: expected a number from 0 to 65535
t.toml:14: target[0].role: "master" is not one of "auto", "primary", "replica"
t.toml:17: pool.max_connections: expected a number, or a share from "1%" to "100%", found "150%"
t.toml:18: pool.min_idle: -1 is out of bounds: expected from 0 to 100000
t.toml:19: pool.idle_timeout: 300 has no unit: write "300s" for seconds
t.toml:20: pool.borrow_timeout: expected a duration such as "800ms", "5m" or "24h", found "10 seconds"
t.toml:21: pool.max_waiting: expected a number from 0 to 10000000, found "many"
t.toml:24: client.max_qeury: unknown key; did you mean max_query?
t.toml:27: tls.client.mode: "require" is not one of "off", "preferred", "required"; did you mean "required"?
t.toml:28: tls.client.key: a key needs its certificate: set certificate too
t.toml:31: tls.target.mode: there is nothing to verify against: set ca too
t.toml:34: secrets.path: a path must not be empty
t.toml:37: string values must be quoted, expected literal string
environment: TIDEGATE__POOL__MAX_LIVETIME: unknown key; did you mean TIDEGATE__POOL__MAX_LIFETIME?
"#;

#[test]
fn every_mistake_of_a_bad_one() {
    let folder = folder(&[("t.toml", BAD)]);
    let env = [("TIDEGATE__POOL__MAX_LIVETIME", "1h")];
    ends(&tidegate(folder.path(), "check --config t.toml", &env), 78, "", SAID);
    ends(&tidegate(folder.path(), "run --config t.toml", &env), 78, "", SAID);
}

#[test]
fn what_is_missing() {
    let folder = folder(&[("t.toml", ""), ("u.toml", VALID)]);
    let path = folder.path();
    ends(
        &tidegate(path, "check --config t.toml", &[]),
        78,
        "",
        "t.toml: endpoint: at least one is needed: write [[endpoint]], or set \
         TIDEGATE__ENDPOINT__0__LISTEN\n\
         t.toml: target: at least one is needed: write [[target]], or set \
         TIDEGATE__TARGET__0__ADDRESS\n",
    );
    ends(
        &tidegate(path, "check --config no.toml", &[]),
        78,
        "",
        "no.toml: cannot be read: No such file or directory (os error 2)\n",
    );
    ends(
        &tidegate(path, "check --config u.toml", &[]),
        78,
        "",
        "secrets.toml: secrets.path: cannot be read: No such file or directory (os error 2)\n",
    );
}

#[test]
fn a_bad_option_is_not_a_bad_configuration() {
    let folder = folder(&[]);
    for arguments in ["", "walk", "run --target db --secrets s", "run --target db:3306", "check -x"]
    {
        let output = tidegate(folder.path(), arguments, &[]);
        assert_eq!(output.status.code(), Some(1), "{arguments}");
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{arguments}");
    }
}

#[test]
fn version_and_help() {
    let folder = folder(&[]);
    let version = concat!("tidegate ", env!("CARGO_PKG_VERSION"), "\n");
    ends(&tidegate(folder.path(), "--version", &[]), 0, version, "");
    let help = tidegate(folder.path(), "--help", &[]);
    let text = String::from_utf8_lossy(&help.stdout);
    assert!(text.contains("run") && text.contains("check") && text.contains("78"), "{text}");
    assert_eq!(help.status.code(), Some(0));
}
