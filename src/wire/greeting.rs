//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html
//!
//! Owns the server's greeting, protocol 10: written for clients, read from servers. Never makes a
//! nonce.

use bytes::{BufMut, BytesMut};

use super::{Capabilities, Extended, Malformed, Reader, Status, put_packet};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    pub version: String,
    pub connection_id: u32,
    /// Zeros where the server sent fewer: such a server knows no plugin the proxy does.
    pub nonce: [u8; 20],
    pub capabilities: Capabilities,
    /// MariaDB's; none beside `CLIENT_LONG_PASSWORD`.
    pub extended: Extended,
    /// The low byte of the collation id.
    pub collation: u8,
    pub status: Status,
    pub plugin: String,
}

impl Greeting {
    /// An ERR in its place (1040, 1129) begins with 0xFF: look before calling.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("greeting", payload);
        reader.expect(10, "protocol 10")?;
        let version = String::from_utf8_lossy(reader.until_nul()?).into_owned();
        let connection_id = reader.u32()?;
        let mut nonce = [0; 20];
        let (head, tail) = nonce.split_at_mut(8);
        head.copy_from_slice(reader.take(8)?);
        let _filler = reader.u8()?;
        let low = reader.u16()?;
        let mut greeting = Self {
            version,
            connection_id,
            nonce: [0; 20],
            capabilities: Capabilities::from_bits_retain(u32::from(low)),
            extended: Extended::empty(),
            collation: 0,
            status: Status::empty(),
            plugin: "mysql_native_password".to_owned(),
        };
        if !reader.is_empty() {
            greeting.collation = reader.u8()?;
            greeting.status = Status::from_bits_retain(reader.u16()?);
            let high = reader.u16()?;
            let bits = u32::from(low) | u32::from(high) << 16;
            greeting.capabilities = Capabilities::from_bits_retain(bits);
            let nonce_len = usize::from(reader.u8()?);
            reader.take(6)?;
            let extended = reader.u32()?;
            if !greeting.capabilities.contains(Capabilities::CLIENT_LONG_PASSWORD) {
                greeting.extended = Extended::from_bits_retain(extended);
            }
            let rest = reader.take_up_to(nonce_len.saturating_sub(8).max(13));
            for (to, from) in tail.iter_mut().zip(rest) {
                *to = *from;
            }
            if greeting.capabilities.contains(Capabilities::CLIENT_PLUGIN_AUTH) {
                let plugin = reader.until_nul_or_end();
                greeting.plugin = String::from_utf8_lossy(plugin).into_owned();
            }
        }
        greeting.nonce = nonce;
        Ok(greeting)
    }

    /// Answers the next sequence id.
    pub fn put(&self, out: &mut BytesMut, seq: u8) -> u8 {
        let bits = self.capabilities.bits();
        let (head, tail) = self.nonce.split_at(8);
        let mut payload = BytesMut::with_capacity(96);
        payload.put_u8(10);
        payload.put_slice(self.version.as_bytes());
        payload.put_u8(0);
        payload.put_u32_le(self.connection_id);
        payload.put_slice(head);
        payload.put_u8(0);
        payload.put_u16_le(bits as u16);
        payload.put_u8(self.collation);
        payload.put_u16_le(self.status.bits());
        payload.put_u16_le((bits >> 16) as u16);
        // 21: the nonce and its NUL.
        payload.put_u8(21);
        payload.put_bytes(0, 6);
        payload.put_u32_le(self.extended.bits());
        payload.put_slice(tail);
        payload.put_u8(0);
        payload.put_slice(self.plugin.as_bytes());
        payload.put_u8(0);
        put_packet(out, seq, &payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_common::{io::ParseBuf, packets::HandshakePacket, proto::MyDeserialize};
    use proptest::prelude::*;

    /// From the manual.
    const MYSQL_56: &[u8] =
        b"\x0a5.6.4-m7-log\0\x56\x0a\0\0RB3vz&Gr\0\xff\xff\x08\x02\0\x0f\xc0\x15\
        \0\0\0\0\0\0\0\0\0\0+y44/ZZ305ZG\0mysql_native_password\0";

    #[test]
    fn of_mysql() {
        let greeting = Greeting::parse(MYSQL_56).unwrap();
        assert_eq!(greeting.version, "5.6.4-m7-log");
        assert_eq!(greeting.connection_id, 2646);
        assert_eq!(&greeting.nonce, b"RB3vz&Gr+y44/ZZ305ZG");
        assert_eq!(greeting.capabilities.bits(), 0xC00F_FFFF);
        assert_eq!(greeting.collation, 8);
        assert_eq!(greeting.status, Status::SERVER_STATUS_AUTOCOMMIT);
        assert_eq!(greeting.plugin, "mysql_native_password");
    }

    /// As MariaDB 10.11 sends it.
    const MARIADB: &[u8] =
        b"\x0a5.5.5-10.11.19-MariaDB\0\x04\0\0\0abcdefgh\0\xfe\xf7\x08\x02\0\xff\x81\x15\
        \0\0\0\0\0\0\x1d\0\0\0ijklmnopqrst\0mysql_native_password\0";

    #[test]
    fn of_mariadb() {
        let greeting = Greeting::parse(MARIADB).unwrap();
        assert_eq!(greeting.capabilities.bits(), 0x81FF_F7FE);
        assert_eq!(greeting.extended.bits(), 0x1D);
        let mut out = BytesMut::new();
        greeting.put(&mut out, 0);
        assert_eq!(&out[4..], MARIADB);
        // A MySQL would mean nothing by it.
        let mut mysql = MARIADB.to_vec();
        let at = mysql.iter().position(|byte| *byte == 0xFE).unwrap();
        mysql[at] = 0xFF;
        assert_eq!(Greeting::parse(&mysql).unwrap().extended, Extended::empty());
    }

    /// Lengths of 0x80 to 0x87 take other parsers down.
    #[test]
    fn odd_lengths_of_authentication_data() {
        for len in [0, 8, 0x15, 0x80, 0x87, 0xFF] {
            let mut bytes = MYSQL_56.to_vec();
            let at = bytes.iter().position(|byte| *byte == 0x15).unwrap();
            bytes[at] = len;
            assert_eq!(&Greeting::parse(&bytes).unwrap().nonce, b"RB3vz&Gr+y44/ZZ305ZG");
        }
    }

    #[test]
    fn of_a_very_old_server() {
        let greeting = Greeting::parse(b"\x0a4.0\0\x01\0\0\0abcdefgh\0\x00\x02").unwrap();
        assert_eq!(&greeting.nonce, b"abcdefgh\0\0\0\0\0\0\0\0\0\0\0\0");
        assert_eq!(greeting.capabilities, Capabilities::CLIENT_PROTOCOL_41);
    }

    #[test]
    fn not_a_greeting() {
        assert!(Greeting::parse(b"\xFF\x10\x04Too many connections").is_err());
        assert!(Greeting::parse(b"").is_err());
    }

    #[test]
    fn put_reads_the_same_here_and_elsewhere() {
        let mut greeting = Greeting::parse(MYSQL_56).unwrap();
        greeting.capabilities = crate::wire::OFFERED;
        let mut out = BytesMut::new();
        assert_eq!(greeting.put(&mut out, 0), 1);
        assert_eq!(Greeting::parse(&out[4..]).unwrap(), greeting);
        let theirs = HandshakePacket::deserialize((), &mut ParseBuf(&out[4..])).unwrap();
        assert_eq!(theirs.nonce(), greeting.nonce);
        assert_eq!(theirs.connection_id(), 2646);
        assert_eq!(theirs.capabilities(), greeting.capabilities);
        assert_eq!(theirs.auth_plugin_name_ref(), Some(&b"mysql_native_password"[..]));
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, cut in 0..MYSQL_56.len(), at in 0..MYSQL_56.len(), byte: u8) {
            let _ = Greeting::parse(&bytes);
            let mut bent = MYSQL_56.to_vec();
            bent[at] = byte;
            let _ = Greeting::parse(&bent[..cut]);
        }
    }
}
