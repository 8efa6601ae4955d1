//! `runtime::Id`: the number of a runtime or a `LocalSet`.

use std::fmt;

use crate::primitives::atomic::{Ordering, fixed};

static NEXT: fixed::AtomicU64 = fixed::AtomicU64::new(1);

/// Identifies a runtime, uniquely in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Id(u64);

impl Id {
    /// A new id, for a runtime or a `LocalSet`.
    pub(crate) fn next() -> Self {
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
