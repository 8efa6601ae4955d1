//! When.

pub(crate) mod clock;
pub(crate) mod timers;
mod wheel;
