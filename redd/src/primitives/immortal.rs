//! Values that are never freed, only reused, so a reference to one stays valid forever.
//!
//! Called by `time::timers` for its wheels.
//!
//! # Invariants
//! - `reused-not-freed`: a value given back is handed out again before a new one is made, so the memory held is what
//!   was needed at the same time at most.

/// The values that are not in use now; a `static`.
#[derive(Debug)]
pub(crate) struct Pool<T: 'static> {
    #[cfg(not(all(test, any(loom, shuttle))))]
    idle: super::Mutex<Vec<&'static T>>,
    #[cfg(all(test, any(loom, shuttle)))]
    idle: std::marker::PhantomData<fn() -> &'static T>,
}

#[cfg(not(all(test, any(loom, shuttle))))]
impl<T: Send + Sync> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self { idle: super::Mutex::new(Vec::new()) }
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

/// In a model nothing outlives an execution, so nothing is reused; the memory is leaked.
#[cfg(all(test, any(loom, shuttle)))]
impl<T: Send + Sync> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self { idle: std::marker::PhantomData }
    }

    pub(crate) fn take(&self, make: impl FnOnce() -> T) -> &'static T {
        Box::leak(Box::new(make()))
    }

    pub(crate) fn give_back(&self, _value: &'static T) {}
}
