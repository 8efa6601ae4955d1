//! When.

pub(crate) mod timers;
