//! To be built.
pub mod hints;
