//! The director of a world: one thread that acts at given times and whenever all other threads wait.
//!
//! Called by `steer` for the script of a world, and by `world` when no thread can run.
//!
//! # Invariants
//! - `once-per-quiet`: when all other threads wait, the director runs once before the clock moves. It runs again at that instant only
//!   if another thread has run in between.

use super::schedule::Schedule;

/// Why the director runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Its time has come, or it was woken early.
    Due,
    /// All other threads wait. The clock has not moved.
    Quiet,
    /// All other threads have ended, but for those that a crash has left.
    Alone,
    /// The world has failed: the director ends.
    Over,
}

/// The director of a world that has one.
#[derive(Debug)]
pub(super) struct Director {
    pub(super) thread: usize,
    /// It runs whenever all others wait, and not only when they have ended.
    wants_quiet: bool,
    /// Another thread has run since its last turn.
    has_news: bool,
    turn: Turn,
}

impl Director {
    pub(super) fn new(thread: usize, wants_quiet: bool) -> Self {
        Self { thread, wants_quiet, has_news: true, turn: Turn::Due }
    }

    /// Why the director runs.
    pub(super) fn take_turn(&mut self) -> Turn {
        std::mem::replace(&mut self.turn, Turn::Due)
    }

    /// This thread runs.
    pub(super) fn note_run(&mut self, thread: usize) {
        self.has_news |= thread != self.thread;
    }

    /// No thread can run. Returns the director's thread if it is its turn (`once-per-quiet`).
    pub(super) fn on_quiet(&mut self, schedule: &Schedule) -> Option<usize> {
        let is_alone = schedule.living() == 1;
        let is_due = self.has_news && schedule.is_blocked(self.thread) && (self.wants_quiet || is_alone);
        is_due.then(|| {
            self.has_news = false;
            self.turn = if is_alone { Turn::Alone } else { Turn::Quiet };
            self.thread
        })
    }
}
