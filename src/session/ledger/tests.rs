//! Transcripts: what a client says, what the server answered, and what becomes of the connection.

use super::*;
use crate::session::Pin;
use crate::wire::{ErrPacket, PrepareOk};

const AUTOCOMMIT: Status = Status::SERVER_STATUS_AUTOCOMMIT;

fn in_transaction() -> Status {
    AUTOCOMMIT | Status::SERVER_STATUS_IN_TRANS
}

fn ledger() -> Ledger {
    Ledger::new(Login {
        schema: Some("shop".into()),
        charset: Charset::canonical(),
        capabilities: Capabilities::empty(),
        status: AUTOCOMMIT,
        mariadb: false,
        sql_mode: String::new(),
        variables: Vec::new(),
    })
}

fn ok(status: Status, changes: Vec<Change>) -> Completion {
    Completion { status: Some(status), changes, results: 1, ..Completion::default() }
}

fn rows(rows: u64) -> Completion {
    Completion { result_set: true, rows, ..ok(AUTOCOMMIT, vec![]) }
}

fn failed(code: u16) -> Completion {
    let error = ErrPacket { code, state: *b"HY000", message: "no".into() };
    Completion { outcome: Outcome::Err(error), results: 1, ..Completion::default() }
}

fn variable(name: &str, value: &str) -> Change {
    Change::Variable { name: name.into(), value: value.into() }
}

struct Talk {
    ledger: Ledger,
    held: bool,
}

impl Talk {
    fn new() -> Self {
        Self { ledger: ledger(), held: false }
    }

    fn ask(&mut self, command: Command, body: &[u8]) -> Plan {
        let request = Request { command, body, whole: true };
        self.ledger.on_request(&request, self.held)
    }

    fn hear(&mut self, completion: &Completion) -> Disposition {
        let disposition = self.ledger.on_completion(completion);
        self.held = disposition != Disposition::GiveBack;
        disposition
    }

    fn query(&mut self, sql: &str, completion: &Completion) -> Disposition {
        let plan = self.ask(Command::Query, sql.as_bytes());
        assert!(matches!(plan, Plan::Forward(_)), "{sql}: {plan:?}");
        self.hear(completion)
    }

    fn pins(&self) -> Vec<&'static str> {
        self.ledger.pins().iter().map(Pin::name).collect()
    }
}

#[test]
fn a_plain_statement_gives_the_connection_back() {
    let mut talk = Talk::new();
    assert_eq!(talk.query("SELECT * FROM t WHERE id = 7", &rows(1)), Disposition::GiveBack);
    assert_eq!(talk.query("UPDATE t SET a = 1", &ok(AUTOCOMMIT, vec![])), Disposition::GiveBack);
}

#[test]
fn a_transaction_holds_until_the_server_says_it_is_over() {
    let mut talk = Talk::new();
    assert_eq!(talk.query("BEGIN", &ok(in_transaction(), vec![])), Disposition::Hold);
    assert_eq!(talk.query("UPDATE t SET a = 1", &ok(in_transaction(), vec![])), Disposition::Hold);
    // A deadlock has rolled it back, which the error packet does not say.
    assert_eq!(talk.query("UPDATE t SET a = 2", &failed(1213)), Disposition::Hold);
    assert_eq!(talk.query("COMMIT", &ok(AUTOCOMMIT, vec![])), Disposition::GiveBack);
}

#[test]
fn an_error_outside_a_transaction_leaves_nothing() {
    let mut talk = Talk::new();
    assert_eq!(talk.query("INSERT INTO t VALUES (1)", &failed(1062)), Disposition::Ask);
    assert_eq!(talk.ledger.on_pong(&ok(AUTOCOMMIT, vec![]), false), Disposition::GiveBack);
}

#[test]
fn what_a_trigger_did_before_it_failed_is_told_by_the_pong() {
    let mut talk = Talk::new();
    assert_eq!(talk.query("INSERT INTO t VALUES (1)", &failed(1644)), Disposition::Ask);
    assert_eq!(talk.ledger.on_pong(&ok(AUTOCOMMIT, vec![Change::State]), false), Disposition::Hold);
    assert_eq!(talk.pins(), ["unknown"]);
}

