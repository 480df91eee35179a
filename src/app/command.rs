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
    let printed = async { read(stdout, MOST_PRINTED + 1, Beyond::ClosePipe).await };
    let said = async { read(stderr, MOST_SAID, Beyond::PassOver).await };
    let (printed, said) = tokio::try_join!(printed, said)?;
    Ok((child.wait().await?, printed, said))
}

/// What becomes of more than is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beyond {
    /// It is told so by a closed pipe.
    ClosePipe,
    PassOver,
}

/// The room is taken once: a buffer that grows leaves copies behind.
async fn read(
    pipe: Option<impl AsyncRead + Unpin>,
    most: usize,
    beyond: Beyond,
) -> Result<Zeroizing<Vec<u8>>, io::Error> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(most));
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(most as u64).read_to_end(&mut bytes).await?;
        if beyond == Beyond::PassOver && bytes.len() == most {
            // A line that was cut may end in the beginning of a secret.
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
            bytes.truncate(whole);
            tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
        }
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
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let Ok(printed) = serde_json::from_slice(printed) else {
        // What of it is a secret cannot be told.
        let lines = lines.count();
        tracing::warn!(%program, lines, "it said something; what it printed is not JSON, so that is not shown");
        return;
    };
    let mut values = Vec::new();
    collect(&printed, &mut values);
    // One may be the beginning of another.
    values.sort_unstable_by_key(|value| std::cmp::Reverse(value.len()));
    for line in lines {
        tracing::warn!(%program, "{}", without(line, &values));
    }
}

/// Every text of what was printed that may be worth hiding.
fn collect<'v>(value: &'v serde_json::Value, into: &mut Vec<&'v str>) {
    match value {
        serde_json::Value::String(text) if text.len() >= 4 => into.push(text),
        serde_json::Value::Array(values) => values.iter().for_each(|it| collect(it, into)),
        serde_json::Value::Object(entries) => entries.values().for_each(|it| collect(it, into)),
        _ => {}
    }
}

/// A line without any of these, the longest first.
fn without(line: &str, values: &[&str]) -> String {
    let line = values.iter().fold(line.to_owned(), |line, value| line.replace(value, "***"));
    // Control characters would begin another line of the log.
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_LINE).collect()
}

/// Of what it says, in letters.
const LONGEST_LINE: usize = 500;

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
    fn what_was_printed_is_not_shown() {
        let printed = serde_json::json!([{
            "username": "shop",
            "password": "shop-Xk29",
            "previous_password": "a\"b/c\\d",
            "port": "33",
        }]);
        let mut values = Vec::new();
        collect(&printed, &mut values);
        values.sort_unstable_by_key(|value| std::cmp::Reverse(value.len()));
        assert_eq!(without("shop-Xk29 refused\x1b", &values), "*** refused ");
        assert_eq!(without("tried a\"b/c\\d at 33", &values), "tried *** at 33");
        let long = format!("{}shop-Xk29", "x".repeat(LONGEST_LINE - 4));
        assert!(!without(&long, &values).contains("shop"), "not even a part");
    }
}
