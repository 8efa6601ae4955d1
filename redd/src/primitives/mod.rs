//! The one door to atomics, cells, locks, threads and randomness: std in programs, loom in models.
//!
//! Nothing else in the crate names `std::sync::atomic`, `std::thread`, `std::cell::UnsafeCell` or `std::sync::Mutex`,
//! so that every interleaving can be explored in a model, and every choice of the scheduler follows from one seed.
//!
//! This is the only place (with the `models.rs` files) that knows `cfg(loom)`.

pub(crate) mod atomic;
pub(crate) mod bell;
pub(crate) mod cell;
pub(crate) mod immortal;
pub(crate) mod lock;
pub(crate) mod parker;
pub(crate) mod rng;
pub(crate) mod thread;

pub(crate) use lock::{Mutex, MutexGuard, RwLock, RwLockReadGuard, ShortMutex, ShortMutexGuard};

#[cfg(loom)]
pub(crate) use loom::sync::Arc;
/// Whether this build is a model, in which atomics are larger than in programs.
pub(crate) const IS_MODEL: bool = cfg!(loom);

/// Reference counting, counted by loom in models so that leaks and early frees are found.
#[cfg(not(loom))]
pub(crate) use std::sync::Arc;

/// `loom::model`, which says how many executions it took. Past the test harness, so that it is seen of models that pass.
#[cfg(all(test, loom))]
pub(crate) fn explore(f: impl Fn() + Sync + Send + 'static) {
    explore_within(loom::model::Builder::new().preemption_bound, f);
}

/// As [`explore`], with a bound of its own.
#[cfg(all(test, loom))]
pub(crate) fn explore_within(preemptions: Option<usize>, f: impl Fn() + Sync + Send + 'static) {
    use std::io::Write as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Count(std::sync::Arc<AtomicUsize>);
    impl Drop for Count {
        fn drop(&mut self) {
            let _ = write!(std::io::stdout(), "executions: {}; ", self.0.load(Ordering::Relaxed));
        }
    }
    let count = Count(std::sync::Arc::default());
    let executions = std::sync::Arc::clone(&count.0);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || {
        executions.fetch_add(1, Ordering::Relaxed);
        f();
    });
}

/// Declares a function that is `const` in programs. Loom's atomics have no const constructor, so in models it is not.
macro_rules! const_fn {
    ($(#[$attr:meta])* $vis:vis const fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$attr])* $vis const fn $($rest)*
        #[cfg(loom)]
        $(#[$attr])* $vis fn $($rest)*
    };
}
pub(crate) use const_fn;

/// A test that runs a closure in every order of its threads' steps, up to the bounds of the run.
#[cfg(all(test, loom))]
macro_rules! model {
    ($name:ident, $closure:expr) => {
        #[test]
        fn $name() {
            $crate::primitives::explore($closure);
        }
    };
}
#[cfg(all(test, loom))]
pub(crate) use model;
