//! Whether any clock of this process shows another time than that of the system.
//!
//! Set by `time::clock` (a pause) and by `baton` (a simulated world).

use super::atomic::Ordering;
use super::atomic::fixed::AtomicBool;

static IS_ANY: AtomicBool = AtomicBool::new(false);

/// From here on, times are read from the clock of a runtime. Called before such a clock is visible to any thread.
pub(crate) fn begin() {
    IS_ANY.store(true, Ordering::Relaxed);
}

/// If false, all clocks show the time of the system.
#[inline]
pub(crate) fn is_any() -> bool {
    IS_ANY.load(Ordering::Relaxed)
}
