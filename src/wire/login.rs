//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_response.html
//!
//! Owns what a client answers to the greeting: the request for TLS, and the login. Never judges a
//! password.

use bytes::{BufMut, BytesMut};

use super::{
    Capabilities, Extended, Malformed, Reader, put_lenenc_bytes, put_lenenc_int, put_packet,
};

/// The first half of a login, sent alone before the TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SslRequest {
    pub capabilities: Capabilities,
    pub max_packet: u32,
    pub collation: u8,
    /// MariaDB's; none beside `CLIENT_LONG_PASSWORD`.
    pub extended: Extended,
}

impl SslRequest {
    pub const LEN: usize = 32;

    /// `None`: it is something else, a login in all likelihood.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        if payload.len() != Self::LEN {
            return None;
        }
        let request = read_fixed(&mut Reader::new("SSL request", payload)).ok()?;
        request.capabilities.contains(Capabilities::CLIENT_SSL).then_some(request)
    }

    /// Answers the next sequence id.
    pub fn put(&self, out: &mut BytesMut, seq: u8) -> u8 {
        let mut payload = BytesMut::with_capacity(Self::LEN);
        self.put_fixed(&mut payload, self.capabilities | Capabilities::CLIENT_SSL);
        put_packet(out, seq, &payload)
    }

    fn put_fixed(&self, payload: &mut BytesMut, capabilities: Capabilities) {
        payload.put_u32_le(capabilities.bits());
        payload.put_u32_le(self.max_packet);
        payload.put_u8(self.collation);
        payload.put_bytes(0, 19);
        payload.put_u32_le(self.extended.bits());
    }
}

/// No `Debug`: the answer to a clear-text challenge is the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub capabilities: Capabilities,
    pub max_packet: u32,
    /// The low byte of the collation id.
    pub collation: u8,
    /// MariaDB's; none beside `CLIENT_LONG_PASSWORD`.
    pub extended: Extended,
    pub user: String,
    pub auth_response: Vec<u8>,
    pub schema: Option<String>,
    /// Empty without `CLIENT_PLUGIN_AUTH`.
    pub plugin: String,
    /// In the order they were sent.
    pub attributes: Vec<(String, String)>,
    /// With `CLIENT_ZSTD_COMPRESSION_ALGORITHM`, where the client did not forget it.
    pub zstd_level: Option<u8>,
}

impl Login {
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        const PACKET: &str = "login";
        let mut reader = Reader::new(PACKET, payload);
        // Protocol 3.20 has only two bytes of capabilities, and shorter packets.
        let low = reader.clone().u16()?;
        if !Capabilities::from_bits_retain(u32::from(low))
            .contains(Capabilities::CLIENT_PROTOCOL_41)
        {
            return Err(Malformed::OldProtocol { packet: PACKET });
        }
        let SslRequest { capabilities, max_packet, collation, extended } = read_fixed(&mut reader)?;
        let user = reader.until_nul()?;
        let user = reader.text("user", user)?;
        let auth_response = read_auth_response(&mut reader, capabilities)?.to_vec();
        let schema = if capabilities.contains(Capabilities::CLIENT_CONNECT_WITH_DB) {
            let schema = reader.until_nul_or_end();
            reader.text("schema", schema)?
        } else {
            String::new()
        };
        let plugin = if capabilities.contains(Capabilities::CLIENT_PLUGIN_AUTH) {
            String::from_utf8_lossy(reader.until_nul_or_end()).into_owned()
        } else {
            String::new()
        };
        let attributes = if capabilities.contains(Capabilities::CLIENT_CONNECT_ATTRS) {
            read_attributes(&mut reader)?
        } else {
            Vec::new()
        };
        let zstd = capabilities.contains(Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM);
        let zstd_level = if zstd { reader.u8().ok() } else { None };
        let schema = (!schema.is_empty()).then_some(schema);
        Ok(Self {
            capabilities,
            max_packet,
            collation,
            extended,
            user,
            auth_response,
            schema,
            plugin,
            attributes,
            zstd_level,
        })
    }

    /// Writes what `capabilities` promises, after putting two of them right: `CONNECT_WITH_DB` says
    /// whether there is a schema, and a long answer needs a length-encoded length. Answers the next
    /// sequence id.
    pub fn put(&self, out: &mut BytesMut, seq: u8) -> u8 {
        let mut caps = self.capabilities | Capabilities::CLIENT_PROTOCOL_41;
        caps.set(Capabilities::CLIENT_CONNECT_WITH_DB, self.schema.is_some());
        if self.auth_response.len() > usize::from(u8::MAX) {
            caps |= Capabilities::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA;
        }
        let fixed = SslRequest {
            capabilities: caps,
            max_packet: self.max_packet,
            collation: self.collation,
            extended: self.extended,
        };
        let mut payload = BytesMut::with_capacity(256);
        fixed.put_fixed(&mut payload, caps);
        put_nul_str(&mut payload, &self.user);
        if caps.contains(Capabilities::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA) {
            put_lenenc_bytes(&mut payload, &self.auth_response);
        } else if caps.contains(Capabilities::CLIENT_SECURE_CONNECTION) {
            payload.put_u8(self.auth_response.len() as u8);
            payload.put_slice(&self.auth_response);
        } else {
            payload.put_slice(&self.auth_response);
            payload.put_u8(0);
        }
        if let Some(schema) = &self.schema {
            put_nul_str(&mut payload, schema);
        }
        if caps.contains(Capabilities::CLIENT_PLUGIN_AUTH) {
            put_nul_str(&mut payload, &self.plugin);
        }
        if caps.contains(Capabilities::CLIENT_CONNECT_ATTRS) {
            put_attributes(&mut payload, &self.attributes);
        }
        if caps.contains(Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM) {
            payload.put_u8(self.zstd_level.unwrap_or_default());
        }
        put_packet(out, seq, &payload)
    }
}

