//! Descriptors handed from one process to another over a unix socket, each with words about it.
//!
//! Blocking, with a limit on each wait: for threads that may wait. What the words mean is not known here.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt,
};

/// Four bytes of length, then the words. A descriptor comes with the length.
pub struct Handover(UnixStream);

impl Handover {
    /// Words that are longer are a mistake: they are neither sent nor received.
    pub const MOST: usize = 64 * 1024 * 1024;

    pub fn new(stream: UnixStream, patience: Duration) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        let handover = Self(stream);
        handover.be_patient(patience)?;
        Ok(handover)
    }

    /// Whose process the other is.
    pub fn user(&self) -> io::Result<u32> {
        Ok(sockopt::socket_peercred(&self.0)?.uid.as_raw())
    }

    /// How long each wait may last from here on.
    pub fn be_patient(&self, patience: Duration) -> io::Result<()> {
        self.0.set_read_timeout(Some(patience))?;
        self.0.set_write_timeout(Some(patience))
    }

    pub fn send(&mut self, words: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        if words.len() > Self::MOST {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "words that are too long"));
        }
        let length = u32::try_from(words.len()).map_err(io::Error::other)?.to_be_bytes();
        let mut sent = 0;
        if let Some(descriptor) = descriptor {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let descriptors = [descriptor];
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
            sent = retry_on_intr(|| {
                sendmsg(&self.0, &[IoSlice::new(&length)], &mut control, SendFlags::NOSIGNAL)
            })?;
        }
        self.0.write_all(length.get(sent..).unwrap_or_default())?;
        self.0.write_all(words)
    }

    /// `None`: the other side has closed.
    pub fn receive(&mut self) -> io::Result<Option<(Vec<u8>, Option<OwnedFd>)>> {
        let mut length = [0; 4];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = retry_on_intr(|| {
            let mut place = [IoSliceMut::new(&mut length)];
            recvmsg(&self.0, &mut place, &mut control, RecvFlags::CMSG_CLOEXEC)
                .map(|received| received.bytes)
        })?;
        let mut descriptor = None;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                descriptor = descriptors.last();
            }
        }
        if got == 0 {
            return Ok(None);
        }
        self.0.read_exact(length.get_mut(got..).unwrap_or_default())?;
        let length = u32::from_be_bytes(length) as usize;
        if length > Self::MOST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "words that are too long"));
        }
        let mut words = vec![0; length];
        self.0.read_exact(&mut words)?;
        Ok(Some((words, descriptor)))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    fn pair() -> (Handover, Handover) {
        let (near, far) = UnixStream::pair().unwrap();
        let patience = Duration::from_secs(5);
        (Handover::new(near, patience).unwrap(), Handover::new(far, patience).unwrap())
    }

    #[test]
    fn a_listener_changes_hands() {
        let (mut old, mut new) = pair();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        old.send(b"first", None).unwrap();
        old.send(b"a listener", Some(listener.as_fd())).unwrap();
        old.send(b"", None).unwrap();
        drop(listener);
        let (words, nothing) = new.receive().unwrap().unwrap();
        assert_eq!((&*words, nothing.is_none()), (&b"first"[..], true));
        let (words, descriptor) = new.receive().unwrap().unwrap();
        assert_eq!(words, b"a listener");
        let listener = TcpListener::from(descriptor.unwrap());
        assert_eq!(new.receive().unwrap().unwrap().0, b"");
        let _client = TcpStream::connect(address).unwrap();
        listener.accept().unwrap();
        drop(old);
        assert!(new.receive().unwrap().is_none());
    }

    #[test]
    fn nobody_waits_for_ever() {
        let (old, mut new) = pair();
        new.be_patient(Duration::from_millis(20)).unwrap();
        assert!(new.receive().is_err());
        drop(old);
    }

    #[test]
    fn what_is_too_long_is_not_begun() {
        let (mut old, mut new) = pair();
        let words = vec![0; Handover::MOST + 1];
        assert_eq!(old.send(&words, None).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        old.send(b"next", None).unwrap();
        assert_eq!(new.receive().unwrap().unwrap().0, b"next");
    }

    #[test]
    fn whose_the_other_is() {
        let (old, _new) = pair();
        assert_eq!(old.user().unwrap(), super::super::own_user());
    }

    #[test]
    fn what_is_too_long_is_not_waited_for() {
        let (mut old, mut new) = pair();
        old.0.write_all(&u32::MAX.to_be_bytes()).unwrap();
        assert_eq!(new.receive().unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
