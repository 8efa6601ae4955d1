//! Timers: sleeps, intervals, timeouts, and a clock that tests can pause.
//!
//! - [`sleep`] and [`sleep_until`] wait for a duration or until a deadline.
//! - [`interval`] ticks periodically. [`MissedTickBehavior`] chooses what happens after a late tick.
//! - [`timeout`] limits how long another future may take.
//! - [`pause`], [`advance`] and [`resume`] control the clock in a test. [`Instant::now`] and all timers follow it.
//!
//! All of them need a runtime built with `enable_time` (or `enable_all`). Timers have a resolution of one millisecond.
//! A timer never fires early. It may fire up to a millisecond late, or later if the machine is busy.
//!
//! The clock is monotonic: changing the system's date has no effect.
//!
//! # Examples
//! A request with a time limit. The clock is paused, so the test takes no time:
//! ```
//! use redd::time::{Duration, Instant, sleep, timeout};
//!
//! # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
//! async fn slow_request() -> u32 {
//!     sleep(Duration::from_secs(30)).await;
//!     200
//! }
//! let start = Instant::now();
//! assert!(timeout(Duration::from_secs(5), slow_request()).await.is_err());
//! assert_eq!(start.elapsed().as_secs(), 5);
//! assert_eq!(timeout(Duration::from_secs(60), slow_request()).await, Ok(200));
//! # });
//! ```

// Users call the public items. The worker loop calls `timers`, and reaches `clock` through it.

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
