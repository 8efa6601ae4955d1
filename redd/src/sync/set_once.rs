//! A value that is set once, and awaited by any number of tasks: [`SetOnce`].
//!
//! # Invariants
//! - `set-under-lock`: the value is written by who holds the list's lock and finds `is_set` false, so once.
//! - `set-then-read`: `is_set` is stored after the value is, and the value does not change any more while the cell is
//!   shared.

#![expect(unsafe_code, reason = "the value is written while the cell is shared")]

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::wait_list::{Place, Stage, WaitList, Waiter};
use crate::observe::waiting::WaitKind;
use crate::primitives::atomic::{AtomicBool, Ordering};
use crate::primitives::cell::UnsafeCell;
use crate::primitives::const_fn;

/// A cell that is set at most once, and whose value can be awaited.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// static PORT: redd::sync::SetOnce<u16> = redd::sync::SetOnce::const_new();
/// PORT.set(8080).unwrap();
/// assert_eq!(*PORT.wait().await, 8080);
/// # });
/// ```
pub struct SetOnce<T> {
    is_set: AtomicBool,
    value: UnsafeCell<Option<T>>,
    waiters: WaitList,
}

// SAFETY: shared use reads the value (so `Sync`), and writes it once, from any thread (so `Send`).
unsafe impl<T: Send + Sync> Sync for SetOnce<T> {}

impl<T> SetOnce<T> {
    const_fn! {
        /// An empty cell.
        pub const fn new() -> Self {
            Self {
                is_set: AtomicBool::new(false),
                value: UnsafeCell::new(None),
                waiters: WaitList::new(()),
            }
        }
    }

    const_fn! {
        /// The same as [`new`](Self::new), for statics.
        pub const fn const_new() -> Self {
            Self::new()
        }
    }

    const_fn! {
        /// A cell with this value.
        pub const fn const_new_with(value: T) -> Self {
            Self {
                is_set: AtomicBool::new(true),
                value: UnsafeCell::new(Some(value)),
                waiters: WaitList::new(()),
            }
        }
    }

    /// A cell with this value, or an empty one.
    pub fn new_with(value: Option<T>) -> Self {
        match value {
            Some(value) => Self::const_new_with(value),
            None => Self::new(),
        }
    }

    /// Whether the value is there.
    pub fn initialized(&self) -> bool {
        // Acquire: the value is visible (`set-then-read`). Pairs with Release in `SetOnce::set`.
        self.is_set.load(Ordering::Acquire)
    }

    /// The value, if it is there.
    pub fn get(&self) -> Option<&T> {
        if !self.initialized() {
            return None;
        }
        // SAFETY: `set-then-read`.
        self.value.with(|value| unsafe { (*value).as_ref() })
    }

    /// Sets the value, if nobody has, and wakes all who wait for it.
    ///
    /// # Errors
    /// The value back, if there was one.
    pub fn set(&self, value: T) -> Result<(), SetOnceError<T>> {
        if self.initialized() {
            return Err(SetOnceError(value));
        }
        let guard = self.waiters.lock();
        if self.initialized() {
            drop(guard);
            return Err(SetOnceError(value));
        }
        // SAFETY: `set-under-lock`, and nobody reads before `is_set`.
        self.value.with_mut(|slot| unsafe { *slot = Some(value) });
        // Release: publishes the value. Pairs with Acquire in `SetOnce::initialized`.
        self.is_set.store(true, Ordering::Release);
        guard.call_all();
        Ok(())
    }

    /// Waits for the value.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    #[track_caller]
    pub fn wait(&self) -> impl Future<Output = &T> {
        self.wait_from(Some(Location::caller()))
    }

    async fn wait_from(&self, place: Place) -> &T {
        if !self.initialized() {
            let wait = Wait { cell: self, waiter: Waiter::new(WaitKind::OnceCell, place) };
            wait.await;
        }
        self.get().expect("a wait ends when the value is there")
    }

    /// The value, if it was there.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }
}

pin_project! {
    /// Ready when the value is there.
    struct Wait<'a, T> {
        cell: &'a SetOnce<T>,
        #[pin]
        waiter: Waiter,
    }

    impl<T> PinnedDrop for Wait<'_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.waiter.stage() != Stage::Idle {
                let mut guard = this.cell.waiters.lock();
                let (_, unused) = guard.remove(this.waiter.as_ref());
                drop(guard);
                drop(unused);
            }
        }
    }
}

impl<T> Future for Wait<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let waiter = this.waiter.as_ref();
        let is_set = match waiter.stage() {
            // SAFETY: the waiter is pinned, the cell outlives this future, and the drop above removes it.
            Stage::Idle => this.cell.initialized() || unsafe { this.cell.line_up(waiter, cx) },
            Stage::Linked => this.cell.waiters.renew(waiter, cx) != Stage::Linked,
            Stage::Called(_) => true,
        };
        if is_set {
            waiter.settle();
            return Poll::Ready(());
        }
        waiter.note();
        Poll::Pending
    }
}

impl<T> SetOnce<T> {
    /// Puts the waiter in line, unless the value came first. True: it did.
    ///
    /// # Safety
    /// The duty of `wait_list::Guard::push_back` for `waiter`.
    unsafe fn line_up(&self, waiter: Pin<&Waiter>, cx: &Context<'_>) -> bool {
        let waker = cx.waker().clone();
        let mut guard = self.waiters.lock();
        if self.initialized() {
            drop(guard);
            return true;
        }
        // SAFETY: by this function's duty.
        unsafe { guard.push_back(waiter, Some(waker), 0) };
        false
    }
}

impl<T> Default for SetOnce<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for SetOnce<T> {
    fn from(value: T) -> Self {
        Self::const_new_with(value)
    }
}

impl<T: Clone> Clone for SetOnce<T> {
    fn clone(&self) -> Self {
        Self::new_with(self.get().cloned())
    }
}

impl<T: PartialEq> PartialEq for SetOnce<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for SetOnce<T> {}

impl<T: fmt::Debug> fmt::Debug for SetOnce<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetOnce").field("value", &self.get()).finish()
    }
}

/// The [`SetOnce`] had a value; this is the one that was not set.
#[derive(Debug, PartialEq, Eq)]
pub struct SetOnceError<T>(pub T);

impl<T> fmt::Display for SetOnceError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SetOnceError")
    }
}

impl<T: fmt::Debug> Error for SetOnceError<T> {}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::testing::{Wakes, poll_once, poll_with};
    use super::*;

    #[test]
    fn setting_wakes_all_who_wait_and_works_once() {
        let cell = SetOnce::new();
        let (wakes, waker) = Wakes::new();
        let mut all: Vec<_> = (0..50).map(|_| Box::pin(cell.wait())).collect();
        for one in &mut all {
            assert!(poll_with(one.as_mut(), &waker).is_pending());
        }
        drop(all.pop());
        assert_eq!(cell.set(1), Ok(()));
        assert_eq!(cell.set(2), Err(SetOnceError(2)));
        assert_eq!(wakes.count(), 49);
        for one in &mut all {
            assert_eq!(poll_once(one.as_mut()), Poll::Ready(&1));
        }
        assert_eq!(poll_once(Box::pin(cell.wait()).as_mut()), Poll::Ready(&1));
        drop(all);
        assert_eq!(cell.into_inner(), Some(1));
    }
}
