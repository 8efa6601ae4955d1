//! A value that is written once while it is shared, and the face that [`OnceCell`](super::OnceCell) and
//! [`SetOnce`](super::SetOnce) have in common.
//!
//! Called by both; how the one who writes is chosen, and how others wait for it, is theirs.
//!
//! # Invariants
//! - `set-then-read`: `is_set` is stored after the value is, and the value does not change any more while it is shared.

#![expect(unsafe_code, reason = "the value is written while it is shared")]

use crate::primitives::atomic::{AtomicBool, Ordering};
use crate::primitives::cell::UnsafeCell;
use crate::primitives::const_fn;
use crate::primitives::has_mistake;

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
    /// Nobody else writes at the same time, and nobody has written.
    pub(super) unsafe fn set(&self, value: T) {
        // SAFETY: by this function's duty nobody else writes, and nobody reads before `is_set`.
        self.value.with_mut(|slot| unsafe { *slot = Some(value) });
        // Release: publishes the value. Pairs with Acquire in `Once::is_set`.
        let order = if has_mistake("a cell without its value") { Ordering::Relaxed } else { Ordering::Release };
        self.is_set.store(true, order);
    }

    pub(super) fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }
}

/// The methods and traits that do not depend on how a cell is set. Expects two fields: `once`, and one named and made as
/// given.
macro_rules! once_face {
    ($Cell:ident { $waiters:ident: $none:expr }) => {
        impl<T> $Cell<T> {
            const_fn! {
                /// An empty cell.
                pub const fn new() -> Self {
                    Self {
                        once: Once::empty(),
                        $waiters: $none,
                    }
                }

                /// The same as [`new`](Self::new), for statics.
                pub const fn const_new() -> Self {
                    Self::new()
                }

                /// A cell with this value.
                pub const fn const_new_with(value: T) -> Self {
                    Self {
                        once: Once::full(value),
                        $waiters: $none,
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
                self.once.is_set()
            }

            /// The value, if it is there.
            pub fn get(&self) -> Option<&T> {
                self.once.get()
            }

            /// The value, if it was there.
            pub fn into_inner(self) -> Option<T> {
                self.once.into_inner()
            }
        }

        impl<T> Default for $Cell<T> {
            fn default() -> Self {
                Self::new()
            }
        }

        impl<T> From<T> for $Cell<T> {
            fn from(value: T) -> Self {
                Self::const_new_with(value)
            }
        }

        impl<T: Clone> Clone for $Cell<T> {
            fn clone(&self) -> Self {
                Self::new_with(self.get().cloned())
            }
        }

        impl<T: PartialEq> PartialEq for $Cell<T> {
            fn eq(&self, other: &Self) -> bool {
                self.get() == other.get()
            }
        }

        impl<T: Eq> Eq for $Cell<T> {}

        debug_struct!([T: std::fmt::Debug] $Cell<T> as stringify!($Cell), self => { value: self.get() });
    };
}

pub(super) use once_face;
