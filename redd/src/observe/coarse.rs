//! The coarse clock of the process: milliseconds since its first runtime was built, for ages in dumps and reports.
//!
//! Read where a wait begins. It is real time, also while a test has paused the clock of a runtime.

use std::sync::OnceLock;
use std::time::Instant;

use crate::primitives::atomic::{Ordering, fixed};
use crate::primitives::cache_padded::CachePadded;
use crate::primitives::clock;

/// On a cache line of its own: it is read at each poll of each task.
static NOW_MS: CachePadded<fixed::AtomicU32> = CachePadded(fixed::AtomicU32::new(0));

/// The current time. It wraps around after 49 days.
#[inline]
pub(crate) fn now_ms() -> u32 {
    NOW_MS.0.load(Ordering::Relaxed)
}

/// Brings the clock up to date.
pub(crate) fn refresh() {
    static START: OnceLock<Instant> = OnceLock::new();
    let now = clock::now();
    let passed = now.saturating_duration_since(*START.get_or_init(|| now));
    NOW_MS.0.store(passed.as_millis() as u32, Ordering::Relaxed);
}
