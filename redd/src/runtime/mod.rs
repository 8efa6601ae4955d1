//! The runtime: what runs tasks, timers and I/O.

pub(crate) mod context;
mod handle;

pub use handle::Handle;
