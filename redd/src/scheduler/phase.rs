//! The phase of a runtime's shutdown, in one word that the loop loads before each poll.
//!
//! Called by the loop in `worker`, by a shutdown, by spawns and by the monitor.
//!
//! ```text
//!   open ──start_draining──▶ draining ──close──▶ closed
//!    └──────────────────close───────────────────────┘
//! ```

use crate::primitives::atomic::{AtomicU8, Ordering};

const OPEN: u8 = 0;
/// Only tasks and closures of the runtime may start more work.
const DRAINING: u8 = 1;
const CLOSED: u8 = 2;
/// The monitor has marked a worker as stalled. The flag is here because the loop loads this word before each poll.
const HAS_STALLED: u8 = 4;

/// See the module page.
#[derive(Debug)]
pub(super) struct Phase(AtomicU8);

/// Whether work that is started now is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepts {
    All,
    /// Only from tasks and closures of this runtime.
    FromItself,
    Nothing,
}

impl Phase {
    pub(super) fn new() -> Self {
        Self(AtomicU8::new(OPEN))
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        // Acquire: pairs with the Release in `close`.
        self.0.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Whether the loop has to do more than poll the next task.
    #[inline]
    pub(super) fn is_closed_or_stalled(&self) -> bool {
        // Acquire: pairs with the Release in `close`.
        self.0.load(Ordering::Acquire) & (CLOSED | HAS_STALLED) != 0
    }

    #[inline]
    pub(super) fn accepts(&self) -> Accepts {
        // Acquire: pairs with the Release in `close`.
        let phase = self.0.load(Ordering::Acquire);
        if phase == OPEN {
            Accepts::All
        } else if phase & CLOSED != 0 {
            Accepts::Nothing
        } else if phase & DRAINING != 0 {
            Accepts::FromItself
        } else {
            Accepts::All
        }
    }

    /// Only the monitor calls this. The flag is a hint: the worker re-checks its own state.
    pub(super) fn set_has_stalled(&self, has_stalled: bool) {
        let phase = self.0.load(Ordering::Relaxed);
        if has_stalled && phase & HAS_STALLED == 0 {
            self.0.fetch_or(HAS_STALLED, Ordering::Relaxed);
        } else if !has_stalled && phase & HAS_STALLED != 0 {
            self.0.fetch_and(!HAS_STALLED, Ordering::Relaxed);
        }
    }

    pub(super) fn start_draining(&self) {
        // Relaxed: it publishes nothing, and a concurrent spawn counts as an earlier one.
        self.0.fetch_or(DRAINING, Ordering::Relaxed);
    }

    /// Idempotent.
    pub(super) fn close(&self) {
        // Release: pairs with the Acquire in `is_closed`, `is_closed_or_stalled` and `accepts`.
        self.0.fetch_or(CLOSED, Ordering::Release);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn every_word_accepts_what_its_phase_permits_whether_a_worker_is_stalled_or_not() {
        for word in 0..8_u8 {
            let phase = Phase(AtomicU8::new(word));
            let expected = match word & (CLOSED | DRAINING) {
                0 => Accepts::All,
                DRAINING => Accepts::FromItself,
                _ => Accepts::Nothing,
            };
            assert_eq!(phase.accepts(), expected, "{word:03b}");
            assert_eq!(phase.is_closed(), expected == Accepts::Nothing);
            assert_eq!(phase.is_closed_or_stalled(), phase.is_closed() || word & HAS_STALLED != 0);
            for has_stalled in [true, false] {
                phase.set_has_stalled(has_stalled);
                assert_eq!(phase.is_closed_or_stalled(), phase.is_closed() || has_stalled, "{word:03b}");
                assert_eq!(phase.accepts(), expected, "the flag is apart from the phase");
            }
        }
    }
}
