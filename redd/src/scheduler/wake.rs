//! Wakes parked workers.
//!
//! Called after a push to the injector or to a run queue, by timers, by the monitor and by a shutdown. The protocol is in
//! PARKING.md.

use super::idle::{self, WakeAction};
use super::shared::Shared;

impl Shared {
    /// Wakes a worker for what was pushed where parked workers look before they sleep.
    pub(crate) fn wake_worker_after_publish(&self) {
        idle::fence_after_publish();
        self.wake_worker();
    }

    /// Wakes a worker at the event count, or leaves the token in the driver.
    pub(crate) fn wake_sleeper(&self) {
        if !self.parking.event_count.notify_one() {
            self.parts.driver.wake();
        }
    }

    /// Wakes a parked worker so that it leaves. Called after the phase became CLOSED, and by each worker that leaves, as one token
    /// wakes one worker.
    pub(crate) fn wake_to_leave(&self) {
        idle::fence_after_publish();
        if self.idle.load().sleepers > 0 {
            self.wake_sleeper();
        }
    }

    /// Whether active workers are awake. A snapshot.
    pub(crate) fn has_others_awake(&self) -> bool {
        usize::from(self.idle.load().sleepers) < self.workers.states.active()
    }

    /// If no worker waits in the driver and one sleeps at the event count, makes that one take the driver lease.
    pub(crate) fn ensure_driver_polled(&self) {
        if self.parking.needs_lease_holder() {
            // Whatever the idle word says: a token may be in the driver, unseen like the events.
            self.parking.event_count.notify_one();
        }
    }

    /// Wakes a parked worker, unless a wake-up is on its way or a worker searches.
    #[inline]
    pub(crate) fn wake_worker(&self) {
        self.apply(self.idle.wake_one());
    }

    /// Does what a step of the idle word asks for.
    #[inline]
    pub(crate) fn apply(&self, action: WakeAction) {
        match action {
            WakeAction::WriteToken => self.wake_sleeper(),
            WakeAction::Nothing => {}
        }
    }
}
