//! How long a thread of a model spins before it sleeps: a number of checks, not a time.

use std::time::Duration;

pub(super) const LOOK: Duration = Duration::from_micros(20);
pub(super) const SHORT: Duration = Duration::from_micros(60);

/// Under loom every check is a step whose orders it would try, and the model of the sleep covers what follows.
#[cfg(loom)]
pub(super) const ROUNDS: u32 = 0;
#[cfg(shuttle)]
pub(super) const ROUNDS: u32 = 1;
/// A thread of a model spins from the start.
pub(super) const FRESH: u32 = 0;
