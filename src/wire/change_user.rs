//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_change_user.html
//!
//! Owns COM_CHANGE_USER. Never judges a password.

use bytes::{BufMut, BytesMut};

use super::login::{put_attributes, put_nul_str, read_attributes};
use super::{Capabilities, Command, Malformed, Reader, put_packet};

/// No `Debug`: the answer to a clear-text challenge is the password.
#[derive(Clone, PartialEq, Eq)]
pub struct ChangeUser {
    pub user: String,
    /// At most 255 bytes fit: more is cut, and the server will refuse it.
    pub auth_response: Vec<u8>,
    pub schema: Option<String>,
    /// All 16 bits of the collation id; 0 where the client sent none.
    pub collation: u16,
    /// Empty without `CLIENT_PLUGIN_AUTH`.
    pub plugin: String,
    pub attributes: Vec<(String, String)>,
}

impl ChangeUser {
    /// `payload` begins with the command byte; `caps` are those the two sides agreed on.
    pub fn parse(payload: &[u8], caps: Capabilities) -> Result<Self, Malformed> {
        let mut reader = Reader::new("COM_CHANGE_USER", payload);
        reader.expect(Command::ChangeUser as u8, "0x11")?;
        let user = reader.until_nul()?;
        let user = reader.text("user", user)?;
        let auth_response = if caps.contains(Capabilities::CLIENT_SECURE_CONNECTION) {
            let len = reader.u8()?;
            reader.take(usize::from(len))?
        } else {
            reader.until_nul()?
        };
        let auth_response = auth_response.to_vec();
        let schema = reader.until_nul_or_end();
        let schema = reader.text("schema", schema)?;
        let schema = (!schema.is_empty()).then_some(schema);
        let collation = if reader.is_empty() { 0 } else { reader.u16()? };
        let mut plugin = String::new();
        let mut attributes = Vec::new();
        if caps.contains(Capabilities::CLIENT_PLUGIN_AUTH) {
            plugin = String::from_utf8_lossy(reader.until_nul_or_end()).into_owned();
        }
        if caps.contains(Capabilities::CLIENT_CONNECT_ATTRS) {
            attributes = read_attributes(&mut reader)?;
        }
        Ok(Self { user, auth_response, schema, collation, plugin, attributes })
    }

    /// The whole command, from sequence id 0; answers the next one.
    pub fn put(&self, out: &mut BytesMut, caps: Capabilities) -> u8 {
        let mut payload = BytesMut::with_capacity(256);
        payload.put_u8(Command::ChangeUser as u8);
        put_nul_str(&mut payload, &self.user);
        if caps.contains(Capabilities::CLIENT_SECURE_CONNECTION) {
            let len = u8::try_from(self.auth_response.len()).unwrap_or(u8::MAX);
            payload.put_u8(len);
            payload.extend(self.auth_response.iter().take(usize::from(len)));
        } else {
            payload.put_slice(&self.auth_response);
            payload.put_u8(0);
        }
        put_nul_str(&mut payload, self.schema.as_deref().unwrap_or_default());
        payload.put_u16_le(self.collation);
        if caps.contains(Capabilities::CLIENT_PLUGIN_AUTH) {
            put_nul_str(&mut payload, &self.plugin);
        }
        if caps.contains(Capabilities::CLIENT_CONNECT_ATTRS) {
            put_attributes(&mut payload, &self.attributes);
        }
        put_packet(out, 0, &payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::CANONICAL;
    use proptest::prelude::*;

    #[test]
    fn there_and_back() {
        let change = ChangeUser {
            user: "app".to_owned(),
            auth_response: vec![1, 2, 3],
            schema: None,
            collation: 278,
            plugin: "p".to_owned(),
            attributes: vec![("k".to_owned(), "v".to_owned())],
        };
        let mut out = BytesMut::new();
        assert_eq!(change.put(&mut out, CANONICAL), 1);
        assert_eq!(&out[..], b"\x13\0\0\0\x11app\0\x03\x01\x02\x03\0\x16\x01p\0\x04\x01k\x01v");
        assert!(ChangeUser::parse(&out[4..], CANONICAL).unwrap() == change);
    }

    #[test]
    fn short_forms() {
        let change = ChangeUser::parse(b"\x11app\0\0shop\0", CANONICAL).unwrap();
        assert_eq!((change.user.as_str(), change.collation), ("app", 0));
        assert_eq!(change.schema.as_deref(), Some("shop"));
        assert!(ChangeUser::parse(b"\x11app\0\x05ab", CANONICAL).is_err());
        assert!(ChangeUser::parse(b"\x11app\0\0shop\0\x01", CANONICAL).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, caps: u32) {
            let caps = Capabilities::from_bits_retain(caps);
            let _ = ChangeUser::parse(&bytes, caps);
            let _ = ChangeUser::parse(&[&b"\x11"[..], &bytes].concat(), caps);
        }
    }
}
