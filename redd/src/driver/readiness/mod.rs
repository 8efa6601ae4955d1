//! Readiness: epoll reports when an operation on a descriptor is worth trying.
//!
//! The system call is tried first. If it would block, the task stores its waker in the registration. The thread that
//! harvests the event takes the waker.

pub(crate) mod async_fd;
pub(crate) mod ready;
pub(crate) mod slab;
pub(crate) mod slot;
pub(crate) mod source;
pub(crate) mod state;

pub(crate) use source::{Registration, Source};
