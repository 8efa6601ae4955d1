//! The runtime that this thread is in, as a whole: entering it, leaving it, and finding it.
//!
//! Called by the threads of a runtime, by `block_on`, and by the functions that spawn. `current` has the thread-local.
//!
//! # Invariants
//! - `parts-of-shared`: each pointer that this file passes to `current::enter` points to the parts inside of a [`Shared`] that an
//!   `Arc` owns. No other file calls that function.

#![expect(unsafe_code, reason = "a reference kept in a plain thread-local; from a field to its struct")]

use std::marker::PhantomData;
use std::mem::{ManuallyDrop, offset_of};
use std::sync::Arc;

use super::shared::Shared;
use crate::current::{self, Before, Parts};
use crate::primitives::thread;

/// Runs `f` with the runtime that this thread is in. Returns `None` outside of a runtime.
#[inline]
pub(crate) fn with_current<R>(f: impl FnOnce(&Arc<Shared>) -> R) -> Option<R> {
    let parts = current::parts();
    if parts.is_null() {
        return None;
    }
    // SAFETY: `entered-is-alive`. It is only borrowed, so its reference is not released here.
    let shared = ManuallyDrop::new(unsafe { shared_of(parts) });
    Some(f(&shared))
}

/// The runtime that this thread is in, for a caller that passes a large value on: a closure would hold a copy of it.
///
/// # Safety
/// The caller drops the reference before it returns. The code that called it may leave the runtime afterwards.
#[inline]
pub(crate) unsafe fn borrow_current<'a>() -> Option<&'a Shared> {
    let parts = current::parts();
    if parts.is_null() {
        return None;
    }
    // SAFETY: `parts-of-shared`, `entered-is-alive`. A guard that is dropped meanwhile belongs to code that borrows the runtime.
    Some(unsafe { &*parts.byte_sub(offset_of!(Shared, parts)).cast::<Shared>() })
}

/// The runtime that this thread is in.
pub(crate) fn current() -> Option<Arc<Shared>> {
    with_current(Arc::clone)
}

/// The current runtime, or the panic of [`current::missing`].
#[track_caller]
pub(crate) fn expect_current(what: &str) -> Arc<Shared> {
    match current() {
        Some(shared) => shared,
        None => current::missing(what),
    }
}

/// Takes over the reference that belongs to a pointer in the thread-local.
///
/// # Safety
/// The pointer comes from [`enter`], and its reference is not used elsewhere.
#[inline]
unsafe fn shared_of(parts: *const Parts) -> Arc<Shared> {
    // SAFETY: `parts-of-shared`: the pointer was made from one to the whole, by `Arc::into_raw`.
    unsafe { Arc::from_raw(parts.byte_sub(offset_of!(Shared, parts)).cast::<Shared>()) }
}

/// While this guard exists, the runtime that was entered is the current one of this thread.
///
/// Drop guards in reverse order of their creation. A guard is not `Send`: it belongs to its thread.
#[must_use = "dropping the guard leaves the runtime"]
pub struct EnterGuard<'a> {
    _current: CurrentGuard,
    /// The guard itself has no drop, so a runtime may be shut down while a guard of it is still in scope.
    _handle: PhantomData<&'a ()>,
}

debug_struct!([] EnterGuard<'_> as "EnterGuard", self => { .. });

/// Restores the previous runtime when dropped.
#[derive(Debug)]
struct CurrentGuard {
    before: Before,
    _not_send: PhantomData<*mut ()>,
}

// SAFETY: a shared reference to it gives access to nothing; only its drop, on its own thread, uses the pointer.
unsafe impl Sync for CurrentGuard {}

/// Enters the runtime on this thread.
pub(crate) fn enter<'a>(shared: Arc<Shared>) -> EnterGuard<'a> {
    let shared = Arc::into_raw(shared);
    // SAFETY: the pointer has just come from an `Arc`. The guard releases that reference.
    let before = unsafe { current::enter(&raw const (*shared).parts) };
    EnterGuard { _current: CurrentGuard { before, _not_send: PhantomData }, _handle: PhantomData }
}

impl Drop for CurrentGuard {
    fn drop(&mut self) {
        match current::leave(&self.before) {
            // SAFETY: `enter` stored it, and it is no longer in the thread-local (`entered-is-alive`).
            Some(mine) => drop(unsafe { shared_of(mine) }),
            None => refuse_to_leave(),
        }
    }
}

#[cold]
fn refuse_to_leave() {
    if !thread::panicking() {
        panic!(
            "an `EnterGuard` was dropped on thread `{}` before one that was created later. Drop guards in the reverse \
             order of their creation: the last one first.",
            thread::current_name()
        );
    }
}

/// As [`EnterGuard`], for a caller that has a reference to the runtime for longer than the guard. Entering then counts none.
#[derive(Debug)]
pub(crate) struct BorrowedGuard<'a> {
    before: Before,
    shared: &'a Arc<Shared>,
    _not_send: PhantomData<*mut ()>,
}

/// Enters the runtime on this thread.
///
/// # Safety
/// The guard is dropped, and not leaked.
#[inline]
pub(crate) unsafe fn enter_borrowed(shared: &Arc<Shared>) -> BorrowedGuard<'_> {
    let whole = Arc::as_ptr(shared);
    // SAFETY: `entered-is-alive`: the reference is borrowed until the guard's drop.
    let before = unsafe { current::enter(&raw const (*whole).parts) };
    BorrowedGuard { before, shared, _not_send: PhantomData }
}

impl Drop for BorrowedGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if current::leave(&self.before).is_none() {
            // A guard that was created later still has the pointer, and restores it. `entered-is-alive`: then it needs a
            // reference of its own, which is leaked as that of an `EnterGuard` is.
            let _ = Arc::into_raw(Arc::clone(self.shared));
            refuse_to_leave();
        }
    }
}
