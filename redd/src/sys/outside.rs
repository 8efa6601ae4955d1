//! Where redd itself calls the C library on a thread of a simulated world, and needs the real function.
//!
//! The package `redd-sim-libc` replaces some functions of the C library for threads of a world. It asks `primitives::baton::interposed`, which
//! asks this file.
//!
//! Called by `primitives`, `observe::coarse` and `sys`.

use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    /// How many guards the calling thread has.
    static GUARDS: Cell<u32> = const { Cell::new(0) };
}

/// While it lives, the calling thread gets the real functions.
#[derive(Debug)]
pub(crate) struct Outside(PhantomData<*const ()>);

impl Outside {
    #[inline]
    pub(crate) fn begin() -> Self {
        GUARDS.set(GUARDS.get() + 1);
        Self(PhantomData)
    }
}

impl Drop for Outside {
    #[inline]
    fn drop(&mut self) {
        GUARDS.set(GUARDS.get() - 1);
    }
}

/// Runs `f` with the real functions.
#[inline]
pub(crate) fn outside<R>(f: impl FnOnce() -> R) -> R {
    let _outside = Outside::begin();
    f()
}

/// Whether the calling thread needs the real functions.
#[inline]
pub(crate) fn is_outside() -> bool {
    GUARDS.get() > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_may_be_nested() {
        assert!(!is_outside());
        let first = Outside::begin();
        outside(|| assert!(is_outside()));
        assert!(is_outside());
        drop(first);
        assert!(!is_outside());
    }
}
