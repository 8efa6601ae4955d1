//! Spare workers that wait: which can be called, and which slots they have.
//!
//! The standby is a thread that has not run user code (`start`: `one-ahead`). When it is called, it first starts the next standby
//! and then becomes a spare. A spare that is no longer needed waits for a limited time, and is called before the standby is.
//!
//! Called by `stand_in` (call), by `thread_main` (arrive, wait) and by `leave`.
//!
//! # Invariants
//! - `called-or-requested`: a call that finds no waiting spare leaves a request. It does so under the lock under which the next
//!   standby checks for requests before it waits. So either the call finds the standby or the standby finds the request.
//! - `closed-under-lock`: a thread checks under that lock whether the runtime has closed before it waits. The shutdown first
//!   closes and then empties the list of waiting spares under the lock, so no thread is left waiting.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::parker::Parker;

/// How often a spare that is parked among the workers checks whether it may retire. Not measured.
pub(super) const RETIRE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A thread that waits to be called as a spare.
#[derive(Debug, Default)]
pub(crate) struct ParkedSpare {
    pub(super) parker: Parker,
    /// For a standby that has been called: its slot plus one, or 0 if it is to end.
    slot: AtomicUsize,
}

/// The result of a call for a spare.
#[derive(Debug)]
pub(super) enum Started {
    /// A spare runs, or is about to run.
    Yes,
    /// As many spares as allowed run already.
    BoundHit,
    /// The system refuses a thread.
    Refused(io::Error),
    /// The runtime has ended.
    Closed,
}

/// Spare workers: those that wait for a call, and how many run.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    /// The slots that no spare uses, counted from the first spare's slot.
    pub(super) free_slots: BTreeSet<usize>,
    /// The slot of the standby, from before its start until it is called.
    reserved_slot: Option<usize>,
    pub(super) made: usize,
    /// The number of spares that do not wait, now and at most.
    pub(crate) running: usize,
    pub(crate) running_max: usize,
    /// The spares that have run and are not needed now.
    pub(super) parked: Vec<Arc<ParkedSpare>>,
    /// The thread that has not run user code (`one-ahead` of `start`).
    pub(super) standby: Option<Arc<ParkedSpare>>,
    /// Calls that found no waiting spare. The next standby serves one of them and does not wait.
    pub(super) requested: usize,
}

/// The result of [`Spares::call`].
#[derive(Debug)]
pub(super) enum Called {
    Parked(Arc<ParkedSpare>),
    /// Its slot is this one.
    Standby(Arc<ParkedSpare>, usize),
    /// `called-or-requested`
    NoneWaiting,
    BoundHit,
}

impl Spares {
    /// Takes a spare to run, unless `bound` of them run.
    pub(super) fn call(&mut self, bound: usize) -> Called {
        if self.running >= bound {
            return Called::BoundHit;
        }
        if let Some(parked_spare) = self.parked.pop() {
            self.count_in();
            return Called::Parked(parked_spare);
        }
        match self.standby.take() {
            Some(parked_spare) => Called::Standby(parked_spare, self.take_slot()),
            None => {
                // The monitor calls again each turn, so its requests must not add up beyond its bound. The other requests stay.
                if self.running + self.requested < bound {
                    self.requested += 1;
                }
                Called::NoneWaiting
            }
        }
    }

    /// A standby has arrived. If there is a request and a worker is missing, returns its slot. Otherwise it waits.
    pub(super) fn arrive(
        &mut self,
        parked_spare: &Arc<ParkedSpare>,
        is_missing: bool,
        slots_max: usize,
    ) -> Option<usize> {
        // A spare that has retired since the call keeps its slot.
        if self.requested > 0 && is_missing && self.running + self.parked.len() < slots_max {
            self.requested -= 1;
            return Some(self.take_slot());
        }
        self.requested = 0;
        debug_assert!(self.standby.is_none(), "`one-ahead`: a standby starts its successor after it was called");
        self.standby = Some(Arc::clone(parked_spare));
        None
    }

    /// Takes the standby, which is to end.
    pub(super) fn take_standby(&mut self) -> Option<Arc<ParkedSpare>> {
        self.standby.take()
    }

    fn count_in(&mut self) {
        self.running += 1;
        self.running_max = self.running_max.max(self.running);
    }

    pub(super) fn take_slot(&mut self) -> usize {
        self.count_in();
        self.reserved_slot.take().unwrap_or_else(|| self.free_slot())
    }

    /// The slot that the standby will have when it is called, for its name. It is the first one that is free. While all are in use,
    /// `slots_max` is returned: the standby will get the slot that is given back first, and its name has a number of its own.
    pub(super) fn reserve_slot(&mut self, slots_max: usize) -> usize {
        if self.reserved_slot.is_none() && (!self.free_slots.is_empty() || self.made < slots_max) {
            self.reserved_slot = Some(self.free_slot());
        }
        self.reserved_slot.unwrap_or(slots_max)
    }