/// Nothing where the packet ends early: some clients promise attributes and send none.
pub(super) fn read_attributes(reader: &mut Reader<'_>) -> Result<Vec<(String, String)>, Malformed> {
    let mut attributes = Vec::new();
    if reader.is_empty() {
        return Ok(attributes);
    }
    let mut pairs = Reader::new("connection attributes", reader.lenenc_bytes()?);
    while !pairs.is_empty() {
        let name = String::from_utf8_lossy(pairs.lenenc_bytes()?).into_owned();
        let value = String::from_utf8_lossy(pairs.lenenc_bytes()?).into_owned();
        attributes.push((name, value));
    }
    Ok(attributes)
}

pub(super) fn put_attributes(payload: &mut BytesMut, attributes: &[(String, String)]) {
    let mut pairs = BytesMut::new();
    for (name, value) in attributes {
        put_lenenc_bytes(&mut pairs, name.as_bytes());
        put_lenenc_bytes(&mut pairs, value.as_bytes());
    }
    put_lenenc_int(payload, pairs.len() as u64);
    payload.put_slice(&pairs);
}

/// A NUL inside would let one field write the next.
pub(super) fn put_nul_str(payload: &mut BytesMut, text: &str) {
    let before_nul = text.split('\0').next().unwrap_or_default();
    payload.put_slice(before_nul.as_bytes());
    payload.put_u8(0);
}

fn read_fixed(reader: &mut Reader<'_>) -> Result<SslRequest, Malformed> {
    let capabilities = Capabilities::from_bits_retain(reader.u32()?);
    let max_packet = reader.u32()?;
    let collation = reader.u8()?;
    reader.take(19)?;
    let filler = reader.u32()?;
    let mysql = capabilities.contains(Capabilities::CLIENT_LONG_PASSWORD);
    let extended = if mysql { Extended::empty() } else { Extended::from_bits_retain(filler) };
    Ok(SslRequest { capabilities, max_packet, collation, extended })
}

