//! The operators' doors.

mod clients;
mod digests;
mod events;
pub mod http;
mod lookout;
mod meter;
mod samples;
pub mod sql;
pub mod status;

pub use lookout::{Lookout, Sights};
