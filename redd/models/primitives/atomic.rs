//! Atomics and fences of the checkers.

#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{Ordering, fence};
#[cfg(loom)]
pub(crate) use shadowed::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize};

/// Loom's atomics, each with a shadow.
///
/// Loom remembers only the last access of each atomic when it decides which two steps to try in the other order, so a
/// store is not tried before the load that another thread made earlier. With `REDD_SHADOW` set, each access first does a
/// relaxed read-modify-write of a second atomic: two of these always count as dependent, so every pair is tried. Relaxed,
/// it orders nothing else. Slower by an order of magnitude: `cargo xtask loom --shadow`.
#[cfg(loom)]
mod shadowed {
    use super::Ordering;
    use std::sync::LazyLock;

    static IS_ON: LazyLock<bool> = LazyLock::new(|| std::env::var_os("REDD_SHADOW").is_some());

    #[derive(Debug)]
    struct Shadow(Option<loom::sync::atomic::AtomicUsize>);

    impl Shadow {
        fn new() -> Self {
            Self(IS_ON.then(|| loom::sync::atomic::AtomicUsize::new(0)))
        }

        fn touch(&self) {
            if let Some(shadow) = &self.0 {
                shadow.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    macro_rules! shadowed {
        ($name:ident $(<$param:ident>)?, $value:ty, [$($method:ident($($arg:ident: $type:ty),*) -> $result:ty;)*]) => {
            #[derive(Debug)]
            pub(crate) struct $name $(<$param>)? {
                inner: loom::sync::atomic::$name $(<$param>)?,
                shadow: Shadow,
            }

            #[expect(clippy::allow_attributes, reason = "which methods are used differs by type")]
            #[allow(dead_code, reason = "as many as std has")]
            impl $(<$param>)? $name $(<$param>)? {
                pub(crate) fn new(value: $value) -> Self {
                    Self { inner: loom::sync::atomic::$name::new(value), shadow: Shadow::new() }
                }

                pub(crate) fn fetch_update(
                    &self,
                    set: Ordering,
                    fetch: Ordering,
                    f: impl FnMut($value) -> Option<$value>,
                ) -> Result<$value, $value> {
                    self.shadow.touch();
                    self.inner.fetch_update(set, fetch, f)
                }

                $(#[track_caller]
                pub(crate) fn $method(&self, $($arg: $type),*) -> $result {
                    self.shadow.touch();
                    self.inner.$method($($arg),*)
                })*
            }
        };
    }

    macro_rules! accesses {
        ($name:ident $(<$param:ident>)?, $value:ty, [$($fetch:ident),*]) => {
            shadowed!($name $(<$param>)?, $value, [
                load(order: Ordering) -> $value;
                store(value: $value, order: Ordering) -> ();
                swap(value: $value, order: Ordering) -> $value;
                compare_exchange(
                    current: $value, new: $value, success: Ordering, failure: Ordering
                ) -> Result<$value, $value>;
                compare_exchange_weak(
                    current: $value, new: $value, success: Ordering, failure: Ordering
                ) -> Result<$value, $value>;
                $($fetch(value: $value, order: Ordering) -> $value;)*
            ]);
        };
    }

    accesses!(AtomicBool, bool, [fetch_or, fetch_and]);
    accesses!(AtomicU8, u8, [fetch_add, fetch_sub, fetch_or, fetch_and, fetch_max, fetch_min]);
    accesses!(AtomicU32, u32, [fetch_add, fetch_sub, fetch_or, fetch_and, fetch_max, fetch_min]);
    accesses!(AtomicU64, u64, [fetch_add, fetch_sub, fetch_or, fetch_and, fetch_max, fetch_min]);
    accesses!(AtomicUsize, usize, [fetch_add, fetch_sub, fetch_or, fetch_and, fetch_max, fetch_min]);
    accesses!(AtomicPtr<T>, *mut T, []);

    impl Default for AtomicBool {
        fn default() -> Self {
            Self::new(false)
        }
    }
    impl Default for AtomicU32 {
        fn default() -> Self {
            Self::new(0)
        }
    }
    impl Default for AtomicU64 {
        fn default() -> Self {
            Self::new(0)
        }
    }
    impl Default for AtomicUsize {
        fn default() -> Self {
            Self::new(0)
        }
    }
}

/// Atomics for `static` items. Never modelled: a static outlives an execution of the model.
pub(crate) mod fixed {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
}

/// Atomics that are all zero.
pub(crate) fn zeroed(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}
