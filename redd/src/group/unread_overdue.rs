//! A clean-up that took too long, as long as no call has returned the error.
//!
//! Called by `clean_ups` and `group_results`.
//!
//! # Invariants
//! - `reported-or-returned`: a failure of a clean-up is returned by a call, or it is reported. A panic is reported by its own drop.

use crate::observe::overdue::Overdue;
use crate::runtime::Handle;

/// If it is dropped without having been read, it is reported (`reported-or-returned`). No lock may be held then.
pub(super) struct UnreadOverdue(Option<Box<(Overdue, Handle)>>);

impl UnreadOverdue {
    /// For a failure of another kind.
    pub(super) const NONE: Self = Self(None);

    pub(super) fn new(overdue: Overdue, runtime: Handle) -> Self {
        Self(Some(Box::new((overdue, runtime))))
    }

    /// A call returns the error.
    pub(super) fn read(mut self) {
        self.0 = None;
    }
}

impl Drop for UnreadOverdue {
    fn drop(&mut self) {
        if let Some(unread) = self.0.take() {
            let (overdue, runtime) = &*unread;
            let config = &runtime.shared.config;
            overdue.deliver(config.on_overdue.as_ref(), config.name.as_deref());
        }
    }
}
