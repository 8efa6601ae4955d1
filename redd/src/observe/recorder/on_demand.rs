//! A ring that is made when it is needed first: by the thread that writes to it, or by one that prepares it.
//!
//! Called by `recorder`, for full recording.
//!
//! # Invariants
//! - `made-once`: the pointer changes once, from null to a ring that is never freed. So all threads use the same ring.

#![expect(unsafe_code, reason = "a pointer to a ring that is never freed")]

use std::ptr;

use super::ring::Ring;
use crate::primitives::atomic::{AtomicPtr, Ordering};

/// See the module page.
#[derive(Debug)]
pub(super) struct RingOnDemand {
    ring: AtomicPtr<Ring>,
    capacity: usize,
}

impl RingOnDemand {
    pub(super) fn new(capacity: usize) -> Self {
        Self { ring: AtomicPtr::new(ptr::null_mut()), capacity }
    }

    /// The ring, if it was made.
    #[inline]
    pub(super) fn get(&self) -> Option<&'static Ring> {
        // Acquire: sees the whole ring. Pairs with the Release half in `RingOnDemand::make`.
        // SAFETY: `made-once`.
        unsafe { self.ring.load(Ordering::Acquire).as_ref() }
    }

    #[inline]
    pub(super) fn get_or_make(&self) -> &'static Ring {
        self.get().unwrap_or_else(|| self.make(Ring::new(self.capacity)))
    }

    /// Makes the ring with all of its memory, so that its writer need not wait for that.
    pub(super) fn prepare(&self) {
        if self.get().is_none() {
            let ring = Ring::new(self.capacity);
            ring.touch();
            self.make(ring);
        }
    }

    #[cold]
    fn make(&self, ring: Ring) -> &'static Ring {
        let made = Box::into_raw(Box::new(ring));
        // Release: publishes the ring. Acquire: the ring of another thread is seen whole. Pairs with Acquire in
        // `RingOnDemand::get`, and with itself.
        match self.ring.compare_exchange(ptr::null_mut(), made, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: `made-once`.
            Ok(_) => unsafe { &*made },
            Err(other) => {
                // SAFETY: it was made above, and no other thread has it.
                drop(unsafe { Box::from_raw(made) });
                // SAFETY: `made-once`.
                unsafe { &*other }
            }
        }
    }
}

#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../../models/observe_recorder_on_demand.rs"]
mod models;