#[test]
fn what_an_error_in_a_transaction_left_is_not_explained_by_the_next_set() {
    let mut talk = Talk::new();
    talk.query("BEGIN", &ok(in_transaction(), vec![]));
    assert_eq!(talk.query("INSERT INTO t VALUES (1)", &failed(1644)), Disposition::Hold);
    let set = ok(in_transaction(), vec![variable("sql_mode", "ANSI"), Change::State]);
    talk.query("SET sql_mode = 'ANSI'", &set);
    assert_eq!(talk.pins(), ["unknown"]);
}

#[test]
fn a_collation_that_is_not_reported_is_asked_for() {
    let mut talk = Talk::new();
    let named = vec![
        variable("character_set_client", "latin1"),
        variable("character_set_connection", "latin1"),
        variable("character_set_results", "latin1"),
        Change::State,
    ];
    let named = ok(AUTOCOMMIT, named);
    assert_eq!(talk.query("SET NAMES latin1", &named), Disposition::AskCollation);
    assert_eq!(talk.ledger.on_collation("latin1_bin"), Disposition::GiveBack);
    assert_eq!(talk.ledger.state().variable("collation_connection"), Some("latin1_bin"));
}

#[test]
fn an_error_without_autocommit_is_asked_about() {
    let mut talk = Talk::new();
    let off = ok(Status::empty(), vec![variable("autocommit", "OFF"), Change::State]);
    assert_eq!(talk.query("SET autocommit = 0", &off), Disposition::GiveBack);
    assert_eq!(talk.query("SELECT nothing", &failed(1054)), Disposition::Ask);
    assert_eq!(
        talk.ledger.on_pong(&ok(Status::SERVER_STATUS_IN_TRANS, vec![]), false),
        Disposition::Hold
    );
}

#[test]
fn a_failed_call_or_chain_may_have_left_anything() {
    for sql in ["CALL p()", "SET @a = 1; SELECT oops", "SELECT 1; SELEC 2"] {
        let mut talk = Talk::new();
        let mut completion = failed(1305);
        completion.results = 2;
        assert_eq!(talk.query(sql, &completion), Disposition::Hold, "{sql}");
        assert!(talk.pins().contains(&"unknown"), "{sql}");
    }
}

#[test]
fn what_could_not_be_parsed_did_nothing() {
    let mut talk = Talk::new();
    assert_eq!(talk.query("select $$", &failed(1064)), Disposition::GiveBack);
    assert_eq!(talk.query("SELECT GET_LOCK('a'", &failed(1064)), Disposition::GiveBack);
    assert_eq!(talk.query("CALL p()", &failed(1064)), Disposition::Hold);
}

#[test]
fn variables_and_schema_are_remembered_not_pinned() {
    let mut talk = Talk::new();
    let set = ok(AUTOCOMMIT, vec![variable("sql_mode", "ANSI_QUOTES"), Change::State]);
    assert_eq!(talk.query("SET sql_mode = 'ANSI_QUOTES'", &set), Disposition::GiveBack);
    let used = ok(AUTOCOMMIT, vec![Change::Schema("other".into()), Change::State]);
    assert_eq!(talk.query("USE other", &used), Disposition::GiveBack);
    assert_eq!(talk.ledger.state().variable("sql_mode"), Some("ANSI_QUOTES"));
    assert_eq!(talk.ledger.state().schema(), Some("other"));
    assert!(talk.ledger.dialect.ansi_quotes);
}

