//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html
//!
//! Owns the scanner: any reply, in any chunking, followed by its headers to its end, and translated
//! on the way where client and server negotiated different formats. Never holds a byte of the
//! reply, and never reads a row.

mod completion;
mod format;
#[cfg(test)]
mod tests;
mod window;

use bytes::BytesMut;

pub use completion::{Completion, Outcome};
pub use format::{ClientFormat, ServerFormat};

use super::{
    Command, ErrPacket, HEADER_LEN, Header, MAX_PAYLOAD, Malformed, Place, PrepareOk, Status,
    Verdict, changes, column_count, is_progress, put_eof, verdict,
};
use format::{Edit, Ending};
use window::Window;

/// A packet that must be seen whole and is longer than this is no such packet.
pub const WHOLE_LIMIT: usize = 1 << 20;

/// What kind of reply a command has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    Query,
    Execute,
    Prepare,
    Fetch,
    /// One OK, EOF or ERR.
    Single,
    FieldList,
    Statistics,
    Nothing,
}

impl Expect {
    /// `None`: the reply is a conversation of its own, a login or a replication stream.
    pub fn of(command: Command) -> Option<Self> {
        Some(match command {
            Command::Query | Command::ProcessInfo => Self::Query,
            Command::StmtExecute | Command::StmtBulkExecute => Self::Execute,
            Command::StmtPrepare => Self::Prepare,
            Command::StmtFetch => Self::Fetch,
            Command::FieldList => Self::FieldList,
            Command::Statistics => Self::Statistics,
            Command::Quit | Command::StmtClose | Command::StmtSendLongData => Self::Nothing,
            Command::ChangeUser
            | Command::BinlogDump
            | Command::BinlogDumpGtid
            | Command::TableDump
            | Command::Clone
            | Command::SubscribeGroupReplicationStream
            | Command::Multi => return None,
            _ => Self::Single,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    pub consumed: usize,
    /// What the client shall see of `input[..consumed]` is in `out`; if not, it is those bytes.
    pub edited: bool,
    pub progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    More,
    /// LOCAL INFILE. Everything so far must reach the client; then its data packets go to the
    /// server until an empty one, and the scan goes on.
    NeedClientData,
    Complete,
}

/// Follows one reply to its end.
pub struct ReplyScanner {
    expect: Expect,
    from: ServerFormat,
    to: ClientFormat,
    stage: Stage,
    /// Payload bytes still to come of the packet that is passing.
    skip: usize,
    /// The packet that is passing fills its header: the next one is more of it.
    continued: bool,
    /// The client waits for an EOF behind the definitions; what comes next decides about it.
    eof_due: bool,
    /// From the server's sequence ids to the client's; unknown before the first packet.
    shift: Option<u8>,
    /// What it will be.
    first_shift: u8,
    next_seq: u8,
    needs: usize,
    /// The prepare reply has definitions.
    definitions: bool,
    /// For the EOFs the scanner itself says.
    session_status: Status,
    done: Completion,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    First,
    Definitions { left: u64, then: Then },
    AfterDefinitions(Then),
    Rows,
    Fields,
    Done,
}

/// What follows definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Rows,
    /// They were a statement's parameters: so many columns.
    Columns(u16),
    End,
}

/// Flags about one result, which say nothing about the session.
const OF_ONE_RESULT: Status = Status::SERVER_MORE_RESULTS_EXISTS
    .union(Status::SERVER_STATUS_CURSOR_EXISTS)
    .union(Status::SERVER_STATUS_LAST_ROW_SENT)
    .union(Status::SERVER_SESSION_STATE_CHANGED);

impl ReplyScanner {
    pub fn new(expect: Expect, from: ServerFormat, to: ClientFormat) -> Self {
        Self {
            expect,
            from,
            stage: match expect {
                Expect::Nothing => Stage::Done,
                Expect::Fetch => Stage::Rows,
                Expect::FieldList => Stage::Fields,
                _ => Stage::First,
            },
            skip: 0,
            continued: false,
            eof_due: false,
            shift: None,
            first_shift: 0,
            next_seq: to.first_seq,
            to,
            needs: HEADER_LEN + 1,
            definitions: true,
            session_status: Status::SERVER_STATUS_AUTOCOMMIT,
            done: match expect {
                // They begin in the middle of a result.
                Expect::Fetch | Expect::FieldList => {
                    Completion { results: 1, result_set: true, ..Completion::default() }
                }
                _ => Completion::default(),
            },
        }
    }

    /// For a request that reached the server in more packets than the client had sent: the number of
    /// the reply's first packet.
    #[must_use]
    pub fn with_server_seq(mut self, seq: u8) -> Self {
        self.first_shift = self.next_seq.wrapping_sub(seq);
        self
    }

    /// The session's status flags as last known, for EOFs a server that says none would have put
    /// them in. Autocommit alone until told otherwise.
    #[must_use]
    pub fn with_status(mut self, status: Status) -> Self {
        self.session_status = status - OF_ONE_RESULT;
        self
    }

    /// Reads on where the last call stopped. What it must see whole and is not whole yet stays in
    /// `input` for the next call, with more behind it; so does half a header.
    ///
    /// Sequence ids are patched in place. When more than that must change, everything the client
    /// shall see of `input[..consumed]` is appended to `out`.
    pub fn scan(&mut self, input: &mut [u8], out: &mut BytesMut) -> Result<Scan, Malformed> {
        let mut window = Window::new(input, out);
        let progress = self.run(&mut window)?;
        let (consumed, edited) = window.finish();
        Ok(Scan { consumed, edited, progress })
    }

    /// How many bytes of unconsumed input it takes, at least, to move on. Never more than
    /// [`WHOLE_LIMIT`] and a header.
    pub fn needs(&self) -> usize {
        self.needs
    }

    /// Takes it, after `Complete`.
    pub fn completion(&mut self) -> Completion {
        std::mem::take(&mut self.done)
    }

    /// A byte of the reply has been consumed.
    pub fn begun(&self) -> bool {
        self.shift.is_some()
    }

    /// Nothing of a packet is still to come, so that the proxy could say one of its own here.
    pub fn between_packets(&self) -> bool {
        self.skip == 0 && !self.continued
    }

    /// The sequence id the client expects next: where an ERR said by the proxy would go.
    pub fn next_seq(&self) -> u8 {
        self.next_seq
    }

    /// What was added to the server's sequence ids to make the client's: the client's LOCAL INFILE
    /// packets need it subtracted.
    pub fn seq_shift(&self) -> u8 {
        self.shift.unwrap_or(self.first_shift)
    }

    /// The client has sent a LOCAL INFILE packet with this sequence id.
    pub fn client_sent(&mut self, seq: u8) {
        self.next_seq = seq.wrapping_add(1);
    }

    fn run(&mut self, window: &mut Window<'_>) -> Result<Progress, Malformed> {
        loop {
            if self.skip > 0 {
                self.skip -= window.advance(self.skip);
                if self.skip > 0 {
                    self.needs = 1;
                    return Ok(Progress::More);
                }
            }
            if !self.continued {
                match self.stage {
                    Stage::Done => {
                        self.needs = 0;
                        return Ok(Progress::Complete);
                    }
                    Stage::Definitions { left: 0, then } => {
                        self.end_definitions(then, window);
                        continue;
                    }
                    Stage::Rows if !self.eof_due => self.skip_rows(window),
                    Stage::Definitions { left, then } => {
                        let left = self.skip_definitions(window, left);
                        self.stage = Stage::Definitions { left, then };
                        if left == 0 {
                            continue;
                        }
                    }
                    _ => {}
                }
            }
            if let Some(progress) = self.step(window)? {
                return Ok(progress);
            }
        }
    }

    /// Whole rows, a look at each: the loop that most bytes of most replies go through. Whatever is
    /// not plainly one is left to `step`.
    fn skip_rows(&mut self, window: &mut Window<'_>) {
        while let Some(len) = self.whole_packet(window) {
            window.advance(HEADER_LEN + len);
            self.done.rows += 1;
        }
    }

    /// The same for definitions; answers how many are left.
    fn skip_definitions(&mut self, window: &mut Window<'_>, mut left: u64) -> u64 {
        while left > 0
            && let Some(len) = self.whole_packet(window)
        {
            window.advance(HEADER_LEN + len);
            left -= 1;
        }
        left
    }

    /// The length of the packet that stands here, if it is plainly a row or a definition that is all
    /// here; it has the client's number then.
    #[inline]
    fn whole_packet(&mut self, window: &mut Window<'_>) -> Option<usize> {
        let rest = window.rest();
        let &[a, b, c, seq, first] = rest.first_chunk()?;
        let len = u32::from_le_bytes([a, b, c, 0]) as usize;
        let whole = HEADER_LEN + len <= rest.len();
        if first >= 0xFE || !whole || len == 0 || len == MAX_PAYLOAD || seq != self.due() {
            return None;
        }
        self.number(window, seq);
        Some(len)
    }

    /// One packet; `None` to go on.
    fn step(&mut self, window: &mut Window<'_>) -> Result<Option<Progress>, Malformed> {
        let Some(header) = Header::peek(window.rest()) else {
            return Ok(Some(self.more(HEADER_LEN)));
        };
        // An error may come before all of the request was read, with the number it had by then.
        let first = window.rest().get(HEADER_LEN);
        let begins = self.stage == Stage::First && !self.continued;
        let early = begins && first == Some(&0xFF);
        if header.seq != self.due() && !early {
            if begins && first.is_none() && header.len > 0 {
                return Ok(Some(self.more(HEADER_LEN + 1)));
            }
            // Something is missing, or this belongs to another reply.
            let (packet, field) = ("reply packet", "the next sequence id");
            return Err(Malformed::Unexpected { packet, field, seen: header.seq, at: 3 });
        }
        if self.continued {
            self.pass(window, header);
            return Ok(None);
        }
        if header.len == 0 {
            return Err(Malformed::WrongLength { packet: "reply packet", len: 0 });
        }
        let Some(&first) = window.rest().get(HEADER_LEN) else {
            return Ok(Some(self.more(HEADER_LEN + 1)));
        };
        let verdict = verdict(self.place(), first, header.len, self.from.deprecate_eof);
        match verdict {
            Verdict::Row => {
                self.say_eof_due(window);
                self.done.rows += 1;
                self.pass(window, header);
                return Ok(None);
            }
            Verdict::Definition => {
                if let Stage::Definitions { left, .. } = &mut self.stage {
                    *left -= 1;
                }
                self.pass(window, header);
                return Ok(None);
            }
            Verdict::Unexpected => {
                return Err(Malformed::Unexpected {
                    packet: "reply packet",
                    field: "one that can stand in its place",
                    seen: first,
                    at: 0,
                });
            }
            _ => {}
        }
        if header.len > WHOLE_LIMIT {
            let packet = "reply packet to be seen whole";
            return Err(Malformed::TooLarge { packet, len: header.len, limit: WHOLE_LIMIT });
        }
        if window.payload(header).is_none() {
            return Ok(Some(self.more(HEADER_LEN + header.len)));
        }
        self.whole(window, header, verdict)
    }

    /// A packet that is read; it is all here.
    fn whole(
        &mut self,
        window: &mut Window<'_>,
        header: Header,
        verdict: Verdict,
    ) -> Result<Option<Progress>, Malformed> {
        let payload = window.payload(header).unwrap_or_default();
        match verdict {
            Verdict::Ok | Verdict::Terminator => self.ending(window, header)?,
            Verdict::Err if is_progress(payload) => {
                self.say_eof_due(window);
                self.pass(window, header);
            }
            Verdict::Err => {
                if self.stage == Stage::First {
                    self.done.results += 1;
                }
                self.done.outcome = Outcome::Err(ErrPacket::parse(payload)?);
                self.say_eof_due(window);
                self.pass(window, header);
                self.stage = Stage::Done;
            }
            Verdict::ColumnCount => {
                let (count, definitions) = column_count(payload, self.from.optional_metadata)?;
                let left = if definitions { count } else { 0 };
                self.done.results += 1;
                self.done.result_set = true;
                self.done.rows = 0;
                self.stage = Stage::Definitions { left, then: Then::Rows };
                self.pass(window, header);
            }
            Verdict::PrepareOk => {
                let prepared = PrepareOk::parse(payload)?;
                self.done.results += 1;
                self.done.warnings = prepared.warnings;
                self.done.prepared = Some(prepared);
                self.definitions = prepared.definitions;
                self.stage = match prepared.params {
                    0 => self.after(Then::Columns(prepared.columns)),
                    params => self.definitions(params, Then::Columns(prepared.columns)),
                };
                if let Some(id) = self.to.statement_id {
                    window.set(HEADER_LEN + 1, &id.to_le_bytes());
                }
                self.pass(window, header);
            }
            Verdict::LocalInfile => {
                self.pass(window, header);
                self.skip -= window.advance(self.skip);
                self.needs = HEADER_LEN + 1;
                return Ok(Some(Progress::NeedClientData));
            }
            Verdict::Text | Verdict::Row | Verdict::Definition | Verdict::Unexpected => {
                self.done.results += 1;
                self.pass(window, header);
                self.stage = Stage::Done;
            }
        }
        Ok(None)
    }

    /// An OK or EOF, wherever it stands.
    fn ending(&mut self, window: &mut Window<'_>, header: Header) -> Result<(), Malformed> {
        let ending = Ending::parse(window.payload(header).unwrap_or_default(), self.from)?;
        let status = ending.ok.status;
        let edit = ending.edit(self.from, &self.to)?;
        self.done.status = Some(status);
        self.done.warnings = ending.ok.warnings;
        self.session_status = status - OF_ONE_RESULT;
        if !ending.ok.changes.is_empty() {
            self.done.changes.append(&mut changes(ending.ok.changes)?);
        }

        let cursor = self.opens_cursor(status);
        self.done.cursor = cursor
            || self.expect == Expect::Fetch && status.contains(Status::SERVER_STATUS_CURSOR_EXISTS);
        match self.stage {
            Stage::AfterDefinitions(then) if !cursor => {
                if self.to.deprecate_eof {
                    self.drop_packet(window, header);
                } else {
                    self.pass(window, header);
                }
                self.stage = self.after(then);
                return Ok(());
            }
            Stage::First => {
                self.done.results += 1;
                self.done.result_set = false;
                self.done.affected_rows = ending.ok.affected_rows;
                if ending.ok.last_insert_id != 0 {
                    self.done.last_insert_id = ending.ok.last_insert_id;
                }
            }
            _ => {}
        }
        if cursor {
            self.eof_due = false;
        }
        self.say_eof_due(window);
        match edit {
            Edit::Keep => self.pass(window, header),
            edit => self.replace(window, header, &edit)?,
        }
        let more = status.contains(Status::SERVER_MORE_RESULTS_EXISTS)
            && matches!(self.expect, Expect::Query | Expect::Execute);
        self.stage = if more { Stage::First } else { Stage::Done };
        Ok(())
    }

    /// The reply ends here, and its rows come with COM_STMT_FETCH: servers say so once, in the place
    /// of the EOF behind the definitions.
    ///
    /// A procedure that opened a cursor of its own leaves the flag in every status behind it. None
    /// of those ends a result set without more results to come, as a client's cursor always does.
    fn opens_cursor(&self, status: Status) -> bool {
        self.expect == Expect::Execute
            && status.contains(Status::SERVER_STATUS_CURSOR_EXISTS)
            && !status.contains(Status::SERVER_MORE_RESULTS_EXISTS)
            && match self.stage {
                Stage::AfterDefinitions(_) => true,
                Stage::Rows => self.done.rows == 0,
                _ => false,
            }
    }

    /// The last definition has passed.
    fn end_definitions(&mut self, then: Then, window: &mut Window<'_>) {
        if !self.from.deprecate_eof {
            self.stage = Stage::AfterDefinitions(then);
            return;
        }
        self.stage = self.after(then);
        self.eof_due = !self.to.deprecate_eof;
        // Behind rows' definitions the next packet must be seen first: it may say a cursor exists.
        if then != Then::Rows {
            self.say_eof_due(window);
        }
    }

    fn after(&self, then: Then) -> Stage {
        match then {
            Then::Rows => Stage::Rows,
            Then::Columns(0) | Then::End => Stage::Done,
            Then::Columns(columns) => self.definitions(columns, Then::End),
        }
    }

    /// Of a prepare reply. Where they are left out the EOF behind them is not.
    fn definitions(&self, count: u16, then: Then) -> Stage {
        Stage::Definitions { left: if self.definitions { u64::from(count) } else { 0 }, then }
    }

    fn place(&self) -> Place {
        match self.stage {
            Stage::Definitions { .. } => Place::Definition,
            Stage::AfterDefinitions(_) => Place::AfterDefinitions,
            Stage::Rows => Place::Row,
            Stage::Fields => Place::Field,
            Stage::First | Stage::Done => match self.expect {
                Expect::Query => Place::Query,
                Expect::Execute => Place::Execute,
                Expect::Prepare => Place::Prepare,
                Expect::Statistics => Place::Statistics,
                _ => Place::Single,
            },
        }
    }

    fn more(&mut self, needs: usize) -> Progress {
        self.needs = needs;
        Progress::More
    }

    /// Lets a packet through; its payload follows by way of `skip`.
    fn pass(&mut self, window: &mut Window<'_>, header: Header) {
        self.number(window, header.seq);
        window.advance(HEADER_LEN);
        self.skip = header.len;
        self.continued = header.len == MAX_PAYLOAD;
    }

    /// The sequence id that the server's next packet must have.
    fn due(&self) -> u8 {
        self.next_seq.wrapping_sub(self.seq_shift())
    }

    fn number(&mut self, window: &mut Window<'_>, seq: u8) {
        let shift = *self.shift.get_or_insert(self.next_seq.wrapping_sub(seq));
        let seq = seq.wrapping_add(shift);
        if shift != 0 {
            window.set(HEADER_LEN - 1, &[seq]);
        }
        self.next_seq = seq.wrapping_add(1);
    }

    fn say_eof_due(&mut self, window: &mut Window<'_>) {
        if std::mem::take(&mut self.eof_due) {
            self.next_seq = put_eof(window.insert(), self.next_seq, self.session_status, 0);
            self.shift = Some(self.seq_shift().wrapping_add(1));
        }
    }

    fn drop_packet(&mut self, window: &mut Window<'_>, header: Header) {
        window.drop_bytes(HEADER_LEN + header.len);
        self.shift = Some(self.seq_shift().wrapping_sub(1));
    }

    fn replace(
        &mut self,
        window: &mut Window<'_>,
        header: Header,
        edit: &Edit,
    ) -> Result<(), Malformed> {
        self.number(window, header.seq);
        let seq = self.next_seq.wrapping_sub(1);
        let (payload, out) = window.insert_beside(header);
        Ending::parse(payload, self.from)?.put(out, seq, edit);
        window.drop_bytes(HEADER_LEN + header.len);
        Ok(())
    }
}
