//! One wheel per worker.

#[derive(Debug)]
pub(crate) struct Timers;
