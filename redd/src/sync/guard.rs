//! What the two locks do alike, and what all their guards do: deref to the value, show it, narrow to a part of it.

use super::permits::Permits;

/// The methods and traits of a lock that do not depend on what its permits mean. Expects two fields: `permits` and `data`.
macro_rules! lock_face {
    ($Lock:ident, $try:ident) => {
        impl<T> $Lock<T> {
            /// The value. Nobody can hold a guard.
            pub fn into_inner(self) -> T {
                self.data.into_inner()
            }
        }

        impl<T: ?Sized> $Lock<T> {
            /// The value, without locking: the exclusive borrow shows that nobody else can.
            pub fn get_mut(&mut self) -> &mut T {
                // SAFETY: borrowed exclusively, so there is no guard.
                self.data.with_mut(|data| unsafe { &mut *data })
            }
        }

        impl<T: ?Sized> PermitOwner for $Lock<T> {
            #[inline]
            fn permits(&self) -> &Permits {
                &self.permits
            }
        }

        impl<T> From<T> for $Lock<T> {
            fn from(value: T) -> Self {
                Self::new(value)
            }
        }

        impl<T: Default> Default for $Lock<T> {
            fn default() -> Self {
                Self::new(T::default())
            }
        }

        impl<T: ?Sized + std::fmt::Debug> std::fmt::Debug for $Lock<T> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut out = f.debug_struct(stringify!($Lock));
                match self.$try() {
                    Ok(guard) => out.field("data", &&*guard),
                    Err(_) => out.field("data", &format_args!("<locked>")),
                };
                out.finish()
            }
        }
    };
}

/// The ways to a guard: waiting, without waiting, and blocking the thread. `$count` permits are what it takes, and the
/// method `$guard` of who has got them makes it.
macro_rules! lock_methods {
    (
        $Lock:ident, $what:literal, $count:expr;
        $this:ident: $Self:ty => $guard:ident -> $Guard:ty;
        $wait:ident, $try:ident $(, $block:ident)?
    ) => {
        #[doc = concat!("Waits for ", $what, ".")]
        ///
        /// # Cancel safety
        /// Dropping the future gives the place in line away.
        #[track_caller]
        pub fn $wait($this: $Self) -> impl Future<Output = $Guard> {
            let location = Some(Location::caller());
            let owner = $this.permits.owner.clone();
            owner.instrument(concat!(stringify!($Lock), "::", stringify!($wait)), "poll_acquire", async move {
                if !$this.permits.acquire_at_once($count) {
                    let acquired = $this.permits.acquire($count, WaitKind::$Lock, location).await;
                    debug_assert!(acquired.is_ok(), "nobody closes a lock");
                }
                $this.$guard()
            })
        }

        #[doc = concat!("Takes ", $what, " if it is free and nobody waits.")]
        ///
        /// # Errors
        /// [`TryLockError`] otherwise.
        pub fn $try($this: $Self) -> Result<$Guard, TryLockError> {
            match $this.permits.try_acquire($count) {
                Ok(()) => Ok($this.$guard()),
                Err(_) => Err(TryLockError(())),
            }
        }

        $(
            #[doc = concat!("Blocks the thread until it has ", $what, ".")]
            ///
            /// # Panics
            /// On a thread that runs tasks.
            #[track_caller]
            pub fn $block($this: $Self) -> $Guard {
                block_thread_on(concat!(stringify!($Lock), "::", stringify!($block)), $this.$wait())
            }
        )?
    };
}

/// Implements `Deref`, `Debug` and `Display` for a guard whose `pointer` method gives the address of the value, which is
/// valid while the guard lives; and `DerefMut` for one that is `mut`, because it is the only one.
macro_rules! guard_traits {
    (mut [$($generics:tt)*] $guard:ty => $target:ident) => {
        guard_traits!([$($generics)*] $guard => $target);

        impl<$($generics)*> std::ops::DerefMut for $guard {
            #[inline]
            fn deref_mut(&mut self) -> &mut $target {
                // SAFETY: the guard holds the lock alone for as long as the result borrows it.
                unsafe { &mut *self.pointer() }
            }
        }
    };
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

/// Where the permits of a lock are: what guards refer to, or own a share of.
pub(super) trait PermitOwner {
    fn permits(&self) -> &Permits;
}

impl PermitOwner for Permits {
    #[inline]
    fn permits(&self) -> &Permits {
        self
    }
}

pub(crate) use {guard_map, guard_traits, lock_face, lock_methods, map_methods};
