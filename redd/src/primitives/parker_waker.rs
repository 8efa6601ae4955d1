//! A parker as a waker.
//!
//! Used by `block_on` and the `blocking_*` methods.

use super::parker::Parker;
use std::sync::{Arc, OnceLock};
use std::task::{RawWakerVTable, Wake, Waker};

/// `std::sync::Arc`, because `Wake` requires it.
impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.unpark();
    }
}

/// A waker that unparks. Not inlined: the compiler makes one table of functions for each place where this is done, and
/// [`is_of_parker`] has to know the table.
#[inline(never)]
pub(crate) fn waker(parker: Arc<Parker>) -> Waker {
    Waker::from(parker)
}

/// Whether this comes from [`waker`], and so runs no user code.
pub(crate) fn is_of_parker(waker: &Waker) -> bool {
    static TABLE: OnceLock<&RawWakerVTable> = OnceLock::new();
    std::ptr::eq(waker.vtable(), *TABLE.get_or_init(|| self::waker(Arc::new(Parker::new())).vtable()))
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_waker_of_a_parker_is_told_from_others() {
        assert!(is_of_parker(&waker(Arc::new(Parker::new()))));
        assert!(!is_of_parker(Waker::noop()));
    }
}
