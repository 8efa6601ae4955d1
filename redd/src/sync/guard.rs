//! What all guards of locks do alike: deref to the value, and show it.

/// Implements `Deref`, `Debug` and `Display` for a guard whose `pointer` method gives the address of the value, which is
/// valid while the guard lives.
macro_rules! guard_traits {
    ([$($generics:tt)*] $guard:ty => $target:ident) => {
        impl<$($generics)*> std::ops::Deref for $guard {
            type Target = $target;

            #[inline]
            fn deref(&self) -> &$target {
                // SAFETY: the guard holds the lock on the value for as long as the result borrows the guard.
                unsafe { &*self.pointer() }
            }
        }

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

/// Implements `DerefMut` for such a guard, if it is the only one.
macro_rules! guard_deref_mut {
    ([$($generics:tt)*] $guard:ty => $target:ident) => {
        impl<$($generics)*> std::ops::DerefMut for $guard {
            #[inline]
            fn deref_mut(&mut self) -> &mut $target {
                // SAFETY: the guard holds the lock alone for as long as the result borrows it.
                unsafe { &mut *self.pointer() }
            }
        }
    };
}

pub(crate) use {guard_deref_mut, guard_traits};
