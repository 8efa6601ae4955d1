//! The cell whose accesses loom sees.

pub(crate) use loom::cell::UnsafeCell;
