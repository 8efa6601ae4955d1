//! Running loops: how many worker loops still deliver I/O and timer events, and the end of all waits after the last of them.
//!
//! Called by the worker loop (`RunningLoop`), by `stand_in` (`block_in_place`) and by `Shared::close`.
//!
//! # Protocol
//! One word has the number of running loops and two flags, CLOSED and ENDED. A thread that waits for a timer, a descriptor
//! or a task needs a running loop, which delivers the event. Without one, nothing ends the wait by itself.
//! 1. A loop is counted before it begins, and again when its thread returns from `block_in_place` (`enter`).
//! 2. It is subtracted when it has ended, and before the closure of `block_in_place` runs (`exit`).
//! 3. A shutdown sets the phase, then CLOSED (`close`). A worker that sees the phase polls no further task.
//! 4. The first step 2 or 3 that leaves CLOSED set and no running loop sets ENDED and returns [`LoopAction::EndWaits`].
//! 5. The thread that took this step ends all waits (`Shared::end_waits`): timers panic, descriptors return an error, and tasks
//!    that no worker polls are cancelled.
//! 6. A step 2 that sees CLOSED, and is not the last, wakes one more parked worker, so that the others leave although this
//!    thread now waits (`LoopAction::WakeAnother`).
//!
//! # Invariants
//! - `ends-once`: ENDED is set by one step, in the same exchange that reads the number. It stays set.
//! - `end-is-not-lost`: each step changes the same word, so of the last `exit` and `close` the later one sees the other.
//! - `no-poll-after-close`: a worker whose `enter` saw CLOSED also sees the phase, and polls no task. So a task that is
//!   published before step 5 is cancelled there, and a later one is cancelled by the thread that spawns it.
//!
//! Two kinds of destructors need no rule of their own. One waits while its task is cancelled: a worker cancels tasks after its
//! loop has ended, so that loop is not counted then. The other blocks its thread without `block_in_place`.
//!
//! # Why not otherwise
//! If the waits ended only after the last worker has left, that worker could wait for itself. If they ended at the close, timers
//! would panic in tasks in the middle of a poll. Those tasks would be cancelled a moment later without a message.

use crate::primitives::atomic::{AtomicUsize, Ordering};

pub(super) const CLOSED: usize = 1 << (usize::BITS - 1);
const ENDED: usize = 1 << (usize::BITS - 2);
pub(super) const COUNT: usize = ENDED - 1;

/// The number of running loops, and whether the runtime has closed.
#[derive(Debug, Default)]
pub(crate) struct RunningLoops(pub(super) AtomicUsize);

/// What the thread that took a step does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum LoopAction {
    /// The runtime is open, so there is nothing to do.
    Continue,
    /// Wake one more parked worker (step 6).
    WakeAnother,
    /// End all waits (step 5).
    EndWaits,
}

impl RunningLoops {
    /// Step 1.
    pub(crate) fn enter(&self) {
        // AcqRel: `no-poll-after-close`: if this sees CLOSED, it sees the phase. Pairs with itself in `apply`.
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Step 2.
    pub(crate) fn exit(&self) -> LoopAction {
        self.apply(exited)
    }

    /// Step 3. May be called again.
    pub(crate) fn close(&self) -> LoopAction {
        self.apply(closed)
    }

    /// Steps 2 and 3 with 4, in one exchange (`ends-once`, `end-is-not-lost`).
    fn apply(&self, step: fn(usize) -> usize) -> LoopAction {
        let mut before = self.0.load(Ordering::Relaxed);
        loop {
            let (after, action) = ended(step(before));
            // AcqRel: the last step sees all that the other loops did, and each step sees what came before the close. Pairs
            // with itself and with `enter`.
            match self.0.compare_exchange_weak(before, after, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return action,
                Err(now) => before = now,
            }
        }
    }
}

fn exited(word: usize) -> usize {
    debug_assert!(word & COUNT > 0, "the caller's loop is counted");
    word - 1
}

fn closed(word: usize) -> usize {
    word | CLOSED
}

/// Step 4.
fn ended(word: usize) -> (usize, LoopAction) {
    if word & CLOSED == 0 {
        (word, LoopAction::Continue)
    } else if word & (COUNT | ENDED) == 0 {
        (word | ENDED, LoopAction::EndWaits)
    } else {
        (word, LoopAction::WakeAnother)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// All words with few workers, and every step from each.
    #[test]
    fn the_waits_end_exactly_at_the_first_step_that_leaves_no_running_loop_in_a_closed_runtime() {
        for count in 0..4_usize {
            for flags in [0, CLOSED, CLOSED | ENDED] {
                for (is_exit, step) in [(true, exited as fn(usize) -> usize), (false, closed)] {
                    if is_exit && count == 0 {
                        continue;
                    }
                    let left = count - usize::from(is_exit);
                    let is_closed = flags & CLOSED != 0 || !is_exit;
                    let has_ended = flags & ENDED != 0;
                    let (after, action) = ended(step(count | flags));
                    let is_last = is_closed && left == 0 && !has_ended;
                    assert_eq!(action == LoopAction::EndWaits, is_last, "{count} {flags:x} {is_exit}");
                    assert_eq!(action == LoopAction::Continue, !is_closed);
                    assert_eq!(after & COUNT, left);
                    assert_eq!(after & CLOSED != 0, is_closed);
                    assert_eq!(after & ENDED != 0, has_ended || is_last);
                }
            }
        }
    }
}
