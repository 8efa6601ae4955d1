//! Where parked workers sleep: one in the driver, where events wake it, and the others at an event count, where only work wakes
//! them.
//!
//! Called by `park` (sleep), by `Shared::wake_sleeper`, and by the monitor.
//!
//! # Invariants
//! - `one-lease`: the worker that sleeps in the driver holds the driver lease. A worker that finds the lease taken sleeps at the
//!   event count. The holder is either in the driver or awake, and releases the lease before it runs a task. So if all
//!   workers sleep, one of them holds the lease: the last that released it, or one that took it after that.
//!
//! # Why not otherwise
//! All parked workers could sleep in the epoll. Then each packet that arrives while one worker is busy wakes another one for a
//! single event. The first would have taken it a moment later, together with the next five. That was 436 context switches per
//! 1000 requests of 64 connections; this design makes fewer than half of that.
//!
//! The advantage of that design was that events are seen while a worker is busy. This design does that in another way. A worker
//! whose polls are long makes a parked worker take the lease (`Worker::poll_driver_and_timers`). So does the monitor when a
//! worker is stalled and the lease is free. Decision 0009.

use crate::primitives::atomic::{AtomicBool, Ordering};
use crate::primitives::event_count::EventCount;

/// The event count and the driver lease.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    is_driver_leased: AtomicBool,
    pub(super) event_count: EventCount,
}

/// The right to sleep in the driver. Dropping it releases the lease.
pub(super) struct DriverLease<'a>(&'a Parking);

impl Parking {
    /// Takes the lease if it is free (`one-lease`).
    pub(super) fn try_lease_driver(&self) -> Option<DriverLease<'_>> {
        // Acquire: pairs with the Release in `DriverLease::drop`.
        // A closure: a lease that is made although another worker has it would release that one when it is dropped.
        (!self.is_driver_leased.swap(true, Ordering::Acquire)).then(|| DriverLease(self))
    }

    pub(super) fn is_driver_leased(&self) -> bool {
        self.is_driver_leased.load(Ordering::Relaxed)
    }

    /// Whether no worker waits for events although a parked one could.
    pub(super) fn needs_lease_holder(&self) -> bool {
        !self.is_driver_leased() && self.event_count.has_waiters()
    }
}

impl Drop for DriverLease<'_> {
    fn drop(&mut self) {
        // Release: what this worker did in the driver comes before what the next holder does there. Pairs with the Acquire
        // in `Parking::try_lease_driver`.
        self.0.is_driver_leased.store(false, Ordering::Release);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_does_not_get_the_lease_leaves_it_to_the_holder() {
        let parking = Parking::default();
        let lease = parking.try_lease_driver().expect("it is free");
        for _ in 0..2 {
            assert!(parking.try_lease_driver().is_none(), "`one-lease`");
        }
        assert!(parking.is_driver_leased());
        drop(lease);
        assert!(parking.try_lease_driver().is_some());
    }
}