#[test]
fn what_the_trackers_do_not_name_holds() {
    let reported = ok(AUTOCOMMIT, vec![Change::State]);
    let named = ok(AUTOCOMMIT, vec![variable("sql_mode", "ANSI"), Change::State]);
    let silent = rows(1);
    for (sql, completion, pin) in [
        ("SET @a = 1", &reported, "user_variable"),
        ("SELECT 1 INTO @a", &silent, "user_variable"),
        ("SELECT @a := 1", &silent, "user_variable"),
        ("CREATE TEMPORARY TABLE t (a INT)", &reported, "temporary_table"),
        ("PREPARE s FROM 'SELECT 1'", &reported, "text_prepare"),
        ("SELECT GET_LOCK('a', 1)", &silent, "user_lock"),
        ("LOCK TABLES t WRITE", &silent, "table_lock"),
        ("LOCK INSTANCE FOR BACKUP", &silent, "instance_lock"),
        ("HANDLER t OPEN", &silent, "handler"),
        ("SET ROLE r", &silent, "role"),
        ("SELECT SQL_CALC_FOUND_ROWS 1", &silent, "found_rows"),
        ("SET TRANSACTION READ ONLY", &silent, "set_transaction"),
        ("SET session_track_gtids = OWN_GTID", &silent, "session_track"),
        ("XA START 'x'", &silent, "xa"),
        ("SELECT LAST_INSERT_ID(7)", &silent, "last_insert_id"),
        ("SELECT f()", &reported, "unknown"),
        ("CALL p()", &silent, "routine"),
        ("CALL p()", &named, "routine"),
        ("SET sql_mode = f()", &named, "routine"),
        ("DO LAST_INSERT_ID(7)", &silent, "last_insert_id"),
        ("SHOW PROFILES", &silent, "unknown"),
    ] {
        let mut talk = Talk::new();
        assert_eq!(talk.query(sql, completion), Disposition::Hold, "{sql}");
        assert!(talk.pins().contains(&pin), "{sql}: {:?}", talk.pins());
    }
}

#[test]
fn a_variable_that_runs_by_itself_is_not_told_on() {
    let mut talk = Talk::new();
    let set = ok(AUTOCOMMIT, vec![variable("timestamp", "1.0"), Change::State]);
    assert_eq!(talk.query("SET timestamp = 1", &set), Disposition::Hold);
    assert_eq!(talk.pins(), ["volatile_variable"]);
    assert_eq!(talk.ledger.state().variable("timestamp"), None);
}

#[test]
fn table_locks_end_with_the_tracker_letter() {
    let mut talk = Talk::new();
    let locked = ok(AUTOCOMMIT, vec![Change::Transaction(*b"_______L")]);
    assert_eq!(talk.query("LOCK TABLES t READ", &locked), Disposition::Hold);
    assert_eq!(talk.query("SELECT * FROM t", &rows(1)), Disposition::Hold);
    let unlocked = ok(AUTOCOMMIT, vec![Change::Transaction(*b"________")]);
    assert_eq!(talk.query("UNLOCK TABLES", &unlocked), Disposition::GiveBack);
}

#[test]
fn warnings_hold_for_one_statement() {
    let mut talk = Talk::new();
    let warned = Completion { warnings: 1, ..ok(AUTOCOMMIT, vec![]) };
    assert_eq!(talk.query("INSERT INTO t VALUES ('long')", &warned), Disposition::Hold);
    // SHOW WARNINGS says how many it lists in the same field that announces new ones.
    let listed = Completion { warnings: 1, ..rows(1) };
    assert_eq!(talk.query("SHOW COUNT(*) WARNINGS", &rows(1)), Disposition::Hold);
    assert_eq!(talk.query("SHOW WARNINGS", &listed), Disposition::Hold);
    assert_eq!(talk.query("SELECT 1", &rows(1)), Disposition::GiveBack);
}

