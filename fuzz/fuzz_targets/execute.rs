//! COM_STMT_EXECUTE, and putting into one the types that were sent before.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use tidegate::wire::{Execute, set_statement_id, statement_id, with_types};

fuzz_target!(|bytes: &[u8]| {
    let [params, more, rest @ ..] = bytes else { return };
    let params = u16::from_le_bytes([*params, if *more < 200 { 0 } else { *more }]);
    let payload = [&[23], rest].concat();
    let Ok(execute) = Execute::parse(&payload, params) else { return };
    assert_eq!(statement_id(&payload), Some(execute.statement_id));
    let types = vec![3; 2 * usize::from(params)];
    let mut out = BytesMut::new();
    with_types(&payload, params, &types, &mut out).expect("an execute that was read");
    let rebuilt = Execute::parse(&out, params).expect("what was written is read");
    assert_eq!(&out[rebuilt.values], &payload[execute.values.clone()]);
    assert_eq!(&out[rebuilt.null_bitmap], &payload[execute.null_bitmap.clone()]);
    if params > 0 && !execute.new_params_bound {
        assert_eq!(&out[rebuilt.types], &types[..]);
    }
    assert!(set_statement_id(&mut out, 7));
    assert_eq!(statement_id(&out), Some(7));
});
