//! Observing a running runtime: metrics, dumps, wait kinds, reports, hooks, the flight recorder, and what tokio-console shows: tasks (`spans`) and resources.

pub(crate) mod coarse;
pub(crate) mod counters;
pub(crate) mod debug_options;
pub(crate) mod dump;
pub(crate) mod histogram;
pub(crate) mod hooks;
pub(crate) mod late_poll;
pub(crate) mod looks;
pub(crate) mod metric_blocks;
pub(crate) mod metrics;
pub(crate) mod nodes;
pub(crate) mod overdue;
pub(crate) mod recorder;
pub(crate) mod report;
pub(crate) mod resources;
pub(crate) mod roots;
pub(crate) mod shields;
pub(crate) mod spans;
pub(crate) mod symbols;
pub(crate) mod task_info;
pub(crate) mod unjoined;
pub(crate) mod waiter;
pub(crate) mod waiting;

pub use debug_options::{DEBUG_OPTIONS, DebugOption};
pub use overdue::{Overdue, OverdueKind};
pub use waiting::WaitKind;
