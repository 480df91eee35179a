//! The operators' doors.

pub mod http;
pub mod sql;
