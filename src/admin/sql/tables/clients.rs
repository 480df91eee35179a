//! The sessions of clients.

use super::super::Console;
use super::super::answer::{Cell, Row, Table};
use super::{Column, Form, columns, number, text};
use crate::config::{Access, Choice};
use crate::registry::{Activity, ClientView, Doom};
use crate::session::UserValue;

pub static CLIENTS: Form = Form {
    name: "CLIENTS",
    about: "who is connected, and what each does",
    columns: &[
        number("id", "as the greeting gave it, for KILL and SHOW CLIENT"),
        text("user", "the name of the login; empty before it"),
        text("address", "where it comes from"),
        text("program", "what it calls itself, if it does"),
        text("endpoint", "where it came in"),
        text("access", "read-write or read-only, as the endpoint has it"),
        text("schema", "the one its statements are about"),
        text(
            "state",
            "logging in, idle, in transaction (between its statements), waiting (for a server connection), active, leaving (told to end, and not gone yet)",
        ),
        number("seconds", "how long it has been in that state, to a quarter of a second"),
        number("transaction_seconds", "how old its transaction is, if one is open"),
        text("pins", "what keeps it on its server connection outside a transaction"),
        text("target", "where the server connection leads that it has in hand"),
        number("server_id", "the server's own id for that connection"),
        number("statements", "how many it has prepared"),
        text("wire", "plain, tls, compressed, or tls compressed"),
    ],
    rows: |console| {
        let clients = console.rooms.registry.clients();
        clients.iter().map(|client| row(client, console)).collect()
    },
};

pub static PINS: Form = Form {
    name: "PINS",
    about: "what keeps clients on their server connections, a row for each client and reason",
    columns: &[
        number("client", "its id"),
        text("user", "the name of its login"),
        text("address", "where it comes from"),
        text("program", "what it calls itself, if it does"),
        text("reason", "as in the metric tidegate_pinned"),
        text("target", "where its server connection leads"),
        number("server_id", "the server's own id for that connection"),
        text("state", "as in SHOW CLIENTS"),
        number("seconds", "how long it has been in that state"),
    ],
    rows: |console| {
        let clients = console.rooms.registry.clients();
        let pinned =
            clients.iter().flat_map(|client| client.pins.iter().map(move |pin| (client, pin)));
        let row = |(client, pin): (&ClientView, crate::session::Pin)| {
            vec![
                Cell::number(client.id),
                Cell::text(&client.user),
                Cell::text(&client.peer),
                client.program().into(),
                Cell::text(pin.name()),
                target(client, console),
                server_id(client),
                Cell::text(state(client)),
                Cell::number(client.since.as_secs()),
            ]
        };
        pinned.map(row).collect()
    },
};

const OF_ONE: [Column; 2] = [
    text("property", "a column of SHOW CLIENTS, or a name of its own"),
    text("value", "what it is"),
];

/// One session in full; `None`: there is none of this id.
pub fn client(id: u64, console: &Console) -> Option<Table> {
    let client = u32::try_from(id).ok().and_then(|id| console.rooms.registry.client(id))?;
    let names = CLIENTS.columns.iter().map(|column| column.name.to_owned());
    let mut rows: Vec<Row> = names
        .zip(row(&client, console))
        .map(|(name, value)| vec![Cell::Text(name), as_text(value)])
        .collect();
    let mut say = |name: String, value: Cell| rows.push(vec![Cell::Text(name), value]);
    if let Some(doom) = client.doomed {
        say("leaves_for".into(), Cell::text(reason(doom)));
    }
    for (name, value) in client.attributes.iter() {
        say(format!("attribute {name}"), Cell::text(value));
    }
    if let Some(state) = &client.state {
        for (name, value) in state.variables() {
            say(format!("variable {name}"), Cell::text(value));
        }
        for (name, value) in state.user_variables() {
            // A value of a client's own: it may be anything.
            let is = match value {
                UserValue::Value(_) => "(set)",
                UserValue::Null(_) => "(null)",
            };
            say(format!("user_variable @{name}"), Cell::text(is));
        }
        if let Some(role) = state.role() {
            say("role".into(), Cell::text(role));
        }
        if let Some(next) = state.next_transaction() {
            say("next_transaction".into(), Cell::text(next));
        }
    }
    Some(Table { columns: columns(&OF_ONE), rows })
}

fn row(client: &ClientView, console: &Console) -> Row {
    let endpoint = console.rooms.registry.endpoint(client.entrance.endpoint);
    let access: Access = client.entrance.access;
    let pins: Vec<&str> = client.pins.iter().map(crate::session::Pin::name).collect();
    vec![
        Cell::number(client.id),
        Cell::text(&client.user),
        Cell::text(&client.peer),
        client.program().into(),
        endpoint.into(),
        Cell::text(access.as_str()),
        client.schema().into(),
        Cell::text(state(client)),
        Cell::number(client.since.as_secs()),
        client.transaction.map_or(Cell::Null, |age| Cell::number(age.as_secs())),
        Cell::text(&pins.join(", ")),
        target(client, console),
        server_id(client),
        Cell::number(client.statements),
        Cell::text(wire(client)),
    ]
}

fn state(client: &ClientView) -> &'static str {
    match client.activity {
        // In a drain what matters is what they are still at.
        _ if client.doomed.is_some_and(|doom| !doom.is_patient()) => "leaving",
        Activity::Active if client.waiting => "waiting",
        activity => activity.name(),
    }
}

fn wire(client: &ClientView) -> &'static str {
    match (client.wire.tls, client.wire.compressed) {
        (false, false) => "plain",
        (true, false) => "tls",
        (false, true) => "compressed",
        (true, true) => "tls compressed",
    }
}

fn target(client: &ClientView, console: &Console) -> Cell {
    client.server.and_then(|server| console.rooms.cluster.name_of(server.target)).into()
}

fn server_id(client: &ClientView) -> Cell {
    client.server.map_or(Cell::Null, |server| Cell::number(server.id))
}

fn reason(doom: Doom) -> &'static str {
    match doom {
        Doom::Killed => "killed",
        Doom::Idle => "idle for too long",
        Doom::IdleInTransaction => "idle in a transaction for too long",
        Doom::TransactionTooLong => "its transaction takes too long",
        Doom::Draining => "the drain",
        Doom::Revoked => "its user is in the secrets no longer",
        Doom::Stopping => "the end of the drain",
    }
}

fn as_text(value: Cell) -> Cell {
    match value {
        Cell::Number(number) => Cell::text(&number),
        other => other,
    }
}
