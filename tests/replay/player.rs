//! The clients of a script at one address, straight or through Tidegate.
//!
//! Owns their connections and the ids of their statements. Never compares.

use std::collections::BTreeMap;

use super::{
    reply::{self, Kind, Reply},
    script::ClientNumber,
    step::{Param, Step, Who},
};
use crate::support::{
    binary::{READ_ONLY_CURSOR, Value, execute_packet},
    client::{Error, RawClient},
};

/// A statement nobody has.
const NO_STATEMENT: u32 = 0x00FF_FFFF;

#[derive(Default)]
pub struct Seat {
    client: Option<RawClient>,
    statements: BTreeMap<String, u32>,
    /// Every id that was given, in order.
    pub ids: Vec<u32>,
    pub connection_id: u32,
    /// A reset ended them all, and the next prepare may give their ids again.
    stale: bool,
}

pub struct Player {
    address: String,
    seats: BTreeMap<ClientNumber, Seat>,
}

impl Player {
    pub fn at(address: String) -> Self {
        Self { address, seats: BTreeMap::new() }
    }

    pub fn seat(&mut self, number: ClientNumber) -> &mut Seat {
        self.seats.entry(number).or_default()
    }

    pub fn play(&mut self, number: ClientNumber, step: &Step) -> Reply {
        let address = self.address.clone();
        let seat = self.seat(number);
        if let Step::Login(who) = step {
            return seat.log_in(address, who);
        }
        let Some(client) = seat.client.as_mut() else {
            return Reply { broken: Some("not connected".to_owned()), ..Reply::default() };
        };
        let reply = match step {
            Step::ChangeUser(who) => change_user(client, who),
            step => {
                let (payload, kind) = request(step, &seat.statements);
                match client.command(&payload) {
                    Ok(()) => reply::read(client, kind),
                    Err(error) => Reply { broken: Some(error.to_string()), ..Reply::default() },
                }
            }
        };
        seat.learn(step, &reply);
        reply
    }

    /// Everybody leaves, and nothing of them is left when this returns.
    pub fn leave(self) {
        for mut client in self.seats.into_values().filter_map(|seat| seat.client) {
            let _ = client.reset();
            client.quit();
        }
    }
}

impl Seat {
    fn log_in(&mut self, address: String, who: &Who) -> Reply {
        if let Some(client) = self.client.take() {
            client.quit();
        }
        *self = Self::default();
        match RawClient::login(address, &who.login()) {
            Ok(client) => {
                let reply = Reply::of(client.accepted.clone());
                self.connection_id = client.greeting.connection_id;
                self.client = Some(client);
                reply
            }
            Err(error) => refused(&error),
        }
    }

    fn learn(&mut self, step: &Step, reply: &Reply) {
        if matches!(step, Step::Prepare { .. }) && self.stale {
            self.stale = false;
            self.statements.clear();
            self.ids.clear();
        }
        match step {
            Step::Reset | Step::ChangeUser(_) => self.stale = true,
            Step::Prepare { name, .. } if reply.error.is_none() && reply.broken.is_none() => {
                let ok = &reply.packets[0].payload;
                let id = u32::from_le_bytes(ok[1..5].try_into().unwrap());
                self.statements.insert(name.clone(), id);
                self.ids.push(id);
            }
            Step::Prepare { name, .. } => _ = self.statements.remove(name),
            Step::Quit => self.client = None,
            _ if reply.broken.is_some() => self.client = None,
            _ => {}
        }
    }
}

/// The packets of a login are not compared, its outcome is.
fn change_user(client: &mut RawClient, who: &Who) -> Reply {
    match client.change_user(&who.login()) {
        Ok(()) => Reply::of(client.accepted.clone()),
        Err(error) => refused(&error),
    }
}

fn refused(error: &Error) -> Reply {
    match error {
        Error::Server { code, .. } => {
            Reply { error: Some(*code), ..Reply::of(error.to_string().into_bytes()) }
        }
        Error::Io(_) => Reply { broken: Some(error.to_string()), ..Reply::default() },
    }
}

fn request(step: &Step, statements: &BTreeMap<String, u32>) -> (Vec<u8>, Kind) {
    let id = |name: &str| statements.get(name).copied().unwrap_or(NO_STATEMENT);
    let with_id = |command: u8, name: &str, rest: &[u8]| {
        [&[command], &id(name).to_le_bytes()[..], rest].concat()
    };
    match step {
        Step::Query(sql) => ([&[3], sql.as_bytes()].concat(), Kind::Results),
        Step::InitDb(schema) => ([&[2], schema.as_bytes()].concat(), Kind::Single),
        Step::Ping => (vec![14], Kind::Single),
        Step::Prepare { sql, .. } => ([&[22], sql.as_bytes()].concat(), Kind::Prepared),
        Step::Execute { name, types, cursor, values } => {
            let values: Vec<Value> = values.iter().map(bound).collect();
            let flags = if *cursor { READ_ONLY_CURSOR } else { 0 };
            (execute_packet(id(name), flags, &values, *types), Kind::Results)
        }
        Step::Fetch { name, rows } => (with_id(28, name, &rows.to_le_bytes()), Kind::Rows),
        Step::LongData { name, param, data } => {
            let rest = [&param.to_le_bytes()[..], data.as_bytes()].concat();
            (with_id(24, name, &rest), Kind::Nothing)
        }
        Step::ResetStatement(name) => (with_id(26, name, &[]), Kind::Single),
        Step::CloseStatement(name) => (with_id(25, name, &[]), Kind::Nothing),
        Step::Reset => (vec![31], Kind::Single),
        Step::SetOption(option) => ([&[27], &option.to_le_bytes()[..]].concat(), Kind::Single),
        Step::FieldList(table) => ([&[4], table.as_bytes(), &[0]].concat(), Kind::Fields),
        Step::Statistics => (vec![9], Kind::Single),
        Step::Bytes(bytes) => (bytes.clone(), Kind::Single),
        Step::Quit => (vec![1], Kind::Nothing),
        Step::Login(_) | Step::ChangeUser(_) => unreachable!("has a conversation of its own"),
    }
}

fn bound(param: &Param) -> Value {
    match param {
        Param::Null => Value::Null,
        Param::Long => Value::Long,
        Param::Int(number) => Value::Int(*number),
        Param::Text(text) => Value::Bytes(text.clone().into_bytes()),
    }
}