#[test]
fn diagnostics_of_a_statement_long_gone() {
    let mut talk = Talk::new();
    let three = Completion { affected_rows: 3, ..ok(AUTOCOMMIT, vec![]) };
    talk.query("UPDATE t SET a = 1", &three);
    let answer = talk.ask(Command::Query, b"SELECT ROW_COUNT()");
    assert_eq!(answer, Plan::Answer(Answer::Number(3)));
    talk.query("SELECT * FROM t", &rows(12));
    let answer = talk.ask(Command::Query, b"select found_rows()");
    assert_eq!(answer, Plan::Answer(Answer::Number(12)));
    let answer = talk.ask(Command::Query, b"SELECT FOUND_ROWS() + 1");
    assert_eq!(answer, refuse(Refusal::DiagnosticsGone));
    talk.query("INSERT INTO t VALUES (1)", &failed(1062));
    talk.held = talk.ledger.on_pong(&ok(AUTOCOMMIT, vec![]), false) != Disposition::GiveBack;
    let answer = talk.ask(Command::Query, b"SHOW COUNT(*) ERRORS");
    let counted = Answer::Diagnostics { count_only: true, errors_only: true };
    assert_eq!(answer, Plan::Answer(counted));
    assert_eq!(talk.ledger.last_error().map(|error| error.code), Some(1062));
}

#[test]
fn a_chain_may_ask_about_itself() {
    let mut talk = Talk::new();
    let plan = talk.ask(Command::Query, b"UPDATE t SET a = 1; SELECT ROW_COUNT() + 0");
    assert!(matches!(plan, Plan::Forward(Forward { neutral: true, .. })), "{plan:?}");
    let plan = talk.ask(Command::Query, b"GET DIAGNOSTICS @n = NUMBER");
    assert!(matches!(plan, Plan::Forward(Forward { neutral: true, .. })), "{plan:?}");
    talk.query("SELECT oops", &failed(1054));
    talk.ledger.on_pong(&ok(AUTOCOMMIT, vec![]), false);
    talk.held = false;
    let plan = talk.ask(Command::Query, b"GET DIAGNOSTICS @n = NUMBER");
    assert_eq!(plan, refuse(Refusal::DiagnosticsGone));
}

#[test]
fn the_last_insert_id_goes_along() {
    let mut talk = Talk::new();
    let inserted = Completion { last_insert_id: 41, ..ok(AUTOCOMMIT, vec![]) };
    talk.query("INSERT INTO t VALUES (NULL)", &inserted);
    let plan = talk.ask(Command::Query, b"SELECT LAST_INSERT_ID()");
    let Plan::Forward(forward) = plan else { panic!("{plan:?}") };
    assert_eq!(forward.insert_id, Some(41));
    talk.hear(&rows(1));
    let Plan::Forward(forward) = talk.ask(Command::Query, b"SELECT 1") else { panic!() };
    assert_eq!(forward.insert_id, None);
    talk.query("BEGIN", &ok(in_transaction(), vec![]));
    let Plan::Forward(forward) = talk.ask(Command::Query, b"SELECT LAST_INSERT_ID()") else {
        panic!()
    };
    assert_eq!(forward.insert_id, Some(41), "held, but another client was here before");
    talk.hear(&ok(in_transaction(), vec![]));
    let Plan::Forward(forward) = talk.ask(Command::Query, b"SELECT LAST_INSERT_ID()") else {
        panic!()
    };
    assert_eq!(forward.insert_id, None, "told already");
}

#[test]
fn a_one_shot_behind_a_commit_stays() {
    let mut talk = Talk::new();
    talk.query("BEGIN", &ok(in_transaction(), vec![]));
    let text = Change::Characteristics("SET TRANSACTION READ ONLY;".into());
    let ended = ok(AUTOCOMMIT, vec![Change::Characteristics(String::new()), text]);
    let disposition = talk.query("COMMIT; SET TRANSACTION READ ONLY", &ended);
    assert_eq!(disposition, Disposition::Hold);
    assert_eq!(talk.pins(), ["set_transaction"]);
}

#[test]
fn statements_have_ids_of_their_own() {
    let mut talk = Talk::new();
    let plan = talk.ask(Command::StmtPrepare, b"SELECT ?");
    assert!(matches!(plan, Plan::Forward(Forward { new_statement: Some(1), .. })));
    let on_server =
        PrepareOk { statement_id: 77, columns: 1, params: 1, warnings: 0, definitions: true };
    let prepared = Completion { prepared: Some(on_server), ..ok(AUTOCOMMIT, vec![]) };
    assert_eq!(talk.hear(&prepared), Disposition::GiveBack);
    let mut body = 1_u32.to_le_bytes().to_vec();
    body.extend([0, 1, 0, 0, 0]);
    let plan = talk.ask(Command::StmtExecute, &body);
    assert!(matches!(plan, Plan::Forward(Forward { statement: Some(1), .. })));
    assert_eq!(talk.hear(&rows(1)), Disposition::GiveBack);
    assert_eq!(talk.ask(Command::StmtClose, &body[..4]), Plan::Answer(Answer::Nothing));
    let unknown = refuse(Refusal::UnknownStatement { id: 1 });
    assert_eq!(talk.ask(Command::StmtExecute, &body), unknown);
}

