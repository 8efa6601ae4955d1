//! See inside a runtime without stopping it.

pub(crate) mod histogram;
pub(crate) mod waiting;

pub use waiting::WaitKind;
