//! Time: sleeping, ticking, giving up in time, and a clock that tests can stop.
//!
//! - [`sleep`] and [`sleep_until`] wait.
//! - [`interval`] ticks; [`MissedTickBehavior`] says what happens when the ticks are taken too late.
//! - [`timeout`] bounds how long another future may take.
//! - [`pause`], [`advance`] and [`resume`] let a test decide what time it is: [`Instant::now`] and everything above
//!   follow.
//!
//! All of them need a runtime built with `enable_time` (or `enable_all`). Timers count milliseconds: one may fire up
//! to a millisecond late (later if the machine is busy), and never early.
//!
//! The clock is monotonic: setting the date of the machine has no effect.
//!
//! Called by users; the worker loop calls `timers`, and `clock` through it.

pub(crate) mod clock;
pub mod error;
mod instant;
mod interval;
mod pause;
pub(crate) mod sleep;
mod timeout;
pub(crate) mod timers;
mod wheel;

pub use std::time::Duration;

pub use instant::Instant;
pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use pause::{advance, pause, resume};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Timeout, timeout, timeout_at};
