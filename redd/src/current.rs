//! Which runtime this thread is in, and what the thread does for it: the thread-local that all rooms read.
//!
//! [`Parts`] are the parts of a runtime that code on its threads may use. A leaf, such as `sleep` or
//! `TcpStream::connect`, takes the part that it needs when it is called. `scheduler::enter` is the only writer of the
//! pointer.
//!
//! # Invariants
//! - `entered-is-alive`: the pointer in the thread-local comes with a reference to its runtime. The guard that stored
//!   the pointer removes it and releases the reference.

#![expect(unsafe_code, reason = "a reference in a plain thread-local: it has no destructor that could run late")]

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;

use crate::driver::Driver;
use crate::primitives::atomic::AtomicU64;
use crate::primitives::rng::Rng;
use crate::primitives::seed::random_seed;
use crate::primitives::{thread, thread_local};
use crate::time::timers::Timers;

/// The parts of a runtime that code on its threads may use.
pub(crate) struct Parts {
    pub(crate) timers: Timers,
    pub(crate) driver: Arc<Driver>,
    pub(crate) enabled: Enabled,
    /// Polls that ended because their budget was used up.
    pub(crate) forced_yields: AtomicU64,
}

/// What the builder and the flavor of a runtime allow programs to use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Enabled {
    pub(crate) io: bool,
    pub(crate) time: bool,
    /// `time::pause`: only where a single thread decides when to advance the clock.
    pub(crate) pause: bool,
}

impl Parts {
    /// Returns the timers, or `None` if the runtime was built without `enable_time`.
    #[inline]
    pub(crate) fn timers(&self) -> Option<&Timers> {
        self.enabled.time.then_some(&self.timers)
    }

    /// Returns the I/O driver, or `None` if the runtime was built without `enable_io`.
    #[inline]
    pub(crate) fn driver(&self) -> Option<&Arc<Driver>> {
        self.enabled.io.then_some(&self.driver)
    }
}

/// What this thread is doing for a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// It may block: it runs no tasks.
    No,
    /// It is inside `block_on`, or runs tasks as a worker.
    Yes,
    /// As `Yes`, but `block_in_place` must not be used: the thread runs a current-thread runtime or a `LocalSet`.
    NoBlockInPlace,
}

struct Current {
    /// `entered-is-alive`
    parts: Cell<*const Parts>,
    /// How many runtimes this thread has entered and not left.
    depth: Cell<usize>,
    entered: Cell<Entered>,
    /// Plain data, so that destructors of other thread-locals can still read it.
    rng: Rng,
    is_seeded: Cell<bool>,
}

thread_local! {
    static CURRENT: Current = const {
        Current {
            parts: Cell::new(ptr::null()),
            depth: Cell::new(0),
            entered: Cell::new(Entered::No),
            rng: Rng::new(0),
            is_seeded: Cell::new(false),
        }
    };
}

/// The parts of the runtime that this thread is in; null outside of one.
#[inline]
pub(crate) fn parts() -> *const Parts {
    CURRENT.with(|current| current.parts.get())
}

/// Runs `f` with the parts of the runtime that this thread is in. Returns `None` outside of a runtime.
#[inline]
pub(crate) fn with_parts<R>(f: impl FnOnce(&Parts) -> R) -> Option<R> {
    // SAFETY: `entered-is-alive`. A guard that is dropped inside `f` belongs to code that borrows the runtime.
    unsafe { parts().as_ref() }.map(f)
}

/// What a guard restores when this thread leaves a runtime.
#[derive(Debug)]
pub(crate) struct Before {
    parts: *const Parts,
    depth: usize,
}

/// Makes a runtime the current one of this thread.
///
/// # Safety
/// The pointer comes with a reference to the runtime, which the caller releases after [`leave`] (`entered-is-alive`).
pub(crate) unsafe fn enter(parts: *const Parts) -> Before {
    CURRENT.with(|current| {
        let depth = current.depth.get() + 1;
        current.depth.set(depth);
        Before { parts: current.parts.replace(parts), depth }
    })
}

