//! HAProxy in TCP mode: what copying bytes costs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Kind, Peer, Process, launch, new_folder, version};
use crate::support::{
    free_port,
    servers::{HOST, Server},
};

pub(super) fn start(server: &Server) -> Result<Peer, String> {
    let program = program().ok_or("not installed (tests/servers/install.sh haproxy)")?;
    let version = version(&program, "-v")?;
    let folder = new_folder(Kind::HaProxy)?;
    let port = free_port();
    let config = folder.path().join("haproxy.cfg");
    let text = format!(
        "global\n    nbthread 2\n\
         defaults\n    mode tcp\n    timeout connect 10s\n    timeout client 1h\n    timeout server 1h\n\
         listen mysql\n    bind {HOST}:{port}\n    server mysql {}\n",
        server.address()
    );
    fs::write(&config, text).map_err(|why| why.to_string())?;
    let mut command = Command::new(program);
    command.args(["-db", "-f"]).arg(config);
    let leashed = launch(&command, folder.path(), port)?;
    Ok(Peer {
        kind: Kind::HaProxy,
        version,
        setup: "mode tcp, nbthread 2".to_owned(),
        port,
        tls_port: port,
        process: Process::Program { leashed, _folder: folder },
    })
}

/// /usr/sbin is not in everybody's PATH.
fn program() -> Option<PathBuf> {
    ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy", "/usr/bin/haproxy"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path: &PathBuf| Path::is_file(path))
}
