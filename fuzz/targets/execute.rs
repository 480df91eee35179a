//! COM_STMT_EXECUTE, with and without names, and putting into one the types that were sent before;
//! the attributes before the text of COM_QUERY.

use bytes::BytesMut;
use tidegate::wire::{Execute, QueryAttributes, Written, set_statement_id, statement_id};

pub fn run(bytes: &[u8]) {
    if let Ok(found) = QueryAttributes::parse(bytes) {
        assert!(found.len <= bytes.len());
    }
    let [params, more, ways, rest @ ..] = bytes else { return };
    let params = u16::from_le_bytes([*params, if *more < 200 { 0 } else { *more }]);
    let (from, to) = match ways % 3 {
        0 => (Written::Plain, Written::Plain),
        1 => (Written::Named, Written::Plain),
        _ => (Written::Named, Written::Named),
    };
    let bulk = [&[0xFA], rest].concat();
    if let Ok(execute) = Execute::parse(&bulk, params, Written::Bulk) {
        let types = execute.plain_types(&bulk).into_owned();
        let mut out = BytesMut::new();
        execute.rewrite(&bulk, Written::Bulk, Some(&types), &mut out);
        assert_eq!(&out[..5], &bulk[..5]);
    }
    let payload = [&[23], rest].concat();
    let Ok(execute) = Execute::parse(&payload, params, from) else { return };
    assert_eq!(statement_id(&payload), Some(execute.statement_id));
    let types = vec![3; 2 * usize::from(params)];
    let mut out = BytesMut::new();
    execute.rewrite(&payload, to, Some(&types), &mut out);
    let rebuilt = Execute::parse(&out, params, to).expect("what was written is read");
    assert_eq!(&out[rebuilt.values.clone()], &payload[execute.values.clone()]);
    assert_eq!(rebuilt.cursor, execute.cursor);
    if params > 0 {
        let expected = execute.plain_types(&payload);
        let expected = if execute.new_params_bound { &expected[..] } else { &types[..] };
        assert_eq!(&rebuilt.plain_types(&out)[..], expected);
    }
    assert!(set_statement_id(&mut out, 7));
    assert_eq!(statement_id(&out), Some(7));
}
