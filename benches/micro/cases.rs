//! What is measured: one round of each is one thing the data path does for a query.
//!
//! Owns the inputs. Both programs run the same rounds: the one asks the clock, the other valgrind.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tidegate::backend::{Credentials, Dialer, Identity};
use tidegate::config::Address;
use tidegate::lifecycle::Lifecycle;
use tidegate::metrics::{Labels, Metrics};
use tidegate::pool::{CloseReason, Limits, Pool, Want};
use tidegate::secrets::{Account, Password, Secrets, Vault};
use tidegate::session::hints::{self, Dialect};
use tidegate::session::{
    Charset, Defaults, Disposition, Ledger, Library, Login, Plan, Request, SessionState,
};
use tidegate::wire::{
    CANONICAL, Capabilities, ClientFormat, Command, Completion, Expect, Meaning, Place, PrepareOk,
    Progress, ReplyScanner, ServerFormat, Status, TextResult, verdict,
};

use crate::support::fake::Fake;

pub struct Case {
    /// How many bytes a round goes through.
    pub bytes: Option<u64>,
    rounds: Box<dyn FnMut(u64)>,
}

impl Case {
    fn new(mut round: impl FnMut() + 'static) -> Self {
        let rounds = move |count| (0..count).for_each(|_| round());
        Self { bytes: None, rounds: Box::new(rounds) }
    }

    fn of_bytes(self, bytes: usize) -> Self {
        Self { bytes: Some(bytes as u64), ..self }
    }

    pub fn run(&mut self, rounds: u64) {
        (self.rounds)(rounds);
    }
}

