//! A value that is set once, and awaited by any number of tasks: [`SetOnce`].
//!
//! Called by user code.
//!
//! # Invariants
//! - `set-under-lock`: the value is written by a thread that holds the list's lock and has found it empty; so once.

#![expect(unsafe_code, reason = "the value is written while the cell is shared")]

use std::future::Future;
use std::panic::Location;

use super::once::Once;
use super::wait_list::WaitList;
use super::wait_until::wait_until;
use crate::observe::waiting::WaitKind;
use crate::primitives::const_fn;
use crate::task::coop::cooperative;

/// A cell that is set at most once, and whose value can be awaited.
///
/// - Unlike an [`OnceCell`](super::OnceCell), it has no function that initializes it: a task that knows the value sets
///   it.
///
/// # Examples
/// A server publishes its port, and clients wait for it:
/// ```
/// use redd::sync::SetOnce;
///
/// static PORT: SetOnce<u16> = SetOnce::const_new();
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let client = redd::spawn(async { *PORT.wait().await });
/// redd::task::yield_now().await; // the client waits
/// PORT.set(8080).unwrap();
/// assert_eq!(client.await.unwrap(), 8080);
/// # });
/// ```
pub struct SetOnce<T> {
    once: Once<T>,
    waiters: WaitList,
}

impl<T> SetOnce<T> {
    const_fn! {
        /// Makes an empty cell.
        pub const fn new() -> Self {
            Self {
                once: Once::empty(),
                waiters: WaitList::new(()),
            }
        }

        /// Makes an empty cell, for a `static`.
        pub const fn const_new() -> Self {
            Self::new()
        }

        /// Makes a cell with this value, for a `static`.
        pub const fn const_new_with(value: T) -> Self {
            Self {
                once: Once::full(value),
                waiters: WaitList::new(()),
            }
        }
    }

    /// Makes a cell with this value, or an empty cell.
    pub fn new_with(value: Option<T>) -> Self {
        match value {
            Some(value) => Self::const_new_with(value),
            None => Self::new(),
        }
    }

    /// Returns whether the cell has a value.
    pub fn initialized(&self) -> bool {
        self.once.is_set()
    }

    /// Returns the value, or `None` if the cell is empty.
    ///
    /// # Examples
    /// ```
    /// let cell = redd::sync::SetOnce::new();
    /// assert_eq!(cell.get(), None);
    /// cell.set(7).unwrap();
    /// assert_eq!(cell.get(), Some(&7));
    /// ```
    pub fn get(&self) -> Option<&T> {
        self.once.get()
    }

    /// Returns the value, or `None` if the cell is empty.
    pub fn into_inner(self) -> Option<T> {
        self.once.into_inner()
    }

    /// Sets the value if the cell is empty, and wakes all tasks that wait for it.
    ///
    /// # Errors
    /// [`SetOnceError`] with the value, if the cell already has one.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::{SetOnce, SetOnceError};
    ///
    /// let cell = SetOnce::new();
    /// assert!(cell.set("first").is_ok());
    /// assert_eq!(cell.set("second"), Err(SetOnceError("second")));
    /// assert_eq!(cell.into_inner(), Some("first"));
    /// ```
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

    /// Waits until the value is set, and returns it.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::SetOnce;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cell = SetOnce::new();
    /// let (value, ()) = redd::join!(cell.wait(), async { cell.set(5).unwrap() });
    /// assert_eq!(*value, 5);
    /// # });
    /// ```
    #[track_caller]
    pub fn wait(&self) -> impl Future<Output = &T> {
        let location = Some(Location::caller());
        cooperative(wait_until(&self.waiters, WaitKind::OnceCell, location, || self.get(), |_| self.get()))
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

debug_struct!([T: std::fmt::Debug] SetOnce<T> as "SetOnce", self => { value: self.get() });

/// The [`SetOnce`] already has a value. It returns the one that was not set.
#[derive(Debug, PartialEq, Eq)]
pub struct SetOnceError<T>(pub T);

error_texts! {
    [T] SetOnceError<T> where T: Debug,
    _ => "SetOnceError",
}