/// Restores what was current before, and returns the pointer that [`enter`] stored. Returns `None`, and changes nothing, if a
/// runtime that was entered later has not been left.
pub(crate) fn leave(before: &Before) -> Option<*const Parts> {
    CURRENT.with(|current| {
        if current.depth.get() != before.depth {
            return None;
        }
        current.depth.set(before.depth - 1);
        Some(current.parts.replace(before.parts))
    })
}

/// Returns a random number below `bound`. On a runtime's threads it comes from the runtime's seed.
pub(crate) fn random_below(bound: u32) -> u32 {
    CURRENT.with(|current| {
        if !current.is_seeded.get() {
            current.is_seeded.set(true);
            current.rng.reseed(random_seed());
        }
        current.rng.below(bound)
    })
}

/// Seeds this thread's generator. The guard restores the previous state.
pub(crate) fn seed_thread(seed: u64) -> SeedGuard {
    CURRENT.with(|current| {
        let before = current.is_seeded.replace(true).then(|| current.rng.state());
        current.rng.reseed(seed);
        SeedGuard(before)
    })
}

/// Restores the previous state of this thread's generator when dropped.
#[derive(Debug)]
pub(crate) struct SeedGuard(Option<u64>);

impl Drop for SeedGuard {
    fn drop(&mut self) {
        CURRENT.with(|current| match self.0 {
            Some(state) => current.rng.reseed(state),
            None => current.is_seeded.set(false),
        });
    }
}

/// A guard: this thread is inside `block_on`, or runs tasks.
#[derive(Debug)]
pub(crate) struct EnteredGuard(Entered);

impl Drop for EnteredGuard {
    fn drop(&mut self) {
        CURRENT.with(|current| current.entered.set(self.0));
    }
}

pub(crate) fn entered() -> Entered {
    CURRENT.with(|current| current.entered.get())
}

/// Marks this thread. The guard restores the previous mark.
pub(crate) fn mark(entered: Entered) -> EnteredGuard {
    CURRENT.with(|current| EnteredGuard(current.entered.replace(entered)))
}

/// Marks this thread as one that runs tasks. Panics if it runs tasks already.
#[track_caller]
pub(crate) fn mark_entered(what: &str, entered: Entered) -> EnteredGuard {
    forbid(what, "start a runtime");
    mark(entered)
}

/// Panics if this thread runs tasks: `what` blocks, and would stop them.
#[track_caller]
pub(crate) fn forbid_blocking(what: &str) {
    forbid(what, "block the current thread");
}

/// Panics if this thread runs tasks. Programs compare the text about `deed`, which is Tokio's.
#[track_caller]
fn forbid(what: &str, deed: &str) {
    if entered() != Entered::No {
        panic!(
            "{what} was called on thread `{}`, which runs tasks. Cannot {deed} from within a runtime: the other tasks \
             would stop. Use `.await` here, or move the blocking call to `spawn_blocking`.",
            thread::current_name()
        );
    }
}

/// Panics: `what` was called outside of a runtime. The message names the thread and the fix.
#[track_caller]
pub(crate) fn missing(what: &str) -> ! {
    panic!(
        "{what} was called on thread `{}`, which is not inside a redd runtime: there is no reactor running here. Call it \
         from a task or `Runtime::block_on`, inside of its `async` block and not in its argument, or enter one first: `let _guard = handle.enter();`",
        thread::current_name()
    )
}

/// Panics: `what` needs a part of the runtime that its builder did not enable.
#[track_caller]
pub(crate) fn disabled(what: &str, part: &str, fix: &str) -> ! {
    panic!(
        "{what} needs {part}, which this runtime was built without. Build it with `Builder::{fix}()` or `enable_all()`."
    )
}
