//! A value that is written once while it is shared.
//!
//! Called by `once_cell` and `set_once`, which decide which task writes it and how others wait for it.
//!
//! # Invariants
//! - `set-then-read`: `is_set` is stored after the value. From then on the value does not change while it is shared.

#![expect(unsafe_code, reason = "the value is written while it is shared")]

use crate::primitives::atomic::{AtomicBool, Ordering};
use crate::primitives::cell::UnsafeCell;
use crate::primitives::const_fn;

/// See the module page.
pub(super) struct Once<T> {
    is_set: AtomicBool,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: shared use reads the value (so `Sync`), and writes it once, from any thread (so `Send`).
unsafe impl<T: Send + Sync> Sync for Once<T> {}

impl<T> Once<T> {
    const_fn! {
        pub(super) const fn empty() -> Self {
            Self {
                is_set: AtomicBool::new(false),
                value: UnsafeCell::new(None),
            }
        }

        pub(super) const fn full(value: T) -> Self {
            Self {
                is_set: AtomicBool::new(true),
                value: UnsafeCell::new(Some(value)),
            }
        }
    }

    pub(super) fn is_set(&self) -> bool {
        // Acquire: the value is visible (`set-then-read`). Pairs with Release in `Once::set`.
        self.is_set.load(Ordering::Acquire)
    }

    pub(super) fn get(&self) -> Option<&T> {
        if !self.is_set() {
            return None;
        }
        // SAFETY: `set-then-read`.
        self.value.with(|value| unsafe { (*value).as_ref() })
    }

    pub(super) fn get_mut(&mut self) -> Option<&mut T> {
        // SAFETY: borrowed exclusively.
        self.value.with_mut(|value| unsafe { (*value).as_mut() })
    }

    /// # Safety
    /// The value was not set before, and no other thread sets it at the same time.
    pub(super) unsafe fn set(&self, value: T) {
        // SAFETY: no other thread writes, by the safety contract; no thread reads before `is_set`.
        self.value.with_mut(|slot| unsafe { *slot = Some(value) });
        // Release: publishes the value. Pairs with Acquire in `Once::is_set`.
        self.is_set.store(true, Ordering::Release);
    }

    pub(super) fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }
}
