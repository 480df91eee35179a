//! The clients that are worth a look, of as many as there are.
//!
//! Made when somebody asks, and bounded: those that wait, work or hold something come first, each
//! group by how long it has been so.

use serde::{Deserialize, Serialize};

use crate::registry::{Activity, ClientView};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientList {
    /// How many there are, listed or not.
    pub total: u64,
    pub clients: Vec<Client>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    pub id: u32,
    pub user: String,
    pub peer: String,
    /// What it calls itself.
    pub program: Option<String>,
    pub schema: Option<String>,
    /// `logging in`, `idle`, `in transaction`, `active`, `waiting`.
    pub activity: String,
    pub since_ms: u64,
    pub transaction_ms: Option<u64>,
    pub pins: Vec<String>,
    /// The name of the target whose connection it has in hand.
    pub target: Option<String>,
    pub endpoint: String,
    pub tls: bool,
    pub compressed: bool,
}

impl ClientList {
    pub const MOST: usize = 500;

    /// `targets` and `endpoints` are their names, by their places and numbers.
    pub fn of(
        mut clients: Vec<ClientView>,
        most: usize,
        targets: &[String],
        endpoints: &[String],
    ) -> Self {
        let total = clients.len() as u64;
        clients.sort_by_key(|client| (rank(client), std::cmp::Reverse(client.since)));
        clients.truncate(most.min(Self::MOST));
        let clients = clients.iter().map(|client| Client::of(client, targets, endpoints)).collect();
        Self { total, clients }
    }
}

impl Client {
    fn of(client: &ClientView, targets: &[String], endpoints: &[String]) -> Self {
        let ms =
            |lasted: std::time::Duration| u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
        let activity = if client.waiting { "waiting" } else { client.activity.name() };
        let target = client.server.and_then(|server| targets.get(server.target));
        let endpoint = endpoints.get(usize::from(client.entrance.endpoint));
        Self {
            id: client.id,
            user: client.user.to_string(),
            peer: client.peer.clone(),
            program: client.program().map(str::to_owned),
            schema: client.schema().map(str::to_owned),
            activity: activity.to_owned(),
            since_ms: ms(client.since),
            transaction_ms: client.transaction.map(ms),
            pins: client.pins.iter().map(|pin| pin.name().to_owned()).collect(),
            target: target.cloned(),
            endpoint: endpoint.cloned().unwrap_or_default(),
            tls: client.wire.tls,
            compressed: client.wire.compressed,
        }
    }
}

fn rank(client: &ClientView) -> u8 {
    match client.activity {
        _ if client.waiting => 0,
        Activity::Active => 1,
        Activity::InTransaction => 2,
        _ if !client.pins.is_empty() => 3,
        Activity::LoggingIn => 4,
        Activity::Idle => 5,
    }
}

#[cfg(test)]
mod tests {
    use crate::secrets::{Account, Password};
    use std::sync::Arc;

    use super::*;
    use crate::config::Access;
    use crate::registry::{Attached, Entrance, Registry};
    use crate::session::{Pin, Pins};

    #[test]
    fn who_waits_or_works_comes_first() {
        let registry = Arc::new(Registry::new());
        let door = Entrance { endpoint: 1, access: Access::ReadWrite };
        let enter = |user: &str, activity| {
            let presence = registry.enter("10.0.0.9:4711".to_owned(), door);
            presence.log_in(
                &Arc::new(Account::new(user.into(), Password::new("p"), None, None, None)),
                None,
            );
            presence.set_activity(activity);
            presence
        };
        let idle: Vec<_> = (0..5).map(|_| enter("idle", Activity::Idle)).collect();
        let pinned = enter("pinned", Activity::Idle);
        let mut pins = Pins::default();
        pins.insert(Pin::TemporaryTable);
        pinned.set_pins(pins);
        let open = enter("open", Activity::InTransaction);
        open.attach(Attached { target: 0, id: 7 });
        open.set_attributes(&[("program_name".to_owned(), "<b>shop</b>".to_owned())]);
        let active = enter("active", Activity::Active);
        let waiting = enter("waiting", Activity::Active);
        waiting.set_waiting(true);

        let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let (targets, endpoints) = (names(&["first"]), names(&["default", "reads"]));
        let list = ClientList::of(registry.clients(), 5, &targets, &endpoints);
        let users: Vec<_> = list.clients.iter().map(|client| client.user.as_str()).collect();
        assert_eq!(
            (list.total, &users[..]),
            (9, &["waiting", "active", "open", "pinned", "idle"][..])
        );
        assert_eq!(list.clients[0].activity, "waiting");
        assert_eq!(list.clients[2].target.as_deref(), Some("first"));
        assert_eq!(list.clients[2].program.as_deref(), Some("<b>shop</b>"));
        assert_eq!(list.clients[3].pins, ["temporary_table"]);
        assert_eq!(list.clients[4].endpoint, "reads");
        let all = ClientList::of(registry.clients(), usize::MAX, &targets, &endpoints);
        assert_eq!(all.clients.len(), 9);
        drop((idle, active));
    }
}
