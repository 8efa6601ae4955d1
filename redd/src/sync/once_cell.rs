//! A value that is initialized once, by the first task that needs it: [`OnceCell`].
//!
//! Called by user code.
//!
//! # Invariants
//! - `permit-initializes`: only the holder of the one permit writes the value. It keeps the permit and closes the
//!   permits, so that no task writes a second time. If it fails, the permit goes to the next waiter.

#![expect(unsafe_code, reason = "the value is written while the cell is shared")]

use std::convert::Infallible;
use std::future::Future;
use std::panic::Location;

use super::once::Once;
use super::permits::{Permits, TryAcquireError};
use crate::observe::waiting::WaitKind;
use crate::primitives::const_fn;
use crate::task::coop::consume_budget;

/// A cell that is initialized at most once, also by an asynchronous function.
///
/// - If several tasks want to initialize it, one runs its function and the others wait. If that function fails, panics
///   or is cancelled, the next waiter runs its own.
/// - Once the value is set, reading it costs one atomic load.
///
/// # Examples
/// A connection that is opened when it is first needed:
/// ```
/// use redd::sync::OnceCell;
///
/// static CONNECTION: OnceCell<String> = OnceCell::const_new();
///
/// async fn connection() -> &'static str {
///     CONNECTION.get_or_init(|| async { String::from("connected") }).await
/// }
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (one, two) = redd::join!(connection(), connection());
/// assert!(std::ptr::eq(one, two), "it was opened once");
/// # });
/// ```
pub struct OnceCell<T> {
    once: Once<T>,
    permits: Permits,
}

impl<T> OnceCell<T> {
    const_fn! {
        /// Makes an empty cell.
        pub const fn new() -> Self {
            Self {
                once: Once::empty(),
                permits: Permits::fixed(1),
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
                permits: Permits::fixed(1),
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
    /// let cell = redd::sync::OnceCell::new();
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

    /// Returns the value, to be changed, or `None` if the cell is empty.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.once.get_mut()
    }

    /// Sets the value, if the cell is empty and no task is initializing it.
    ///
    /// # Errors
    /// [`AlreadyInitializedError`](SetError::AlreadyInitializedError), or
    /// [`InitializingError`](SetError::InitializingError) while a task initializes the cell, with the value.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::{OnceCell, SetError};
    ///
    /// let cell = OnceCell::new();
    /// assert!(cell.set("first").is_ok());
    /// assert_eq!(cell.set("second"), Err(SetError::AlreadyInitializedError("second")));
    /// ```
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        if self.initialized() {
            return Err(SetError::AlreadyInitializedError(value));
        }
        match self.permits.try_acquire(1) {
            Ok(()) => {
                // SAFETY: we hold the permit.
                unsafe { self.store(value) };
                Ok(())
            }
            Err(TryAcquireError::NoPermits) => Err(SetError::InitializingError(value)),
            Err(TryAcquireError::Closed) => Err(SetError::AlreadyInitializedError(value)),
        }
    }

    /// Returns the value. If the cell is empty, `f` initializes it, or this waits for the task that already does.
    ///
    /// # Cancel safety
    /// If the future is dropped, initialization is cancelled, and the next waiter runs its own function.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::OnceCell;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let answer = OnceCell::new();
    /// assert_eq!(*answer.get_or_init(|| async { 6 * 7 }).await, 42);
    /// assert_eq!(*answer.get_or_init(|| async { unreachable!() }).await, 42);
    /// # });
    /// ```
    #[track_caller]
    pub fn get_or_init<F, Fut>(&self, f: F) -> impl Future<Output = &T>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        let filled = self.get_or_try_init(|| async { Ok::<T, Infallible>(f().await) });
        async move {
            let Ok(value) = filled.await;
            value
        }
    }

    /// Like [`get_or_init`](Self::get_or_init), with a function that may fail.
    ///
    /// # Cancel safety
    /// If the future is dropped, initialization is cancelled, and the next waiter runs its own function.
    ///
    /// # Errors
    /// The error of `f`. The cell stays empty, and the next waiter runs its own function.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::OnceCell;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let cell = OnceCell::new();
    /// let failed = cell.get_or_try_init(|| async { "x".parse::<u16>() }).await;
    /// assert!(failed.is_err());
    /// let port = cell.get_or_try_init(|| async { "8080".parse::<u16>() }).await;
    /// assert_eq!(port, Ok(&8080));
    /// # });
    /// ```
    #[track_caller]
    pub fn get_or_try_init<E, F, Fut>(&self, f: F) -> impl Future<Output = Result<&T, E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let location = Location::caller();
        async move {
            if let Some(value) = self.get() {
                consume_budget().await;
                return Ok(value);
            }
            if self.permits.acquire(1, WaitKind::OnceCell, Some(location)).await.is_ok() {
                let turn = Turn { cell: self };
                self.permits.record_taken(location, false, false);
                turn.finish(f().await?);
            }
            Ok(self.get().unwrap_or_else(|| unreachable!("the permits are closed after the value was stored")))
        }
    }

    /// # Safety
    /// `permit-initializes`: the caller holds the permit, and does not return it.
    unsafe fn store(&self, value: T) {
        // SAFETY: no other task writes, by the safety contract; and the permits of a full cell are closed.
        unsafe { self.once.set(value) };
        self.permits.close();
    }

    /// Takes the value out. The cell is empty again.
    ///
    /// # Examples
    /// ```
    /// let mut cell = redd::sync::OnceCell::new_with(Some(1));
    /// assert_eq!(cell.take(), Some(1));
    /// assert!(cell.set(2).is_ok());
    /// ```
    pub fn take(&mut self) -> Option<T> {
        std::mem::take(self).into_inner()
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        Self::const_new_with(value)
    }
}

impl<T: Clone> Clone for OnceCell<T> {
    fn clone(&self) -> Self {
        Self::new_with(self.get().cloned())
    }
}

impl<T: PartialEq> PartialEq for OnceCell<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceCell<T> {}

debug_struct!([T: std::fmt::Debug] OnceCell<T> as "OnceCell", self => { value: self.get() });

/// The right to initialize the cell. It holds the permit, and returns it if it is dropped before [`Turn::finish`].
struct Turn<'a, T> {
    cell: &'a OnceCell<T>,
}

impl<T> Turn<'_, T> {
    fn finish(self, value: T) {
        let turn = std::mem::ManuallyDrop::new(self);
        // SAFETY: the turn holds the permit, and `ManuallyDrop` prevents its return.
        unsafe { turn.cell.store(value) };
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        self.cell.permits.release_all(1);
    }
}

/// Why [`OnceCell::set`] failed. It returns the value.
///
/// # Examples
/// ```
/// use redd::sync::OnceCell;
///
/// let cell = OnceCell::new_with(Some(1));
/// let refused = cell.set(2).unwrap_err();
/// assert!(refused.is_already_init_err());
/// ```
#[derive(Debug, PartialEq, Eq)]
pub enum SetError<T> {
    /// The cell already has a value.
    AlreadyInitializedError(T),
    /// A task is initializing the cell.
    InitializingError(T),
}

impl<T> SetError<T> {
    /// Returns whether the cell already has a value.
    pub fn is_already_init_err(&self) -> bool {
        matches!(self, Self::AlreadyInitializedError(_))
    }

    /// Returns whether a task is initializing the cell.
    pub fn is_initializing_err(&self) -> bool {
        matches!(self, Self::InitializingError(_))
    }
}

error_texts! {
    [T] SetError<T> where T: Debug,
    Self::AlreadyInitializedError(_) => "AlreadyInitializedError",
    Self::InitializingError(_) => "InitializingError",
}
