//! What redd shows of a program's tasks.
//!
//! Called by `watch`. `on-tokio` has the same for the registry's Tokio.

use tokio::runtime::Handle;

/// Every live task, and what it waits on.
pub(crate) fn describe(runtime: &Handle) -> String {
    runtime.snapshot().to_string()
}
