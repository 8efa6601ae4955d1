//! Observing a running runtime: wait kinds, histograms, reports, and the resources that tokio-console shows.

pub(crate) mod histogram;
pub(crate) mod report;
pub(crate) mod resources;
pub(crate) mod waiting;

pub use waiting::WaitKind;
