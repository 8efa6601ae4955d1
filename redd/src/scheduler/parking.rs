//! Where sleeping workers sleep: one in the driver, where events wake it, the others by a bell that only rings for work.
//!
//! Called by `worker` (sleep), by `Shared::wake_sleeper`, and by the monitor.
//!
//! # Invariants
//! - `one-lease`: the worker that sleeps in the driver holds the watch. Who finds it taken sleeps by the bell; whoever
//!   holds it is either in the driver or awake, and gives it back before it runs anything. So if all workers sleep, one of
//!   them watches: the last that gave it back, or who took it after that.
//!
//! # Why not otherwise
//! All sleepers in the epoll: each packet that comes while one worker is at work wakes another one for a single event,
//! although the first would have taken it a moment later together with the next five. That was 436 context switches per
//! 1000 requests of 64 connections, where this makes fewer than half. What it bought, that events are seen while a worker
//! is busy, is kept otherwise: a worker whose polls are long wakes one to watch (`Worker::poll_driver_and_timers`), and so does the
//! monitor when a worker is stuck and nobody watches. Decision 0009.

use crate::primitives::atomic::{AtomicBool, Ordering};
use crate::primitives::event_count::EventCount;

/// See the module page.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    is_driver_leased: AtomicBool,
    pub(super) event_count: EventCount,
}

/// This worker may sleep in the driver while it has this.
pub(super) struct DriverLease<'a>(&'a Parking);

impl Parking {
    /// The right to sleep in the driver, if nobody has it (`one-lease`).
    pub(super) fn try_lease_driver(&self) -> Option<DriverLease<'_>> {
        // Acquire: pairs with the Release in `DriverLease::drop`.
        (!self.is_driver_leased.swap(true, Ordering::Acquire)).then_some(DriverLease(self))
    }

    pub(super) fn is_driver_leased(&self) -> bool {
        self.is_driver_leased.load(Ordering::Relaxed)
    }

    /// Whether events go unseen although a worker sleeps that could wait for them.
    pub(super) fn needs_lease_holder(&self) -> bool {
        !self.is_driver_leased() && self.event_count.has_waiters()
    }
}

impl Drop for DriverLease<'_> {
    fn drop(&mut self) {
        // Release: what was done in the driver comes before what the next one does there. Pairs with the Acquire in
        // `Parking::try_lease_driver`.
        self.0.is_driver_leased.store(false, Ordering::Release);
    }
}
