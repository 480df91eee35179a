//! One child process on a leash.
//!
//! Owns the promise that nothing outlives a test: the child runs under a small shell that holds the
//! other end of a pipe. The pipe closes when the owner is dropped, panics, aborts, is interrupted at
//! the terminal or is killed outright, and then the shell kills the child and removes its folder.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// `$1` is the folder to remove when the owner is gone, the rest is the program. Its standard output
/// has the child's id and nothing else; its standard error is the log.
const LEASH: &str = r#"
folder=$1; shift
exec 3<&0 4>&1 >/dev/null
"$@" 3<&- 4>&- </dev/null >&2 &
pid=$!
echo $pid >&4
exec 4>&-
{ read -r _ <&3; : >"$folder/.let-go"; kill -9 $pid; } 2>/dev/null &
watcher=$!
wait $pid
status=$?
if [ -e "$folder/.let-go" ]; then rm -rf "$folder"; else kill $watcher; fi
exit $status
"#;

pub struct Leashed {
    shell: Child,
    leash: Option<ChildStdin>,
    pid: u32,
}

impl Leashed {
    /// Starts `command`, its output going to the end of `log`. `folder` is removed when the owner of
    /// the leash is gone, and must hold nothing else of worth.
    pub fn start(command: &Command, folder: &Path, log: &Path) -> Self {
        let output = File::options().create(true).append(true).open(log).expect("the log opens");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", LEASH, "leash"])
            .arg(folder)
            .arg(command.get_program())
            .args(command.get_args())
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(output)
            // An interrupt at the terminal is for the owner; the leash tells the child.
            .process_group(0);
        let mut shell = shell.spawn().expect("sh starts");
        let mut first_line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut first_line).unwrap();
        let pid = first_line.trim().parse().expect("the leash says the child's id");
        Self { leash: shell.stdin.take(), shell, pid }
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// `name` as kill(1) knows it: `TERM`, `HUP`, `STOP`, `CONT`, `KILL`.
    pub fn signal(&self, name: &str) {
        let _ = Command::new("kill")
            .args(["-s", name, &self.pid.to_string()])
            .stderr(Stdio::null())
            .status();
    }

    /// The child's own exit status (128 + n for a signal n), once it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.shell.try_wait().expect("the leash can be waited for")
    }

    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        while started.elapsed() < limit {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    pub fn kill(&mut self) {
        self.signal("KILL");
        self.wait(Duration::from_secs(10)).expect("a killed process ends");
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        self.leash.take();
        let _ = self.shell.wait();
    }
}
