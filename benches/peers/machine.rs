//! The machine that made the figures.

use std::{fs, process::Command};

/// Lines of a list.
pub fn describe() -> Vec<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cpu = read("/proc/cpuinfo");
    let cpu = cpu.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim().to_owned())
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo");
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let memory = memory.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    let system = read("/etc/os-release");
    let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    vec![
        format!("{cores} cores, {}", cpu.as_deref().unwrap_or("of an unknown kind")),
        format!("{} GB of memory", memory.unwrap_or_default() / (1 << 20)),
        format!(
            "Linux {}, {}",
            read("/proc/sys/kernel/osrelease"),
            system.unwrap_or("").trim_matches('"')
        ),
        first_line("sysbench", &["--version"]),
    ]
}

/// Date, and the commit that was built.
pub fn when() -> (String, String) {
    let commit = first_line("git", &["describe", "--always", "--dirty"]);
    (first_line("date", &["-u", "+%Y-%m-%d %H:%M UTC"]), commit)
}

/// Of the last minute, five and fifteen.
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}
