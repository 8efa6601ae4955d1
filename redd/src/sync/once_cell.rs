//! A value made once, by the first task that needs it: [`OnceCell`].
//!
//! # Invariants
//! - `permit-initialises`: only the holder of the one permit writes the value. It keeps the permit for good and closes
//!   the permits, so that nobody writes a second time; if it fails, the permit goes to the next who waits.

#![expect(unsafe_code, reason = "the value is written while the cell is shared")]

use std::convert::Infallible;
use std::future::Future;
use std::panic::Location;

use super::once::{Once, once_face};
use super::permits::{Permits, TryAcquireError};
use crate::observe::waiting::WaitKind;
use crate::primitives::const_fn;
use crate::task::coop::consume_budget;

/// A cell that is initialised at most once, by an async function if need be.
///
/// - Of several tasks that want to initialise it, one runs its function and the others wait. If that one fails, panics
///   or is cancelled, the next runs its own.
/// - Once the value is there, reading it is one load.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// static ANSWER: redd::sync::OnceCell<u32> = redd::sync::OnceCell::const_new();
/// assert_eq!(*ANSWER.get_or_init(|| async { 6 * 7 }).await, 42);
/// assert_eq!(ANSWER.get(), Some(&42));
/// # });
/// ```
pub struct OnceCell<T> {
    once: Once<T>,
    permits: Permits,
}

once_face!(OnceCell { permits: Permits::new(1) });

impl<T> OnceCell<T> {
    /// The value, if it is there, to be changed.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.once.get_mut()
    }

    /// Sets the value, if nobody else has or is about to.
    ///
    /// # Errors
    /// The value back, in [`SetError::AlreadyInitializedError`], or in [`SetError::InitializingError`] while another
    /// task initialises the cell.
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

    /// The value; if it is not there, it is made by `f`, unless another task is at it already.
    ///
    /// # Cancel safety
    /// Dropping the future drops the future of `f`; the next who waits runs its own.
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

    /// As [`get_or_init`](Self::get_or_init), with a function that may fail.
    ///
    /// # Errors
    /// The error of `f`. The cell stays empty, and the next who waits runs its own function.
    #[track_caller]
    pub fn get_or_try_init<E, F, Fut>(&self, f: F) -> impl Future<Output = Result<&T, E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let location = Some(Location::caller());
        async move {
            if let Some(value) = self.get() {
                consume_budget().await;
                return Ok(value);
            }
            if self.permits.acquire(1, WaitKind::OnceCell, location).await.is_ok() {
                let turn = Turn { cell: self };
                turn.finish(f().await?);
            }
            Ok(self.get().unwrap_or_else(|| unreachable!("the permits are closed after the value was stored")))
        }
    }

    /// # Safety
    /// `permit-initialises`: the caller holds the permit, and does not give it back.
    unsafe fn store(&self, value: T) {
        // SAFETY: by this function's duty nobody else writes, and the permits of a full cell are closed.
        unsafe { self.once.set(value) };
        self.permits.close();
    }

    /// Takes the value out; the cell is empty again.
    pub fn take(&mut self) -> Option<T> {
        std::mem::take(self).into_inner()
    }
}

/// The right to initialise, with the permit; gives it back when dropped without having done so.
struct Turn<'a, T> {
    cell: &'a OnceCell<T>,
}

impl<T> Turn<'_, T> {
    fn finish(self, value: T) {
        let turn = std::mem::ManuallyDrop::new(self);
        // SAFETY: the turn has the permit, and `ManuallyDrop` keeps it from giving it back.
        unsafe { turn.cell.store(value) };
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        self.cell.permits.release(1);
    }
}

/// Why [`OnceCell::set`] did not; gives the value back.
#[derive(Debug, PartialEq, Eq)]
pub enum SetError<T> {
    /// The cell had a value.
    AlreadyInitializedError(T),
    /// Another task initialises the cell at this moment.
    InitializingError(T),
}

impl<T> SetError<T> {
    /// Whether the cell had a value.
    pub fn is_already_init_err(&self) -> bool {
        matches!(self, Self::AlreadyInitializedError(_))
    }

    /// Whether another task initialises the cell.
    pub fn is_initializing_err(&self) -> bool {
        matches!(self, Self::InitializingError(_))
    }
}

error_texts! {
    [T] SetError<T> where T: Debug,
    Self::AlreadyInitializedError(_) => "AlreadyInitializedError",
    Self::InitializingError(_) => "InitializingError",
}
