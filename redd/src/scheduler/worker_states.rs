//! Which workers are active: for each slot whether its thread runs tasks, and how many do.
//!
//! Called by `worker`, `stand_in`, `thread_main` and `rescue`.
//!
//! ```text
//!            block                       mark_stalled (monitor)
//!  BLOCKED ◀──────── ACTIVE ───────────────────────────────────▶ STALLED
//!     │  ▲   unblock  ▲  ▲   clear_mark (monitor, or the worker itself)  │ │
//!     │  └────────────│──│────────────── block ───────────────────────│─┘
//!     └───────────────┘  └────────────────────────────────────────────┘
//! ```
//!
//! A worker sets BLOCKED itself (`block_in_place`); the monitor sets STALLED. Either way other workers take the task in its
//! LIFO slot and fire its timers, and the tasks that its thread wakes go to the injector.
//!
//! # Invariants
//! - `counted-once`: a slot that is not ACTIVE is missing from the count `active` once, whichever step took it out.
//! - `add-before-active`: the count is incremented before a word becomes ACTIVE again. Otherwise its worker could leave first and
//!   take the count below zero.
//! - `monitor-checks-last`: between the change of a word and that of the count, a worker that blocks or a spare that retires may
//!   rely on a worker that is not active. Only the monitor's own steps have such a gap. After them it reads the count and acts
//!   on it.
//! - `marked-late`: a mark may hit a worker that has just ended the poll. A spare that has retired meanwhile is then missing
//!   twice. The monitor compares the poll again after each mark and at each turn, and clears the mark.

use crate::primitives::atomic::{AtomicU8, AtomicUsize, Ordering};

const ACTIVE: u8 = 0;
const BLOCKED: u8 = 1;
const STALLED: u8 = 2;

/// The state of one slot.
#[derive(Debug)]
pub(crate) struct WorkerState(AtomicU8);

impl WorkerState {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(ACTIVE))
    }

    #[inline]
    pub(crate) fn is_active(&self) -> bool {
        self.0.load(Ordering::Relaxed) == ACTIVE
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.0.load(Ordering::Relaxed) == BLOCKED
    }

    pub(crate) fn is_stalled(&self) -> bool {
        self.0.load(Ordering::Relaxed) == STALLED
    }
}

/// All workers and spares of a runtime.
#[derive(Debug, Default)]
pub(crate) struct WorkerStates {
    active: AtomicUsize,
    /// Slots whose word is not ACTIVE. A hint for the workers that fire the timers of such slots.
    inactive: AtomicUsize,
}

impl WorkerStates {
    /// The number of threads that run tasks, or are parked until there are some.
    pub(crate) fn active(&self) -> usize {
        // Acquire: pairs with the Release half of the changes below.
        not_below_zero(self.active.load(Ordering::Acquire))
    }

    #[inline]
    pub(crate) fn has_inactive(&self) -> bool {
        self.inactive.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn join(&self, count: usize) {
        // AcqRel: the changes of this count pair with each other and with the Acquire in `active`.
        self.active.fetch_add(count, Ordering::AcqRel);
    }

    pub(crate) fn leave(&self) {
        // AcqRel: as in `join`.
        self.active.fetch_sub(1, Ordering::AcqRel);
    }

    /// The thread of this slot has ended in the middle of its work. The next thread of the slot is active.
    pub(crate) fn leave_slot(&self, state: &WorkerState) {
        // AcqRel: pairs with the exchanges below.
        if state.0.swap(ACTIVE, Ordering::AcqRel) == ACTIVE {
            self.leave();
        } else {
            self.inactive.fetch_sub(1, Ordering::Relaxed); // `counted-once`
        }
    }

    /// Retires a spare if more than `enough` workers are active. If true, it is no longer counted.
    pub(crate) fn try_retire(&self, enough: usize) -> bool {
        // In one step, or a worker that blocks between the check and the change would rely on this spare. AcqRel: as in `join`.
        let step = |active| (not_below_zero(active) > enough).then(|| active - 1);
        self.active.fetch_update(Ordering::AcqRel, Ordering::Relaxed, step).is_ok()
    }

    /// The worker of this slot is blocked. Returns how many are still active.
    pub(crate) fn block(&self, state: &WorkerState) -> usize {
        // AcqRel: pairs with the exchanges below: a mark that we see is counted, or the monitor checks again
        // (`monitor-checks-last`).
        if state.0.swap(BLOCKED, Ordering::AcqRel) == STALLED {
            return self.active(); // `counted-once`
        }
        self.inactive.fetch_add(1, Ordering::Relaxed);
        // AcqRel: as in `join`.
        not_below_zero(self.active.fetch_sub(1, Ordering::AcqRel).wrapping_sub(1))
    }

    /// The worker of this slot is active again.
    pub(crate) fn unblock(&self, state: &WorkerState) {
        self.join(1); // `add-before-active`
        self.inactive.fetch_sub(1, Ordering::Relaxed);
        // Release: pairs with the exchanges.
        state.0.store(ACTIVE, Ordering::Release);
    }

    /// Marks the worker as stalled; called by the monitor. False if it is blocked, or marked already.
    pub(crate) fn mark_stalled(&self, state: &WorkerState) -> bool {
        // AcqRel: pairs with `block`.
        let marked = state.0.compare_exchange(ACTIVE, STALLED, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if marked {
            self.inactive.fetch_add(1, Ordering::Relaxed);
            self.leave(); // `counted-once`
        }
        marked
    }

    /// Clears the mark. False if the worker is blocked now, or another thread has cleared the mark.
    pub(crate) fn clear_mark(&self, state: &WorkerState) -> bool {
        if !state.is_stalled() {
            return false;
        }
        self.join(1); // `add-before-active`
        // AcqRel: pairs with `block`.
        let unmarked = state.0.compare_exchange(STALLED, ACTIVE, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if unmarked {
            self.inactive.fetch_sub(1, Ordering::Relaxed);
        } else {
            self.leave();
        }
        unmarked
    }
}

/// A count that is one short (`marked-late`) may be below zero for a moment, and is read as 0.
fn not_below_zero(active: usize) -> usize {
    if active > isize::MAX as usize { 0 } else { active }
}

/// Counts one more thread that is to leave before the runtime ends, unless it has ended.
pub(crate) fn join_unless_ended(alive: &AtomicUsize) -> bool {
    // AcqRel: pairs with the decrement in `leave::leave`. In one step: otherwise the last thread could leave in between, and the
    // runtime would end twice.
    let one_more = |alive| (alive > 0).then_some(alive + 1);
    alive.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more).is_ok()
}