fn read_auth_response<'a>(
    reader: &mut Reader<'a>,
    caps: Capabilities,
) -> Result<&'a [u8], Malformed> {
    if caps.contains(Capabilities::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA) {
        reader.lenenc_bytes()
    } else if caps.contains(Capabilities::CLIENT_SECURE_CONNECTION) {
        let len = reader.u8()?;
        reader.take(usize::from(len))
    } else {
        reader.until_nul()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_common::{io::ParseBuf, packets::HandshakeResponse, proto::MyDeserialize};
    use proptest::prelude::*;

    /// From the manual: MySQL 5.5.8 with CLIENT_PROTOCOL_41, PLUGIN_AUTH, SECURE_CONNECTION and
    /// CONNECT_WITH_DB.
    const MYSQL_558: &[u8] = b"\x8d\xa6\x0f\x00\0\0\0\x01\x08\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0pam\0\x14\
        \xab\x09\xee\xf6\xbc\xb1\x32\x3e\x61\x14\x38\x65\xc0\x99\x1d\x95\x7d\x75\xd4\x47\
        test\0mysql_native_password\0";

    fn login() -> Login {
        Login {
            capabilities: crate::wire::OFFERED,
            max_packet: 1 << 24,
            collation: 45,
            extended: Extended::empty(),
            user: "app".to_owned(),
            auth_response: vec![7; 32],
            schema: Some("shop".to_owned()),
            plugin: "caching_sha2_password".to_owned(),
            attributes: vec![
                ("_client_name".to_owned(), "libmysql".to_owned()),
                ("program_name".to_owned(), "x".repeat(300)),
            ],
            zstd_level: None,
        }
    }

    fn put(login: &Login) -> BytesMut {
        let mut out = BytesMut::new();
        assert_eq!(login.put(&mut out, 1), 2);
        out.split_off(4)
    }

    #[test]
    fn of_a_client() {
        let login = Login::parse(MYSQL_558).unwrap();
        assert_eq!(login.user, "pam");
        assert_eq!(login.auth_response.len(), 20);
        assert_eq!(login.schema.as_deref(), Some("test"));
        assert_eq!(login.plugin, "mysql_native_password");
        assert_eq!((login.max_packet, login.collation), (1 << 24, 8));
        assert!(login.attributes.is_empty());
    }

    #[test]
    fn a_last_nul_forgotten() {
        let login = Login::parse(&MYSQL_558[..MYSQL_558.len() - 1]).unwrap();
        assert_eq!(login.plugin, "mysql_native_password");
    }

    #[test]
    fn old_protocols_are_refused() {
        assert_eq!(
            Login::parse(b"\x85\x24\0\0\0old\0pass").err(),
            Some(Malformed::OldProtocol { packet: "login" })
        );
    }

    #[test]
    fn put_reads_the_same_here_and_elsewhere() {
        let login = login();
        let payload = put(&login);
        assert!(Login::parse(&payload).unwrap() == login);
        let theirs = HandshakeResponse::deserialize((), &mut ParseBuf(&payload)).unwrap();
        assert_eq!(theirs.user(), b"app");
        assert_eq!(theirs.db_name(), Some(&b"shop"[..]));
        assert_eq!(theirs.scramble_buf(), &[7; 32]);
        assert_eq!(theirs.collation(), 45);
        assert_eq!(theirs.connect_attributes().unwrap()["_client_name"], "libmysql");
    }

    #[test]
    fn capabilities_say_what_follows() {
        let mut bare = login();
        bare.schema = None;
        bare.capabilities =
            Capabilities::CLIENT_PROTOCOL_41 | Capabilities::CLIENT_SECURE_CONNECTION;
        let payload = put(&bare);
        assert_eq!(&payload[32..], [&b"app\0\x20"[..], &[7; 32]].concat());

        let mut long = bare;
        long.auth_response = vec![b'p'; 300];
        let read = Login::parse(&put(&long)).unwrap();
        assert_eq!(read.auth_response, long.auth_response);
    }

    /// The level is the last byte, whatever else is there.
    #[test]
    fn a_level_of_zstd() {
        let zstd = Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM;
        let mut login = login();
        login.capabilities |= zstd;
        login.zstd_level = Some(22);
        let payload = put(&login);
        assert_eq!(payload.last(), Some(&22));
        assert_eq!(Login::parse(&payload).unwrap().zstd_level, Some(22));
        assert_eq!(Login::parse(&payload[..payload.len() - 1]).unwrap().zstd_level, None);
        login.capabilities -= Capabilities::CLIENT_CONNECT_ATTRS;
        assert_eq!(Login::parse(&put(&login)).unwrap().zstd_level, Some(22));
        login.capabilities -= zstd;
        assert_eq!(Login::parse(&put(&login)).unwrap().zstd_level, None);
    }

    #[test]
    fn a_nul_does_not_write_the_next_field() {
        let mut sly = login();
        sly.user = "app\0\0root".to_owned();
        let read = Login::parse(&put(&sly)).unwrap();
        assert_eq!(read.user, "app");
        assert_eq!(read.auth_response, sly.auth_response);
    }

    #[test]
    fn extended_capabilities_of_mariadb() {
        let mut mariadb = login();
        mariadb.capabilities -= Capabilities::CLIENT_LONG_PASSWORD;
        mariadb.extended = Extended::from_bits_retain(0x0102_030D);
        let payload = put(&mariadb);
        assert_eq!(&payload[28..32], b"\x0D\x03\x02\x01");
        assert!(Login::parse(&payload).unwrap() == mariadb);
        let mut mysql = payload;
        mysql[0] |= 1;
        assert_eq!(Login::parse(&mysql).unwrap().extended, Extended::empty());
    }

    #[test]
    fn ssl_requests_are_told_from_logins() {
        let request = SslRequest {
            capabilities: crate::wire::CANONICAL | Capabilities::CLIENT_SSL,
            max_packet: 1 << 30,
            collation: 255,
            extended: Extended::empty(),
        };
        let mut out = BytesMut::new();
        assert_eq!(request.put(&mut out, 1), 2);
        assert_eq!(out.len(), 36);
        assert_eq!(SslRequest::parse(&out[4..]), Some(request));
        assert_eq!(SslRequest::parse(&MYSQL_558[..32]), None);
        assert_eq!(SslRequest::parse(MYSQL_558), None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, tail: Vec<u8>, caps: u32) {
            let _ = Login::parse(&bytes);
            let mut bent = MYSQL_558.to_vec();
            bent[..4].copy_from_slice(&(caps | 0x200).to_le_bytes());
            bent.truncate(36);
            bent.extend(tail);
            let _ = Login::parse(&bent);
            let _ = SslRequest::parse(&bent);
        }
    }
}
