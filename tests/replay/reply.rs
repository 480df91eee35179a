//! What a client gets for one step: packets, whole.
//!
//! Owns where a reply ends. Never changes a byte.

use crate::support::{
    binary::CURSOR_EXISTS,
    client::{Error, RawClient, capability, lenenc, ok_status},
};

const IN_TRANSACTION: u16 = 1;
const MORE_RESULTS: u16 = 8;
const OUT_PARAMS: u16 = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub sequence: u8,
    pub role: Role,
    pub payload: Vec<u8>,
}

/// What only its place in the reply tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Any,
    Column,
    /// The EOF between definitions and rows.
    AfterColumns,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    pub packets: Vec<Packet>,
    /// The connection is gone, or no packet came in time.
    pub broken: Option<String>,
    /// Of the last packet that tells.
    pub status: Option<u16>,
    pub warnings: u16,
    pub error: Option<u16>,
}

impl Reply {
    pub fn in_transaction(&self) -> Option<bool> {
        self.status.map(|status| status & IN_TRANSACTION != 0)
    }

    pub fn of(payload: Vec<u8>) -> Self {
        Self { packets: vec![Packet { sequence: 0, role: Role::Any, payload }], ..Self::default() }
    }

    fn read(&mut self, client: &mut RawClient) -> Result<Vec<u8>, Error> {
        self.read_as(client, Role::Any)
    }

    fn read_as(&mut self, client: &mut RawClient, role: Role) -> Result<Vec<u8>, Error> {
        let payload = client.read_packet()?;
        let sequence = client.sequence().wrapping_sub(1);
        self.packets.push(Packet { sequence, role, payload: payload.clone() });
        if payload.first() == Some(&0xFF) {
            self.error = payload.get(1..3).map(|code| u16::from_le_bytes([code[0], code[1]]));
        }
        Ok(payload)
    }

    /// An OK packet, or the OK that stands for an EOF.
    fn learn_ok(&mut self, packet: &[u8]) -> u16 {
        let status = ok_status(packet);
        let mut rest = &packet[1..];
        lenenc(&mut rest);
        lenenc(&mut rest);
        self.warnings = rest.get(2..4).map_or(0, |two| u16::from_le_bytes([two[0], two[1]]));
        self.status = Some(status);
        status
    }

    fn learn_end(&mut self, packet: &[u8], deprecate_eof: bool) -> u16 {
        if deprecate_eof {
            return self.learn_ok(packet);
        }
        let number = |at: usize| {
            packet.get(at..at + 2).map_or(0, |two| u16::from_le_bytes([two[0], two[1]]))
        };
        self.warnings = number(1);
        self.status = Some(number(3));
        number(3)
    }
}

/// What kind of reply a step has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nothing,
    /// One packet.
    Single,
    Results,
    Prepared,
    Rows,
    Fields,
}

pub fn read(client: &mut RawClient, kind: Kind) -> Reply {
    let mut reply = Reply::default();
    let read = match kind {
        Kind::Nothing => Ok(()),
        Kind::Single => single(client, &mut reply),
        Kind::Results => results(client, &mut reply),
        Kind::Prepared => prepared(client, &mut reply),
        Kind::Rows => rows(client, &mut reply, Role::Any).map(drop),
        Kind::Fields => rows(client, &mut reply, Role::Column).map(drop),
    };
    if let Err(error) = read {
        reply.broken = Some(error.to_string());
    }
    reply
}

fn single(client: &mut RawClient, reply: &mut Reply) -> Result<(), Error> {
    let packet = reply.read(client)?;
    match packet.first() {
        Some(0) => _ = reply.learn_ok(&packet),
        Some(0xFE) if packet.len() == 5 => _ = reply.learn_end(&packet, false),
        _ => {}
    }
    Ok(())
}

fn results(client: &mut RawClient, reply: &mut Reply) -> Result<(), Error> {
    loop {
        let packet = reply.read(client)?;
        let status = match packet.first() {
            Some(0xFF) => return Ok(()),
            Some(0) => reply.learn_ok(&packet),
            // LOCAL INFILE: nothing is given.
            Some(0xFB) => {
                client.write_packet(&[])?;
                continue;
            }
            _ => match result_set(client, reply, &packet)? {
                Some(status) => status,
                None => return Ok(()),
            },
        };
        if status & MORE_RESULTS == 0 {
            return Ok(());
        }
    }
}

/// The status at its end, or nothing after an error.
fn result_set(
    client: &mut RawClient,
    reply: &mut Reply,
    first: &[u8],
) -> Result<Option<u16>, Error> {
    let columns = lenenc(&mut &first[..]).unwrap_or(0);
    for _ in 0..columns {
        reply.read_as(client, Role::Column)?;
    }
    let mut more = 0;
    if !client.speaks(capability::DEPRECATE_EOF) {
        let packet = reply.read_as(client, Role::AfterColumns)?;
        let status = reply.learn_end(&packet, false);
        if status & CURSOR_EXISTS != 0 {
            return Ok(Some(status));
        }
        // Of OUT parameters only this EOF says that an OK follows.
        if status & OUT_PARAMS != 0 {
            more = MORE_RESULTS;
        }
    }
    Ok(rows(client, reply, Role::Any)?.map(|status| status | more))
}

fn rows(client: &mut RawClient, reply: &mut Reply, role: Role) -> Result<Option<u16>, Error> {
    let deprecate_eof = client.speaks(capability::DEPRECATE_EOF);
    loop {
        let packet = reply.read_as(client, role)?;
        match packet.first() {
            Some(0xFF) => return Ok(None),
            Some(0xFE) if deprecate_eof || packet.len() < 9 => {
                return Ok(Some(reply.learn_end(&packet, deprecate_eof)));
            }
            _ => {}
        }
    }
}

fn prepared(client: &mut RawClient, reply: &mut Reply) -> Result<(), Error> {
    let packet = reply.read(client)?;
    if packet.first() == Some(&0xFF) {
        return Ok(());
    }
    let number = |at: usize| u16::from_le_bytes([packet[at], packet[at + 1]]);
    reply.warnings = number(10);
    for count in [number(7), number(5)] {
        for _ in 0..count {
            reply.read_as(client, Role::Column)?;
        }
        if count > 0 && !client.speaks(capability::DEPRECATE_EOF) {
            reply.read_as(client, Role::AfterColumns)?;
        }
    }
    Ok(())
}
