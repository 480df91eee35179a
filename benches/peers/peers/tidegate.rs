//! The release binary, on as many server connections as the works share.

use super::{Kind, Peer, Process, version};
use crate::support::{
    servers::{PASSWORD, Server},
    tidegate::{Config, Tidegate, program},
};

/// Server connections that clients share.
pub(super) const SHARED: u32 = 16;

pub(super) fn start(server: &Server) -> Peer {
    // One of the bound is kept for KILL.
    let bound = SHARED + 1;
    let data = server.data();
    let data = data.display();
    // The same certificate as the server's, so that the same handshake is compared.
    let tls = format!("certificate = \"{data}/server-cert.pem\"\nkey = \"{data}/server-key.pem\"");
    let config = Config::new()
        .target("primary", &server.address())
        .user(Kind::Tidegate.name(), PASSWORD)
        .section("pool", &format!("max_connections = {bound}"))
        .section("client", "max_connections = 20000")
        .section("tls.client", &tls)
        .section("tls.target", "mode = \"off\"");
    let tidegate = Tidegate::start(config);
    Peer {
        kind: Kind::Tidegate,
        version: version(&program(), "--version").unwrap_or_default(),
        setup: format!("pool.max_connections {bound} (one is kept for KILL), no TLS to the server"),
        port: tidegate.port(),
        tls_port: tidegate.port(),
        process: Process::Tidegate(Box::new(tidegate)),
    }
}
