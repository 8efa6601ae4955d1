//! One call of `block_on` on a thread that runs no tasks: the parker, the waker and the record for dumps.
//!
//! Called by `block_on`.
//!
//! # Invariants
//! - `call-has-own`: a call has a parker that no other code uses, and a record that no other call uses. The thread keeps both
//!   for its next call, but a parker only if no clone of its waker is left. So a late wake reaches no later call, and a call
//!   inside of another one (in `block_in_place`) takes no token of the outer one.

use std::cell::Cell;
use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;

use crate::observe::roots::{RootGuard, RootRecord, Roots};
use crate::primitives::atomic::{Ordering, fence};
use crate::primitives::parker::Parker;
use crate::primitives::{parker_waker, thread_local};

/// See the module page.
pub(super) struct Call {
    /// `Some` until the drop.
    sleeper: Option<Sleeper>,
    /// `Some` until the drop.
    record: Option<RootGuard>,
}

struct Sleeper {
    parker: Arc<Parker>,
    waker: Waker,
}

/// What a thread keeps from one call for the next one.
struct Kept {
    sleeper: Option<Sleeper>,
    record: Option<RootGuard>,
}

impl Kept {
    const NOTHING: Self = Self { sleeper: None, record: None };
}

thread_local! {
    static KEPT: Cell<Kept> = const { Cell::new(Kept::NOTHING) };
}

impl Call {
    /// Begins a call at `location`.
    #[inline]
    pub(super) fn begin(roots: &Roots, location: &'static Location<'static>) -> Self {
        // A thread that ends may call `block_on` in the drop of another thread-local.
        let kept = KEPT.try_with(|kept| kept.replace(Kept::NOTHING)).unwrap_or(Kept::NOTHING);
        let sleeper = kept.sleeper.unwrap_or_else(Sleeper::new);
        Self { sleeper: Some(sleeper), record: Some(roots.begin_with(kept.record, location)) }
    }

    fn sleeper(&self) -> &Sleeper {
        self.sleeper.as_ref().expect("only the drop takes it")
    }

    pub(super) fn parker(&self) -> &Parker {
        &self.sleeper().parker
    }

    pub(super) fn waker(&self) -> &Waker {
        &self.sleeper().waker
    }

    pub(super) fn record(&self) -> &RootRecord {
        &self.record.as_ref().expect("only the drop takes it").0
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        let (sleeper, record) = (self.sleeper.take().filter(Sleeper::reset), self.record.take());
        record.iter().for_each(RootGuard::end);
        // A call inside of this one may have left its own, which is dropped (`call-has-own`).
        let _ = KEPT.try_with(|kept| drop(kept.replace(Kept { sleeper, record })));
    }
}

impl Sleeper {
    #[cold]
    fn new() -> Self {
        let parker = Arc::new(Parker::new());
        Self { waker: parker_waker::waker(Arc::clone(&parker)), parker }
    }

    /// Takes back the tokens of this call, if no other code has a clone of the waker. Returns whether that is so.
    fn reset(&self) -> bool {
        reset_if_unshared(Arc::strong_count(&self.parker), || self.parker.reset())
    }
}

/// The step of [`Sleeper::reset`]. The model calls it with a count of its own, because checkers do not see that of an `Arc` of std.
pub(super) fn reset_if_unshared(references: usize, reset: impl FnOnce()) -> bool {
    // The parker and the waker are the only references, so no other code can make a third.
    let is_unshared = references == 2;
    if is_unshared {
        // Acquire: the last wake comes before the reset. Pairs with Release in the drop of the last clone, by `Arc`.
        fence(Ordering::Acquire);
        reset();
    }
    is_unshared
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::ptr;

    use super::*;

    #[test]
    fn a_call_has_a_parker_of_its_own_which_is_used_again_if_no_waker_is_left() {
        let roots = Roots::default();
        let begin = || Call::begin(&roots, Location::caller());
        let parker = |call: &Call| ptr::from_ref(call.parker());

        let first = begin();
        let address = parker(&first);
        first.waker().wake_by_ref();
        drop(first);
        let second = begin();
        assert_eq!(parker(&second), address);
        assert!(!second.parker().has_token(), "it was meant for the first call");

        let late = second.waker().clone();
        drop(second);
        let third = begin();
        assert_ne!(parker(&third), address);
        late.wake();
        assert!(!third.parker().has_token());

        let inside = begin();
        third.waker().wake_by_ref();
        assert!(!inside.parker().has_token());
        assert_eq!(roots.describe().len(), 2);
        drop(inside);
        assert!(third.parker().has_token());
        assert_eq!(roots.describe().len(), 1);
        drop(third);
        assert_eq!(roots.describe().len(), 0);
    }
}
