//! Owns the two formats a reply is translated between, and the packets that differ in them.

use bytes::{BufMut, BytesMut};

use crate::wire::{
    Capabilities, Command, EofPacket, Malformed, NO_ATTRIBUTES, OkPacket, Status, TrackFilter,
    put_command, put_eof, put_lenenc_bytes, put_lenenc_int, put_packet,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerFormat {
    pub deprecate_eof: bool,
    pub session_track: bool,
    /// A byte behind the counts says whether definitions follow.
    pub optional_metadata: bool,
    /// Of requests: attributes stand before each text, and names behind the types of an execute.
    pub query_attributes: bool,
}

impl ServerFormat {
    pub fn of(caps: Capabilities) -> Self {
        Self {
            deprecate_eof: caps.contains(Capabilities::CLIENT_DEPRECATE_EOF),
            session_track: caps.contains(Capabilities::CLIENT_SESSION_TRACK),
            optional_metadata: caps.contains(Capabilities::CLIENT_OPTIONAL_RESULTSET_METADATA),
            query_attributes: caps.contains(Capabilities::CLIENT_QUERY_ATTRIBUTES),
        }
    }

    /// A COM_QUERY of the proxy's own.
    pub fn put_query(self, out: &mut BytesMut, sql: &str) {
        if self.query_attributes {
            put_command(out, Command::Query, &[&NO_ATTRIBUTES, sql.as_bytes()].concat());
        } else {
            put_command(out, Command::Query, sql.as_bytes());
        }
    }

    pub(super) fn capabilities(self) -> Capabilities {
        let mut caps = Capabilities::CLIENT_PROTOCOL_41;
        caps.set(Capabilities::CLIENT_SESSION_TRACK, self.session_track);
        caps
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFormat {
    pub deprecate_eof: bool,
    /// What of the trackers the client asked for; `None` if it did not negotiate any.
    pub session_track: Option<TrackFilter>,
    /// Replaces the id in a prepare reply.
    pub statement_id: Option<u32>,
    /// Of the first packet the client is to see; 1 behind a command of one packet.
    pub first_seq: u8,
}

impl ClientFormat {
    /// As it comes: for replies that only the proxy reads.
    pub fn same_as(server: ServerFormat) -> Self {
        Self {
            deprecate_eof: server.deprecate_eof,
            session_track: server.session_track.then(TrackFilter::everything),
            statement_id: None,
            first_seq: 1,
        }
    }

    /// With default trackers, as behind a command of one packet.
    pub fn of(caps: Capabilities) -> Self {
        Self {
            deprecate_eof: caps.contains(Capabilities::CLIENT_DEPRECATE_EOF),
            session_track: caps
                .contains(Capabilities::CLIENT_SESSION_TRACK)
                .then(TrackFilter::default),
            statement_id: None,
            first_seq: 1,
        }
    }
}

/// An OK or EOF as it came, and how the client must see it.
pub(super) struct Ending<'a> {
    pub(super) ok: OkPacket<'a>,
    pub(super) eof: bool,
    /// As long as the result set goes on behind it, the first byte stays what it is.
    first: u8,
}

#[derive(Debug)]
pub(super) enum Edit {
    Keep,
    /// Say EOF in its place.
    Eof,
    /// Say OK in its place, with this session-track block.
    Ok(BytesMut),
}

impl<'a> Ending<'a> {
    pub(super) fn parse(payload: &'a [u8], from: ServerFormat) -> Result<Self, Malformed> {
        let first = payload.first().copied().unwrap_or_default();
        if first == 0xFE && payload.len() == EofPacket::LEN {
            let EofPacket { warnings, status } = EofPacket::parse(payload)?;
            let ok = OkPacket {
                affected_rows: 0,
                last_insert_id: 0,
                status,
                warnings,
                info: &[],
                changes: &[],
            };
            return Ok(Self { ok, eof: true, first });
        }
        Ok(Self { ok: OkPacket::parse(payload, from.capabilities())?, eof: false, first })
    }

    pub(super) fn edit(&self, from: ServerFormat, to: &ClientFormat) -> Result<Edit, Malformed> {
        if self.first == 0xFE && !to.deprecate_eof {
            return Ok(if self.eof { Edit::Keep } else { Edit::Eof });
        }
        if self.eof {
            let told_apart = from.deprecate_eof || !to.deprecate_eof;
            return Ok(if told_apart { Edit::Keep } else { Edit::Ok(BytesMut::new()) });
        }
        if !from.session_track || !self.ok.status.contains(Status::SERVER_SESSION_STATE_CHANGED) {
            return Ok(Edit::Keep);
        }
        let kept = match &to.session_track {
            None => Some(BytesMut::new()),
            Some(filter) => filter.apply(self.ok.changes)?,
        };
        Ok(kept.map_or(Edit::Keep, Edit::Ok))
    }

    /// Answers the next sequence id.
    pub(super) fn put(&self, out: &mut BytesMut, seq: u8, edit: &Edit) -> u8 {
        let ok = &self.ok;
        let Edit::Ok(changes) = edit else {
            return put_eof(out, seq, ok.status, ok.warnings);
        };
        let mut status = ok.status;
        status.set(Status::SERVER_SESSION_STATE_CHANGED, !changes.is_empty());
        let mut payload = BytesMut::with_capacity(32 + ok.info.len() + changes.len());
        payload.put_u8(self.first);
        put_lenenc_int(&mut payload, ok.affected_rows);
        put_lenenc_int(&mut payload, ok.last_insert_id);
        payload.put_u16_le(status.bits());
        payload.put_u16_le(ok.warnings);
        // Servers leave an empty info out where nothing follows it.
        if !ok.info.is_empty() || !changes.is_empty() {
            put_lenenc_bytes(&mut payload, ok.info);
        }
        if !changes.is_empty() {
            put_lenenc_bytes(&mut payload, changes);
        }
        put_packet(out, seq, &payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_in_each_format() {
        for (caps, expected) in [
            (Capabilities::empty(), &b"\x05\0\0\0\x03DO 0"[..]),
            (Capabilities::CLIENT_QUERY_ATTRIBUTES, b"\x07\0\0\0\x03\0\x01DO 0"),
        ] {
            let mut out = BytesMut::new();
            ServerFormat::of(caps).put_query(&mut out, "DO 0");
            assert_eq!(&out[..], expected);
        }
    }
}
