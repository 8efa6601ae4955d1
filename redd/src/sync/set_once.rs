//! A value that is set once, and awaited by any number of tasks: [`SetOnce`].
//!
//! # Invariants
//! - `set-under-lock`: the value is written by who holds the list's lock and finds that it is not set, so once.

#![expect(unsafe_code, reason = "the value is written while the cell is shared")]

use std::future::Future;
use std::panic::Location;

use super::once::{Once, once_face};
use super::wait_list::WaitList;
use super::wait_until::wait_until;
use crate::observe::waiting::WaitKind;
use crate::primitives::const_fn;
use crate::task::coop::cooperative;

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
    once: Once<T>,
    waiters: WaitList,
}

once_face!(SetOnce { waiters: WaitList::new(()) });

impl<T> SetOnce<T> {
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
        // SAFETY: `set-under-lock`.
        unsafe { self.once.set(value) };
        guard.notify_all();
        Ok(())
    }

    /// Waits for the value.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    #[track_caller]
    pub fn wait(&self) -> impl Future<Output = &T> {
        let location = Some(Location::caller());
        cooperative(wait_until(&self.waiters, WaitKind::OnceCell, location, || self.get(), |_| self.get()))
    }
}

/// The [`SetOnce`] had a value; this is the one that was not set.
#[derive(Debug, PartialEq, Eq)]
pub struct SetOnceError<T>(pub T);

error_texts! {
    [T] SetOnceError<T> where T: Debug,
    _ => "SetOnceError",
}
