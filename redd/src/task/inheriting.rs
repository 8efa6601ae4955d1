//! Tasks that inherit values: how one is polled and cancelled with its values set.
//!
//! Called through the table of such a task. `cell` makes the table and the task.
//!
//! The cell of such a task is one of the usual type, with the values behind it. Its table has the functions of the usual table, and
//! these two around them. So a task that inherits nothing pays nothing, and no future is compiled twice.
//!
//! # Invariants
//! - `values-go-with-future`: the values are in the cell until the future is dropped, which they outlive. They belong to the holder
//!   of the poll lock, like the future.

#![expect(unsafe_code, reason = "finds the values by the offset in the table")]

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::task::{Context, Poll};

use super::header::{End, Header, Inherits};
use super::inherited::Inherited;
use crate::primitives::cell::UnsafeCell;
use crate::primitives::user_code::drop_guarded;

/// The values of a task. `None` once its future is dropped (`values-go-with-future`).
pub(super) type Values = UnsafeCell<Option<Inherited>>;

/// The values, and what the table has beside the functions.
///
/// # Safety
/// The caller holds the poll lock of a task that inherits, and does not use the result longer than that.
unsafe fn parts<'a>(task: NonNull<Header>) -> (&'a Values, &'static Inherits) {
    // SAFETY: a reference is held.
    let inherits = unsafe { task.as_ref() }.vtable().inherits.as_ref().expect("only such a table has these functions");
    // SAFETY: the offset is that of the values in the type of the cell.
    (unsafe { task.byte_add(inherits.values_at).cast::<Values>().as_ref() }, inherits)
}

/// Runs `f` with the values set, or returns why they cannot be set.
///
/// # Safety
/// As for [`parts`].
unsafe fn with_values<R>(values: &Values, f: impl FnOnce() -> R) -> Result<R, &'static str> {
    values.with_mut(|values| {
        // SAFETY: `values-go-with-future`, by the safety contract.
        match unsafe { &mut *values } {
            Some(values) => values.enter(f),
            None => Ok(f()),
        }
    })
}

/// As the function of the plain table.
///
/// # Safety
/// As for the function of the plain table. The task inherits.
pub(super) unsafe fn poll(task: NonNull<Header>, cx: &mut Context<'_>) -> Poll<End> {
    // SAFETY: by the safety contract.
    let (values, inherits) = unsafe { parts(task) };
    // SAFETY: as above; the plain table is that of the cell.
    let end = match unsafe { with_values(values, || (inherits.plain.poll)(task, cx)) } {
        Ok(Poll::Pending) => return Poll::Pending,
        Ok(Poll::Ready(end)) => end,
        Err(reason) => {
            let Err(panic) = catch_unwind(|| panic!("{reason}"));
            // SAFETY: by the safety contract.
            unsafe { (inherits.fail)(task, panic) };
            End::Panicked
        }
    };
    // SAFETY: by the safety contract; the future is dropped.
    match unsafe { drop_values(values) } {
        Some(panic) if end == End::Finished => {
            // As for a future whose drop panics: that is the result.
            // SAFETY: by the safety contract.
            unsafe { (inherits.fail)(task, panic) };
            Poll::Ready(End::Panicked)
        }
        panic => {
            drop_guarded(panic);
            Poll::Ready(end)
        }
    }
}

/// As the function of the plain table.
///
/// # Safety
/// As for the function of the plain table. The task inherits.
pub(super) unsafe fn cancel(task: NonNull<Header>) {
    // SAFETY: by the safety contract.
    let (values, inherits) = unsafe { parts(task) };
    // SAFETY: by the safety contract; the plain table is that of the cell.
    if unsafe { with_values(values, || (inherits.plain.cancel)(task)) }.is_err() {
        // The values cannot be set here, so the future is dropped without them.
        // SAFETY: as above.
        unsafe { (inherits.plain.cancel)(task) };
    }
    // SAFETY: by the safety contract; the future is dropped.
    if let Some(panic) = unsafe { drop_values(values) } {
        // SAFETY: as above. It takes the place of the cancellation, or of a panic of the future's drop.
        unsafe { (inherits.fail)(task, panic) };
    }
}

/// Drops the values, and returns the first panic.
///
/// # Safety
/// As for [`parts`].
unsafe fn drop_values(values: &Values) -> Option<Box<dyn Any + Send>> {
    // SAFETY: `values-go-with-future`, by the safety contract.
    let values = values.with_mut(|values| unsafe { (*values).take() });
    catch_unwind(AssertUnwindSafe(|| drop(values))).err()
}
