//! Who serves: for each slot whether its thread runs tasks, and how many do.
//!
//! Called by `worker`, `spares` and `rescue`.
//!
//! ```text
//!            block                       mark_stalled (monitor)
//!  BLOCKED ◀──────── ACTIVE ───────────────────────────────────▶ STALLED
//!     │  ▲   unblock  ▲  ▲   clear_mark (monitor, or the worker itself)  │ │
//!     │  └────────────│──│────────────── block ───────────────────────│─┘
//!     └───────────────┘  └────────────────────────────────────────────┘
//! ```
//!
//! BLOCKED is what a worker says of itself (`block_in_place`), STALLED is what the monitor thinks of it. Either way others
//! take tasks from its next-slot and fire its timers, and what its thread wakes goes to the injector.
//!
//! # Invariants
//! - `counted-once`: a slot that is not ACTIVE is missing from `serving` once, whoever took it out.
//! - `add-before-active`: the count grows before a word says ACTIVE again, or its worker could leave and take the count
//!   below zero.
//! - `monitor-looks-last`: between a word and the count there is a moment in which a worker that blocks, or a spare that
//!   retires, relies on one that does not serve. Only the monitor's own steps make such a moment, and after them it
//!   reads the count and acts on it.
//! - `marked-late`: a mark may hit a worker that has just come out of the poll, and a spare that has retired meanwhile then
//!   is missing twice. The monitor looks at the poll again after each mark and at each turn, and takes the mark back.

use crate::primitives::atomic::{AtomicU8, AtomicUsize, Ordering};

const ACTIVE: u8 = 0;
const BLOCKED: u8 = 1;
const STALLED: u8 = 2;

/// One slot's word.
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
    /// Slots whose word is not ACTIVE; a hint for those who look after their wheels.
    inactive: AtomicUsize,
}

impl WorkerStates {
    /// How many threads run tasks, or sleep until there are some.
    pub(crate) fn active(&self) -> usize {
        // Acquire: pairs with the Release half of the changes below.
        not_below_zero(self.active.load(Ordering::Acquire))
    }

    #[inline]
    pub(crate) fn has_inactive(&self) -> bool {
        self.inactive.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn join(&self, count: usize) {
        // AcqRel: the changes of this count pair with each other and with the Acquire in `serving`.
        self.active.fetch_add(count, Ordering::AcqRel);
    }

    pub(crate) fn leave(&self) {
        // AcqRel: as in `join`.
        self.active.fetch_sub(1, Ordering::AcqRel);
    }

    /// The thread of this slot has ended in the middle of its work; the slot's next one serves.
    pub(crate) fn leave_slot(&self, state: &WorkerState) {
        // AcqRel: pairs with the exchanges below.
        if state.0.swap(ACTIVE, Ordering::AcqRel) == ACTIVE {
            self.leave();
        } else {
            self.inactive.fetch_sub(1, Ordering::Relaxed); // `counted-once`
        }
    }

    /// A spare goes when enough others serve. If true, it does not count any more.
    pub(crate) fn try_retire(&self, enough: usize) -> bool {
        // In one step, or a worker that blocks between look and count would rely on this spare. AcqRel: as in `join`.
        let step = |serving| (not_below_zero(serving) > enough).then(|| serving - 1);
        self.active.fetch_update(Ordering::AcqRel, Ordering::Relaxed, step).is_ok()
    }

    /// The worker of this slot stops to serve. Answers how many still do.
    pub(crate) fn block(&self, state: &WorkerState) -> usize {
        // AcqRel: pairs with the exchanges below: a mark that we see is counted, or its monitor looks again
        // (`monitor-looks-last`).
        if state.0.swap(BLOCKED, Ordering::AcqRel) == STALLED {
            return self.active(); // `counted-once`
        }
        self.inactive.fetch_add(1, Ordering::Relaxed);
        // AcqRel: as in `join`.
        not_below_zero(self.active.fetch_sub(1, Ordering::AcqRel).wrapping_sub(1))
    }

    /// And serves again.
    pub(crate) fn unblock(&self, state: &WorkerState) {
        self.join(1); // `add-before-active`
        self.inactive.fetch_sub(1, Ordering::Relaxed);
        // Release: pairs with the exchanges.
        state.0.store(ACTIVE, Ordering::Release);
    }

    /// The monitor finds that the worker does not serve. False: it said so itself, or is marked already.
    pub(crate) fn mark_stalled(&self, state: &WorkerState) -> bool {
        // AcqRel: pairs with `block`.
        let marked = state.0.compare_exchange(ACTIVE, STALLED, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if marked {
            self.inactive.fetch_add(1, Ordering::Relaxed);
            self.leave(); // `counted-once`
        }
        marked
    }

    /// The worker is back. False: it is blocked now, or someone was faster.
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

/// A count that is one short (`marked-late`) is none for a moment.
fn not_below_zero(serving: usize) -> usize {
    if serving > isize::MAX as usize { 0 } else { serving }
}

/// One more thread that is to leave before the runtime ends, unless it has: then nobody is needed.
pub(crate) fn join_unless_ended(alive: &AtomicUsize) -> bool {
    // AcqRel: pairs with the decrement in `worker::leave`. In one step, or the last one would leave in between, and the
    // runtime end twice.
    let one_more = |alive| (alive > 0).then_some(alive + 1);
    alive.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more).is_ok()
}
