//! Where sleeping workers sleep: one in the driver, where events wake it, the others by a bell that only rings for work.
//!
//! Called by `worker` (sleep), by `Shared::wake_sleeper`, and by the monitor.
//!
//! # Invariants
//! - `one-watches`: the worker that sleeps in the driver holds the watch. Who finds it taken sleeps by the bell; whoever
//!   holds it is either in the driver or awake, and gives it back before it runs anything. So if all workers sleep, one of
//!   them watches: the last that gave it back, or who took it after that.
//!
//! # Why not otherwise
//! All sleepers in the epoll: each packet that comes while one worker is at work wakes another one for a single event,
//! although the first would have taken it a moment later together with the next five. That was 436 context switches per
//! 1000 requests of 64 connections, where this makes fewer than half. What it bought, that events are seen while a worker
//! is busy, is kept otherwise: a worker whose polls are long wakes one to watch (`Worker::look_around`), and so does the
//! monitor when a worker is stuck and nobody watches. Decision 0009.

use crate::primitives::atomic::{AtomicBool, Ordering};
use crate::primitives::bell::Bell;

/// See the module page.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    is_watched: AtomicBool,
    pub(super) bell: Bell,
}

/// This worker may sleep in the driver while it has this.
pub(super) struct Watching<'a>(&'a Seats);

impl Seats {
    /// The right to sleep in the driver, if nobody has it (`one-watches`).
    pub(super) fn try_watch(&self) -> Option<Watching<'_>> {
        // Acquire: pairs with the Release in `Watching::drop`.
        (!self.is_watched.swap(true, Ordering::Acquire)).then_some(Watching(self))
    }

    pub(super) fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Relaxed)
    }

    /// Whether events go unseen although a worker sleeps that could wait for them.
    pub(super) fn needs_watch(&self) -> bool {
        !self.is_watched() && self.bell.has_sleepers()
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        // Release: what was done in the driver comes before what the next one does there. Pairs with the Acquire in
        // `Seats::try_watch`.
        self.0.is_watched.store(false, Ordering::Release);
    }
}
