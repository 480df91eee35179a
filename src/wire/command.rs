//! https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html
//!
//! Owns the command byte and its name. Never says what a command does to a session.

/// Every command of MySQL, and MariaDB's two of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Command {
    Sleep = 0,
    Quit = 1,
    InitDb = 2,
    Query = 3,
    FieldList = 4,
    CreateDb = 5,
    DropDb = 6,
    Refresh = 7,
    Shutdown = 8,
    Statistics = 9,
    ProcessInfo = 10,
    Connect = 11,
    ProcessKill = 12,
    Debug = 13,
    Ping = 14,
    Time = 15,
    DelayedInsert = 16,
    ChangeUser = 17,
    BinlogDump = 18,
    TableDump = 19,
    ConnectOut = 20,
    RegisterReplica = 21,
    StmtPrepare = 22,
    StmtExecute = 23,
    StmtSendLongData = 24,
    StmtClose = 25,
    StmtReset = 26,
    SetOption = 27,
    StmtFetch = 28,
    Daemon = 29,
    BinlogDumpGtid = 30,
    ResetConnection = 31,
    Clone = 32,
    SubscribeGroupReplicationStream = 33,
    /// MariaDB.
    StmtBulkExecute = 0xFA,
    /// MariaDB; no server answers it any more.
    Multi = 0xFE,
}

impl Command {
    /// In order of their bytes.
    pub const ALL: [Self; 36] = [
        Self::Sleep,
        Self::Quit,
        Self::InitDb,
        Self::Query,
        Self::FieldList,
        Self::CreateDb,
        Self::DropDb,
        Self::Refresh,
        Self::Shutdown,
        Self::Statistics,
        Self::ProcessInfo,
        Self::Connect,
        Self::ProcessKill,
        Self::Debug,
        Self::Ping,
        Self::Time,
        Self::DelayedInsert,
        Self::ChangeUser,
        Self::BinlogDump,
        Self::TableDump,
        Self::ConnectOut,
        Self::RegisterReplica,
        Self::StmtPrepare,
        Self::StmtExecute,
        Self::StmtSendLongData,
        Self::StmtClose,
        Self::StmtReset,
        Self::SetOption,
        Self::StmtFetch,
        Self::Daemon,
        Self::BinlogDumpGtid,
        Self::ResetConnection,
        Self::Clone,
        Self::SubscribeGroupReplicationStream,
        Self::StmtBulkExecute,
        Self::Multi,
    ];

    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|command| *command as u8 == byte)
    }

    /// For a metrics label: lower snake case, without `COM_`.
    pub const fn name(self) -> &'static str {
        self.word().0
    }

    /// As the manual writes it.
    pub const fn manual_name(self) -> &'static str {
        self.word().1
    }

    const fn word(self) -> (&'static str, &'static str) {
        match self {
            Self::Sleep => ("sleep", "COM_SLEEP"),
            Self::Quit => ("quit", "COM_QUIT"),
            Self::InitDb => ("init_db", "COM_INIT_DB"),
            Self::Query => ("query", "COM_QUERY"),
            Self::FieldList => ("field_list", "COM_FIELD_LIST"),
            Self::CreateDb => ("create_db", "COM_CREATE_DB"),
            Self::DropDb => ("drop_db", "COM_DROP_DB"),
            Self::Refresh => ("refresh", "COM_REFRESH"),
            Self::Shutdown => ("shutdown", "COM_SHUTDOWN"),
            Self::Statistics => ("statistics", "COM_STATISTICS"),
            Self::ProcessInfo => ("process_info", "COM_PROCESS_INFO"),
            Self::Connect => ("connect", "COM_CONNECT"),
            Self::ProcessKill => ("process_kill", "COM_PROCESS_KILL"),
            Self::Debug => ("debug", "COM_DEBUG"),
            Self::Ping => ("ping", "COM_PING"),
            Self::Time => ("time", "COM_TIME"),
            Self::DelayedInsert => ("delayed_insert", "COM_DELAYED_INSERT"),
            Self::ChangeUser => ("change_user", "COM_CHANGE_USER"),
            Self::BinlogDump => ("binlog_dump", "COM_BINLOG_DUMP"),
            Self::TableDump => ("table_dump", "COM_TABLE_DUMP"),
            Self::ConnectOut => ("connect_out", "COM_CONNECT_OUT"),
            Self::RegisterReplica => ("register_replica", "COM_REGISTER_SLAVE"),
            Self::StmtPrepare => ("stmt_prepare", "COM_STMT_PREPARE"),
            Self::StmtExecute => ("stmt_execute", "COM_STMT_EXECUTE"),
            Self::StmtSendLongData => ("stmt_send_long_data", "COM_STMT_SEND_LONG_DATA"),
            Self::StmtClose => ("stmt_close", "COM_STMT_CLOSE"),
            Self::StmtReset => ("stmt_reset", "COM_STMT_RESET"),
            Self::SetOption => ("set_option", "COM_SET_OPTION"),
            Self::StmtFetch => ("stmt_fetch", "COM_STMT_FETCH"),
            Self::Daemon => ("daemon", "COM_DAEMON"),
            Self::BinlogDumpGtid => ("binlog_dump_gtid", "COM_BINLOG_DUMP_GTID"),
            Self::ResetConnection => ("reset_connection", "COM_RESET_CONNECTION"),
            Self::Clone => ("clone", "COM_CLONE"),
            Self::SubscribeGroupReplicationStream => {
                ("subscribe_group_replication_stream", "COM_SUBSCRIBE_GROUP_REPLICATION_STREAM")
            }
            Self::StmtBulkExecute => ("stmt_bulk_execute", "COM_STMT_BULK_EXECUTE"),
            Self::Multi => ("multi", "COM_MULTI"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_back() {
        for byte in 0..=u8::MAX {
            assert!(Command::from_byte(byte).is_none_or(|command| command as u8 == byte));
        }
        assert_eq!(Command::from_byte(0x03), Some(Command::Query));
        assert_eq!(Command::from_byte(0x19), Some(Command::StmtClose));
        assert_eq!(Command::from_byte(0xFA), Some(Command::StmtBulkExecute));
        assert_eq!(Command::from_byte(0x22), None);
    }

    #[test]
    fn names() {
        assert_eq!(Command::InitDb.name(), "init_db");
        assert_eq!(Command::StmtSendLongData.name(), "stmt_send_long_data");
        assert_eq!(Command::RegisterReplica.manual_name(), "COM_REGISTER_SLAVE");
    }
}
