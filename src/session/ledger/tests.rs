//! Transcripts: what a client says, what the server answered, and what becomes of the connection.

use super::*;
use crate::metrics::{Labels, Metrics};
use crate::session::hints::Asked;
use crate::session::{Pin, Question, UserValue};
use crate::wire::{Change, Column, ErrPacket, PrepareOk, TextTable};

const AUTOCOMMIT: Status = Status::SERVER_STATUS_AUTOCOMMIT;

fn in_transaction() -> Status {
    AUTOCOMMIT | Status::SERVER_STATUS_IN_TRANS
}

fn ledger() -> Ledger {
    let login = Login {
        schema: Some("shop".into()),
        charset: Charset::canonical(),
        capabilities: Capabilities::empty(),
        status: AUTOCOMMIT,
        read_only: false,
        defaults: Arc::new(Defaults {
            tracked: ["sql_mode", "time_zone"].map(str::to_owned).into(),
            setup: "SET SESSION session_track_schema=ON".into(),
            ignored: ["group_concat_max_len".to_owned(), "@rank".to_owned()].into(),
            ..Defaults::default()
        }),
    };
    let metrics = Metrics::new(&Labels::default()).unwrap();
    Ledger::new(login, Library::new(metrics, 1 << 20))
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

fn table(row: &[&str]) -> TextTable {
    let row = row.iter().map(|value| Some(value.as_bytes().to_vec())).collect();
    TextTable { columns: Vec::new(), rows: vec![row] }
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

    /// The server answers what is asked, as far as `answer` does; the rest is answered with nothing.
    fn told(&mut self, answer: impl Fn(&Question) -> (Completion, TextTable)) -> Disposition {
        let answers = self.ledger.questions().into_iter().map(|question| {
            let (completion, table) = answer(&question);
            (question, completion, table)
        });
        let disposition = self.ledger.on_answers(answers.collect(), false);
        self.held = disposition != Disposition::GiveBack;
        disposition
    }

    /// The answer to COM_PING; no warnings but the error itself.
    fn pong(&mut self, pong: &Completion) -> Disposition {
        self.told(|question| match question {
            Question::Status => (pong.clone(), TextTable::default()),
            _ => (rows(0), TextTable::default()),
        })
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
    assert_eq!(talk.pong(&ok(AUTOCOMMIT, vec![])), Disposition::GiveBack);
}

#[test]
fn what_a_trigger_did_before_it_failed_is_told_by_the_pong() {
    let mut talk = Talk::new();
    assert_eq!(talk.query("INSERT INTO t VALUES (1)", &failed(1644)), Disposition::Ask);
    assert_eq!(talk.pong(&ok(AUTOCOMMIT, vec![Change::State])), Disposition::Hold);
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
    assert_eq!(talk.query("SET NAMES latin1", &named), Disposition::Ask);
    assert_eq!(talk.ledger.questions(), [Question::Collation]);
    assert_eq!(talk.told(|_| (rows(1), table(&["latin1_bin"]))), Disposition::GiveBack);
    assert_eq!(talk.ledger.state().variable("collation_connection"), Some("latin1_bin"));
}

#[test]
fn an_error_without_autocommit_is_asked_about() {
    let mut talk = Talk::new();
    let off = ok(Status::empty(), vec![variable("autocommit", "OFF"), Change::State]);
    assert_eq!(talk.query("SET autocommit = 0", &off), Disposition::GiveBack);
    assert_eq!(talk.query("SELECT nothing", &failed(1054)), Disposition::Ask);
    assert_eq!(talk.pong(&ok(Status::SERVER_STATUS_IN_TRANS, vec![])), Disposition::Hold);
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
    assert_eq!(talk.query("select $$", &failed(1064)), Disposition::Ask);
    assert_eq!(talk.ledger.questions(), [Question::Warnings]);
    assert_eq!(talk.pong(&ok(AUTOCOMMIT, vec![])), Disposition::GiveBack);
    talk.query("SELECT GET_LOCK('a'", &failed(1064));
    assert_eq!(talk.pong(&ok(AUTOCOMMIT, vec![])), Disposition::GiveBack);
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
        ("SET @`\u{e9}` = 1", &reported, "user_variable"),
        ("CREATE TEMPORARY TABLE t (a INT)", &reported, "temporary_table"),
        ("PREPARE s FROM 'SELECT 1'", &reported, "text_prepare"),
        ("SELECT GET_LOCK(?, 1)", &silent, "user_lock"),
        ("LOCK TABLES t WRITE", &silent, "table_lock"),
        ("LOCK INSTANCE FOR BACKUP", &silent, "instance_lock"),
        ("HANDLER t OPEN", &silent, "handler"),
        ("SET SESSION AUTHORIZATION a", &silent, "role"),
        ("SELECT f()", &reported, "unknown"),
        ("CALL p()", &silent, "routine"),
        ("CALL p()", &named, "routine"),
        ("SET sql_mode = f()", &named, "routine"),
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
fn what_has_a_name_is_let_go_by_its_name() {
    let reported = ok(AUTOCOMMIT, vec![Change::State]);
    for (begin, end) in [
        ("CREATE TEMPORARY TABLE t (a INT)", "DROP TABLE t"),
        ("PREPARE s FROM 'SELECT 1'", "DEALLOCATE PREPARE s"),
        ("HANDLER t OPEN", "HANDLER t CLOSE"),
        ("LOCK INSTANCE FOR BACKUP", "UNLOCK INSTANCE"),
        ("SELECT GET_LOCK(?, 1)", "SELECT RELEASE_ALL_LOCKS()"),
    ] {
        let mut talk = Talk::new();
        let says = if begin.contains(' ') && !begin.starts_with('C') && !begin.starts_with('P') {
            &rows(1)
        } else {
            &reported
        };
        assert_eq!(talk.query(begin, says), Disposition::Hold, "{begin}");
        assert_eq!(talk.query("SELECT 1", &rows(1)), Disposition::Hold, "{begin}");
        assert_eq!(talk.query(end, &ok(AUTOCOMMIT, vec![])), Disposition::GiveBack, "{end}");
    }
}

#[test]
fn the_server_says_whether_a_lock_is_held() {
    let mut talk = Talk::new();
    let answer = |held: &'static str| move |_: &Question| (rows(1), table(&[held]));
    assert_eq!(talk.query("SELECT GET_LOCK('a', 1)", &rows(1)), Disposition::Ask);
    assert_eq!(talk.told(answer("1")), Disposition::Hold);
    assert_eq!(talk.pins(), ["user_lock"]);
    assert_eq!(talk.query("SELECT 1", &rows(1)), Disposition::Hold);
    assert_eq!(talk.query("SELECT RELEASE_LOCK('a')", &rows(1)), Disposition::Ask);
    assert_eq!(talk.told(answer("0")), Disposition::GiveBack);
}

fn value(question: &Question) -> (Completion, TextTable) {
    let column = Column { kind: 8, unsigned: false, collation: 63, length: 21, decimals: 0 };
    let answer = match question {
        Question::UserTypes(names) => {
            TextTable { columns: vec![column; names.len()], rows: vec![] }
        }
        _ => table(&["1", "binary", "37"]),
    };
    (rows(1), answer)
}

#[test]
fn user_variables_are_read_before_the_connection_goes() {
    for sql in ["SET @a = 7", "SELECT @a := 7", "SELECT 7 INTO @A"] {
        let mut talk = Talk::new();
        let reported = vec![Change::State; usize::from(sql.starts_with("SET"))];
        assert_eq!(talk.query(sql, &ok(AUTOCOMMIT, reported)), Disposition::Ask, "{sql}");
        assert_eq!(talk.told(value), Disposition::GiveBack, "{sql}");
        let kept = talk.ledger.state().user_variable("a");
        assert_eq!(kept, Some(&UserValue::Value("7".into())), "{sql}");
    }
}

#[test]
fn in_a_transaction_they_are_not_read_until_it_ends() {
    let mut talk = Talk::new();
    talk.query("BEGIN", &ok(in_transaction(), vec![]));
    let set = ok(in_transaction(), vec![Change::State]);
    assert_eq!(talk.query("SET @a = 7", &set), Disposition::Hold);
    assert!(talk.ledger.would_lose());
    assert_eq!(talk.query("COMMIT", &ok(AUTOCOMMIT, vec![])), Disposition::Ask);
    assert_eq!(talk.told(value), Disposition::GiveBack);
}

#[test]
fn a_value_that_cannot_be_told_stays() {
    let mut talk = Talk::new();
    talk.query("SET @a = REPEAT('x', 9999)", &ok(AUTOCOMMIT, vec![Change::State]));
    let long = |question: &Question| match question {
        Question::UserTypes(_) => value(question),
        _ => (rows(1), table(&["9999", "binary", "37"])),
    };
    assert_eq!(talk.told(long), Disposition::Hold);
    assert_eq!(talk.pins(), ["user_variable"]);
}

#[test]
fn what_the_user_chose_to_ignore_is_ignored() {
    let mut talk = Talk::new();
    let set = vec![variable("group_concat_max_len", "9"), Change::State];
    assert_eq!(
        talk.query("SET group_concat_max_len = 9", &ok(AUTOCOMMIT, set)),
        Disposition::GiveBack
    );
    assert_eq!(talk.ledger.state().variable("group_concat_max_len"), None);
    assert_eq!(talk.query("SELECT @rank := 1", &rows(1)), Disposition::GiveBack);
}

#[test]
fn warnings_are_read_before_the_connection_goes() {
    let mut talk = Talk::new();
    let warned = Completion { warnings: 1, ..ok(AUTOCOMMIT, vec![]) };
    assert_eq!(talk.query("INSERT INTO t VALUES ('long')", &warned), Disposition::Ask);
    assert_eq!(talk.ledger.questions(), [Question::Warnings]);
    let listed = |_: &Question| (rows(1), table(&["Warning", "1265", "Data truncated"]));
    assert_eq!(talk.told(listed), Disposition::GiveBack);
    let answer = talk.ask(Command::Query, b"SHOW WARNINGS LIMIT 3");
    let all = Answer::Conditions { errors_only: false, offset: 0, limit: 3 };
    assert_eq!(answer, Plan::Answer(all));
    let codes: Vec<_> = talk.ledger.diagnostics.list(false, 0, 3).map(|it| it.code).collect();
    assert_eq!(codes, [1265]);
    assert_eq!(talk.query("SELECT 1", &rows(1)), Disposition::GiveBack);
    assert!(talk.ledger.diagnostics.is_clean());
}

#[test]
fn more_warnings_than_are_kept_hold_for_one_statement() {
    let mut talk = Talk::new();
    let warned = Completion { warnings: 9, ..ok(AUTOCOMMIT, vec![]) };
    talk.query("INSERT INTO t VALUES ('long')", &warned);
    let long = "x".repeat(20_000);
    assert_eq!(talk.told(|_| (rows(1), table(&["Note", "1", &long]))), Disposition::Hold);
    assert_eq!(talk.pins(), ["warnings"]);
    assert_eq!(talk.query("SELECT 1", &rows(1)), Disposition::GiveBack);
}

fn row(plan: Plan) -> Vec<Option<i64>> {
    match plan {
        Plan::Answer(Answer::Row { cells, .. }) => cells.iter().map(|cell| cell.value).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn diagnostics_of_a_statement_long_gone() {
    let mut talk = Talk::new();
    let three = Completion { affected_rows: 3, ..ok(AUTOCOMMIT, vec![]) };
    talk.query("UPDATE t SET a = 1", &three);
    let plan = talk.ask(Command::Query, b"SELECT ROW_COUNT() AS n, LAST_INSERT_ID(), @@identity");
    assert_eq!(row(plan), [Some(3), Some(0), Some(0)]);
    talk.query("SELECT * FROM t", &rows(12));
    assert_eq!(row(talk.ask(Command::Query, b"select found_rows()")), [Some(12)]);
    talk.query("SELECT * FROM t", &rows(12));
    let answer = talk.ask(Command::Query, b"SELECT FOUND_ROWS() + 1");
    assert_eq!(answer, refuse(Refusal::DiagnosticsGone));
    talk.query("INSERT INTO t VALUES (1)", &failed(1062));
    talk.pong(&ok(AUTOCOMMIT, vec![]));
    let count = hints::asked(b"SHOW COUNT(*) WARNINGS", Dialect::default());
    assert_eq!(count, Some(Asked::Count { errors_only: false }));
    assert_eq!(row(talk.ask(Command::Query, b"SHOW COUNT(*) WARNINGS")), [Some(1)]);
}

#[test]
fn all_rows_that_were_found_are_asked_for() {
    let mut talk = Talk::new();
    let disposition = talk.query("SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 2", &rows(2));
    assert_eq!(disposition, Disposition::Ask);
    assert_eq!(talk.told(|_| (rows(1), table(&["40"]))), Disposition::GiveBack);
    assert_eq!(row(talk.ask(Command::Query, b"SELECT FOUND_ROWS() AS total")), [Some(40)]);
}

#[test]
fn the_clients_trackers_are_its_own() {
    let mut talk = Talk::new();
    let sql = "SET time_zone = 'UTC', session_track_state_change = ON";
    let Plan::Forward(forward) = talk.ask(Command::Query, sql.as_bytes()) else { panic!() };
    assert!(forward.tracking);
    assert_eq!(talk.hear(&ok(AUTOCOMMIT, vec![Change::State])), Disposition::Ask);
    let [Question::Variables { names, .. }, Question::SetUp(_)] = &talk.ledger.questions()[..]
    else {
        panic!("{:?}", talk.ledger.questions())
    };
    assert!(names.contains(&"time_zone".to_owned()) && !names.contains(&"sql_mode".to_owned()));
    let values = |question: &Question| match question {
        Question::Variables { names, .. } => {
            let value = |name: &String| match name.as_str() {
                "time_zone" => table(&[name, "UTC"]).rows,
                "session_track_state_change" => table(&[name, "ON"]).rows,
                _ => table(&[name, "utf8mb4"]).rows,
            };
            let values = names.iter().flat_map(value).collect();
            let values = TextTable { columns: Vec::new(), rows: values };
            (rows(2), values)
        }
        _ => (ok(AUTOCOMMIT, vec![]), TextTable::default()),
    };
    assert_eq!(talk.told(values), Disposition::GiveBack);
    assert_eq!(talk.ledger.state().variable("time_zone"), Some("UTC"));
    assert!(talk.ledger.track_filter().state);
    assert_eq!(talk.pins(), [""; 0]);
}

#[test]
fn a_role_is_asked_for() {
    let mut talk = Talk::new();
    assert_eq!(talk.query("SET ROLE r", &ok(AUTOCOMMIT, vec![])), Disposition::Ask);
    assert_eq!(talk.told(|_| (rows(1), table(&["`r`@`%`"]))), Disposition::GiveBack);
    assert_eq!(talk.ledger.state().role(), Some("`r`@`%`"));
}

#[test]
fn what_an_execute_runs_is_known() {
    let mut talk = Talk::new();
    let reported = ok(AUTOCOMMIT, vec![Change::State]);
    talk.query("PREPARE s FROM 'CREATE TEMPORARY TABLE t (a INT)'", &reported);
    talk.query("EXECUTE s", &reported);
    assert_eq!(talk.pins(), ["temporary_table", "text_prepare"]);
    talk.query("DEALLOCATE PREPARE s", &reported);
    assert_eq!(talk.query("DROP TABLE t", &ok(AUTOCOMMIT, vec![])), Disposition::GiveBack);
}

#[test]
fn an_id_that_the_client_gave_is_not_the_last_generated_one() {
    let mut talk = Talk::new();
    let inserted = |id| Completion { last_insert_id: id, ..ok(AUTOCOMMIT, vec![]) };
    assert_eq!(talk.query("INSERT INTO t VALUES (NULL)", &inserted(41)), Disposition::GiveBack);
    assert_eq!(talk.query("INSERT INTO t VALUES (77)", &inserted(77)), Disposition::Ask);
    assert_eq!(talk.told(|_| (rows(1), table(&["5"]))), Disposition::GiveBack);
    assert_eq!(row(talk.ask(Command::Query, b"SELECT LAST_INSERT_ID()")), [Some(41)]);
    talk.query("INSERT INTO t (v) VALUES (42)", &inserted(42));
    talk.told(|_| (rows(1), table(&["42"])));
    assert_eq!(row(talk.ask(Command::Query, b"SELECT LAST_INSERT_ID()")), [Some(42)]);
}

#[test]
fn a_chain_may_ask_about_itself() {
    let mut talk = Talk::new();
    let plan = talk.ask(Command::Query, b"UPDATE t SET a = 1; SELECT ROW_COUNT() + 0");
    assert!(matches!(plan, Plan::Forward(Forward { neutral: true, .. })), "{plan:?}");
    let plan = talk.ask(Command::Query, b"GET DIAGNOSTICS @n = NUMBER");
    assert!(matches!(plan, Plan::Forward(Forward { neutral: true, .. })), "{plan:?}");
    talk.query("SELECT oops", &failed(1054));
    talk.pong(&ok(AUTOCOMMIT, vec![]));
    let plan = talk.ask(Command::Query, b"SELECT @@error_count + 0");
    assert_eq!(plan, refuse(Refusal::DiagnosticsGone));
    // The server has listed none: under max_error_count = 0 there is none.
    let plan = talk.ask(Command::Query, b"GET DIAGNOSTICS @n = NUMBER");
    assert!(matches!(plan, Plan::Forward(Forward { neutral: true, .. })), "{plan:?}");
}

#[test]
fn the_last_insert_id_goes_along() {
    let mut talk = Talk::new();
    let inserted = Completion { last_insert_id: 41, ..ok(AUTOCOMMIT, vec![]) };
    talk.query("INSERT INTO t VALUES (NULL)", &inserted);
    let plan = talk.ask(Command::Query, b"SELECT LAST_INSERT_ID() FROM t");
    let Plan::Forward(forward) = plan else { panic!("{plan:?}") };
    assert_eq!(forward.insert_id, Some(41));
    talk.hear(&rows(1));
    let Plan::Forward(forward) = talk.ask(Command::Query, b"SELECT 1") else { panic!() };
    assert_eq!(forward.insert_id, None);
    talk.query("BEGIN", &ok(in_transaction(), vec![]));
    let Plan::Forward(forward) = talk.ask(Command::Query, b"SELECT LAST_INSERT_ID() FROM t") else {
        panic!()
    };
    assert_eq!(forward.insert_id, Some(41), "held, but another client was here before");
    talk.hear(&ok(in_transaction(), vec![]));
    let Plan::Forward(forward) = talk.ask(Command::Query, b"SELECT LAST_INSERT_ID() FROM t") else {
        panic!()
    };
    assert_eq!(forward.insert_id, None, "told already");
}

#[test]
fn a_one_shot_behind_a_commit_is_kept_for_the_next() {
    let mut talk = Talk::new();
    talk.query("BEGIN", &ok(in_transaction(), vec![]));
    let text = Change::Characteristics("SET TRANSACTION READ ONLY;".into());
    let ended = ok(AUTOCOMMIT, vec![Change::Characteristics(String::new()), text]);
    let disposition = talk.query("COMMIT; SET TRANSACTION READ ONLY", &ended);
    assert_eq!(disposition, Disposition::GiveBack);
    assert_eq!(talk.ledger.state().next_transaction(), Some("SET TRANSACTION READ ONLY;"));
    let begun = Change::Characteristics("SET TRANSACTION READ ONLY; START TRANSACTION;".into());
    talk.query("BEGIN", &ok(in_transaction(), vec![begun]));
    let ended = ok(AUTOCOMMIT, vec![Change::Characteristics(String::new())]);
    assert_eq!(talk.query("COMMIT", &ended), Disposition::GiveBack);
    assert_eq!(talk.ledger.state().next_transaction(), None);
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
fn a_prepared_statement_reads_as_it_did_when_it_was_prepared() {
    let mut talk = Talk::new();
    talk.ask(Command::StmtPrepare, b"SELECT 'a\\', 'b'");
    let on_server =
        PrepareOk { statement_id: 77, columns: 1, params: 0, warnings: 0, definitions: true };
    talk.hear(&Completion { prepared: Some(on_server), ..ok(AUTOCOMMIT, vec![]) });
    assert!(talk.ledger.escapes());
    let mode = vec![variable("sql_mode", "NO_BACKSLASH_ESCAPES"), Change::State];
    let now = AUTOCOMMIT | Status::SERVER_STATUS_NO_BACKSLASH_ESCAPES;
    talk.query("SET sql_mode = 'NO_BACKSLASH_ESCAPES'", &ok(now, mode));
    talk.ask(Command::Query, b"SELECT 1");
    assert!(!talk.ledger.escapes());
    talk.hear(&ok(now, vec![]));
    let mut body = 1_u32.to_le_bytes().to_vec();
    body.extend([0, 1, 0, 0, 0]);
    talk.ask(Command::StmtExecute, &body);
    assert!(talk.ledger.escapes());
    talk.hear(&ok(now, vec![]));
    assert!(!talk.ledger.escapes());
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

#[test]
fn texts_beyond_the_bound_are_refused_and_refused_ones_leave_nothing() {
    let mut talk = Talk::new();
    let (long, other) = (vec![b'x'; 600_000], vec![b'y'; 600_000]);
    let prepared =
        PrepareOk { statement_id: 9, columns: 0, params: 0, warnings: 0, definitions: true };
    let prepared = Completion { prepared: Some(prepared), ..ok(AUTOCOMMIT, vec![]) };
    // The server will not have it.
    assert!(matches!(talk.ask(Command::StmtPrepare, &long), Plan::Forward(_)));
    talk.hear(&failed(1064));
    assert!(matches!(talk.ask(Command::StmtPrepare, &other), Plan::Forward(_)));
    talk.hear(&prepared);
    let plan = talk.ask(Command::StmtPrepare, &long);
    assert_eq!(plan, Plan::Answer(Answer::Refuse(Refusal::LibraryFull)));
    assert!(matches!(talk.ask(Command::StmtPrepare, &other), Plan::Forward(_)), "it is there");
    talk.hear(&prepared);
    talk.ask(Command::StmtClose, &1_u32.to_le_bytes());
    assert_eq!(talk.ask(Command::StmtPrepare, &long), plan);
    talk.ask(Command::StmtClose, &2_u32.to_le_bytes());
    assert!(matches!(talk.ask(Command::StmtPrepare, &long), Plan::Forward(_)));
}

#[test]
fn the_proxys_wait_timeout_gives_way_to_who_names_it() {
    let ours = || Some("1861");
    let login = Login {
        schema: None,
        charset: Charset::canonical(),
        capabilities: Capabilities::empty(),
        status: AUTOCOMMIT,
        read_only: false,
        defaults: Arc::new(Defaults {
            variables: vec![("wait_timeout".into(), "1861".into())],
            wait_timeout: ours().map(str::to_owned),
            ..Defaults::default()
        }),
    };
    let metrics = Metrics::new(&Labels::default()).unwrap();
    let mut ledger = Ledger::new(login, Library::new(metrics, 1 << 20));
    let mut says = |sql: &str, held: bool, status, changes| {
        let body = sql.as_bytes();
        let plan = ledger.on_request(&Request { command: Command::Query, body, whole: true }, held);
        assert!(matches!(plan, Plan::Forward(_)), "{sql}: {plan:?}");
        let told = ledger.gives_way();
        let before = ledger.state().variable("wait_timeout").map(str::to_owned);
        ledger.on_completion(&ok(status, changes));
        (told, before)
    };
    let is = |value: Option<&str>| value.map(str::to_owned);
    assert_eq!(says("SELECT 1", false, AUTOCOMMIT, vec![]), (false, is(ours())));
    // Another connection brings it by itself; the one in hand is told.
    assert_eq!(says("SELECT @@wait_timeout", false, AUTOCOMMIT, vec![]), (false, None));
    assert_eq!(says("BEGIN", false, in_transaction(), vec![]), (false, is(ours())));
    assert_eq!(says("SHOW VARIABLES", true, in_transaction(), vec![]), (true, None));
    assert_eq!(says("SELECT @@wait_timeout", true, in_transaction(), vec![]), (false, None));
    assert_eq!(says("COMMIT", true, AUTOCOMMIT, vec![]), (false, None));
    assert_eq!(says("SELECT 1", false, AUTOCOMMIT, vec![]), (false, is(ours())));
    // What the client has set stays.
    let set = vec![variable("wait_timeout", "7")];
    assert_eq!(says("SET wait_timeout = 7", false, AUTOCOMMIT, set), (false, None));
    for sql in ["SELECT 1", "SELECT @@wait_timeout"] {
        assert_eq!(says(sql, false, AUTOCOMMIT, vec![]), (false, is(Some("7"))));
    }
}
