//! How long a thread spins before it sleeps.
//!
//! Used by `spin`. Models have no real time, and replace these numbers.

use std::time::Duration;

/// How long a thread spins: as long as a wake from another processor takes, so that it is enough if one of two threads
/// begins.
pub(super) const SPIN_MAX: Duration = Duration::from_micros(20);
/// A spin that finds something later than this has used more of the processor than a sleep and a wake do.
pub(super) const PAYS: Duration = Duration::from_micros(8);
/// A sleep shorter than this shows that spinning would have been better. It includes the time that the wake takes.
pub(super) const SHORT: Duration = Duration::from_micros(60);
/// The number of checks of the condition in the time of `SPIN_MAX`, at most; the clock may end it earlier.
pub(super) const ROUNDS: u32 = 256;
/// A new thread is treated as after this many failed attempts (`fresh-waits` of `spin`).
pub(super) const FRESH: u32 = 4;
