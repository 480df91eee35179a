//! `tidegate check --connect` says what the targets are, and whether they serve.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod support;

use std::{
    fs,
    process::{Command, Output},
};

use support::{
    free_port,
    servers::{Flavor, Options, PASSWORD, Server},
    tidegate::program,
};

/// Runs the check for these targets, as these users.
fn check(targets: &[(&str, String)], users: &[&str]) -> Output {
    check_as("", targets, users)
}

/// The same, where somebody is named who looks at the targets.
fn check_as(watcher: &str, targets: &[(&str, String)], users: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let target = |(name, address): &(&str, String)| {
        format!("[[target]]\nname = {name:?}\naddress = {address:?}\n")
    };
    let targets: String = targets.iter().map(target).collect();
    let reads =
        "[[endpoint]]\nname = \"reads\"\nlisten = \"127.0.0.1:6040\"\naccess = \"read-only\"\n";
    fs::write(folder.path().join("t.toml"), format!("[[endpoint]]\n{reads}{targets}")).unwrap();
    let users = format!("[[user]]\n{}\n", users.join("\n[[user]]\n"));
    fs::write(folder.path().join("secrets.toml"), users).unwrap();
    let mut command = Command::new(program());
    command.args(["check", "--config", "t.toml", "--connect"]);
    command.env_clear().env("TIDEGATE__FAILOVER__USERNAME", watcher);
    command.current_dir(folder.path()).output().unwrap()
}

fn user(name: &str, password: &str) -> String {
    format!("username = {name:?}\npassword = {password:?}")
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn ends(output: &Output, code: i32, stderr: &str) {
    let said = said(output);
    assert_eq!(String::from_utf8_lossy(&output.stderr), stderr, "{said}");
    assert_eq!(output.status.code(), Some(code), "{said}");
}

/// The text that a finding about something has, once in the whole.
#[track_caller]
fn finding<'s>(said: &'s str, about: &str) -> (&'s str, &'s str) {
    let mut found = said.lines().filter_map(|line| {
        let (level, rest) = line.strip_prefix("  ")?.split_once(' ')?;
        Some((level, rest.trim_start().strip_prefix(about)?.trim_start()))
    });
    let one = found.next().unwrap_or_else(|| panic!("no {about} in\n{said}"));
    assert_eq!(found.next(), None, "{about} in\n{said}");
    one
}

#[test]
fn a_target_that_serves_says_what_it_is() {
    for flavor in Flavor::installed() {
        let server = Server::start(flavor, Options::default().max_connections(50));
        // In use by others.
        server.root("SELECT 1");
        let output = check(&[("db", server.address())], &[&user("app", PASSWORD)]);
        ends(&output, 0, "");
        let said = said(&output);
        assert!(said.starts_with("t.toml: valid: 2 endpoints, 1 target\n\ndb ("), "{said}");
        assert!(!said.contains("failed"), "{said}");
        let version = server.root("SELECT VERSION()")[0][0].clone().unwrap();
        let (level, told) = finding(&said, "version");
        assert!(level == "ok" && told.ends_with(&version), "{told}, {version}");
        assert_eq!(finding(&said, "login"), ("ok", "app"));
        assert_eq!(finding(&said, "role"), ("ok", "takes writes"));
        assert!(finding(&said, "TLS").1.starts_with("TLSv1."), "{said}");
        assert_eq!(
            finding(&said, "connections"),
            (
                "ok",
                "pool.max_connections is 45 of the server's 50, of which others have 1 now: enough \
                 for one Tidegate"
            )
        );
        assert_eq!(finding(&said, "wait_timeout").0, "ok");
        assert_eq!(
            finding(&said, "privileges"),
            ("ok", "app: none over the whole server, and none is needed")
        );
        let tracked = finding(&said, "trackers").1;
        let tracked: usize = tracked.split(' ').find_map(|word| word.parse().ok()).unwrap();
        assert!(tracked > 100, "{tracked}");
    }
}

