//! A program that prints the secrets.
//!
//! Run without a shell, within a time and a length. What it prints is for the one who asked and is
//! wiped; what it says on its standard error is logged, line by line, and its passwords are not to
//! stand there: what it has printed as a value is cut out.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use crate::config::SecretsCommand;

/// A thousand users have room in it.
const MOST_PRINTED: usize = 1024 * 1024;
const MOST_SAID: usize = 8 * 1024;

#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("cannot be run: {0}")]
    Run(#[from] io::Error),
    #[error("was not done within {0:?} (secrets.command_timeout)")]
    Timeout(Duration),
    #[error("printed more than 1 MiB")]
    TooLong,
    #[error("ended with {0}")]
    Failed(ExitStatus),
}

pub(super) async fn run(command: &SecretsCommand) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    let mut child = Command::new(&command.program)
        .args(&command.arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // So that what it starts ends with it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = child.id();
    let ended = tokio::time::timeout(command.timeout, watch(&mut child)).await;
    if !matches!(ended, Ok(Ok(_))) {
        kill(group);
    }
    let (status, printed, said) = ended.map_err(|_| CommandError::Timeout(command.timeout))??;
    if !said.is_empty() {
        tell(command, &said, &printed);
    }
    if printed.len() > MOST_PRINTED {
        return Err(CommandError::TooLong);
    }
    if !status.success() {
        return Err(CommandError::Failed(status));
    }
    Ok(printed)
}

type Outcome = (ExitStatus, Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>);

async fn watch(child: &mut Child) -> Result<Outcome, CommandError> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // Beyond its length it is told by a closed pipe.
    let printed = async { read(stdout, MOST_PRINTED + 1).await };
    let said = async { read(stderr, MOST_SAID).await };
    let (printed, said) = tokio::try_join!(printed, said)?;
    Ok((child.wait().await?, printed, said))
}

/// The room is taken once: a buffer that grows leaves copies behind.
async fn read(
    pipe: Option<impl AsyncRead + Unpin>,
    most: usize,
) -> Result<Zeroizing<Vec<u8>>, io::Error> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    if let Some(pipe) = pipe {
        pipe.take(most as u64).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

fn kill(group: Option<u32>) {
    let group = group.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(group) = group {
        // It may have ended meanwhile.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn tell(command: &SecretsCommand, said: &[u8], printed: &[u8]) {
    let program = command.program.display();
    let text = String::from_utf8_lossy(said);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        tracing::warn!(%program, "{}", without(line, printed));
    }
}

/// A line without any of the texts that stand in quotes in what was printed.
fn without(line: &str, printed: &[u8]) -> String {
    let printed = String::from_utf8_lossy(printed);
    // Control characters would begin another line of the log.
    let mut line: String =
        line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect();
    let quoted = printed.split('"').skip(1).step_by(2);
    for text in quoted.filter(|text| text.len() >= 4) {
        line = line.replace(text, "***");
    }
    line
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn sh(script: &str, timeout: u64) -> SecretsCommand {
        SecretsCommand {
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            timeout: Duration::from_millis(timeout),
        }
    }

    #[tokio::test]
    async fn what_it_prints_is_taken() {
        let printed = run(&sh("printf %s \"$0 and no more\"; echo said >&2", 5000)).await.unwrap();
        assert_eq!(printed.as_slice(), b"/bin/sh and no more");
        let missing = SecretsCommand { program: "/no/such".into(), ..sh("", 1000) };
        let error = run(&missing).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot be run: No such file"), "{error}");
        let error = run(&sh("echo '{}'; exit 3", 5000)).await.unwrap_err();
        assert_eq!(error.to_string(), "ended with exit status: 3");
    }

    #[tokio::test]
    async fn it_has_an_end() {
        let started = Instant::now();
        // What the shell starts holds the pipe too.
        let error = run(&sh("sleep 60 & sleep 60", 200)).await.unwrap_err();
        assert!(matches!(error, CommandError::Timeout(_)), "{error}");
        let error = run(&sh("yes '{\"username\": \"app\"}'", 20_000)).await.unwrap_err();
        assert!(matches!(error, CommandError::TooLong | CommandError::Failed(_)), "{error}");
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_password_is_cut_out_of_what_is_said() {
        let printed = br#"{"username": "app", "password": "hunter2"}"#;
        assert_eq!(without("got \"hunter2\" for it\x1b", printed), "got \"***\" for it ");
        assert_eq!(without("no token", printed), "no token");
    }
}
