//! https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html
//! https://mariadb.com/kb/en/connection/#capabilities
//!
//! Owns which capabilities are spoken on each side. Never negotiates: whoever greets takes the
//! intersection.

use super::{Capabilities, Extended};

/// To clients. TLS adds `CLIENT_SSL` where it is on.
///
/// Missing on purpose: multi-factor authentication changes the shape of packets in ways the scanner
/// does not read. Compression is around packets, not in them, and is offered beside these.
pub const OFFERED: Capabilities = CANONICAL
    .union(MEANING.difference(IF_THERE))
    .union(Capabilities::CLIENT_CONNECT_WITH_DB)
    .union(Capabilities::CLIENT_MULTI_STATEMENTS);

/// Offered where the target has them. Its connections speak of attributes only for sessions that
/// really send some; for the others they are blanked out.
const IF_THERE: Capabilities =
    Capabilities::CLIENT_QUERY_ATTRIBUTES.union(Capabilities::CLIENT_OPTIONAL_RESULTSET_METADATA);

/// Said by a client about itself, or said by all: nothing follows from them.
const WITHOUT_EFFECT: Capabilities = Capabilities::CLIENT_IGNORE_SIGPIPE
    .union(Capabilities::CLIENT_RESERVED)
    .union(Capabilities::CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS)
    .union(Capabilities::CLIENT_SSL_VERIFY_SERVER_CERT)
    .union(Capabilities::CLIENT_REMEMBER_OPTIONS);

/// To clients of a target that greets with `server`; `None` while it has not been reached.
pub fn offered(server: Option<Capabilities>) -> Capabilities {
    let Some(server) = server else { return OFFERED };
    // What CANONICAL has is translated for whoever lacks it. Not so MariaDB's CLIENT_MYSQL, which it
    // leaves clear: set, it says that no extended capabilities stand in the filler.
    let ours = CANONICAL - Capabilities::CLIENT_LONG_PASSWORD;
    ours | server & (OFFERED | IF_THERE | WITHOUT_EFFECT)
}

/// MariaDB's own, to clients of a target that has them.
///
/// Missing on purpose: with `CACHE_METADATA` a server leaves the definitions out of the second
/// execute of a statement, which here may be the first of another client. With
/// `BULK_UNIT_RESULTS` a bulk gives a result set that MariaDB 10.11 does not know.
pub fn offered_extended(server: Extended) -> Extended {
    server & CANONICAL_EXTENDED.union(MEANING_EXTENDED)
}
/// To clients; of the two MariaDB has not got zstd.
pub const COMPRESSION: Capabilities =
    Capabilities::CLIENT_COMPRESS.union(Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM);

/// To servers, of what the server has: one wire format, so that one pool serves every driver.
pub const CANONICAL: Capabilities = Capabilities::CLIENT_PROTOCOL_41
    .union(Capabilities::CLIENT_LONG_PASSWORD)
    .union(Capabilities::CLIENT_LONG_FLAG)
    .union(Capabilities::CLIENT_TRANSACTIONS)
    .union(Capabilities::CLIENT_SECURE_CONNECTION)
    .union(Capabilities::CLIENT_MULTI_RESULTS)
    .union(Capabilities::CLIENT_PS_MULTI_RESULTS)
    .union(Capabilities::CLIENT_PLUGIN_AUTH)
    .union(Capabilities::CLIENT_CONNECT_ATTRS)
    .union(Capabilities::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(Capabilities::CLIENT_SESSION_TRACK)
    .union(Capabilities::CLIENT_DEPRECATE_EOF);

/// Change what a statement means on the server, or the shape of its result: client and server
/// connection must agree on them.
pub const MEANING: Capabilities = Capabilities::CLIENT_FOUND_ROWS
    .union(Capabilities::CLIENT_IGNORE_SPACE)
    .union(Capabilities::CLIENT_LOCAL_FILES)
    .union(Capabilities::CLIENT_INTERACTIVE)
    .union(Capabilities::CLIENT_ODBC)
    .union(Capabilities::CLIENT_NO_SCHEMA)
    .union(Capabilities::CLIENT_OPTIONAL_RESULTSET_METADATA);

/// Only lets a command be sent, and changes nothing else.
pub const CANONICAL_EXTENDED: Extended = Extended::MARIADB_CLIENT_STMT_BULK_OPERATIONS;

/// Reports amid a reply, and one more string in each definition.
const MEANING_EXTENDED: Extended =
    Extended::MARIADB_CLIENT_PROGRESS.union(Extended::MARIADB_CLIENT_EXTENDED_METADATA);

/// What a client and its server connection agree on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    pub common: Capabilities,
    pub extended: Extended,
}

impl Meaning {
    /// Of what a client negotiated.
    pub fn of(common: Capabilities, extended: Extended) -> Self {
        Self { common: common & MEANING, extended: extended & MEANING_EXTENDED }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_offered() {
        let unread = Capabilities::CLIENT_COMPRESS
            | Capabilities::CLIENT_ZSTD_COMPRESSION_ALGORITHM
            | Capabilities::CLIENT_QUERY_ATTRIBUTES
            | Capabilities::CLIENT_OPTIONAL_RESULTSET_METADATA
            | Capabilities::MULTI_FACTOR_AUTHENTICATION
            | Capabilities::CLIENT_SSL;
        assert!(unread.contains(COMPRESSION));
        assert!(!OFFERED.intersects(unread));
        assert!(!CANONICAL.intersects(unread));
        assert!(!CANONICAL.intersects(MEANING | Capabilities::CLIENT_MULTI_STATEMENTS));
        assert!((OFFERED | IF_THERE).contains(MEANING | CANONICAL));
    }

    #[test]
    fn some_where_the_target_has_them() {
        assert_eq!(offered(None), OFFERED);
        let ours = CANONICAL - Capabilities::CLIENT_LONG_PASSWORD;
        assert_eq!(offered(Some(Capabilities::CLIENT_COMPRESS)), ours);
        // MySQL 9.7, MariaDB 10.11.
        let of = |bits| offered(Some(Capabilities::from_bits_retain(bits))).bits();
        assert_eq!(of(0xDFFF_FFFF), 0xCBFF_F7DF);
        assert_eq!(of(0x81FF_F7FE), 0x81FF_F7DE);
    }

    #[test]
    fn extended() {
        assert_eq!(offered_extended(Extended::empty()), Extended::empty());
        assert_eq!(offered_extended(Extended::all()).bits(), 0x0D);
        let meaning = Meaning::of(Capabilities::all(), Extended::all());
        assert_eq!((meaning.common, meaning.extended.bits()), (MEANING, 0x09));
    }

    #[test]
    fn bits() {
        assert_eq!(OFFERED.bits(), 0x01BF_A7DF);
        assert_eq!(CANONICAL.bits(), 0x01BE_A205);
    }
}
