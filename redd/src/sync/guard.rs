//! What the guards of both locks share: their `Debug` and `Display`, and access to the permits they hold.
//!
//! Called by `mutex` and `rwlock`.

use super::permits::Permits;

/// Implements `Debug` and `Display` of a guard as those of its value.
macro_rules! guard_fmt {
    ([$($generics:tt)*] $guard:ty => $target:ident) => {
        impl<$($generics)*> std::fmt::Debug for $guard
        where
            $target: std::fmt::Debug,
        {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&**self, f)
            }
        }

        impl<$($generics)*> std::fmt::Display for $guard
        where
            $target: std::fmt::Display,
        {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&**self, f)
            }
        }
    };
}

/// Gives access to the permits of a lock: guards borrow one, or own a reference to one.
pub(super) trait PermitOwner {
    fn permits(&self) -> &Permits;
}

impl PermitOwner for Permits {
    #[inline]
    fn permits(&self) -> &Permits {
        self
    }
}

pub(super) use guard_fmt;
