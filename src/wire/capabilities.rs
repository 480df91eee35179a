//! https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html
//!
//! Owns which capabilities are spoken on each side. Never negotiates: whoever greets takes the
//! intersection.

use super::Capabilities;

/// To clients. TLS adds `CLIENT_SSL` where it is on.
///
/// Missing on purpose: query attributes, optional result-set metadata and multi-factor authentication
/// change the shape of packets in ways the scanner does not read. Compression is around packets, not in
/// them, and is offered beside these.
pub const OFFERED: Capabilities = CANONICAL
    .union(MEANING)
    .union(Capabilities::CLIENT_CONNECT_WITH_DB)
    .union(Capabilities::CLIENT_MULTI_STATEMENTS);

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

/// Change what a statement means on the server: client and server connection must agree on them.
pub const MEANING: Capabilities = Capabilities::CLIENT_FOUND_ROWS
    .union(Capabilities::CLIENT_IGNORE_SPACE)
    .union(Capabilities::CLIENT_LOCAL_FILES)
    .union(Capabilities::CLIENT_INTERACTIVE)
    .union(Capabilities::CLIENT_ODBC)
    .union(Capabilities::CLIENT_NO_SCHEMA);

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
        assert!(OFFERED.contains(MEANING | CANONICAL));
    }

    /// `CLIENT_LONG_PASSWORD` is MariaDB's `CLIENT_MYSQL`: set, it says no extended capabilities
    /// hide in the filler.
    #[test]
    fn bits() {
        assert_eq!(OFFERED.bits(), 0x01BF_A7DF);
        assert_eq!(CANONICAL.bits(), 0x01BE_A205);
    }
}
