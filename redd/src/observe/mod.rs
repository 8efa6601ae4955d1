//! Observing a running runtime: metrics, dumps, wait kinds, reports, and the resources that tokio-console shows.

pub(crate) mod coarse;
pub(crate) mod dump;
pub(crate) mod histogram;
pub(crate) mod late_poll;
pub(crate) mod metrics;
pub(crate) mod report;
pub(crate) mod resources;
pub(crate) mod symbols;
pub(crate) mod unjoined;
#[allow(dead_code, reason = "the rooms that fill it in follow")]
pub(crate) mod waiter;
pub(crate) mod waiting;

pub use waiting::WaitKind;
