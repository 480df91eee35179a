//! A name that the kernel keeps for this process for as long as it lives, however it ends.
//!
//! Owns the proof that another process has ended: it ran under this kernel and in this network
//! namespace, where nobody has its name any more. Whatever else is read as "it may live".

use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Held until it is dropped.
pub struct Lifeline {
    /// Where a name means something: the start of the kernel, and the namespace.
    realm: String,
    name: String,
    _held: UnixDatagram,
}

/// Two that run at once never have the same name.
const NAME_BYTES: usize = 16;

impl Lifeline {
    pub fn take() -> io::Result<Self> {
        let realm = realm()?;
        let mut random = [0_u8; NAME_BYTES];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("no random bytes"))?;
        let name = format!("{:032x}", u128::from_ne_bytes(random));
        let held = UnixDatagram::bind_addr(&address(&name)?)?;
        Ok(Self { realm, name, _held: held })
    }

    /// For others to ask about: letters, digits, `-` and `/`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.realm, self.name)
    }

    /// Is this the name of a process that is known to live no more?
    pub fn has_ended(&self, name: &str) -> bool {
        let Some((realm, name)) = name.rsplit_once('/') else { return false };
        let is_a_name = name.len() == 2 * NAME_BYTES && name.bytes().all(|b| b.is_ascii_hexdigit());
        if realm != self.realm || !is_a_name {
            return false;
        }
        let knock = || UnixDatagram::unbound()?.connect_addr(&address(name)?);
        // Only this says that nobody has it.
        matches!(knock(), Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
    }
}

/// Abstract: it is no file, and gone with its holder.
fn address(name: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("tidegate/{name}"))
}

/// A namespace's number is free again only when all that ran in it have ended.
fn realm() -> io::Result<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let namespace = fs::read_link("/proc/self/ns/net")?;
    let number = namespace.to_string_lossy();
    let number: String = number.chars().filter(char::is_ascii_digit).collect();
    let boot: String = boot.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    if boot.is_empty() || number.is_empty() {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    Ok(format!("{boot}/{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_gone_has_ended() {
        let me = Lifeline::take().unwrap();
        let other = Lifeline::take().unwrap();
        let (mine, others) = (me.name(), other.name());
        assert_ne!(mine, others);
        assert!(!me.has_ended(&others) && !me.has_ended(&mine));
        drop(other);
        assert!(me.has_ended(&others));
    }

    #[test]
    fn what_ran_elsewhere_may_live() {
        let me = Lifeline::take().unwrap();
        let gone = Lifeline::take().unwrap().name();
        assert!(me.has_ended(&gone));
        let (realm, name) = gone.rsplit_once('/').unwrap();
        let (boot, namespace) = realm.split_once('/').unwrap();
        for doubtful in [
            format!("{boot}/{namespace}0/{name}"),
            format!("0{boot}/{namespace}/{name}"),
            format!("{realm}/{name}0"),
            format!("{realm}/"),
            name.to_owned(),
            String::new(),
        ] {
            assert!(!me.has_ended(&doubtful), "{doubtful}");
        }
    }
}
