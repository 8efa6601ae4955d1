//! Wakes parked workers.
//!
//! Called after a push to the injector or to a run queue, by timers, by the monitor and by a shutdown. The protocol is in
//! PARKING.md.

use super::idle::{self, WakeAction};
use super::shared::Shared;

impl Shared {
    /// Wakes a worker for work that was published where a worker checks before it sleeps: a task, a deadline, a woken root.
    pub(crate) fn wake_worker_after_publish(&self) {
        idle::fence_after_publish();
        self.wake_worker();
    }

    /// Offers work that the caller has, or has left in the driver, to a parked worker. Without rescue, a worker that is about to park sees them (step 2 of
    /// PARKING.md), because the caller may block in its next poll (`nothing-behind` of `park`).
    #[inline]
    pub(super) fn offer(&self) {
        if !self.config.rescue.is_on() {
            idle::fence_after_publish();
        }
        self.wake_worker();
    }

    /// Wakes a worker at the event count. If none waits there, leaves the token in the driver.
    pub(crate) fn wake_sleeper(&self) {
        if !self.parking.event_count.notify_one() {
            self.parts.driver.wake();
        }
    }

    /// Wakes a parked worker so that it leaves. Called after the phase became CLOSED, and by each worker that leaves: one token
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

    /// If no worker waits in the driver and one sleeps at the event count, wakes that one, so that it takes the driver lease.
    pub(crate) fn ensure_driver_polled(&self) {
        if self.parking.needs_lease_holder() {
            // Regardless of the idle word: a token may be in the driver, and like the events it is not seen.
            self.parking.event_count.notify_one();
        }
    }

    /// Wakes a parked worker, unless a wake-up is in flight or a worker searches.
    #[inline]
    pub(crate) fn wake_worker(&self) {
        self.apply(self.idle.wake_one());
    }

    /// Performs the action that a step of the idle word has returned.
    #[inline]
    pub(crate) fn apply(&self, action: WakeAction) {
        match action {
            WakeAction::WriteToken => self.wake_sleeper(),
            WakeAction::Nothing => {}
        }
    }
}
