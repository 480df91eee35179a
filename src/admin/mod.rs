//! The operators' doors.

pub mod http;
