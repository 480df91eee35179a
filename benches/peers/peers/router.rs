//! MySQL Router with connection sharing: the pooling peer that ships with MySQL.
//!
//! To share connections it must know passwords in clear. Over TLS it is told them; without, it asks for
//! them under the RSA key of its certificate. The certificate that all peers show has none, so there
//! is a route for each: one with that certificate, and one with an RSA key for clients without TLS.
//! Its `connection_sharing_delay` of a second stays as it is: a
//! client that asks without a pause keeps its server connection.

use std::{fs, path::Path, process::Command};

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};

use super::{Kind, Peer, Process, launch, new_folder, version};
use crate::support::{
    cache, free_port,
    servers::{HOST, Server},
};

pub(super) fn start(server: &Server) -> Result<Peer, String> {
    let tree = cache().join("mysql-router-9.7");
    let program = tree.join("bin/mysqlrouter");
    if !program.is_file() {
        return Err("not installed (tests/servers/install.sh router)".to_owned());
    }
    let version = version(&program, "--version")?;
    let folder = new_folder(Kind::Router)?;
    let (port, tls_port, here) = (free_port(), free_port(), folder.path().display());
    write_rsa_certificate(folder.path())?;
    let mut text = format!(
        "[DEFAULT]\n\
         plugin_folder={plugins}\n\
         logging_folder=\n\
         runtime_folder={here}\n\
         data_folder={here}\n\
         keyring_path={here}/keyring\n\
         master_key_path={here}/master\n\
         max_total_connections=20000\n\
         [logger]\nlevel=WARNING\n\
         [connection_pool]\nmax_idle_server_connections=64\nidle_timeout=300\n",
        plugins = tree.join("usr/lib/mysqlrouter/plugin").display(),
    );
    text += &route(server, "plain", port, folder.path());
    text += &route(server, "tls", tls_port, &server.data());
    let config = folder.path().join("mysqlrouter.conf");
    fs::write(&config, text).map_err(|why| why.to_string())?;
    let mut command = Command::new(program);
    command.arg("--config").arg(config);
    let leashed = launch(&command, folder.path(), port)?;
    Ok(Peer {
        kind: Kind::Router,
        version,
        setup:
            "connection_sharing 1, connection_sharing_delay as it is (1 s), 64 idle connections, \
                no TLS to the server"
                .to_owned(),
        port,
        tls_port,
        process: Process::Program { leashed, _folder: folder },
    })
}

fn route(server: &Server, name: &str, port: u16, certificate: &Path) -> String {
    format!(
        "[routing:{name}]\n\
         bind_address={HOST}\nbind_port={port}\n\
         destinations={}\nrouting_strategy=first-available\nprotocol=classic\n\
         client_ssl_mode=PREFERRED\nclient_ssl_cert={here}/server-cert.pem\n\
         client_ssl_key={here}/server-key.pem\n\
         server_ssl_mode=DISABLED\nconnection_sharing=1\n",
        server.address(),
        here = certificate.display(),
    )
}

fn write_rsa_certificate(folder: &Path) -> Result<(), String> {
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256).map_err(|why| why.to_string())?;
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .and_then(|params| params.self_signed(&key))
        .map_err(|why| why.to_string())?;
    fs::write(folder.join("server-cert.pem"), certificate.pem())
        .and_then(|()| fs::write(folder.join("server-key.pem"), key.serialize_pem()))
        .map_err(|why| why.to_string())
}
