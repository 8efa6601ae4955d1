//! Several tasks as one.

mod entry_waker;
pub(crate) mod join_set;
pub(crate) mod local_set;
pub(crate) mod task_local;

pub use task_local::{LocalKey, TaskLocalFuture};
