//! What all guards of locks do alike: deref to the value, show it, narrow to a part of it.

use super::permits::Permits;

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

/// `map` and `try_map` of a guard with a field `held`, which lets the lock go: the narrowed guard has an address of its own
/// in `data`, and the same `held`, or what `$narrow` makes of it. `$order` is the order of the type parameters, which is
/// public; `const` or `mut mut` says how the value is reached.
macro_rules! map_methods {
    (
        $pointer:ident $($mutable:ident)?, $T:ident => $Mapped:ident<$($part:tt),*>, [$($order:tt)*]
        $(, $marker:ident)? $(; $narrow:ident)?
    ) => {
        /// Narrows the guard to a part of the value. An associated function, as the value may have a method `map`.
        pub fn map<$($order)*>($($mutable)? this: Self, f: F) -> $Mapped<$($part),*>
        where
            F: FnOnce(&$($mutable)? $T) -> &$($mutable)? V,
        {
            let data: *$pointer V = f(&$($mutable)? *this);
            $Mapped { data, held: this.held$(.$narrow())? $(, $marker: PhantomData)? }
        }

        /// Narrows the guard to a part of the value, if `f` finds it.
        ///
        /// # Errors
        /// The guard, if `f` returned `None`.
        pub fn try_map<$($order)*>($($mutable)? this: Self, f: F) -> Result<$Mapped<$($part),*>, Self>
        where
            F: FnOnce(&$($mutable)? $T) -> Option<&$($mutable)? V>,
        {
            let Some(data) = f(&$($mutable)? *this) else {
                return Err(this);
            };
            let data: *$pointer V = data;
            Ok($Mapped { data, held: this.held$(.$narrow())? $(, $marker: PhantomData)? })
        }
    };
}

/// The same for a guard that has the address of its value in a field `data`.
macro_rules! guard_map {
    ($pointer:ident $($mutable:ident)?, $T:ident => $($rest:tt)*) => {
        map_methods!($pointer $($mutable)?, $T => $($rest)*);

        #[inline]
        fn pointer(&self) -> *$pointer $T {
            self.data
        }
    };
}

/// Where the permits of a lock are reached from: the lock's borrower, or a share of its ownership.
pub(super) trait Lender {
    fn permits(&self) -> &Permits;
}

impl Lender for &Permits {
    #[inline]
    fn permits(&self) -> &Permits {
        self
    }
}

pub(crate) use {guard_deref_mut, guard_map, guard_traits, map_methods};
