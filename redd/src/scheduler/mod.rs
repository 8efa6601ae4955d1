//! Which task runs next, and on which thread.
//! (room under construction)

pub(crate) mod idle;
pub(crate) mod injector;
pub(crate) mod run_queue;

#[cfg(all(test, loom))]
mod models;
