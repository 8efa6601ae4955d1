//! How long a thread spins before it sleeps.
//!
//! Used by `spin`. In models time is no measure, and other numbers take the place of these.

use std::time::Duration;

/// How long a look takes: as long as a wake from another processor, so that one of two threads is enough to begin.
pub(super) const LOOK: Duration = Duration::from_micros(20);
/// A sleep after which a look would have been the better choice, with the time in it that the wake takes.
pub(super) const SHORT: Duration = Duration::from_micros(60);
/// The number of checks of the condition in the time of `LOOK`, at most; the clock may end it earlier.
pub(super) const ROUNDS: u32 = 256;
/// A new thread is treated as after this many failed attempts (`fresh-waits` of `spin`).
pub(super) const FRESH: u32 = 4;
