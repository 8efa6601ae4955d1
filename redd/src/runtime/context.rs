//! Which runtime is this thread in: the one thread-local of the runtime, and the messages when it is none.
//!
//! `sleep`, `TcpStream::connect`, `spawn_blocking` ask here once, at the door. Engine files never do.
//!
//! # Invariants
//! - `entered-is-alive`: the pointer in the thread-local owns a reference to its runtime; the guard that put it there
//!   takes it out and releases it.

#![expect(unsafe_code, reason = "a reference kept in a plain thread-local, so that none of its drops runs late")]

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr;

use super::Handle;
use crate::primitives::rng::{Rng, random_seed};
use crate::primitives::{thread, thread_local};
use crate::scheduler::Shared;
use std::sync::Arc;

/// What this thread is doing for a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// It may block: it runs no tasks.
    No,
    /// It is inside `block_on`, or runs tasks as a worker.
    Yes,
    /// As `Yes`, and `block_in_place` may not be used: the thread runs a current-thread runtime or a `LocalSet`.
    NoBlockInPlace,
}

struct Context {
    /// `entered-is-alive`
    current: Cell<*const Shared>,
    depth: Cell<usize>,
    entered: Cell<Entered>,
    /// Set when the thread-local destructors run. Plain data, so it can be read even then.
    rng: Rng,
    is_seeded: Cell<bool>,
}

thread_local! {
    static CONTEXT: Context = const {
        Context {
            current: Cell::new(ptr::null()),
            depth: Cell::new(0),
            entered: Cell::new(Entered::No),
            rng: Rng::new(0),
            is_seeded: Cell::new(false),
        }
    };
}

/// Runs `f` with the runtime that this thread is in; `None` outside of one.
#[inline]
pub(crate) fn with_current<R>(f: impl FnOnce(&Handle) -> R) -> Option<R> {
    with_current_and((), |handle, ()| f(handle)).ok()
}

/// As [`with_current`], for a closure that consumes a value; outside of a runtime the value comes back.
#[inline]
#[track_caller]
pub(crate) fn with_current_and<V, R>(value: V, f: impl FnOnce(&Handle, V) -> R) -> Result<R, V> {
    let shared = CONTEXT.with(|context| context.current.get());
    if shared.is_null() {
        return Err(value);
    }
    // SAFETY: `entered-is-alive`; the handle is only borrowed, so its reference is not released here.
    let shared = unsafe { Arc::from_raw(shared) };
    let handle = ManuallyDrop::new(Handle { shared });
    Ok(f(&handle, value))
}

/// The runtime that this thread is in.
pub(crate) fn current() -> Option<Handle> {
    with_current(Handle::clone)
}

/// A random number below `bound`, from the runtime's seed on its threads.
pub(crate) fn random_below(bound: u32) -> u32 {
    CONTEXT.with(|context| {
        if !context.is_seeded.get() {
            context.is_seeded.set(true);
            context.rng.reseed(random_seed());
        }
        context.rng.below(bound)
    })
}

/// Gives this thread's generator a seed of the runtime; returns what puts the old one back.
pub(crate) fn seed_thread(seed: u64) -> SeedGuard {
    CONTEXT.with(|context| {
        let before = context.is_seeded.replace(true).then(|| context.rng.state());
        context.rng.reseed(seed);
        SeedGuard(before)
    })
}

/// Puts the seed of before back.
#[derive(Debug)]
pub(crate) struct SeedGuard(Option<u64>);

impl Drop for SeedGuard {
    fn drop(&mut self) {
        CONTEXT.with(|context| match self.0 {
            Some(state) => context.rng.reseed(state),
            None => context.is_seeded.set(false),
        });
    }
}

/// The runtime that was entered is the current one while this lives.
///
/// Guards are dropped in the reverse order of their making. It is not `Send`: it belongs to its thread.
#[derive(Debug)]
#[must_use = "the runtime is left again when the guard is dropped"]
pub struct EnterGuard<'a> {
    _current: CurrentGuard,
    /// The guard has no drop of its own, so a runtime may be shut down while one of it is still in scope.
    _handle: PhantomData<&'a Handle>,
}

/// Puts the runtime of before back.
#[derive(Debug)]
struct CurrentGuard {
    before: *const Shared,
    depth: usize,
    _not_send: PhantomData<*mut ()>,
}

// SAFETY: a shared reference to it gives access to nothing; only its drop, on its own thread, uses the pointer.
unsafe impl Sync for CurrentGuard {}

/// Enters `handle`'s runtime on this thread.
pub(crate) fn enter<'a>(handle: Handle) -> EnterGuard<'a> {
    CONTEXT.with(|context| {
        let depth = context.depth.get() + 1;
        context.depth.set(depth);
        let before = context.current.replace(Arc::into_raw(handle.shared));
        let current = CurrentGuard { before, depth, _not_send: PhantomData };
        EnterGuard { _current: current, _handle: PhantomData }
    })
}

impl Drop for CurrentGuard {
    fn drop(&mut self) {
        let mine = CONTEXT.with(|context| {
            if context.depth.get() != self.depth {
                return None;
            }
            context.depth.set(self.depth - 1);
            Some(context.current.replace(self.before))
        });
        match mine {
            // SAFETY: put there by `enter` from a handle (`entered-is-alive`).
            Some(mine) => drop(unsafe { Arc::from_raw(mine) }),
            None if thread::panicking() => {}
            None => panic!(
                "an `EnterGuard` was dropped before one that was made later on thread `{}`. Drop guards in the reverse \
                 order of their making: the last one first.",
                thread::current_name()
            ),
        }
    }
}

/// While it lives, this thread is inside `block_on` or runs tasks.
#[derive(Debug)]
pub(crate) struct EnteredGuard(Entered);

impl Drop for EnteredGuard {
    fn drop(&mut self) {
        CONTEXT.with(|context| context.entered.set(self.0));
    }
}

pub(crate) fn entered() -> Entered {
    CONTEXT.with(|context| context.entered.get())
}

/// Marks this thread; the guard puts the old mark back.
pub(crate) fn mark(entered: Entered) -> EnteredGuard {
    CONTEXT.with(|context| EnteredGuard(context.entered.replace(entered)))
}

/// Marks this thread as one that runs tasks; panics if it does so already.
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

/// Panics if this thread runs tasks. Programs match the words about `deed`, which are Tokio's.
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
         from a task or `Runtime::block_on`, or enter one first: `let _guard = handle.enter();`",
        thread::current_name()
    )
}

/// Panics: `what` needs a part of the runtime that its builder did not enable.
#[track_caller]
pub(crate) fn disabled(what: &str, part: &str, mend: &str) -> ! {
    panic!(
        "{what} needs {part}, which this runtime was built without. Build it with `Builder::{mend}()` or `enable_all()`."
    )
}

/// The current runtime, or the panic of [`missing`].
#[track_caller]
pub(crate) fn expect_current(what: &str) -> Handle {
    match current() {
        Some(handle) => handle,
        None => missing(what),
    }
}
