//! Values that are never freed, only reused, so a reference to one stays valid forever.
//!
//! Called by `time::timers` for its wheels.
//!
//! # Invariants
//! - `reused-not-freed`: a value given back is handed out again before a new one is made, so the memory held is what
//!   was needed at the same time at most.

use super::Mutex;

/// The values that are not in use now; a `static`.
#[derive(Debug)]
pub(crate) struct Pool<T: 'static> {
    idle: Mutex<Vec<&'static T>>,
}

impl<T: Send + Sync> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self { idle: Mutex::new(Vec::new()) }
    }

    /// An idle value, or a new one (`reused-not-freed`).
    pub(crate) fn take(&self, make: impl FnOnce() -> T) -> &'static T {
        let idle = self.idle.lock().pop();
        idle.unwrap_or_else(|| Box::leak(Box::new(make())))
    }

    /// Gives a value back.
    pub(crate) fn give_back(&self, value: &'static T) {
        self.idle.lock().push(value);
    }
}
