//! OK packets and their session-track blocks.

use bytes::BytesMut;
use tidegate::wire::{
    Capabilities, EofPacket, OkPacket, OkReply, PrepareOk, changes, column_count, put_ok, text_row,
};

pub fn run(bytes: &[u8]) {
    let _ = changes(bytes);
    let _ = PrepareOk::parse(bytes);
    let _ = EofPacket::parse(bytes);
    let _ = column_count(bytes, false);
    let _ = column_count(bytes, true);
    let _ = text_row(bytes);
    let plain = Capabilities::CLIENT_PROTOCOL_41;
    for caps in [plain, plain | Capabilities::CLIENT_SESSION_TRACK] {
        let Ok(ok) = OkPacket::parse(bytes, caps) else { continue };
        let _ = changes(ok.changes);
        let reply = OkReply {
            affected_rows: ok.affected_rows,
            last_insert_id: ok.last_insert_id,
            status: ok.status,
            warnings: ok.warnings,
            schema: None,
        };
        let mut out = BytesMut::new();
        put_ok(&mut out, 0, &reply, caps);
        let again = OkPacket::parse(&out[4..], caps).expect("what was written is read");
        assert_eq!(
            (again.affected_rows, again.last_insert_id, again.warnings),
            (ok.affected_rows, ok.last_insert_id, ok.warnings)
        );
    }
}
