//! The MySQL client/server protocol as bytes: packets read, packets written, replies scanned.
//!
//! Owns what a packet is and where a reply ends. Never opens a socket, never waits, never decides:
//! every function here is pure, and none panics whatever it is given.
#![cfg_attr(not(test), warn(clippy::indexing_slicing))]

mod auth_more;
mod auth_switch;
mod capabilities;
mod change_user;
mod command;
mod eof;
mod err;
mod execute;
mod greeting;
mod header;
mod lenenc;
mod login;
mod malformed;
mod ok;
mod prepare;
mod proxy_header;
mod query_attributes;
mod recut;
mod reply;
mod result_set;
mod session_track;
mod verdict;

pub use mysql_common::constants::{
    CapabilityFlags as Capabilities, ColumnType, MariadbCapabilities as Extended,
    StatusFlags as Status,
};

pub use auth_more::AuthMore;
pub use auth_switch::AuthSwitch;
pub use capabilities::{
    CANONICAL, CANONICAL_EXTENDED, COMPRESSION, MEANING, Meaning, OFFERED, offered,
    offered_extended,
};
pub use change_user::ChangeUser;
pub use command::Command;
pub use eof::{EofPacket, put_eof};
pub use err::{ErrPacket, is_progress, put_err};
pub use execute::{Execute, Written, asks_for_cursor, set_statement_id, statement_id};
pub use greeting::Greeting;
pub use header::{HEADER_LEN, Header, MAX_PAYLOAD, put_command, put_packet};
pub use lenenc::{Reader, put_lenenc_bytes, put_lenenc_int};
pub use login::{Login, SslRequest};
pub use malformed::Malformed;
pub use ok::{OkPacket, OkReply, put_ok};
pub use prepare::PrepareOk;
pub use proxy_header::{ProxyHeader, ProxySource};
pub use query_attributes::{NO_ATTRIBUTES, QueryAttributes};
pub use recut::Recut;
pub use reply::{
    ClientFormat, Completion, Expect, Outcome, Progress, ReplyScanner, Scan, ServerFormat,
    WHOLE_LIMIT,
};
pub use result_set::{Column, Kind, Shape, TextResult, TextTable, column_count, text_row};
pub use session_track::{Change, DEFAULT_TRACKED, TrackFilter, Variables, changes};
pub use verdict::{Place, Verdict, verdict};
