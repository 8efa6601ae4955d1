//! Who serves: for each slot whether its thread runs tasks, and how many do.
//!
//! Called by `worker`, `spares` and `rescue`.
//!
//! ```text
//!            block                       mark_stuck (monitor)
//!  BLOCKED ◀──────── SERVING ───────────────────────────────────▶ STUCK
//!     │  ▲   unblock  ▲  ▲   unmark (monitor, or the worker itself)  │ │
//!     │  └────────────│──│────────────── block ───────────────────────│─┘
//!     └───────────────┘  └────────────────────────────────────────────┘
//! ```
//!
//! BLOCKED is what a worker says of itself (`block_in_place`), STUCK is what the monitor thinks of it. Either way others
//! take tasks from its next-slot and fire its timers, and what its thread wakes goes to the injector.
//!
//! # Invariants
//! - `counted-once`: a slot that is not SERVING is missing from `serving` once, whoever took it out.
//! - `add-before-serving`: the count grows before a word says SERVING again, or its worker could leave and take the count
//!   below zero.
//! - `monitor-looks-last`: between a word and the count there is a moment in which a worker that blocks, or a spare that
//!   retires, relies on one that does not serve. Only the monitor's own steps make such a moment, and after them it
//!   reads the count and acts on it.
//! - `marked-late`: a mark may hit a worker that has just come out of the poll, and a spare that has retired meanwhile then
//!   is missing twice. The monitor looks at the poll again after each mark and at each turn, and takes the mark back.

use crate::primitives::atomic::{AtomicU8, AtomicUsize, Ordering};

const SERVING: u8 = 0;
const BLOCKED: u8 = 1;
const STUCK: u8 = 2;

/// One slot's word.
#[derive(Debug)]
pub(crate) struct Standing(AtomicU8);

impl Standing {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(SERVING))
    }

    #[inline]
    pub(crate) fn is_serving(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SERVING
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.0.load(Ordering::Relaxed) == BLOCKED
    }

    pub(crate) fn is_stuck(&self) -> bool {
        self.0.load(Ordering::Relaxed) == STUCK
    }
}

/// All workers and spares of a runtime.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    serving: AtomicUsize,
    /// Slots whose word is not SERVING; a hint for those who look after their wheels.
    away: AtomicUsize,
}

impl Roster {
    /// How many threads run tasks, or sleep until there are some.
    pub(crate) fn serving(&self) -> usize {
        // Acquire: pairs with the Release half of the changes below.
        not_below_zero(self.serving.load(Ordering::Acquire))
    }

    #[inline]
    pub(crate) fn has_away(&self) -> bool {
        self.away.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn join(&self, count: usize) {
        // AcqRel: the changes of this count pair with each other and with the Acquire in `serving`.
        self.serving.fetch_add(count, Ordering::AcqRel);
    }

    pub(crate) fn leave(&self) {
        // AcqRel: as in `join`.
        self.serving.fetch_sub(1, Ordering::AcqRel);
    }

    /// The thread of this slot has ended in the middle of its work; the slot's next one serves.
    pub(crate) fn leave_slot(&self, standing: &Standing) {
        // AcqRel: pairs with the exchanges below.
        if standing.0.swap(SERVING, Ordering::AcqRel) == SERVING {
            self.leave();
        } else {
            self.away.fetch_sub(1, Ordering::Relaxed); // `counted-once`
        }
    }

    /// A spare goes when enough others serve. If true, it does not count any more.
    pub(crate) fn try_retire(&self, enough: usize) -> bool {
        // In one step, or a worker that blocks between look and count would rely on this spare. AcqRel: as in `join`.
        let step = |serving| (not_below_zero(serving) > enough).then(|| serving - 1);
        self.serving.fetch_update(Ordering::AcqRel, Ordering::Relaxed, step).is_ok()
    }

    /// The worker of this slot stops to serve. Answers how many still do.
    pub(crate) fn block(&self, standing: &Standing) -> usize {
        // AcqRel: pairs with the exchanges below: a mark that we see is counted, or its monitor looks again
        // (`monitor-looks-last`).
        if standing.0.swap(BLOCKED, Ordering::AcqRel) == STUCK {
            return self.serving(); // `counted-once`
        }
        self.away.fetch_add(1, Ordering::Relaxed);
        // AcqRel: as in `join`.
        not_below_zero(self.serving.fetch_sub(1, Ordering::AcqRel).wrapping_sub(1))
    }

    /// And serves again.
    pub(crate) fn unblock(&self, standing: &Standing) {
        self.join(1); // `add-before-serving`
        self.away.fetch_sub(1, Ordering::Relaxed);
        // Release: pairs with the exchanges.
        standing.0.store(SERVING, Ordering::Release);
    }

    /// The monitor finds that the worker does not serve. False: it said so itself, or is marked already.
    pub(crate) fn mark_stuck(&self, standing: &Standing) -> bool {
        // AcqRel: pairs with `block`.
        let marked = standing.0.compare_exchange(SERVING, STUCK, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if marked {
            self.away.fetch_add(1, Ordering::Relaxed);
            self.leave(); // `counted-once`
        }
        marked
    }

    /// The worker is back. False: it is blocked now, or someone was faster.
    pub(crate) fn unmark(&self, standing: &Standing) -> bool {
        if !standing.is_stuck() {
            return false;
        }
        self.join(1); // `add-before-serving`
        // AcqRel: pairs with `block`.
        let unmarked = standing.0.compare_exchange(STUCK, SERVING, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if unmarked {
            self.away.fetch_sub(1, Ordering::Relaxed);
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
