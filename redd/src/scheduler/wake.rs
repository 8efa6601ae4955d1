//! Wakes parked workers: what the idle word says is to be done, done.
//!
//! Called after a push to the injector or to a run queue, by timers, by the monitor and by a shutdown. The protocol is in
//! PARKING.md.

use super::Shared;
use super::idle::{self, WakeAction};

impl Shared {
    /// After something was put where sleeping workers look.
    pub(crate) fn wake_worker_for_injected(&self) {
        idle::after_remote_push();
        self.wake_worker();
    }

    /// Wakes one that sleeps by the bell, or leaves the token in the driver.
    pub(crate) fn wake_sleeper(&self) {
        if !self.parking.event_count.notify_one() {
            self.driver.wake();
        }
    }

    /// After the phase became CLOSED: whoever sleeps is to see that. Who leaves calls it too, for one token wakes one sleeper.
    pub(crate) fn wake_to_leave(&self) {
        idle::after_remote_push();
        if self.idle.load().sleepers > 0 {
            self.wake_sleeper();
        }
    }

    /// Whether workers serve that do not sleep. A moment's view.
    pub(crate) fn has_others_awake(&self) -> bool {
        usize::from(self.idle.load().sleepers) < self.workers.states.active()
    }

    /// If events go unseen while a worker sleeps by the bell: it next sleeps in the driver.
    pub(crate) fn ensure_driver_polled(&self) {
        if self.parking.needs_lease_holder() {
            // Whatever the word says: a token may lie in the driver, unseen like the events.
            self.parking.event_count.notify_one();
        }
    }

    /// Wakes a parked worker, unless one is on its way already.
    #[inline]
    pub(crate) fn wake_worker(&self) {
        self.apply(self.idle.wake_one());
    }

    /// What the idle word says is to be done.
    #[inline]
    pub(crate) fn apply(&self, answer: WakeAction) {
        match answer {
            WakeAction::WriteToken => self.wake_sleeper(),
            WakeAction::Nothing => {}
        }
    }
}
