//! The connection phase from the server's side, packet by packet: the greeting, TLS, the login, what
//! the verifier asks for and is answered, the OK.
//!
//! Owns their order, their sequence ids and their bound. Never decides who may come in, and never
//! has a word for those who may not.
//!
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>

use std::io;

use bytes::BytesMut;
use zeroize::Zeroize;

use super::packets::{TooLong, read_packet};
use super::{ClientSideTls, Stream};
use crate::auth::{Verdict, Verifier};
use crate::wire::{AuthMore, Capabilities, Greeting, Login, OkReply, put_ok};

/// Connection attributes alone may be 64 KB.
pub const LOGIN_PACKET: usize = 128 * 1024;

pub struct Handshake {
    pub stream: Stream,
    /// Of the last packet read.
    seq: u8,
}

#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Its header, which may be none at all.
    #[error("a packet larger than a login may be")]
    TooLarge(Option<[u8; 4]>),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// None of these is cancel-safe: a login that is given up is closed.
impl Handshake {
    pub fn new(stream: Stream) -> Self {
        Self { stream, seq: 0 }
    }

    pub async fn greet(&mut self, greeting: &Greeting) -> io::Result<()> {
        let mut out = BytesMut::with_capacity(128);
        greeting.put(&mut out, 0);
        self.stream.send(&out).await
    }

    pub async fn read(&mut self) -> Result<BytesMut, HandshakeError> {
        match read_packet(&mut self.stream, LOGIN_PACKET).await {
            Ok((seq, payload)) => {
                self.seq = seq;
                Ok(payload)
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let long = error.get_ref().and_then(|why| why.downcast_ref::<TooLong>());
                Err(HandshakeError::TooLarge(long.map(|it| it.header)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// After an SSLRequest.
    pub async fn secure(self, tls: &ClientSideTls) -> io::Result<Self> {
        Ok(Self { stream: tls.accept(self.stream).await?, seq: self.seq })
    }

    /// As often as the verifier asks, which is once. Its last verdict.
    pub async fn judge(
        &mut self,
        verifier: &mut Verifier,
        login: &Login,
    ) -> Result<Verdict, HandshakeError> {
        let verdict = verifier.answer(login.plugin.as_bytes(), &login.auth_response);
        let Some(question) = verdict.question() else { return Ok(verdict) };
        let mut out = BytesMut::with_capacity(64);
        question.put(&mut out, self.next_seq());
        self.stream.send(&out).await?;
        let mut answer = self.read().await?;
        let verdict = verifier.answer_switch(&answer);
        answer.zeroize();
        Ok(verdict)
    }

    /// The end of a login that is good.
    pub async fn accept(
        &mut self,
        fast_auth_ok: bool,
        reply: &OkReply<'_>,
        capabilities: Capabilities,
    ) -> io::Result<()> {
        let mut out = BytesMut::with_capacity(64);
        let mut seq = self.next_seq();
        if fast_auth_ok {
            seq = AuthMore { data: &[3] }.put(&mut out, seq);
        }
        put_ok(&mut out, seq, reply, capabilities);
        self.stream.send(&out).await
    }

    /// Of the next packet to be sent.
    pub fn next_seq(&self) -> u8 {
        self.seq.wrapping_add(1)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use super::*;
    use crate::auth::{Nonce, Plugin, scramble};
    use crate::secrets::{Account, Password};
    use crate::wire::{AuthSwitch, Extended, put_packet};

    async fn packet(far: &mut UnixStream) -> (u8, Vec<u8>) {
        let mut header = [0; 4];
        far.read_exact(&mut header).await.unwrap();
        let mut payload = vec![0; usize::from(header[0])];
        far.read_exact(&mut payload).await.unwrap();
        (header[3], payload)
    }

    fn login(plugin: &str, auth_response: Vec<u8>) -> Login {
        Login {
            capabilities: crate::wire::OFFERED,
            max_packet: 1 << 24,
            collation: 45,
            extended: Extended::empty(),
            user: "app".to_owned(),
            auth_response,
            schema: None,
            plugin: plugin.to_owned(),
            attributes: Vec::new(),
            zstd_level: None,
        }
    }

    #[tokio::test]
    async fn a_question_and_its_answer() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let account = Account::new("app".into(), Password::new("pw"), None, None, None);
        let plugin = Plugin::CachingSha2Password;
        let mut verifier = Verifier::new(Nonce::random(), Some(Arc::new(account)), plugin);
        let client = async {
            far.write_all(b"\x01\0\0\x01x").await.unwrap();
            let (seq, payload) = packet(&mut far).await;
            assert_eq!(seq, 2);
            let switch = AuthSwitch::parse(&payload).unwrap();
            assert_eq!(switch.plugin, plugin.name());
            let nonce = Nonce::from_slice(&switch.nonce).unwrap();
            let mut out = BytesMut::new();
            put_packet(&mut out, 3, &scramble(plugin, b"pw", &nonce));
            far.write_all(&out).await.unwrap();
            let fast = packet(&mut far).await;
            let (seq, ok) = packet(&mut far).await;
            (fast, (seq, ok[0]))
        };
        let server = async {
            let mut handshake = Handshake::new(Stream::from(near));
            assert_eq!(&handshake.read().await.unwrap()[..], b"x");
            let login = login("client_of_another_kind", Vec::new());
            let verdict = handshake.judge(&mut verifier, &login).await.unwrap();
            let Verdict::Accept { fast_auth_ok } = verdict else { panic!("{verdict:?}") };
            let capabilities = login.capabilities;
            handshake.accept(fast_auth_ok, &OkReply::default(), capabilities).await.unwrap();
        };
        let ((fast, ok), ()) = tokio::join!(client, server);
        assert_eq!((fast, ok), ((4, vec![1, 3]), (5, 0)));
    }

    #[tokio::test]
    async fn what_is_no_login_is_not_waited_for() {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(b"\x01\0\x03\x01").await.unwrap();
        let told = Handshake::new(Stream::from(near)).read().await;
        assert!(matches!(told, Err(HandshakeError::TooLarge(Some([1, 0, 3, 1])))));
    }
}
