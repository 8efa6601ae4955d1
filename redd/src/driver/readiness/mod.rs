//! Readiness: descriptors that say when an operation is worth trying, through epoll.
//!
//! A system call is tried first. Only when it would block does the task wait: it leaves its waker with the
//! registration, and the thread that harvests the event takes it.

pub(crate) mod async_fd;
pub(crate) mod ready;
pub(crate) mod slab;
pub(crate) mod slot;
pub(crate) mod source;
pub(crate) mod state;

pub(crate) use source::{Registration, Source};
