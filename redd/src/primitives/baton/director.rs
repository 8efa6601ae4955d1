//! The director of a world: one thread that acts at given times and whenever all other threads wait.
//!
//! Called by `sim` for the script of a world, and by `world` when no thread can run.
//!
//! # Invariants
//! - `once-per-quiet`: when all other threads wait, the director runs once before the clock moves. It runs again at that instant only
//!   if another thread has run in between.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::member::{HostThread, wait_for_own_end};
use super::schedule::Schedule;
use super::world::Baton;

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

impl Baton {
    /// Starts the thread that directs this world, until it ends. It has a host number of its own.
    pub(crate) fn start_director(
        self: &Arc<Self>,
        host: usize,
        name: &str,
        wants_quiet: bool,
        f: impl FnOnce() + Send + 'static,
    ) -> io::Result<HostThread> {
        let director = |thread| Director { thread, wants_quiet, has_news: true, turn: Turn::Due };
        self.start_host_with(host, name, |state, thread| state.director = Some(director(thread)), f)
    }

    /// Whether all other threads have ended, or are dead.
    pub(crate) fn is_alone(&self) -> bool {
        self.lock().schedule.living() == 1
    }

    /// Called by the director: waits for its next turn, at most until this virtual time.
    pub(crate) fn await_turn(&self, until: Option<Duration>) -> Turn {
        let timeout = until.map(|until| until.saturating_sub(self.passed()));
        if timeout == Some(Duration::ZERO) {
            return if self.is_failing() { Turn::Over } else { Turn::Due };
        }
        wait_for_own_end(timeout);
        if self.is_failing() {
            return Turn::Over;
        }
        let mut state = self.lock();
        let director = state.director.as_mut().expect("the caller is the director");
        std::mem::replace(&mut director.turn, Turn::Due)
    }
}
