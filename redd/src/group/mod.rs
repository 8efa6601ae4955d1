//! Several tasks as one, and values that belong to a task.

pub(crate) mod task_local;

pub use task_local::{LocalKey, TaskLocalFuture};
