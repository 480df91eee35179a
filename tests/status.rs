//! `tidegate status` prints what a running proxy is doing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod support;

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
    time::Duration,
};

use support::{
    client::{Login, RawClient},
    free_port,
    servers::{Flavor, Options, Server},
    tidegate::{Config, Tidegate, program},
    wait_for,
};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.arg("status").args(arguments).env_clear();
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

#[track_caller]
fn printed(output: Output) -> String {
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn refused(output: Output, why: &str) {
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with(why), "{said}");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
}

#[test]
fn a_running_proxy_is_asked() {
    let server = Server::start(Flavor::installed()[0], Options::default());
    let tidegate = Tidegate::start(Config::to(&server).section("pool", "max_connections = 8"));
    let mut client = RawClient::login(tidegate.address(), &Login::app()).unwrap();
    client.query("SELECT GET_LOCK('a', 1)").unwrap();
    let config = tidegate.config_path();
    let url = format!("http://127.0.0.1:{}/", tidegate.admin_port());
    for arguments in [["--admin", &url], ["--config", config.to_str().unwrap()]] {
        let said = printed(run(&arguments));
        let line = |start: &str| {
            let found = said.lines().find_map(|line| line.strip_prefix(start));
            found.unwrap_or_else(|| panic!("{start}\n{said}")).trim().to_owned()
        };
        let ready = concat!("Tidegate ", env!("CARGO_PKG_VERSION"), ", ready, up ");
        assert!(said.starts_with(ready), "{said}");
        assert_eq!(line("clients "), "1 of 10,000 at most");
        assert_eq!(line("server connections "), "1 borrowed, 0 idle, 0 dialing, of 8 at most");
        let target: Vec<String> = line("primary ").split_whitespace().map(str::to_owned).collect();
        let standing = format!("primary {}", server.address());
        assert_eq!(target[..2].join(" "), standing, "{said}");
        assert_eq!(target[3..], ["1", "0", "8", "0"], "{said}");
        assert_eq!(line("user_lock").split_whitespace().collect::<Vec<_>>(), ["1", "1"]);
    }

    let mut watching =
        command(&["--watch", "--admin", &url]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(watching.stdout.take().unwrap()).lines().map(Result::unwrap);
    let heads = lines.filter(|line| line.starts_with("Tidegate ")).take(3);
    assert_eq!(heads.count(), 3);
    watching.kill().unwrap();
    watching.wait().unwrap();
}

/// By a unix socket, which is nobody's beyond this machine, or through whatever else listens.
#[test]
fn a_unix_socket_is_a_door_too() {
    let server = Server::start(Flavor::installed()[0], Options::default());
    let folder = tempfile::tempdir().unwrap();
    let door = format!("unix:{}", folder.path().join("http").display());
    let config = Config::to(&server).environment("TIDEGATE__ADMIN__HTTP", &door);
    let _tidegate = Tidegate::start_unready(config);
    let said = wait_for("an answer", Duration::from_secs(20), || {
        let output = run(&["--admin", &door]);
        let said = String::from_utf8(output.stdout).unwrap();
        said.contains(", ready, ").then_some(said)
    });
    assert!(said.contains(&server.address()), "{said}");
}

#[test]
fn who_is_not_there_is_named() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let why = format!("tidegate: no Tidegate answers at {nobody} (admin.http): Connection refused");
    refused(run(&["--admin", &nobody]), &why);
    let mut variable = command(&[]);
    let door = nobody.trim_start_matches("http://");
    refused(variable.env("TIDEGATE__ADMIN__HTTP", door).output().unwrap(), &why);
    let mut variable = command(&[]);
    let said = variable.env("TIDEGATE__ADMIN__HTTP", "here").output().unwrap();
    refused(said, "tidegate: TIDEGATE__ADMIN__HTTP: \"here\" has no port");

    let server = Server::start(Flavor::installed()[0], Options::default());
    let no_tidegate = format!("http://{}", server.address());
    refused(run(&["--admin", &no_tidegate]), &format!("tidegate: {no_tidegate}"));
}
