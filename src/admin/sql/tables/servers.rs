//! The targets, their pools, and the connections in them.

use std::collections::HashMap;

use super::super::Console;
use super::super::answer::{Cell, Row};
use super::{Form, number, text};
use crate::cluster::{Lag, TargetView};
use crate::config::Choice;
use crate::registry::{Attached, ClientView};

pub static SERVERS: Form = Form {
    name: "SERVERS",
    about: "the connections to targets, idle or in a client's hands",
    columns: &[
        text("target", "where it leads"),
        number("id", "the server's own id for it"),
        text("state", "idle or borrowed"),
        number("client", "the id of the client that has it"),
        text("user", "who it is logged in as there"),
        text("schema", "the one it stands on; of a borrowed one, its client's"),
        number("idle_seconds", "how long nobody has used it"),
        number("age_seconds", "since it was made; not told of a borrowed one"),
        text("pins", "what keeps its client on it outside a transaction"),
    ],
    rows: servers,
};

pub static POOLS: Form = Form {
    name: "POOLS",
    about: "the connections to each target, counted",
    columns: &[
        text("target", "where they lead"),
        number("bound", "what is never passed, the one kept for KILL included"),
        number("idle", "ready for the next statement"),
        number("borrowed", "in clients' hands"),
        number("dialing", "being made ready"),
        number("closing", "not gone on the server yet"),
        number("waiting", "statements that wait for one"),
    ],
    rows: |console| {
        let pools = console.rooms.cluster.pools_by_place();
        let row = |(at, pool): (usize, &crate::pool::Pool)| {
            let view = pool.view();
            let counts =
                [view.bound, view.idle, view.borrowed, view.dialing, view.closing, view.waiting];
            let mut row = vec![console.rooms.cluster.name_of(at).into()];
            row.extend(counts.map(Cell::number));
            row
        };
        pools.map(row).collect()
    },
};

pub static TARGETS: Form = Form {
    name: "TARGETS",
    about: "the servers: what each is now, and how it is",
    columns: &[
        text("name", "as configured, for DRAIN"),
        text("address", "as configured"),
        text("role", "as configured: auto, primary, replica"),
        text(
            "now",
            "primary, replica (reads may go there), rival (takes writes beside the primary), drained, unused, down, unknown (has not answered yet)",
        ),
        text(
            "up",
            "yes: it answered when last asked, or, where it is the only one, can be connected to",
        ),
        number("strikes", "times in a row it has not answered"),
        text("read_only", "as it says, where there are several; NULL before"),
        text("lag", "seconds behind its source as it says, or stopped; NULL where it does not say"),
        text("version", "as its greeting gave it"),
        number("server_max_connections", "the server's own"),
        text("last_error", "why it could not be reached when last tried; NULL once it could"),
    ],
    rows: |console| {
        let view = console.rooms.cluster.view();
        view.targets.iter().filter(|it| !it.is_gone).map(target).collect()
    },
};

fn servers(console: &Console) -> Vec<Row> {
    let clients = console.rooms.registry.clients();
    let vault = console.rooms.vault.current();
    let user = |client: &ClientView| {
        let account = vault.account(&client.user);
        account.map(|account| account.target.username.to_string())
    };
    let mut rows = Vec::new();
    for (at, pool) in console.rooms.cluster.pools_by_place() {
        let name = Cell::from(console.rooms.cluster.name_of(at));
        let borrowed: HashMap<u32, &ClientView> = clients
            .iter()
            .filter_map(|client| Some((client.server?, client)))
            .filter(|(Attached { target, .. }, _)| *target == at)
            .map(|(server, client)| (server.id, client))
            .collect();
        // It may have come back since the clients were looked at.
        let idle = pool.idle_connections();
        let idle = idle.iter().filter(|idle| !borrowed.contains_key(&idle.id)).map(|idle| {
            vec![
                name.clone(),
                Cell::number(idle.id),
                Cell::text("idle"),
                Cell::Null,
                Cell::text(&idle.user),
                idle.state.schema().into(),
                Cell::number(idle.idle.as_secs()),
                Cell::number(idle.age.as_secs()),
                Cell::text(""),
            ]
        });
        rows.extend(idle);
        let mut borrowed: Vec<_> = borrowed.into_iter().collect();
        borrowed.sort_unstable_by_key(|(id, _)| *id);
        rows.extend(borrowed.into_iter().map(|(id, client)| {
            let pins: Vec<&str> = client.pins.iter().map(crate::session::Pin::name).collect();
            vec![
                name.clone(),
                Cell::number(id),
                Cell::text("borrowed"),
                Cell::number(client.id),
                user(client).into(),
                client.schema().into(),
                Cell::Null,
                Cell::Null,
                Cell::text(&pins.join(", ")),
            ]
        }));
    }
    rows
}

fn target(target: &TargetView) -> Row {
    let lag = match target.lag {
        Lag::Unknown => Cell::Null,
        Lag::Seconds(seconds) => Cell::text(&seconds),
        Lag::Stopped => Cell::text("stopped"),
    };
    vec![
        Cell::text(&target.name),
        Cell::text(&target.address),
        Cell::text(target.role.as_str()),
        Cell::text(&target.standing),
        Cell::yes_or_no(target.is_up),
        Cell::number(target.strikes),
        target.read_only.map_or(Cell::Null, Cell::yes_or_no),
        lag,
        target.version.as_ref().into(),
        target.max_connections.map_or(Cell::Null, Cell::number),
        target.trouble.as_ref().into(),
    ]
}