/// Its name, and what makes it.
pub type Named = (&'static str, fn() -> Case);

/// Made one by one, so that a program that counts instructions pays for one only.
pub const CASES: [Named; 13] = [
    ("scanner/one_row", || scanner(&result_set(1, 120))),
    ("scanner/thousand_rows", || scanner(&result_set(1000, 120))),
    ("scanner/megabyte_row", || scanner(&result_set(1, 1 << 20))),
    ("verdict/point_select", point_select_verdicts),
    ("hints/point_select", || reader(POINT_SELECT.to_owned())),
    ("hints/orm_select", || reader(ORM_SELECT.to_owned())),
    ("hints/insert_4k", || reader(insert())),
    ("hints/set", || reader(SET.to_owned())),
    ("ledger/text", text_round),
    ("ledger/text_in_transaction", text_round_in_transaction),
    ("ledger/execute", execute_round),
    ("ledger/execute_with_types", execute_round_with_types),
    ("pool/borrow_and_give_back", borrow_and_give_back),
];

const POINT_SELECT: &str = "SELECT c FROM sbtest1 WHERE id=5012";

const ORM_SELECT: &str = "SELECT `users`.`id`, `users`.`email`, `users`.`first_name`, \
    `users`.`last_name`, `users`.`created_at`, `users`.`updated_at`, COUNT(`orders`.`id`) AS \
    `orders_count` FROM `users` LEFT OUTER JOIN `orders` ON `orders`.`user_id` = `users`.`id` WHERE \
    `users`.`tenant_id` = 42 AND `users`.`email` LIKE 'someone@%' AND `users`.`deleted_at` IS NULL \
    GROUP BY `users`.`id` ORDER BY `users`.`created_at` DESC LIMIT 25";

const SET: &str = "SET NAMES utf8mb4, @@SESSION.sql_mode = 'STRICT_TRANS_TABLES,ANSI_QUOTES', \
    time_zone = '+00:00'";

/// As sysbench fills its table.
fn insert() -> String {
    let row = |id| format!("({id},4993,'{}','{}')", "68487932199-".repeat(10), "22-".repeat(20));
    let rows: Vec<_> = (5000..5020).map(row).collect();
    format!("INSERT INTO sbtest1 (id, k, c, pad) VALUES {}", rows.join(","))
}

// --- wire

/// In which MySQL of today answers a client of today: nothing is translated.
fn formats() -> (ServerFormat, ClientFormat) {
    (ServerFormat::of(CANONICAL), ClientFormat::of(CANONICAL))
}

fn result_set(rows: usize, width: usize) -> BytesMut {
    let (mut out, value) = (BytesMut::new(), vec![b'7'; width]);
    let caps = CANONICAL - Capabilities::CLIENT_OPTIONAL_RESULTSET_METADATA;
    let mut result = TextResult::begin(&mut out, 1, caps, Status::SERVER_STATUS_AUTOCOMMIT, &["c"]);
    for _ in 0..rows {
        result.row([Some(value.as_slice())]);
    }
    result.end();
    out
}

/// A read of the relay's, when there is much to read.
const WINDOW: usize = 16 * 1024;

/// The ids that the scanner patches are right already, so each round finds the same bytes.
fn scanner(reply: &[u8]) -> Case {
    let (mut reply, mut out) = (reply.to_vec(), BytesMut::new());
    let bytes = reply.len();
    let (server, client) = formats();
    let round = move || {
        let mut scanner = ReplyScanner::new(Expect::Query, server, client.clone());
        let mut at = 0;
        loop {
            let end = bytes.min(at + WINDOW.max(scanner.needs()));
            let window = black_box(&mut reply[at..end]);
            let scan = scanner.scan(window, &mut out).expect("a sound reply");
            at += scan.consumed;
            if scan.progress == Progress::Complete {
                break;
            }
        }
        assert_eq!(at, bytes);
        black_box(scanner.completion());
    };
    Case::new(round).of_bytes(bytes)
}

/// Of the five packets of a reply of one column and one row.
fn point_select_verdicts() -> Case {
    const PACKETS: [(Place, u8, usize); 4] = [
        (Place::Query, 1, 1),
        (Place::Definition, 3, 40),
        (Place::Row, 120, 121),
        (Place::Row, 0xFE, 7),
    ];
    Case::new(|| {
        for (place, first, len) in black_box(PACKETS) {
            black_box(verdict(place, first, len, true));
        }
    })
}

// --- session

fn reader(text: String) -> Case {
    let bytes = text.len();
    Case::new(move || {
        black_box(hints::read(black_box(text.as_bytes()), Dialect::default()));
    })
    .of_bytes(bytes)
}

fn metrics() -> Arc<Metrics> {
    let reasons = &CloseReason::NAMES;
    Metrics::new(&Labels { server_closes: reasons, ..Labels::default() }).expect("metrics")
}

fn ledger() -> Ledger {
    let login = Login {
        schema: Some("sbtest".into()),
        charset: Charset::canonical(),
        capabilities: CANONICAL,
        status: Status::SERVER_STATUS_AUTOCOMMIT,
        read_only: false,
        defaults: Arc::new(Defaults::default()),
    };
    Ledger::new(login, Library::new(metrics(), 1 << 20))
}

fn ask(ledger: &mut Ledger, command: Command, body: &[u8], held: bool) -> Plan {
    ledger.on_request(&Request { command, body, whole: true }, held)
}

/// What is known of a point select's reply.
fn one_row(status: Status) -> Completion {
    let (result_set, rows, results) = (true, 1, 1);
    Completion { status: Some(status), result_set, rows, results, ..Completion::default() }
}

/// Request, plan, completion, disposition.
fn ledger_round(
    mut ledger: Ledger,
    command: Command,
    body: Vec<u8>,
    status: Status,
    expected: Disposition,
) -> Case {
    let completion = one_row(status);
    let held = expected == Disposition::Hold;
    Case::new(move || {
        let plan = ask(&mut ledger, command, black_box(&body), held);
        assert!(matches!(plan, Plan::Forward(_)));
        black_box(plan);
        assert_eq!(ledger.on_completion(black_box(&completion)), expected);
    })
}

fn text_round() -> Case {
    let status = Status::SERVER_STATUS_AUTOCOMMIT;
    let body = POINT_SELECT.into();
    ledger_round(ledger(), Command::Query, body, status, Disposition::GiveBack)
}

fn text_round_in_transaction() -> Case {
    let status = Status::SERVER_STATUS_AUTOCOMMIT | Status::SERVER_STATUS_IN_TRANS;
    let mut ledger = ledger();
    ask(&mut ledger, Command::Query, b"BEGIN", false);
    let begun = Completion { status: Some(status), results: 1, ..Completion::default() };
    ledger.on_completion(&begun);
    ledger_round(ledger, Command::Query, POINT_SELECT.into(), status, Disposition::Hold)
}

/// Behind the command byte: the statement, no cursor, one iteration, and one BIGINT that is not
/// NULL.
fn execute(statement: u32, types: &[u8]) -> Vec<u8> {
    let bound = u8::from(!types.is_empty());
    let head = [&statement.to_le_bytes()[..], &[0, 1, 0, 0, 0, 0, bound], types];
    [&head.concat()[..], &5012_u64.to_le_bytes()].concat()
}

fn with_statement() -> (Ledger, u32) {
    let mut ledger = ledger();
    let plan = ask(&mut ledger, Command::StmtPrepare, b"SELECT c FROM sbtest1 WHERE id=?", false);
    let Plan::Forward(forward) = plan else { unreachable!("a prepare is forwarded") };
    let (statement_id, columns, params, warnings, definitions) = (1, 1, 1, 0, true);
    let prepared = PrepareOk { statement_id, columns, params, warnings, definitions };
    ledger.on_completion(&Completion { prepared: Some(prepared), ..Completion::default() });
    (ledger, forward.new_statement.expect("a new statement has an id"))
}

fn execute_round() -> Case {
    let (ledger, statement) = with_statement();
    let status = Status::SERVER_STATUS_AUTOCOMMIT;
    let body = execute(statement, &[]);
    ledger_round(ledger, Command::StmtExecute, body, status, Disposition::GiveBack)
}

/// As most drivers send it, each time.
fn execute_round_with_types() -> Case {
    let (ledger, statement) = with_statement();
    let status = Status::SERVER_STATUS_AUTOCOMMIT;
    let body = execute(statement, &[8, 0]);
    ledger_round(ledger, Command::StmtExecute, body, status, Disposition::GiveBack)
}

// --- pool

/// A warm borrow: the connection, to a server made of paper, lies on the shelf in the state that is
/// asked for. The look at its socket is a system call, and none of the instructions counted.
fn borrow_and_give_back() -> Case {
    let fake = Fake::start();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let account = Account::new("app".into(), Password::new("app-password"), None, None, None);
    let secrets = Secrets { accounts: vec![account.clone()], ..Secrets::default() };
    let credentials = Arc::new(Credentials::new(Arc::new(Vault::new(secrets))));
    let metrics = metrics();
    let (host, port) = fake
        .address()
        .rsplit_once(':')
        .map(|(h, p)| (h.to_owned(), p.parse()))
        .expect("an address");
    let address = Address::Tcp { host, port: port.expect("a port") };
    let dialer = Dialer::new(address, None, Arc::clone(&metrics));
    let limits = Limits {
        max_connections: 8,
        max_idle: 8,
        min_idle: 0,
        idle_timeout: Duration::from_secs(600),
        max_lifetime: Duration::from_secs(3600),
        max_waiting: 100,
        shed_above: None,
    };
    let pool = Pool::new((0, Arc::new(dialer)), &limits, credentials, metrics, Lifecycle::new());
    let identity = Identity { username: "app".into(), generation: 1, meaning: Meaning::default() };
    let (account, state) =
        (Arc::new(account), Arc::new(SessionState::new(None, &Charset::canonical(), false)));
    let rounds = move |count| {
        let _alive = &fake;
        runtime.block_on(async {
            for _ in 0..count {
                let patience = Duration::from_secs(10);
                let want = Want { identity: &identity, account: &account, state: &state, patience };
                match pool.borrow(black_box(&want)).await {
                    Ok(borrowed) => borrowed.give_back(&state),
                    Err(error) => unreachable!("the server of paper refuses nobody: {error}"),
                }
            }
        });
    };
    Case { bytes: None, rounds: Box::new(rounds) }
}
