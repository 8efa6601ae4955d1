//! The task whose code runs on this thread.
//!
//! Called by `poll` and `join` (enter a task), `budget` and `yield_now` (yield), the scheduler, and user code (`task::id`).
//!
//! # Invariants
//! - `current-is-honest`: while user code of a task runs (its poll, the drop of its future or output), `task::id()` returns
//!   its id.

#![expect(unsafe_code, reason = "the current task is behind a raw pointer")]

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::task::Waker;

use super::header::Header;
use super::id::Id;
use super::slab::TaskSlab;
use super::state::AfterWake;
use super::waker;
use crate::primitives::thread_local;

thread_local! {
    /// The task whose code runs on this thread.
    static CURRENT: Cell<*const Header> = const { Cell::new(ptr::null()) };
    /// Whether the current poll requested that its task go to the back of the queue.
    static HAS_YIELDED: Cell<bool> = const { Cell::new(false) };
}

/// Marks a task as the current one until it is dropped (`current-is-honest`).
pub(super) struct CurrentGuard(*const Header);

impl CurrentGuard {
    #[inline]
    pub(super) fn enter(task: NonNull<Header>) -> Self {
        Self(CURRENT.replace(task.as_ptr()))
    }
}

impl Drop for CurrentGuard {
    #[inline]
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(self.0));
    }
}

/// The task whose code runs on this thread. It lives at least as long as that code runs.
pub(super) fn header() -> Option<NonNull<Header>> {
    NonNull::new(CURRENT.get().cast_mut())
}

/// Whether this thread runs code of a task or blocking closure of that slab.
pub(crate) fn current_is_of(slab: &TaskSlab) -> bool {
    // SAFETY: set for as long as the guard's owner holds a reference, so the slab lives too.
    NonNull::new(CURRENT.get().cast_mut()).is_some_and(|task| ptr::eq(unsafe { TaskSlab::of(task) }, slab))
}

/// Requests that the current task go to the back of the queue after its poll, if `waker` is its own. No wake is needed
/// then. Returns whether it is.
pub(super) fn yield_current(waker: &Waker) -> bool {
    let Some(task) = NonNull::new(CURRENT.get().cast_mut()) else {
        return false;
    };
    let is_own = waker::is_of(waker, task);
    if is_own {
        HAS_YIELDED.with(|has_yielded| has_yielded.set(true));
    }
    is_own
}

/// Sets whether the current poll has yielded. Returns the value from before.
#[inline]
pub(super) fn replace_has_yielded(has_yielded: bool) -> bool {
    HAS_YIELDED.replace(has_yielded)
}

/// The id of the current task. 0 outside of tasks.
#[inline]
pub(crate) fn id_or_zero() -> u64 {
    try_id().map_or(0, |id| id.0)
}

/// Requests the current task to end: its future is dropped after this poll, unless that completes.
pub(crate) fn abort_current() {
    if let Some(task) = NonNull::new(CURRENT.get().cast_mut()) {
        // SAFETY: set for as long as the guard's owner holds a reference.
        let after = unsafe { task.as_ref() }.state.cancel();
        debug_assert_eq!(after, AfterWake::Nothing, "a task that is polled is not enqueued");
    }
}

/// Whether `waker` is that of the current task. `None` outside of tasks.
pub(super) fn is_of_current(waker: &Waker) -> Option<bool> {
    NonNull::new(CURRENT.get().cast_mut()).map(|task| waker::is_of(waker, task))
}

/// Returns the id of the current task.
///
/// # Panics
/// Panics outside of a task. The future of `block_on` is not a task; use [`try_id`] there.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let task = redd::spawn(async { redd::task::id() });
/// let id = task.id();
/// assert_eq!(task.await.unwrap(), id);
/// # });
/// ```
#[track_caller]
pub fn id() -> Id {
    match try_id() {
        Some(id) => id,
        None => panic!(
            "`task::id` was called on thread `{}` outside of a task. Call it from a spawned task, or use `task::try_id`.",
            crate::primitives::thread::current_name()
        ),
    }
}

/// Returns the id of the current task, or `None` outside of a task.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// assert_eq!(redd::task::try_id(), None, "the future of `block_on` is not a task");
/// let task = redd::spawn(async { redd::task::try_id() });
/// assert!(task.await.unwrap().is_some());
/// # });
/// ```
#[inline]
pub fn try_id() -> Option<Id> {
    let task = CURRENT.get();
    // SAFETY: set for as long as the guard's owner holds a reference.
    unsafe { task.as_ref() }.map(Header::id)
}