#[test]
fn long_data_and_cursors_hold_while_they_last() {
    let mut talk = Talk::new();
    talk.ask(Command::StmtPrepare, b"SELECT ?");
    let on_server =
        PrepareOk { statement_id: 77, columns: 1, params: 1, warnings: 0, definitions: true };
    talk.hear(&Completion { prepared: Some(on_server), ..ok(AUTOCOMMIT, vec![]) });
    let id = 1_u32.to_le_bytes();
    talk.ask(Command::StmtSendLongData, &id);
    assert_eq!(talk.hear(&Completion::default()), Disposition::Hold);
    assert_eq!(talk.pins(), ["long_data"]);
    talk.ask(Command::StmtExecute, &id);
    let open = Completion { cursor: true, ..ok(AUTOCOMMIT, vec![]) };
    assert_eq!(talk.hear(&open), Disposition::Hold);
    assert_eq!(talk.pins(), ["cursor"]);
    talk.ask(Command::StmtFetch, &id);
    let last = ok(AUTOCOMMIT | Status::SERVER_STATUS_LAST_ROW_SENT, vec![]);
    assert_eq!(talk.hear(&last), Disposition::GiveBack);
}

#[test]
fn a_reset_keeps_the_schema_and_nothing_else() {
    let mut talk = Talk::new();
    talk.query("USE other", &ok(AUTOCOMMIT, vec![Change::Schema("other".into()), Change::State]));
    talk.query("SET @a = 1", &ok(AUTOCOMMIT, vec![Change::State]));
    talk.query(
        "SET sql_mode = 'ANSI'",
        &ok(AUTOCOMMIT, vec![variable("sql_mode", "ANSI"), Change::State]),
    );
    assert_eq!(talk.ask(Command::ResetConnection, b""), Plan::Reset);
    talk.ledger.reset();
    assert!(!talk.ledger.holds());
    assert_eq!(talk.ledger.state().schema(), Some("other"));
    assert_eq!(talk.ledger.state().variable("sql_mode"), None);
}

#[test]
fn commands_nobody_serves() {
    let mut talk = Talk::new();
    for command in [Command::BinlogDump, Command::Shutdown, Command::TableDump, Command::Clone] {
        assert_eq!(talk.ask(command, b""), refuse(Refusal::UnknownCommand), "{command:?}");
    }
    assert_eq!(talk.ask(Command::StmtExecute, b"\x01"), refuse(Refusal::MalformedPacket));
}

#[test]
fn a_kill_is_the_proxys_own() {
    let mut talk = Talk::new();
    let plan = talk.ask(Command::Query, b"KILL QUERY 1073741825");
    assert_eq!(plan, Plan::Kill { id: 1_073_741_825, query_only: true });
    let plan = talk.ask(Command::ProcessKill, &7_u32.to_le_bytes());
    assert_eq!(plan, Plan::Kill { id: 7, query_only: false });
}

#[test]
fn a_long_statement_is_read_while_it_passes() {
    let mut talk = Talk::new();
    let head = Request { command: Command::Query, body: b"SELECT 'x", whole: false };
    assert!(matches!(talk.ledger.on_request(&head, false), Plan::Forward(_)));
    talk.ledger.on_request_bytes(b"', GET_LO");
    talk.ledger.on_request_bytes(b"CK('a', 1)");
    assert_eq!(talk.hear(&rows(1)), Disposition::Hold);
    assert_eq!(talk.pins(), ["user_lock"]);
}