    fn free_slot(&mut self) -> usize {
        // As many slots are made as may run, so there is one.
        self.free_slots.pop_first().unwrap_or_else(|| {
            self.made += 1;
            self.made - 1
        })
    }

    /// A spare no longer runs. Its slot is free for the next one.
    pub(super) fn give_back(&mut self, slot: usize) {
        self.running -= 1;
        self.free_slots.insert(slot);
    }
}

impl ParkedSpare {
    /// Calls a standby to a slot, or to its end.
    pub(super) fn call(&self, slot: Option<usize>) {
        // Release: pairs with the Acquire in `wait`.
        self.slot.store(slot.map_or(0, |slot| slot + 1), Ordering::Release);
        self.parker.unpark();
    }

    /// The slot that a standby is called to; `None` if it is to end.
    pub(super) fn wait(&self) -> Option<usize> {
        self.parker.park();
        // Acquire: pairs with the Release in `call`.
        self.slot.load(Ordering::Acquire).checked_sub(1)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn parked_spare() -> Arc<ParkedSpare> {
        Arc::new(ParkedSpare::default())
    }

    #[test]
    fn a_call_finds_a_spare_that_has_run_before_the_standby() {
        let mut spares = Spares::default();
        assert_eq!(spares.arrive(&parked_spare(), true, 8), None, "nothing has called");
        assert!(matches!(spares.call(8), Called::Standby(_, 0)));
        assert_eq!(spares.arrive(&parked_spare(), true, 8), None);
        spares.running -= 1;
        spares.parked.push(parked_spare());
        assert!(matches!(spares.call(8), Called::Parked(_)));
        assert!(matches!(spares.call(8), Called::Standby(_, 1)));
        assert_eq!((spares.running, spares.running_max), (2, 2));
    }

    #[test]
    fn a_call_that_finds_no_spare_is_for_the_next_standby_if_a_worker_is_still_missing() {
        let mut spares = Spares::default();
        assert!(matches!(spares.call(8), Called::NoneWaiting));
        assert!(matches!(spares.call(8), Called::NoneWaiting));
        assert_eq!(spares.arrive(&parked_spare(), true, 8), Some(0));
        assert_eq!(spares.arrive(&parked_spare(), false, 8), None);
        assert_eq!(spares.requested, 0, "the missing workers have returned");
        assert!(spares.standby.is_some());
    }

    #[test]
    fn a_standby_gets_the_slot_that_was_reserved_for_its_name() {
        let mut spares = Spares::default();
        assert_eq!((spares.reserve_slot(2), spares.reserve_slot(2)), (0, 0), "its start was refused once");
        spares.arrive(&parked_spare(), true, 2);
        assert!(matches!(spares.call(2), Called::Standby(_, 0)));
        assert_eq!(spares.reserve_slot(2), 1);
        spares.arrive(&parked_spare(), true, 2);
        spares.give_back(0);
        assert!(matches!(spares.call(2), Called::Standby(_, 1)), "although slot 0 is free again");
        assert_eq!(spares.reserve_slot(2), 0);
        spares.arrive(&parked_spare(), true, 2);
        assert!(matches!(spares.call(2), Called::Standby(_, 0)));
        assert_eq!(spares.reserve_slot(2), 2, "all are in use");
        spares.arrive(&parked_spare(), true, 2);
        spares.give_back(1);
        assert!(matches!(spares.call(2), Called::Standby(_, 1)));
    }

    #[test]
    fn repeated_calls_request_no_more_than_their_bound_and_withdraw_no_request() {
        let mut spares = Spares::default();
        for (bound, requested) in [(1, 1), (1, 1), (8, 2), (8, 3), (1, 3), (2, 3)] {
            assert!(matches!(spares.call(bound), Called::NoneWaiting));
            assert_eq!(spares.requested, requested, "bound {bound}");
        }
    }

    #[test]
    fn no_more_spares_run_than_the_bound_and_no_more_slots_are_used_than_there_are() {
        let mut spares = Spares::default();
        assert!(matches!(spares.call(0), Called::BoundHit));
        assert!(matches!(spares.call(1), Called::NoneWaiting));
        assert!(matches!(spares.call(1), Called::NoneWaiting));
        assert_eq!(spares.arrive(&parked_spare(), true, 1), Some(0));
        assert!(matches!(spares.call(1), Called::BoundHit));
        assert_eq!(spares.arrive(&parked_spare(), true, 1), None, "the only slot is taken");
        spares.give_back(0);
        assert!(matches!(spares.call(1), Called::Standby(_, 0)));
    }
}
