//! Fencing: a program of the operator's makes sure that a server takes no more writes.
//!
//! Its word is taken for it. What it does is not known here.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

use crate::config::{Address, FenceCommand};

#[derive(Debug, thiserror::Error)]
pub enum FenceError {
    #[error("failover.fence_command cannot be run: {0}")]
    Run(#[from] io::Error),
    #[error("failover.fence_command was not done within {0:?} (failover.fence_timeout)")]
    Timeout(Duration),
    #[error("failover.fence_command ended with {0}")]
    Failed(ExitStatus),
}

/// Without a shell; the target's name and address are two more arguments. What it says on its standard
/// error is among the log.
pub(super) async fn fence(
    command: &FenceCommand,
    name: &str,
    address: &Address,
) -> Result<(), FenceError> {
    let mut child = Command::new(&command.program)
        .args(&command.arguments)
        .args([name, &address.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // So that what it starts ends with it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = child.id();
    let Ok(status) = tokio::time::timeout(command.timeout, child.wait()).await else {
        let group = group.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = group {
            // It may have ended meanwhile.
            let _ = kill_process_group(group, Signal::KILL);
        }
        return Err(FenceError::Timeout(command.timeout));
    };
    let status = status?;
    if status.success() { Ok(()) } else { Err(FenceError::Failed(status)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(script: &str) -> Result<(), FenceError> {
        let command = FenceCommand {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into(), "fence".into()],
            timeout: Duration::from_millis(500),
        };
        fence(&command, "first", &Address::tcp("db", 3306)).await
    }

    #[tokio::test]
    async fn only_success_is_success() {
        run("[ \"$1 $2\" = 'first db:3306' ]").await.unwrap();
        assert!(matches!(run("exit 1").await, Err(FenceError::Failed(_))));
        assert!(matches!(run("sleep 60").await, Err(FenceError::Timeout(_))));
        let missing = FenceCommand {
            program: "/no/such".into(),
            arguments: Vec::new(),
            timeout: Duration::from_secs(1),
        };
        let told = fence(&missing, "first", &Address::tcp("db", 3306)).await;
        assert!(matches!(told, Err(FenceError::Run(_))));
    }
}
