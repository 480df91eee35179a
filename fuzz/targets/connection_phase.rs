//! What strangers send before they are known, from both sides: read without a panic, and what was
//! read is written and read again the same.

use bytes::BytesMut;
use tidegate::wire::{
    AuthMore, AuthSwitch, Capabilities, ChangeUser, ErrPacket, Greeting, HEADER_LEN, Login,
    SslRequest,
};

pub fn run(bytes: &[u8]) {
    let _ = SslRequest::parse(bytes);
    let _ = AuthSwitch::parse(bytes);
    let _ = AuthMore::parse(bytes);
    let _ = ErrPacket::parse(bytes);
    if let Some((caps, payload)) = bytes.split_first_chunk() {
        let caps = Capabilities::from_bits_retain(u32::from_le_bytes(*caps));
        let _ = ChangeUser::parse(payload, caps);
    }
    if let Ok(greeting) = Greeting::parse(bytes) {
        let mut out = BytesMut::new();
        greeting.put(&mut out, 0);
        let again = Greeting::parse(&out[HEADER_LEN..]).expect("what was written is read");
        assert_eq!(again.nonce, greeting.nonce);
        assert_eq!(again.connection_id, greeting.connection_id);
    }
    if let Ok(login) = Login::parse(bytes) {
        let mut out = BytesMut::new();
        login.put(&mut out, 1);
        let again = Login::parse(&out[HEADER_LEN..]).expect("what was written is read");
        assert!(again.user == login.user, "another user");
        if login.capabilities.intersects(
            Capabilities::CLIENT_SECURE_CONNECTION
                | Capabilities::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA,
        ) {
            assert!(again.auth_response == login.auth_response, "another answer");
            assert!(again.schema == login.schema, "another schema");
        }
    }
}
