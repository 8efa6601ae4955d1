//! How long a thread of a model spins before it sleeps: a number of checks, not a time.

use std::time::Duration;

pub(super) const SPIN_MAX: Duration = Duration::from_micros(20);
pub(super) const PAYS: Duration = Duration::from_micros(20);
pub(super) const SHORT: Duration = Duration::from_micros(60);

/// None under loom, which would try the orders of every check. Not a `const`: clippy takes an empty range for a mistake.
pub(super) static ROUNDS: u32 = if cfg!(loom) { 0 } else { 1 };
/// A thread of a model spins from the start.
pub(super) const FRESH: u32 = 0;
