//! A host of its own, as far as the network can tell: a namespace at the end of a cable.
//!
//! Owns both, and goes with them. When it is cut off, nothing comes back from it, neither a packet nor
//! a word that none will come. Needs root and iproute2.

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

pub struct Island {
    pub name: String,
    /// The third byte of its addresses.
    net: u32,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Island {
    /// `None`, and a word on standard error: this machine does not let us.
    pub fn rise() -> Option<Self> {
        let number = std::process::id() * 7 + NEXT.fetch_add(1, Ordering::Relaxed);
        let island = Self { name: format!("tidegate-{number}"), net: number % 250 };
        let Self { name, .. } = &island;
        let (here, there) = (format!("tg{number}a"), format!("tg{number}b"));
        let (ours, theirs) = (island.ours(), island.address());
        for arguments in [
            format!("netns add {name}"),
            format!("link add {here} type veth peer name {there} netns {name}"),
            format!("addr add {ours}/30 dev {here}"),
            format!("link set {here} up"),
            format!("-n {name} addr add {theirs}/30 dev {there}"),
            format!("-n {name} link set {there} up"),
            format!("-n {name} link set lo up"),
        ] {
            if let Err(why) = ip(&arguments) {
                eprintln!("SKIPPED: no network namespace here: ip {arguments}: {why}");
                return None;
            }
        }
        Some(island)
    }

    pub fn address(&self) -> String {
        format!("10.213.{}.2", self.net)
    }

    fn ours(&self) -> String {
        format!("10.213.{}.1", self.net)
    }

    /// What is sent there arrives, and nothing is heard of it again.
    pub fn cut_off(&self) {
        ip(&format!("-n {} route add blackhole {}/32", self.name, self.ours())).expect("a route");
    }

    pub fn join_again(&self) {
        ip(&format!("-n {} route del blackhole {}/32", self.name, self.ours())).expect("a route");
    }

    /// The same command, run there.
    pub fn inside(name: &str, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", name]).arg(command.get_program()).args(command.get_args());
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        let _ = ip(&format!("netns del {}", self.name));
    }
}

fn ip(arguments: &str) -> Result<(), String> {
    let run = Command::new("ip").args(arguments.split(' ')).output();
    let output = run.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
