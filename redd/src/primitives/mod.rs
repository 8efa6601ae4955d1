//! The one door to atomics, cells, locks, threads, sleep and randomness: std in programs, loom or shuttle in models.
//!
//! Nothing else in the crate names `std::sync::atomic`, `std::thread`, `std::cell::UnsafeCell` or `std::sync::Mutex`,
//! so that every interleaving can be explored in a model, and every choice of the scheduler follows from one seed.
//!
//! This is the only place (with `redd/models`) that knows `cfg(loom)` and `cfg(shuttle)`. Loom tries every order of
//! the steps of a small model, weak memory included; shuttle tries orders at random, of models as large as a runtime.
//!
//! Both apply only with `test`. A user may set `--cfg loom` for a crate of their own: then redd is built with std, since
//! loom is a dev-dependency.

pub(crate) mod atomic;
pub(crate) mod cache_padded;
pub(crate) mod cell;
pub(crate) mod event_count;
pub(crate) mod immortal;
pub(crate) mod local;
pub(crate) mod lock;
pub(crate) mod lock_wait;
pub(crate) mod parker;
pub(crate) mod rng;
pub(crate) mod spin;
pub(crate) mod system;
pub(crate) mod thread;

#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/primitives/harness.rs"]
mod harness;
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) use harness::*;

pub(crate) use local::thread_local;
pub(crate) use lock::{Mutex, MutexGuard, RwLock, RwLockReadGuard, ShortMutex, ShortMutexGuard};

#[cfg(all(test, loom))]
pub(crate) use loom::sync::Arc;
/// Whether this build is a model, in which atomics are larger than in programs.
pub(crate) const IS_MODEL: bool = cfg!(all(test, any(loom, shuttle)));

/// Reference counting, counted by loom in models so that leaks and early frees are found.
#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::Arc;

/// Declares constructors that are `const` in programs. Loom's atomics have none, so in models they are not.
macro_rules! const_fn {
    ($($(#[$attr:meta])* $vis:vis const fn $name:ident($($argument:tt)*) -> Self $body:block)*) => {$(
        #[cfg(not(all(test, loom)))]
        $(#[$attr])* $vis const fn $name($($argument)*) -> Self $body
        #[cfg(all(test, loom))]
        $(#[$attr])* $vis fn $name($($argument)*) -> Self $body
    )*};
}
pub(crate) use const_fn;
