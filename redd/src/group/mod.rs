//! Groups of tasks (`JoinSet`, `LocalSet`), and values that belong to a task (`task_local!`).

mod entry_waker;
pub(crate) mod join_set;
pub(crate) mod join_set_builder;
pub(crate) mod local_set;
mod result_queue;
mod set_state;
pub(crate) mod task_builder;
pub(crate) mod task_local;

pub use task_local::{LocalKey, TaskLocalFuture};
