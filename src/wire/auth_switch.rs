//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_auth_switch_request.html
//!
//! Owns the request to go on with another plugin. Never answers one.

use bytes::{BufMut, BytesMut};

use super::{Malformed, Reader, put_packet};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthSwitch {
    pub plugin: String,
    /// Without the NUL that MySQL's plugins end theirs with.
    pub nonce: Vec<u8>,
}

impl AuthSwitch {
    /// MySQL's nonces. Other plugins choose their own length, and end in no NUL.
    const NONCE_LEN: usize = 20;

    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("auth switch", payload);
        reader.expect(0xFE, "0xFE")?;
        if reader.is_empty() {
            // The one-byte form of servers before 5.5.
            return Ok(Self { plugin: "mysql_old_password".to_owned(), nonce: Vec::new() });
        }
        let plugin = String::from_utf8_lossy(reader.until_nul()?).into_owned();
        let nonce = match reader.rest() {
            [nonce @ .., 0] if nonce.len() == Self::NONCE_LEN => nonce,
            nonce => nonce,
        };
        Ok(Self { plugin, nonce: nonce.to_vec() })
    }

    /// Answers the next sequence id.
    pub fn put(&self, out: &mut BytesMut, seq: u8) -> u8 {
        let mut payload = BytesMut::with_capacity(64);
        payload.put_u8(0xFE);
        payload.put_slice(self.plugin.as_bytes());
        payload.put_u8(0);
        payload.put_slice(&self.nonce);
        if self.nonce.len() == Self::NONCE_LEN {
            payload.put_u8(0);
        }
        put_packet(out, seq, &payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn there_and_back() {
        let payload = b"\xFEmysql_native_password\0z{X8yG1pQ0sWv7Kb4RtN\0";
        let switch = AuthSwitch::parse(payload).unwrap();
        assert_eq!(switch.plugin, "mysql_native_password");
        assert_eq!(switch.nonce, b"z{X8yG1pQ0sWv7Kb4RtN"[..].to_vec());
        let mut out = BytesMut::new();
        assert_eq!(switch.put(&mut out, 2), 3);
        assert_eq!(&out[4..], payload);
    }

    #[test]
    fn nonces_of_other_lengths_are_left_alone() {
        let payload = [&b"\xFEclient_ed25519\0"[..], &[0; 32]].concat();
        let switch = AuthSwitch::parse(&payload).unwrap();
        assert_eq!(switch.nonce, [0; 32]);
        let mut out = BytesMut::new();
        switch.put(&mut out, 2);
        assert_eq!(&out[4..], payload);
    }

    #[test]
    fn the_old_form() {
        assert_eq!(AuthSwitch::parse(b"\xFE").unwrap().plugin, "mysql_old_password");
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = AuthSwitch::parse(&bytes);
            let _ = AuthSwitch::parse(&[&b"\xFE"[..], &bytes].concat());
        }
    }
}
