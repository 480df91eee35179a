//! ProxySQL, where somebody has it: Debian has not.

use std::{fs, path::Path, process::Command};

use super::{Kind, Peer, Process, launch, new_folder, version};
use crate::{
    peers::tidegate::SHARED,
    support::{
        free_port,
        servers::{HOST, PASSWORD, SCHEMA, Server},
    },
};

pub(super) fn start(server: &Server, program: &Path) -> Result<Peer, String> {
    let version = version(program, "--version")?;
    let folder = new_folder(Kind::ProxySql)?;
    let (port, admin) = (free_port(), free_port());
    let (user, here) = (Kind::ProxySql.name(), folder.path());
    let text = format!(
        "datadir=\"{}\"\n\
         admin_variables={{ admin_credentials=\"admin:admin\" mysql_ifaces=\"{HOST}:{admin}\" }}\n\
         mysql_variables={{ threads=2 interfaces=\"{HOST}:{port}\" max_connections=20000 \
         default_schema=\"{SCHEMA}\" monitor_enabled=false \
         default_authentication_plugin=\"caching_sha2_password\" }}\n\
         mysql_servers=({{ address=\"{HOST}\" port={} hostgroup=0 max_connections={SHARED} }})\n\
         mysql_users=({{ username=\"{user}\" password=\"{PASSWORD}\" default_hostgroup=0 \
         default_schema=\"{SCHEMA}\" }})\n",
        here.display(),
        server.port(),
    );
    let config = here.join("proxysql.cnf");
    fs::write(&config, text).map_err(|why| why.to_string())?;
    let mut command = Command::new(program);
    command.args(["-f", "--initial", "-c"]).arg(config).arg("-D").arg(here);
    let leashed = launch(&command, here, port)?;
    Ok(Peer {
        kind: Kind::ProxySql,
        version,
        setup: format!("threads 2, max_connections {SHARED}"),
        port,
        tls_port: port,
        process: Process::Program { leashed, _folder: folder },
    })
}
