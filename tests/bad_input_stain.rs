//! A request that is refused half-way leaves no stain on the connection it was refused on, and none
//! is run that is not what the client sent.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod support;

use std::time::Duration;

use support::{
    client::{Login, RawClient, capability},
    fake::{Line, Stage, bare_login, framed, login_payload},
    wait_for,
};

const SOON: Duration = Duration::from_secs(5);

fn stage_of_one() -> Stage {
    let mut stage = Stage::set(|config| config.section("pool", "max_connections = 1"));
    stage.bound = 2;
    stage
}

fn prepare(line: &mut Line, sql: &str, packets: usize) {
    line.command(&[&[22], sql.as_bytes()].concat()).unwrap();
    for _ in 0..packets {
        line.hear().unwrap();
    }
}

/// Rolls back and clears the one connection there is: no statement is prepared on it any more.
fn somebody_leaves_it_clean(stage: &Stage, schema: &str) {
    let resets = || stage.fake.who_was_told("COM_RESET_CONNECTION").len();
    let before = resets();
    let mut client = RawClient::login(stage.address(), &bare_login().schema(schema)).unwrap();
    client.query("BEGIN").unwrap();
    drop(client);
    wait_for("a reset", SOON, || (resets() > before).then_some(()));
    let idle = "tidegate_server_connections{state=\"idle\"}";
    wait_for("it to be given back", SOON, || (stage.tidegate.metrics()[idle] > 0.0).then_some(()));
}

fn in_schema(stage: &Stage, schema: &str) -> RawClient {
    RawClient::login(stage.address(), &bare_login().schema(schema)).unwrap()
}

fn stands_in(client: &mut RawClient) -> Option<String> {
    client.query("SELECT DATABASE()").unwrap()[0][0].clone()
}

/// What a client leaves in a transaction is rolled back and reset; a reset keeps the schema.
#[test]
fn a_connection_that_was_cleaned_stands_in_the_schema_it_is_said_to() {
    let mut stage = stage_of_one();
    let mut one = in_schema(&stage, "one");
    assert_eq!(stands_in(&mut one).as_deref(), Some("one"));
    somebody_leaves_it_clean(&stage, "two");
    assert_eq!(stands_in(&mut one).as_deref(), Some("one"), "another client's schema");
    drop(one);
    stage.is_as_before();
}

/// Nor may several statements in one be left to a client that did not ask for them: whoever can write
/// into its statements could add one.
#[test]
fn a_connection_that_was_cleaned_takes_one_statement_at_a_time() {
    let mut stage = stage_of_one();
    let mut one = stage.client();
    one.query("SELECT 1").unwrap();
    let resets = || stage.fake.who_was_told("COM_RESET_CONNECTION").len();
    let before = resets();
    let login = bare_login().with(capability::MULTI_STATEMENTS);
    let mut many = RawClient::login(stage.address(), &login).unwrap();
    many.query("BEGIN").unwrap();
    drop(many);
    wait_for("a reset", SOON, || (resets() > before).then_some(()));
    one.query("SELECT 1").unwrap();
    let options = stage.fake.told().into_iter().map(|told| told.text);
    let options: Vec<String> = options.filter(|text| text.starts_with("COM_SET_OPTION")).collect();
    assert_eq!(options, ["COM_SET_OPTION 0", "COM_SET_OPTION 1"], "on for one, and off again");
    drop(one);
    stage.is_as_before();
}

/// The same where the client resets its session itself.
#[test]
fn a_session_that_was_reset_in_a_transaction_leaves_its_schema_said() {
    let mut stage = stage_of_one();
    let mut one = in_schema(&stage, "one");
    assert_eq!(stands_in(&mut one).as_deref(), Some("one"));
    let mut two = in_schema(&stage, "two");
    two.query("BEGIN").unwrap();
    two.command(&[31]).unwrap();
    assert_eq!(two.read_packet().unwrap()[0], 0);
    assert_eq!(stands_in(&mut one).as_deref(), Some("one"), "another client's schema");
    assert_eq!(stands_in(&mut two).as_deref(), Some("two"), "another client's schema");
    drop((one, two));
    stage.is_as_before();
}

/// The schema of one is not the other's, even if the one's execute was cut: by then its connection
/// stands in its own schema, where the statement was prepared.
#[test]
fn a_refused_execute_leaves_the_connection_as_it_is_said_to_be() {
    let mut stage = Stage::set(|config| config.section("pool", "max_connections = 2"));
    stage.bound = 3;
    let mut one = Line::connect(&stage.address());
    one.log_in(&bare_login().schema("one"));
    prepare(&mut one, "SELECT ?", 5);
    let mut holder = in_schema(&stage, "two");
    holder.query("BEGIN").unwrap();
    let mut two = in_schema(&stage, "two");
    assert_eq!(stands_in(&mut two).as_deref(), Some("two"));
    // Its null bitmap is missing.
    one.command(b"\x17\x01\0\0\0\0\x01\0\0\0").unwrap();
    let refused = one.hear().unwrap();
    assert_eq!(refused.get(..3), Some(&[0xFF, 0x2B, 0x07][..]), "1835: {refused:?}");
    assert_eq!(stage.fake.who_was_told("COM_PREPARE SELECT ?").len(), 2, "prepared again");
    assert_eq!(stands_in(&mut two).as_deref(), Some("two"), "another client's schema");
    drop((one, two, holder));
    stage.is_as_before();
}

/// A text beyond 16 MiB comes in two packets; prepared again elsewhere it is the same text, or it was
/// refused at once.
#[test]
fn a_text_of_two_packets_is_prepared_whole_or_not_at_all() {
    let mut stage = stage_of_one();
    let mut line = stage.line();
    let text = format!("DELETE FROM t WHERE a=1 /*{}*/ AND b=2", "x".repeat(0xFF_FFFF));
    let command = [&[22], text.as_bytes()].concat();
    line.raw(&framed(0, &command[..0xFF_FFFF])).unwrap();
    line.raw(&framed(1, &command[0xFF_FFFF..])).unwrap();
    let reply = line.hear().unwrap();
    if reply[0] == 0xFF {
        stage.stands();
        return;
    }
    for _ in 0..2 {
        line.hear().unwrap();
    }
    somebody_leaves_it_clean(&stage, "two");
    line.command(b"\x17\x01\0\0\0\0\x01\0\0\0").unwrap();
    let _ = line.hear();
    let prepared =
        stage.fake.told().into_iter().filter(|told| told.text.starts_with("COM_PREPARE"));
    let cut = prepared.filter(|told| !told.text.ends_with("AND b=2")).count();
    assert_eq!(cut, 0, "{cut} times a part of the statement was prepared for the whole");
    stage.stands();
}

/// The server says no more than 512 bytes, and names a user by 32 characters at most.
#[test]
fn a_refusal_is_not_as_long_as_the_name() {
    let mut stage = Stage::plain();
    let mut line = Line::connect(&stage.address());
    let greeting = line.hear().unwrap();
    line.say(&login_payload(&Login::new(&"u".repeat(10_000), "x"), &greeting)).unwrap();
    let refusal = line.hear().unwrap();
    assert_eq!(refusal.get(..3), Some(&[0xFF, 0x15, 0x04][..]));
    assert!(refusal.len() <= 512, "{} bytes", refusal.len());
    drop(line);
    stage.is_as_before();
}