#[test]
fn what_does_not_serve_is_an_exit_code() {
    let flavor = Flavor::installed()[0];
    let server = Server::start(flavor, Options::default());
    let nobody = format!("127.0.0.1:{}", free_port());
    let output = check(&[("gone", nobody)], &[&user("app", PASSWORD), &user("app_b", "x")]);
    ends(&output, 1, "tidegate: 1 of 1 target does not serve\n");
    let text = said(&output);
    let (level, why) = finding(&text, "login");
    assert!(level == "failed" && why.starts_with("app: Connection refused"), "{why}");

    let address = || server.address();
    let output = check(&[("db", address())], &[&user("app", "wrong")]);
    ends(&output, 1, "tidegate: 1 of 1 target does not serve\n");
    let said = said(&output);
    let (level, why) = finding(&said, "login");
    assert!(level == "failed" && why.contains("Access denied for user 'app'"), "{said}");

    // One of two users is enough to look, and not to serve.
    let output = check(&[("db", address())], &[&user("app", PASSWORD), &user("app_b", "wrong")]);
    ends(&output, 1, "tidegate: 1 of 1 target does not serve\n");

    // In the middle of a rotation.
    let rotating = format!("{}\nprevious_password = {PASSWORD:?}", user("app", "the next one"));
    let output = check(&[("db", address())], &[&rotating]);
    ends(&output, 0, "");
    let said = self::said(&output);
    assert_eq!(
        finding(&said, "login"),
        ("warning", "app: the server still has the previous password")
    );
}

#[test]
fn several_targets_have_one_primary() {
    for flavor in Flavor::installed() {
        let first = Server::start(flavor, Options::default());
        let second = Server::start(flavor, Options::default().argument("--read-only=ON"));
        let targets = [("first", first.address()), ("second", second.address())];
        for server in [&first, &second] {
            server.root("CREATE USER boss@'%' IDENTIFIED BY 'boss'");
            server.root("GRANT ALL ON *.* TO boss@'%'");
        }
        let output = check(&targets, &[&user("app", PASSWORD), &user("boss", "boss")]);
        ends(&output, 0, "");
        let text = said(&output);
        assert_eq!(finding(&text, "primary"), ("ok", "first"));
        assert_eq!(finding(&text, "reads"), ("ok", "second"));
        let warned = |about: &str, what: &str| {
            let line = |line: &str| {
                line.contains("warning") && line.contains(about) && line.contains(what)
            };
            assert!(text.lines().any(line), "{flavor:?}: {about}: {what}\n{text}");
        };
        // The account that is asked first may not ask; the other may do too much.
        match flavor {
            Flavor::MySql => {
                warned("probe", "grant REPLICATION CLIENT");
                warned("privileges", "boss has SUPER");
            }
            Flavor::MariaDb => {
                warned("probe", "grant REPLICA MONITOR");
                warned("privileges", "boss has ALL PRIVILEGES");
            }
        }

        let privileges = match flavor {
            Flavor::MySql => "REPLICATION CLIENT, SYSTEM_VARIABLES_ADMIN, REPLICATION_SLAVE_ADMIN",
            Flavor::MariaDb => "REPLICA MONITOR, READ_ONLY ADMIN, REPLICATION SLAVE ADMIN",
        };
        for server in [&first, &second] {
            server.root("CREATE USER tidegate@'%' IDENTIFIED BY 'moves'");
            server.root(&format!("GRANT {privileges} ON *.* TO tidegate@'%'"));
        }
        let watched = || {
            let users = [user("app", PASSWORD), user("tidegate", "moves")];
            said(&check_as("tidegate", &targets, &[&users[0], &users[1]]))
        };
        let lines = |text: &str, what: &str| text.lines().filter(|it| it.contains(what)).count();
        let text = watched();
        assert_eq!(lines(&text, "tidegate may not move the primary: grant RELOAD"), 2, "{text}");
        for server in [&first, &second] {
            server.root("GRANT RELOAD ON *.* TO tidegate@'%'");
        }
        let text = watched();
        assert_eq!(lines(&text, "the account may move the primary"), 2, "{text}");
        assert_eq!(lines(&text, "warning  privileges"), 0, "{text}");
        assert_eq!(lines(&text, "warning  probe"), 0, "{text}");

        second.root("SET GLOBAL read_only = 0");
        let output = check(&targets, &[&user("app", PASSWORD)]);
        ends(&output, 1, "tidegate: not every endpoint is served\n");
        let said = said(&output);
        assert_eq!(
            finding(&said, "primary"),
            ("failed", "first and second take writes, and which is the primary is not known")
        );
    }
}
